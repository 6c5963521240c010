//! What was found, for people and for scripts.

use serde::Serialize;
use std::{fmt, time::Duration};

/// What to do about an answer that nothing explains.
pub(super) const LOOK: &str = "If a webhook or a policy caused this, exempt the operator's ServiceAccount from it. Otherwise check the API \
 server's health and try again.";
/// What to do about something that the chart installs, and that is missing or changed.
pub(super) const RESTORE: &str = "`helm upgrade` restores what the chart installs (with Helm 4: --force-conflicts); without Helm, apply the manifests again (docs/install.md).";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// Something is wrong; there is a fix.
    Failed,
    /// Not tried: something that it needs failed, or it cannot be tried without changing something.
    Untried,
}

/// One item that was looked at, whatever came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub check: String,
    pub outcome: Outcome,
    /// What was found, or why it was not tried.
    pub found: String,
    /// What to do about it, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    pub(super) fn ok(check: impl Into<String>, found: impl fmt::Display) -> Self {
        Check {
            check: check.into(),
            outcome: Outcome::Ok,
            found: found.to_string(),
            fix: None,
        }
    }

    /// Wrong, with what to do about it.
    pub(super) fn failed(check: impl Into<String>, found: impl fmt::Display, fix: impl Into<String>) -> Self {
        Check {
            check: check.into(),
            outcome: Outcome::Failed,
            found: found.to_string(),
            fix: Some(fix.into()),
        }
    }

    /// Not tried, and why not.
    pub(super) fn untried(check: impl Into<String>, why: impl fmt::Display) -> Self {
        Check {
            check: check.into(),
            outcome: Outcome::Untried,
            found: why.to_string(),
            fix: None,
        }
    }
}

/// All items, in the order in which they are read.
///
/// As JSON, `{"sound": bool, "seconds": float, "checks": [{"check", "outcome": "Ok" | "Failed" | "Untried", "found", "fix"?}]}`; as text, a table.
#[derive(Clone, Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
    took: Duration,
}

#[derive(Serialize)]
struct Whole<'a> {
    sound: bool,
    seconds: f64,
    checks: &'a [Check],
}

impl Report {
    /// Adds an item, and says whether it is as it should be.
    pub(super) fn add(&mut self, check: Check) -> bool {
        let ok = check.outcome == Outcome::Ok;
        self.checks.push(check);
        ok
    }

    pub(super) fn took(&mut self, took: Duration) {
        self.took = took;
    }

    /// Whether nothing failed.
    pub fn is_sound(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }

    /// For scripts.
    ///
    /// # Errors
    /// When it cannot be written, which is a mistake of this program.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&Whole {
            sound: self.is_sound(),
            seconds: self.took.as_secs_f64(),
            checks: &self.checks,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.check.chars().count()).max();
        let width = width.unwrap_or_default();
        for Check {
            check,
            outcome,
            found,
            fix,
        } in &self.checks
        {
            let mark = match outcome {
                Outcome::Ok => "ok  ",
                Outcome::Failed => "FAIL",
                Outcome::Untried => "-   ",
            };
            writeln!(f, "{mark}  {check:width$}  {found}")?;
            if let Some(fix) = fix {
                writeln!(f, "{:6}{:width$}  fix: {fix}", "", "")?;
            }
        }
        let (ok, failed, untried) = (
            self.count(Outcome::Ok),
            self.count(Outcome::Failed),
            self.count(Outcome::Untried),
        );
        let took = self.took.as_secs_f64();
        write!(f, "\n{ok} ok, {failed} failed, {untried} not tried, in {took:.1} s.")
    }
}

/// What to do when there is nothing to correct.
const TRY_AGAIN: &str = "Try again: the service did not answer as expected. If this persists, give the request ID to Alibaba \
 Cloud's support.";

/// The advice about a failed call, which is empty where there is nothing to do but wait.
pub(super) fn or_try_again(advice: &'static str) -> &'static str {
    if advice.is_empty() { TRY_AGAIN } else { advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up_and_says_what_to_do() {
        let mut report = Report::default();
        report.add(Check::ok("API server", "Kubernetes 1.33"));
        assert!(report.is_sound());
        report.add(Check::failed("CRD", "it is not there", "Install it."));
        report.add(Check::untried("account", "the credentials could not be verified"));
        report.took(Duration::from_millis(321));
        assert!(!report.is_sound());
        let table = "\
ok    API server  Kubernetes 1.33
FAIL  CRD         it is not there
                  fix: Install it.
-     account     the credentials could not be verified

1 ok, 1 failed, 1 not tried, in 0.3 s.";
        assert_eq!(report.to_string(), table);
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["sound"], false);
        assert_eq!(json["checks"][1]["fix"], "Install it.");
        assert_eq!(
            json["checks"][2],
            serde_json::json!({
                "check": "account", "outcome": "Untried", "found": "the credentials could not be verified",
            })
        );
    }
}
