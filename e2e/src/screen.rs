//! What a person sees of the demo and of the run on a node: headings, progress, and what was checked.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

/// Standard output, and whether what was observed so far is what it should be.
pub(crate) struct Screen {
    /// Whether it can be written over.
    terminal: bool,
    checks: usize,
    failed: Vec<String>,
}

impl Screen {
    /// Of this process.
    pub(crate) fn new() -> Self {
        Screen {
            terminal: std::io::stdout().is_terminal(),
            checks: 0,
            failed: Vec::new(),
        }
    }

    /// Whether something of this width can be drawn, and drawn over.
    pub(crate) fn fits(&self, width: usize) -> bool {
        let size = rustix::termios::tcgetwinsize(std::io::stdout());
        self.terminal && size.is_ok_and(|size| usize::from(size.ws_col) >= width)
    }

    /// Begins a part of the demo.
    pub(crate) fn heading(&self, text: &str) {
        let (bold, plain) = if self.terminal {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        say(&format!("\n{bold}== {text}{plain}"));
    }

    /// A line of text.
    pub(crate) fn line(&self, text: &str) {
        say(&format!("   {text}"));
    }

    /// Text of several lines, such as what a command printed, set off from the rest.
    pub(crate) fn block(&self, text: &str) {
        for line in text.trim_end().lines() {
            say(&format!("     | {line}"));
        }
    }

    /// What the operator says, broken into lines.
    pub(crate) fn quote(&self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if line.len() + word.len() > 104 {
                say(&format!("          {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        say(&format!("          {line}"));
    }

    /// A command that is run.
    pub(crate) fn command(&self, text: &str) {
        let (cyan, plain) = if self.terminal {
            ("\x1b[36m", "\x1b[0m")
        } else {
            ("", "")
        };
        say(&format!("   {cyan}$ {text}{plain}"));
    }

    /// Says what is being done and how long that usually takes; [`Step::done`] says how long it took.
    pub(crate) fn step(&self, what: &str, usually: &str) -> Step {
        self.line(&format!("{what} (usually {usually}) ..."));
        Step { begun: Instant::now() }
    }

    /// Notes what was observed, and whether that is what should be.
    pub(crate) fn check(&mut self, what: &str, observed: &str, wanted: &str) {
        self.checks += 1;
        if observed == wanted {
            self.line(&format!("[ok]   {what}: {observed}"));
        } else {
            self.line(&format!("[FAIL] {what}: {observed}, and not {wanted}"));
            self.failed.push(format!("{what}: {observed}, and not {wanted}"));
        }
    }

    /// Sums the checks up.
    pub(crate) fn tally(&self) {
        for failure in &self.failed {
            self.line(&format!("[FAIL] {failure}"));
        }
        self.line(&format!(
            "{} of {} observations were as they should be.",
            self.checks - self.failed.len(),
            self.checks
        ));
    }

    /// Whether every check found what it should.
    pub(crate) fn all_is_well(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Something that takes time.
pub(crate) struct Step {
    begun: Instant,
}

impl Step {
    /// It is done.
    pub(crate) fn done(self, screen: &Screen, result: &str) {
        screen.line(&format!("... {result} after {}", seconds(self.begun.elapsed())));
    }
}

/// `4.2 s`
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Writes a line at once. A reader that went away (`| head`) is no reason to panic.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
