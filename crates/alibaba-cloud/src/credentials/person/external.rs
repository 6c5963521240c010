//! Credentials that a program prints.

use std::{process::Stdio, time::Duration};

use reqsign_aliyun_oss::Credential;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    process::Command,
    time::{Instant, timeout_at},
};

use super::{
    fields::{Dialect, Fields},
    plan::printed,
    problem::{Problem, shown},
};

/// The most bytes that a program may print.
const OUTPUT_LIMIT: u64 = 64 << 10;

/// Runs the program and reads what it printed: one JSON object in the shape of a profile.
///
/// Its output is secret, whatever it is: no error quotes any of it, and what it says on standard error is dropped. Its arguments may be secret as
/// well: errors have only its name. It is killed when it takes longer than `limit`, prints too much, or nobody waits for it any more; what it
/// has started in its turn is not.
pub(super) async fn credentials(words: &[String], limit: Duration) -> Result<Credential, Problem> {
    let [name, arguments @ ..] = words else {
        return Err(Problem::Lacks("process_command".to_owned()));
    };
    let problem = |what: String| Problem::Program(shown(name), what);
    let advice = "; run the profile's process_command yourself to see why";
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| problem(format!("cannot be started: {}", error.kind())))?;
    let mut output = Vec::new();
    let run = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut output).await?;
        }
        if output.len() as u64 > OUTPUT_LIMIT {
            return Ok(None);
        }
        child.wait().await.map(Some)
    };
    let outcome = timeout_at(Instant::now() + limit, run).await;
    let status = match outcome {
        Ok(Ok(Some(status))) => status,
        Ok(Err(error)) => return Err(problem(format!("failed: {}", error.kind()))),
        Ok(Ok(None)) => {
            let _ = child.kill().await;
            return Err(problem(format!(
                "printed more than {OUTPUT_LIMIT} bytes and was killed"
            )));
        }
        Err(_) => {
            let _ = child.kill().await;
            return Err(problem(format!("did not end within {limit:?} and was killed{advice}")));
        }
    };
    if !status.success() {
        return Err(match status.code() {
            Some(code) => problem(format!("ended with exit code {code}{advice}")),
            None => problem(format!("was ended by a signal{advice}")),
        });
    }
    match serde_json::from_slice(&output) {
        Ok(Value::Object(values)) => printed(&Fields::new(Dialect::Json, values))
            .map_err(|wrong| problem(format!("printed a profile that cannot be used: {wrong}"))),
        _ => Err(problem(
            "printed something else than one JSON object with mode, access_key_id and access_key_secret".to_owned(),
        )),
    }
}
