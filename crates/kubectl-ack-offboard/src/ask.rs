//! Questions to whoever sits at the terminal.

use crate::{exit::Failure, output};
use inquire::{Confirm, InquireError};

/// Asks whether to go on: `--yes` has answered already.
///
/// # Errors
/// When the answer is Ctrl-C; when there is nobody to ask, which is a wrong usage.
pub(crate) async fn confirm(question: String, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !output::can_ask() {
        return Err(Failure::usage(
            "nobody can be asked, as this is no terminal. Add --yes to answer yes; nothing was changed.",
        ));
    }
    let _restored = Restored;
    let answer = tokio::task::spawn_blocking(move || Confirm::new(&question).with_default(false).prompt()).await;
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(InquireError::OperationInterrupted | InquireError::OperationCanceled)) => Err(Failure::interrupted()),
        Ok(Err(error)) => Err(Failure::new(format!("cannot ask: {error}. Add --yes to answer yes."))),
        Err(error) => Err(Failure::new(format!("cannot ask: {error}"))),
    }
}

/// Gives the terminal back as it was, also where a signal ends the question.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
        let _ = crossterm::execute!(std::io::stderr(), crossterm::cursor::Show);
    }
}
