//! How much may be backed up for one UID: whoever creates bindings for it again and again must not fill the API server's storage.
//! Pure; judged by the record, which a restart keeps.

use super::{
    journal::Journal,
    outcome::{Blocked, Requeue},
    plan::Plan,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{
        BindingKey, LiveBinding,
        backup::{StoredAction, StoredPart},
    },
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What counts.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// How many bytes of bindings may be backed up lately for one object, in all and of one namespace; those without a namespace count
/// as one of their own.
const BYTES: usize = 192 << 20;
const BYTES_OF_A_NAMESPACE: usize = 48 << 20;

/// Takes out of the plan what would go beyond the budget, which is `parts` ConfigMaps and the bytes above, and gives the hold that says so, for when the rest is done. A
/// namespace that has used up its share does not keep the others from going.
pub(super) fn within(plan: Plan, record: &Journal, now: Timestamp, parts: usize) -> (Plan, Option<Blocked>) {
    let lately: Vec<&Arc<StoredPart>> = record
        .parts
        .iter()
        .filter(|part| now.duration_since(part.created) < LATELY)
        .collect();
    let mut used: BTreeMap<Option<String>, usize> = BTreeMap::new();
    let mut all = 0;
    for entry in lately.iter().flat_map(|part| &part.entries) {
        *used.entry(entry.key.namespace.clone()).or_default() += entry.bytes;
        all += entry.bytes;
    }
    let no_more_parts = lately.len() >= parts;
    let Plan { digest, items, purges } = plan;
    let (mut within, mut beyond) = (Vec::new(), Vec::new());
    for item in items {
        let binding = &item.binding;
        let is_stored = [StoredAction::Delete, StoredAction::RemoveSubject]
            .iter()
            .any(|action| record.proof(binding, *action).is_some());
        let of_namespace = used.get(&binding.key.namespace).copied().unwrap_or_default();
        let full = no_more_parts || all + binding.bytes > BYTES || of_namespace + binding.bytes > BYTES_OF_A_NAMESPACE;
        if full && !is_stored {
            beyond.push(item);
        } else {
            if !is_stored {
                all += binding.bytes;
                *used.entry(binding.key.namespace.clone()).or_default() += binding.bytes;
            }
            within.push(item);
        }
    }
    let blocked = beyond
        .first()
        .map(|first| spent(&first.binding.key, beyond.len() - 1, &lately, all, now));
    (
        Plan {
            digest,
            items: within,
            purges,
        },
        blocked,
    )
}

/// The hold, if what stays cannot be backed up before ACK's purge any more: `kept` are its bindings.
pub(super) fn for_kept(kept: &[Arc<LiveBinding>], record: &Journal, now: Timestamp, parts: usize) -> Option<Blocked> {
    let first = kept.first()?;
    let lately: Vec<&Arc<StoredPart>> = record
        .parts
        .iter()
        .filter(|part| now.duration_since(part.created) < LATELY)
        .collect();
    let stored: usize = lately
        .iter()
        .flat_map(|part| &part.entries)
        .map(|entry| entry.bytes)
        .sum();
    let all = stored + kept.iter().map(|binding| binding.bytes).sum::<usize>();
    (lately.len() >= parts || all > BYTES).then(|| spent(&first.key, kept.len() - 1, &lately, all, now))
}

fn spent(first: &BindingKey, more: usize, lately: &[&Arc<StoredPart>], all: usize, now: Timestamp) -> Blocked {
    let oldest = lately.iter().map(|part| part.created).min().unwrap_or(now);
    let free = oldest.checked_add(LATELY).unwrap_or(now);
    let wait = free.duration_since(now).unsigned_abs().max(Duration::from_secs(1));
    let shown = Timestamp::from_second(free.as_second()).unwrap_or(free);
    let others = match more {
        0 => String::new(),
        n => format!(" and {}", super::plan::more_bindings(n)),
    };
    let message = format!(
        "The operator did not back up, and therefore did not remove, {first}{others}: {} backups of {:.1} MiB of bindings were stored for \
         this UID within 24 hours, which is the operator's limit. Someone creates or changes the UID's bindings repeatedly: find out who \
         in the audit log, and stop it. The operator continues at {shown}.",
        lately.len(),
        all as f64 / f64::from(1 << 20),
    );
    Blocked {
        again: Requeue::After(wait),
        ..Blocked::recheck(Reason::BudgetSpent, message).about(Condition::BindingsRemoved, Is::False)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        offboarding::{plan, testing},
        rbac::{BindingKey, backup::StoredEntry, subject::RBAC_GROUP},
    };
    use serde_json::json;

    const PARTS: usize = 300;

    fn entry(key: &BindingKey, namespace: &str, bytes: usize) -> StoredEntry {
        StoredEntry {
            key: BindingKey {
                namespace: Some(namespace.into()),
                ..key.clone()
            },
            uid: "earlier".into(),
            resource_version: "1".into(),
            action: StoredAction::Delete,
            names: Vec::new(),
            fingerprint: String::new(),
            sha256: String::new(),
            bytes,
        }
    }

    /// How many of the two bindings in namespace `n` are left in the plan, and whether the hold says so.
    fn left(parts: usize, hours_ago: i64, namespace: &str, bytes: usize) -> (usize, bool) {
        let mut facts = testing::facts();
        let user = json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": "100"});
        facts.bindings = ["a", "b"]
            .map(|name| testing::binding(name, std::slice::from_ref(&user)))
            .into();
        let plan = plan::plan(&facts);
        let created = facts.now.checked_sub(SignedDuration::from_hours(hours_ago)).unwrap();
        let part = |i| {
            StoredPart::of(
                &format!("p{i}"),
                created,
                "r",
                vec![entry(&plan.items[0].binding.key, namespace, bytes)],
            )
        };
        let record: Journal = (0..parts).map(part).collect();
        let (plan, blocked) = within(plan, &record, facts.now, PARTS);
        (
            plan.items.len(),
            blocked.is_some_and(|blocked| blocked.reason == Reason::BudgetSpent),
        )
    }

    #[test]
    fn the_budget_is_of_a_day_and_of_a_namespace() {
        assert_eq!(left(0, 0, "n", 0), (2, false));
        assert_eq!(left(PARTS - 1, 1, "n", 100), (2, false));
        assert_eq!(left(PARTS, 1, "n", 100), (0, true), "so many parts");
        assert_eq!(left(PARTS, 25, "n", 100), (2, false), "a day ago");
        assert_eq!(
            left(1, 1, "n", BYTES_OF_A_NAMESPACE),
            (0, true),
            "so many bytes of this namespace"
        );
        assert_eq!(
            left(1, 1, "other", BYTES_OF_A_NAMESPACE),
            (2, false),
            "of another namespace"
        );
        assert_eq!(
            left(4, 1, "other", BYTES_OF_A_NAMESPACE),
            (0, true),
            "so many bytes in all"
        );
    }
}
