//! Step 4: stores the bindings, and reads them back. What deletes needs the proof that this gives.

use super::{
    context::Context,
    decide::Go,
    hold::{self, Again, Hold, Stop},
    observe::Facts,
    plan::{Item, Plan},
    record::Record,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason, UserOffboarding},
    rbac::{
        LiveBinding, Match,
        backup::{self, Entry, FormatError, Purpose, StoredAction},
        subject,
    },
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{Api, ResourceExt, api::PostParams};

/// Proof that exactly these bindings, in these resourceVersions, are stored and were read back.
///
/// Made here only: [`super::remove`] cannot be called without one.
#[derive(Debug)]
pub struct VerifiedBackup {
    items: Vec<Item>,
}

impl VerifiedBackup {
    /// What is stored.
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

/// Backs up what the plan removes.
///
/// # Errors
/// When something could not be stored, or does not read back as it was written. Nothing was removed then.
pub async fn back_up(
    ctx: &Context,
    object: &UserOffboarding,
    facts: &mut Facts,
    plan: &Plan,
    go: Go,
) -> Result<VerifiedBackup, Stop> {
    let purpose = purpose(facts, &plan.digest, go);
    let removable = plan
        .items
        .iter()
        .filter(|item| super::remove::may_remove(ctx, item))
        .cloned()
        .collect();
    store_items(ctx, object, &mut facts.record, &purpose, removable).await
}

/// Backs up bindings that only bear the UID's name: ACK's purge may take them, as nobody knows how it matches. Read
/// anew, as a binding that the operator took the leaver out of may be one of them now.
///
/// # Errors
/// As for [`back_up`].
pub async fn back_up_lookalikes(
    ctx: &Context,
    object: &UserOffboarding,
    facts: &mut Facts,
    plan: &Plan,
    go: Go,
) -> Result<(), Stop> {
    let purpose = purpose(facts, &plan.digest, go);
    let key = subject::key(&facts.uid);
    let found = ctx.fence.find(key, Match::NameOnly).await;
    let found = found.map_err(|e| hold::api_server(&e, "Looking for bindings that ACK's purge may take failed"))?;
    let alike = super::observe::read(ctx, found)
        .await?
        .into_iter()
        .filter(|b| b.has_lookalike_of(key));
    let entry = |binding: LiveBinding| Entry {
        binding,
        action: StoredAction::Keep,
        names: Vec::new(),
        fingerprint: String::new(),
    };
    let new: Vec<_> = alike
        .filter(|b| !facts.record.holds(b, StoredAction::Keep))
        .map(entry)
        .collect();
    store(ctx, object, &mut facts.record, &purpose, new).await
}

/// What the backups of a run are made for.
pub fn purpose(facts: &Facts, plan_digest: &str, go: Go) -> Purpose {
    Purpose {
        cluster_id: facts.cluster_id.clone(),
        uid: facts.uid.clone(),
        object_name: facts.object_name.clone(),
        object_uid: facts.object_uid.clone(),
        plan_digest: plan_digest.to_owned(),
        decision: go.reason.as_str().to_owned(),
    }
}

/// Stores those of `items` that the record does not hold already in this resourceVersion.
///
/// # Errors
/// As for [`back_up`].
pub async fn store_items(
    ctx: &Context,
    object: &UserOffboarding,
    record: &mut Record,
    purpose: &Purpose,
    items: Vec<Item>,
) -> Result<VerifiedBackup, Stop> {
    let entry = |item: &Item| Entry {
        binding: item.binding.clone(),
        action: item.stored_action(),
        names: item.names.clone(),
        fingerprint: item.fingerprint.clone(),
    };
    let new = items
        .iter()
        .filter(|i| !record.holds(&i.binding, i.stored_action()))
        // One that is deleted already is not touched again: what was stored before that is its last state.
        .filter(|i| !(i.binding.terminating && record.knows(&i.binding.uid)))
        .map(entry)
        .collect();
    store(ctx, object, record, purpose, new).await?;
    Ok(VerifiedBackup { items })
}

async fn store(
    ctx: &Context,
    object: &UserOffboarding,
    record: &mut Record,
    purpose: &Purpose,
    entries: Vec<Entry>,
) -> Result<(), Stop> {
    let now = Timestamp::now();
    let maps =
        backup::write(purpose, &entries, &ctx.settings.namespace, now).map_err(|e| write_failed(&e.to_string()))?;
    for map in maps {
        ctx.still_wanted(object).await?;
        let stored = create(ctx, &map).await?;
        if !backup::is_same(&map, &stored) {
            return Err(verify_failed(&map.name_any(), "its content is not what was written").into());
        }
        let part = backup::read(&stored).map_err(|error| match error {
            FormatError::Unreadable { name, what } => verify_failed(&name, &what),
            FormatError::TooLarge { .. } => write_failed(&error.to_string()),
        })?;
        tracing::info!(
            config_map = part.config_map,
            bindings = part.entries.len(),
            "stored a backup"
        );
        record.add(part);
    }
    Ok(())
}

/// Creates a ConfigMap, or finds it created before, and reads it back.
async fn create(ctx: &Context, map: &ConfigMap) -> Result<ConfigMap, Hold> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let name = map.name_any();
    match api.create(&PostParams::default(), map).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => {
            return Err(write_failed(&format!(
                "creating ConfigMap {}/{name}: {error}",
                ctx.settings.namespace
            )));
        }
    }
    api.get(&name).await.map_err(|error| {
        write_failed(&format!(
            "reading ConfigMap {}/{name} back: {error}",
            ctx.settings.namespace
        ))
    })
}

fn write_failed(what: &str) -> Hold {
    let message = format!(
        "The backup could not be written: {what}. Nothing was removed without one. It is tried again by itself; check the \
         quota and the state of the operator's namespace."
    );
    Hold::wait(Reason::WriteFailed, Again::Backoff, message).about(Condition::BackedUp, Is::False)
}

fn verify_failed(config_map: &str, what: &str) -> Hold {
    let message = format!(
        "ConfigMap {config_map} does not hold the backup that was written to it: {what}. Nothing is removed without a backup. Find out \
         who made or changed it; after it is deleted, the operator writes the backup of what is still there anew."
    );
    Hold::stall(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}

/// The hold for a ConfigMap with the labels of this object's backup that is none, or not whole: what was done is not
/// known then.
pub fn unreadable(error: &FormatError) -> Hold {
    let message = format!(
        "{error}. Nothing more is done while the record of what was done cannot be read. Find out who changed it; keep \
         a copy before you delete it."
    );
    Hold::stall(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}
