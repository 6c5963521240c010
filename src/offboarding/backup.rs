//! Step 4: stores the bindings, and reads them back. What changes a binding needs the proof that this gives.

use super::{
    budget,
    cleared::Cleared,
    decide::Clearance,
    facts::Facts,
    journal::Journal,
    outcome::{self, Blocked, Interrupted, Requeue},
    peers::Asked,
    plan::{self, Item, Plan},
    run::Run,
    wanted::still_wanted,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    api_message::api_message,
    rbac::{
        BindingKey, LiveBinding, Match,
        backup::{self, Entry, Purpose, Record, StoreError, Stored, StoredAction, StoredPart, TooLarge},
        by_hand, effects,
        subject::Leaver,
    },
};
use futures::StreamExt;
use kube::ResourceExt;
use std::sync::Arc;

/// How many ConfigMaps are written at a time, within [`Run::room_for`].
const PARALLEL: usize = 4;

/// What a backup is made with, besides the bindings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub asked: &'a Asked,
    pub leaver: &'a Leaver,
    pub purpose: &'a Purpose,
    /// The operator's own barrier bindings.
    pub barrier: &'a [BindingKey],
}

#[derive(Debug, Default)]
pub(super) struct Backup {
    /// What is stored, each with the proof.
    pub stored: Vec<(Item, Stored)>,
    /// What could not be stored, and so must stay.
    pub too_large: Vec<TooLarge>,
    /// What is not any more what was planned, and so must be planned anew.
    pub changed: Vec<BindingKey>,
}

/// Backs up what the plan removes.
///
/// # Errors
/// When something could not be stored, or does not read back as it was written. Nothing was removed then.
pub(super) async fn back_up(
    run: &Run,
    task: Task<'_>,
    record: &mut Journal,
    plan: &Plan,
) -> Result<Backup, Interrupted> {
    let removable = plan
        .items
        .iter()
        .filter(|item| plan::is_to_change(run.settings.remove_subjects, item))
        .cloned()
        .collect();
    store_items(run, task, record, removable).await
}

/// Backs up bindings that bear the UID and stay: ACK's purge may take them, as nobody knows how it matches. Read
/// anew, as a binding that the operator took the leaver out of may be one of them now.
///
/// # Errors
/// As for [`back_up`]; and when one of them cannot be stored.
pub(super) async fn back_up_lookalikes(run: &Run, task: Task<'_>, record: &mut Journal) -> Result<(), Interrupted> {
    let key = task.leaver.uid();
    let failed = |e: kube::Error| outcome::api_server(&e, "Cannot look for bindings that ACK's purge may remove");
    let relations = [Match::NameOnly, Match::OtherSuffix];
    let found = run.bindings.listed(key, &relations).await.map_err(failed)?;
    let alike = run.bindings.read(task.leaver, found).await?.into_iter();
    let new: Vec<Arc<LiveBinding>> = alike
        .filter(|b| b.has_lookalike && record.proof(b, StoredAction::Keep).is_none())
        .collect();
    let parts = usize::from(run.settings.backups_per_day);
    // Whoever edits one of them all the time does not decide how many backups there are.
    budget::for_kept(&new, record, run.clock.now(), parts).map_or(Ok(()), Err)?;
    let new: Vec<Record> = new
        .into_iter()
        .map(|binding| Record {
            binding,
            action: StoredAction::Keep,
            fingerprint: String::new(),
        })
        .collect();
    let done = store(run, task, record, new).await?;
    match (done.too_large.first(), done.changed.first()) {
        (Some(one), _) => Err(lookalike_too_large(one).into()),
        (None, Some(key)) => Err(changes(key).into()),
        (None, None) => Ok(()),
    }
}

/// What the backups of a run are made for.
pub(super) fn purpose(facts: &Facts, cleared: &Cleared, plan_digest: &str, clearance: &Clearance) -> Purpose {
    Purpose {
        cluster_id: facts.cluster_id.clone(),
        reason: facts.spec.reason.clone(),
        uid: facts.uid,
        object_name: facts.object_name.clone(),
        object_uid: facts.object_uid.clone(),
        run_id: cleared.run().map(|run| run.run_id.clone()).unwrap_or_default(),
        plan_digest: plan_digest.to_owned(),
        decision: clearance.reason().as_str().to_owned(),
    }
}

