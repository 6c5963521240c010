use super::*;
use crate::{
    offboarding::{plan, testing},
    rbac::{backup::StoredPart, subject::RBAC_GROUP},
};
use serde_json::json;

const HOUR: i64 = 3_600;
const RECHECK: Duration = Duration::from_secs(3_600);

fn user(name: &str) -> serde_json::Value {
    json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": name})
}

fn now() -> Timestamp {
    testing::facts().now
}

/// Seconds ago, uid, resourceVersion.
type Stored<'a> = (i64, &'a str, &'a str);

/// The reason, whether it is stalled, and in how many minutes it is tried once more.
type Judged = Option<(Reason, bool, u64)>;

/// A record of a binding.
fn record(action: StoredAction, stored: &[Stored<'_>]) -> Journal {
    let part = |(ago, uid, version): &Stored<'_>| {
        let entry = StoredEntry {
            key: testing::binding("a", &[user("100")]).key.clone(),
            uid: (*uid).to_owned(),
            resource_version: (*version).to_owned(),
            action,
            names: vec!["100".into()],
            fingerprint: String::new(),
            sha256: String::new(),
            bytes: 300,
        };
        let created = Timestamp::from_second(now().as_second() - ago).unwrap();
        StoredPart::of(&format!("{uid}-{version}"), created, "r", vec![entry])
    };
    stored.iter().map(part).collect()
}

fn plan_of(subjects: &[serde_json::Value]) -> Plan {
    let mut facts = testing::facts();
    facts.bindings = vec![
        testing::binding("a", subjects),
        testing::binding("calm", &[user("100")]),
    ];
    plan::plan(&facts)
}

fn judge(subjects: &[serde_json::Value], record: &Journal) -> Judged {
    judge_knowing(subjects, record, &|_| false)
}

fn judge_knowing(subjects: &[serde_json::Value], record: &Journal, carried_out: CarriedOut<'_>) -> Judged {
    let (plan, blocked) = defer_flapping(
        plan_of(subjects),
        &testing::leaver(),
        record,
        carried_out,
        now(),
        RECHECK,
    );
    assert_eq!(
        plan.items.len(),
        2 - usize::from(blocked.is_some()),
        "the other is never held up"
    );
    let blocked = blocked?;
    let Requeue::After(wait) = blocked.again else {
        panic!("{:?}", blocked.again)
    };
    Some((blocked.reason, blocked.is_stalled(), wait.as_secs() / 60))
}

