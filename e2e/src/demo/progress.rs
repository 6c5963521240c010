//! The conditions of all objects, live: a table that is redrawn in place on a terminal, a line a transition elsewhere.

use std::{collections::BTreeMap, time::Duration};

use ack_offboarding_operator::api::{ConditionType, UserOffboardingStatus};
use anyhow::Context;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    env::{condition, state},
    follow::Updates,
    screen::say,
};

/// In the order in which a run comes to them. `Reconciling` is left out: it says what `Ready` and `Stalled` say.
const SHOWN: [ConditionType; 10] = [
    ConditionType::IdentityResolved,
    ConditionType::Inactive,
    ConditionType::Approved,
    ConditionType::BackedUp,
    ConditionType::BindingsRemoved,
    ConditionType::KubeconfigPurged,
    ConditionType::Offboarded,
    ConditionType::AccessReturned,
    ConditionType::Stalled,
    ConditionType::Ready,
];

/// The latest status of each object.
pub(super) struct Progress {
    begun: Timestamp,
    columns: Vec<&'static str>,
    latest: BTreeMap<String, UserOffboardingStatus>,
    redraw: bool,
    drawn: usize,
}

impl Progress {
    /// An empty view for these objects. With `redraw`, it is a table for a terminal that is wide enough for it.
    pub(super) fn new(columns: &[&'static str], redraw: bool) -> Self {
        let columns = columns.to_vec();
        Progress {
            begun: Timestamp::now(),
            columns,
            latest: BTreeMap::new(),
            redraw,
            drawn: 0,
        }
    }

    /// The object's status.
    pub(super) fn status(&self, name: &str) -> Option<&UserOffboardingStatus> {
        self.latest.get(name)
    }

    /// Ready's reason.
    pub(super) fn state(&self, name: &str) -> &str {
        self.status(name).map_or("", state)
    }

    /// `Status/Reason` of a condition.
    pub(super) fn condition(&self, name: &str, type_: ConditionType) -> String {
        self.status(name)
            .map_or_else(String::new, |status| condition(status, type_.as_str()))
    }

    /// Shows what comes until `is_done`, which is also told when the latest update arrived.
    ///
    /// # Errors
    /// When it is not so in time, with what was seen last.
    pub(super) async fn follow(
        &mut self,
        updates: &mut Updates,
        deadline: Duration,
        mut is_done: impl FnMut(&Progress, Timestamp) -> bool,
    ) -> anyhow::Result<()> {
        // Other lines may have come since it was drawn last.
        self.drawn = 0;
        let until = async {
            loop {
                let update = updates.next().await?;
                self.take(
                    update.object.name_any(),
                    update.object.status.unwrap_or_default(),
                    update.at,
                );
                if is_done(self, update.at) {
                    return Ok(());
                }
            }
        };
        let outcome = tokio::time::timeout(deadline, until).await;
        outcome.unwrap_or_else(|_| {
            let states: Vec<_> = self
                .latest
                .iter()
                .map(|(name, status)| format!("{name}: {}", state(status)))
                .collect();
            Err(anyhow::anyhow!("the objects were {states:?} at last"))
                .with_context(|| format!("waited {deadline:?} in vain"))
        })
    }

    fn take(&mut self, name: String, status: UserOffboardingStatus, at: Timestamp) {
        if self.redraw {
            self.latest.insert(name, status);
            return self.draw();
        }
        let after = at.duration_since(self.begun).as_secs_f64();
        for type_ in SHOWN {
            let new = condition(&status, type_.as_str());
            let old = self.condition(&name, type_);
            // `Unknown/Pending` is where every condition begins.
            if new == old || (old.is_empty() && new == "Unknown/Pending") {
                continue;
            }
            let (is, reason) = new.split_once('/').unwrap_or((&new, ""));
            say(&format!(
                "   +{after:6.3} s  {name:<12}  {:<16}  {is:<7}  {reason}",
                type_.as_str()
            ));
        }
        self.latest.insert(name, status);
    }

    fn draw(&mut self) {
        let mut table = String::new();
        if self.drawn > 0 {
            table = format!("\x1b[{}A", self.drawn);
        }
        for line in self.lines() {
            table += &format!("\x1b[2K   {line}\n");
        }
        self.drawn = SHOWN.len() + 2;
        say(table.trim_end_matches('\n'));
    }

    fn lines(&self) -> Vec<String> {
        let row = |first: &str, cells: Vec<String>| {
            let cells: Vec<_> = cells.into_iter().map(|cell| format!("{cell:<22.22}")).collect();
            format!("{first:<16}  {}", cells.join("  ")).trim_end().to_owned()
        };
        let mut lines = vec![row("", self.columns.iter().map(|name| (*name).to_owned()).collect())];
        lines.push("-".repeat(16 + 24 * self.columns.len()));
        for type_ in SHOWN {
            let cells = self
                .columns
                .iter()
                .map(|name| cell(&self.condition(name, type_)))
                .collect();
            lines.push(row(type_.as_str(), cells));
        }
        lines
    }
}

/// How many columns the table of so many objects takes.
pub(super) fn width(objects: usize) -> usize {
    3 + 16 + 24 * objects
}

/// `+` for True, `-` for False, `?` for Unknown, and the reason.
fn cell(condition: &str) -> String {
    match condition.split_once('/') {
        None => "...".to_owned(),
        Some((_, "Pending")) => "...".to_owned(),
        Some(("True", reason)) => format!("+ {reason}"),
        Some(("False", reason)) => format!("- {reason}"),
        Some((_, reason)) => format!("? {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_keeps_its_size_so_that_it_can_be_drawn_over() {
        let mut progress = Progress::new(&["a", "b", "c"], true);
        let empty = progress.lines();
        progress.latest.insert("a".to_owned(), UserOffboardingStatus::default());
        assert_eq!(empty.len(), progress.lines().len());
        assert!(empty.iter().all(|line| line.len() + 3 <= width(3)), "{empty:#?}");
    }

    #[test]
    fn a_cell_says_what_holds_and_why() {
        assert_eq!(cell("True/Stored"), "+ Stored");
        assert_eq!(cell("False/Conflict"), "- Conflict");
        assert_eq!(cell("Unknown/LookupFailed"), "? LookupFailed");
        assert_eq!(cell("Unknown/Pending"), "...");
        assert_eq!(cell(""), "...");
    }
}