/// Stores those of `items` that the record does not hold already in this resourceVersion.
///
/// # Errors
/// As for [`back_up`].
pub(super) async fn store_items(
    run: &Run,
    task: Task<'_>,
    record: &mut Journal,
    items: Vec<Item>,
) -> Result<Backup, Interrupted> {
    let mut backup = Backup::default();
    let mut new = Vec::new();
    for item in items {
        match record.proof(&item.binding, item.stored_action()) {
            Some(stored) => backup.stored.push((item, stored)),
            None => new.push(Record {
                action: item.stored_action(),
                fingerprint: item.fingerprint,
                binding: item.binding,
            }),
        }
    }
    let Done {
        parts,
        bindings,
        too_large,
        changed,
    } = store(run, task, record, new).await?;
    for binding in bindings {
        let item = plan::item(task.barrier, binding);
        let proof = parts
            .iter()
            .find_map(|part| part.proof(&item.binding, item.stored_action()));
        match proof {
            Some(stored) => backup.stored.push((item, stored)),
            None => backup.changed.push(item.binding.key.clone()),
        }
    }
    backup.too_large = too_large;
    backup.changed.extend(changed);
    backup.stored.sort_by(|a, b| a.0.binding.key.cmp(&b.0.binding.key));
    Ok(backup)
}

#[derive(Default)]
struct Done {
    parts: Vec<StoredPart>,
    bindings: Vec<Arc<LiveBinding>>,
    too_large: Vec<TooLarge>,
    changed: Vec<BindingKey>,
}

/// Stores bindings, a part at a time or a few, and takes the parts into the record.
async fn store(run: &Run, task: Task<'_>, record: &mut Journal, wanted: Vec<Record>) -> Result<Done, Interrupted> {
    let sizes: Vec<usize> = wanted.iter().map(|one| one.binding.bytes).collect();
    let mut wanted = wanted.into_iter();
    let groups: Vec<Vec<Record>> = backup::split(&sizes)
        .into_iter()
        .map(|range| wanted.by_ref().take(range.len()).collect())
        .collect();
    let writes = futures::stream::iter(groups).map(|group| store_part(run, task, group));
    let mut outcomes = writes.buffered(PARALLEL);
    let mut all = Done::default();
    let mut failed = None;
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(done) => {
                // Taken in also when another part fails: it is stored.
                done.parts.iter().for_each(|part| record.add(part.clone()));
                all.parts.extend(done.parts);
                all.bindings.extend(done.bindings);
                all.too_large.extend(done.too_large);
                all.changed.extend(done.changed);
            }
            // Those on their way are finished.
            Err(stop) => failed = Some(stop),
        }
    }
    failed.map_or(Ok(all), Err)
}

async fn store_part(run: &Run, task: Task<'_>, group: Vec<Record>) -> Result<Done, Interrupted> {
    let _room = run.room_for(group.iter().map(|one| one.binding.bytes).sum()).await;
    let mut done = Done::default();
    let mut entries = Vec::new();
    for one in group {
        let key = one.binding.key.clone();
        let read = effects::fetch(&run.client, &key, task.leaver).await;
        let Some((binding, text)) = read? else {
            // Nothing is left to store.
            continue;
        };
        let binding = Arc::new(binding);
        let same = match one.action {
            StoredAction::Keep => binding.has_lookalike,
            _ => plan::item(task.barrier, binding.clone()).fingerprint == one.fingerprint,
        };
        if same {
            let record = Record { binding, ..one };
            entries.push(Entry { record, text });
        } else {
            done.changed.push(key);
        }
    }
    if entries.is_empty() {
        return Ok(done);
    }
    let now = run.clock.now();
    let map = match backup::config_map(task.purpose, &entries, &run.settings.namespace, now) {
        Ok(map) => map,
        Err(left) => {
            done.too_large.push(left);
            return Ok(done);
        }
    };
    done.bindings = entries.into_iter().map(|entry| entry.record.binding).collect();
    let permit = still_wanted(run, task.asked).await?;
    let stored = backup::store(&run.client, &map, now, &permit).await;
    drop(permit);
    let (part, request_id) = stored.map_err(|error| {
        tracing::warn!(config_map = map.name_any(), %error, "cannot store a backup");
        match &error {
            StoreError::Differs(error) => verify_failed(&error.name, &error.what),
            StoreError::Create { .. } | StoreError::Read { .. } => not_stored(&error, "Cannot write the backup"),
        }
    })?;
    tracing::info!(
        config_map = part.config_map,
        bindings = part.entries.len(),
        request_id,
        "stored a backup"
    );
    run.observer.backed_up();
    done.parts.push(part);
    Ok(done)
}