#[test]
fn what_was_removed_three_times_within_a_day_is_set_aside_until_an_hour_has_passed() {
    let own = [user("100")];
    let restored = |minutes| Some((Reason::RestoredByManager, true, minutes));
    // The binding that is there is u-a, in resourceVersion 7.
    let cases: &[(&str, &[Stored<'_>], Judged)] = &[
        ("never stored", &[], None),
        ("twice", &[(600, "1", "1"), (60, "2", "2")], None),
        (
            "three times, at once",
            &[(3, "1", "1"), (2, "2", "2"), (1, "3", "3")],
            restored(59),
        ),
        (
            "three times, as a Git operator with an interval of eight hours",
            &[(20 * HOUR, "1", "1"), (12 * HOUR, "2", "2"), (HOUR / 2, "3", "3")],
            restored(30),
        ),
        (
            "once more after an hour",
            &[(3 * HOUR, "1", "1"), (2 * HOUR, "2", "2"), (HOUR, "3", "3")],
            None,
        ),
        (
            "far apart, as by hand",
            &[(60 * HOUR, "1", "1"), (30 * HOUR, "2", "2"), (1, "3", "3")],
            None,
        ),
        (
            "the same object in three states was not removed",
            &[(3, "u-a", "4"), (2, "u-a", "5"), (1, "u-a", "6")],
            None,
        ),
        (
            "stored and not removed yet: the try goes on",
            &[
                (9 * HOUR, "1", "1"),
                (8 * HOUR, "2", "2"),
                (7 * HOUR, "3", "3"),
                (60, "u-a", "7"),
            ],
            None,
        ),
        (
            "and does not count",
            &[(600, "1", "1"), (500, "2", "2"), (60, "u-a", "7")],
            None,
        ),
    ];
    for (name, stored, expected) in cases {
        assert_eq!(judge(&own, &record(StoredAction::Delete, stored)), *expected, "{name}");
    }
}

#[test]
fn a_subject_that_returns_to_a_shared_binding_counts_as_well() {
    let shared = [user("100"), user("200")];
    let of = |stored: &[Stored<'_>]| judge(&shared, &record(StoredAction::RemoveSubject, stored));
    assert_eq!(
        of(&[(1200, "u-a", "1"), (600, "u-a", "3"), (60, "u-a", "5")]),
        Some((Reason::RestoredByManager, true, 59))
    );
    assert_eq!(
        of(&[(62, "u-a", "1"), (61, "u-a", "3"), (60, "u-a", "5")]),
        None,
        "one removal that met two edits"
    );
}

#[test]
fn what_returns_to_the_same_object_at_once_counts_where_its_removal_is_known() {
    let shared = [user("100"), user("200")];
    let stored: &[Stored<'_>] = &[(3, "u-a", "1"), (2, "u-a", "3"), (1, "u-a", "5")];
    let restored = Some((Reason::RestoredByManager, true, 59));
    for (action, subjects) in [
        (StoredAction::RemoveSubject, &shared[..]),
        (StoredAction::Delete, &shared[..1]),
    ] {
        let record = record(action, stored);
        assert_eq!(judge_knowing(subjects, &record, &|_| true), restored, "{action:?}");
        assert_eq!(
            judge_knowing(subjects, &record, &|e| e.resource_version != "1"),
            None,
            "{action:?}: the first met an edit"
        );
    }
}

#[test]
fn the_end_waits_where_a_removal_was_undone() {
    let wait = |stored: &[Stored<'_>], removed: Option<i64>| {
        let removed_at = removed.map(|ago| Timestamp::from_second(now().as_second() - ago).unwrap());
        let blocked = settling(&record(StoredAction::Delete, stored), &|_| false, removed_at, now())?;
        assert_eq!((blocked.reason, blocked.is_stalled()), (Reason::InProgress, false));
        match blocked.again {
            Requeue::After(wait) => Some(wait.as_secs()),
            again => panic!("{again:?}"),
        }
    };
    assert_eq!(wait(&[(5, "1", "1")], Some(0)), None, "nothing came back");
    assert_eq!(
        wait(&[(5, "1", "1"), (4, "1", "2")], Some(0)),
        None,
        "one removal that met an edit"
    );
    assert_eq!(wait(&[(5, "1", "1"), (4, "2", "2")], Some(0)), Some(10));
    assert_eq!(wait(&[(5, "1", "1"), (4, "2", "2")], None), Some(6));
    assert_eq!(wait(&[(HOUR, "1", "1"), (11, "2", "2")], None), None, "it stayed away");
    assert_eq!(wait(&[(25 * HOUR, "1", "1"), (4, "2", "2")], None), None, "long ago");
}

#[test]
fn a_binding_that_never_holds_still_is_not_stored_without_end() {
    let versions: Vec<String> = (100..100 + STATES).map(|v| v.to_string()).collect();
    let stored: Vec<_> = versions.iter().map(|v| (600, "u-a", v.as_str())).collect();
    for (action, subjects) in [
        (StoredAction::Delete, vec![user("100")]),
        (StoredAction::RemoveSubject, vec![user("100"), user("200")]),
    ] {
        assert_eq!(
            judge(&subjects, &record(action, &stored)),
            Some((Reason::KeepsChanging, true, 50)),
            "{action:?}"
        );
        assert_eq!(judge(&subjects, &record(action, &stored[1..])), None, "{action:?}");
    }
}

#[test]
fn what_only_bears_the_name_does_not_count() {
    let kept = record(StoredAction::Keep, &[(3, "1", "1"), (2, "2", "2"), (1, "3", "3")]);
    assert_eq!(judge(&[user("100")], &kept), None);
}
