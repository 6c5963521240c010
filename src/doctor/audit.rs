//! The audit log: is it on, indexed, and long enough for a window of the default length?

use super::report::{Check, or_try_again};
use crate::{
    api::{ActivityCheck, Reason},
    sources::activity::{self, Inconclusive, LogstoreRef, audit_log::AuditLog, coverage},
};
use k8s_openapi::jiff::Timestamp;

const ON: &str = "audit log on";
const INDEXED: &str = "audit log indexed";
const COVERS: &str = "audit log long enough";

/// The checks that are not tried, and why not.
pub(super) fn untried(why: &str) -> [Check; 3] {
    [ON, INDEXED, COVERS].map(|check| Check::untried(check, why))
}

/// Checks the audit log as an offboarding would, and the place where it is, if it has one.
pub(super) async fn checks(log: &AuditLog) -> ([Check; 3], Option<LogstoreRef>) {
    let place = match coverage::place(log).await {
        Ok(place) => place,
        Err(doubt) => {
            let [_, indexed, covers] = untried("the location of the audit log is unknown");
            return ([failed(ON, &doubt), indexed, covers], None);
        }
    };
    let LogstoreRef { project, logstore } = &place;
    let days = ActivityCheck::default().window_days;
    let window = activity::window(Timestamp::now(), days);
    let coverage::Examined { index, covered } = coverage::examine(log, &place, window).await;
    if let Err(doubt) = &index
        && doubt.reason == Reason::LogstoreMissing
    {
        let [_, indexed, covers] = untried("the logstore is missing");
        return ([failed(ON, doubt), indexed, covers], Some(place));
    }
    let on = Check::ok(ON, format!("logstore {logstore} of project {project}"));
    let (indexed, covers) = match index {
        Err(doubt) => {
            let covers = match covered {
                Err(other) if other.reason != doubt.reason => failed(COVERS, &other),
                _ => Check::untried(COVERS, "it must be indexed first"),
            };
            (failed(INDEXED, &doubt), covers)
        }
        Ok(_) => {
            let covers = match covered {
                Ok(()) => Check::ok(
                    COVERS,
                    format!("it covers the last {} without a gap", activity::last(days)),
                ),
                Err(doubt) => failed(COVERS, &doubt),
            };
            (
                Check::ok(INDEXED, "every field that the search needs is indexed"),
                covers,
            )
        }
    };
    ([on, indexed, covers], Some(place))
}

fn failed(check: &str, doubt: &Inconclusive) -> Check {
    let trouble = doubt.unanswered.as_ref();
    // What it follows from has a check of its own.
    if let Some(trouble) = trouble.filter(|trouble| trouble.forbidden || trouble.cluster_not_found) {
        return Check::untried(check, &trouble.message);
    }
    let fix = match doubt.reason {
        Reason::AuditDisabled | Reason::LogstoreMissing => "Turn on cluster auditing in the ACK console.",
        Reason::FieldNotIndexed => "Add the field to the logstore's index in the SLS console.",
        Reason::RetentionTooShort => "Raise the logstore's retention in the SLS console to 7 days or more.",
        Reason::AuditTooRecent => {
            "Wait until the time stated here. Until then, an offboarding waits as well, unless the spec says to proceed."
        }
        Reason::AuditGap => {
            "Find out why records are missing. The check passes once the window has moved past the gap."
        }
        Reason::NotSearchable => "Fix the configuration of the logstore's collector, or its index.",
        _ => trouble.map_or("", |trouble| trouble.advice),
    };
    Check::failed(check, &doubt.message, or_try_again(fix))
}