fn changes(key: &BindingKey) -> Blocked {
    let message = format!("{key} changed while it was backed up. The operator retries automatically.");
    Blocked::new(Reason::Conflict, Requeue::Backoff, message).about(Condition::BackedUp, Is::False)
}

/// What a person needs of a ConfigMap that could not be stored.
pub(super) fn said(error: &StoreError) -> String {
    match error {
        StoreError::Create { name, source } => format!("creating ConfigMap {name} failed: {}", api_message(source)),
        StoreError::Read { name, source } => format!("reading ConfigMap {name} back failed: {}", api_message(source)),
        StoreError::Differs(error) => error.to_string(),
    }
}

/// The hold for a ConfigMap that could not be stored, by its cause; `attempt` says what was tried.
pub(super) fn not_stored(error: &StoreError, attempt: &str) -> Blocked {
    let what = said(error);
    let (reason, advice) = match refusal(error) {
        Some(Refusal::Right) => (
            Reason::Forbidden,
            "Grant the operator's ServiceAccount this permission (its Role in the namespace is part of the chart).",
        ),
        Some(Refusal::Quota) => (
            Reason::QuotaExceeded,
            "Raise the ResourceQuota of the operator's namespace, or delete what fills it up.",
        ),
        Some(Refusal::Admission) => (
            Reason::BackupRefused,
            "Exclude the operator's ServiceAccount, or ConfigMaps of its namespace, from that policy or webhook.",
        ),
        None => (
            Reason::WriteFailed,
            "If this persists, check the operator's namespace and the API server.",
        ),
    };
    let message = format!(
        "{attempt}: {what}. The operator removes nothing until this is stored. {advice} The operator retries automatically."
    );
    Blocked::new(reason, Requeue::Backoff, message).about(Condition::BackedUp, Is::False)
}

/// Who refused to store a ConfigMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Right,
    Quota,
    Admission,
}

/// By the API server's words: a quota, a policy and a webhook answer with the codes of RBAC, and with others.
fn refusal(error: &StoreError) -> Option<Refusal> {
    let (StoreError::Create { source, .. } | StoreError::Read { source, .. }) = error else {
        return None;
    };
    let kube::Error::Api(status) = source else { return None };
    let says = |words: &str| status.message.contains(words);
    if says("exceeded quota") {
        return Some(Refusal::Quota);
    }
    if says("ValidatingAdmissionPolicy") || says("admission webhook") && says("denied") {
        return Some(Refusal::Admission);
    }
    // A namespace that is being deleted answers with 403, too.
    (status.is_forbidden() && says("cannot ")).then_some(Refusal::Right)
}

/// The hold for bindings that stay because they could not be stored; the others are removed.
pub(super) fn left_too_large(too_large: &[TooLarge], leaver: &Leaver) -> Option<Blocked> {
    let (first, rest) = too_large.split_first()?;
    let more = match rest.len() {
        0 => String::new(),
        n => format!(" (and {})", super::plan::more_bindings(n)),
    };
    let message = format!(
        "{first}{more}. The operator left it unchanged, and it still grants access; the other bindings are removed. The kubeconfig is not \
         purged, because ACK's purge would also remove the remaining binding. Save the binding elsewhere, then take the leaver out of it: {}",
        by_hand::command(&first.key, &first.uid, leaver)
    );
    Some(Blocked::recheck(Reason::BindingTooLarge, message).about(Condition::BackedUp, Is::False))
}

fn lookalike_too_large(one: &TooLarge) -> Blocked {
    let message = format!(
        "{one}. It does not belong to the leaver, but contains the UID's name as another kind of subject, and ACK's purge might \
         remove it. So the operator does not ask ACK to purge the kubeconfig. The leaver's bindings are removed. Save this \
         binding elsewhere and rename or remove the subject with the UID's name, or set kubeconfig: Keep."
    );
    Blocked::recheck(Reason::BindingTooLarge, message).about(Condition::BackedUp, Is::False)
}

/// The hold for a ConfigMap that does not hold what was written to it.
pub(super) fn verify_failed(config_map: &str, what: &str) -> Blocked {
    let message = format!(
        "ConfigMap {config_map} does not contain the backup that was written to it: {what}. The operator removes nothing without \
         a backup. Find out what created or changed the ConfigMap (a mutating webhook or policy, say), and remove it as \
         described in docs/operations.md. The operator then backs up the remaining bindings again; it checks every hour."
    );
    Blocked::recheck(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}
