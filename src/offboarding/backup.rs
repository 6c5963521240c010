//! Step 4: stores the bindings, and reads them back. What deletes needs the proof that this gives.

use super::{
    context::Context,
    decide::Go,
    hold::{Again, Hold, Stop},
    observe::Facts,
    plan::{Item, Plan},
    record::Record,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason, UserOffboarding},
    rbac::{
        LiveBinding,
        backup::{self, Entry, FormatError, Purpose, StoredAction},
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
    store_items(ctx, object, &mut facts.record, &purpose, plan.items.clone()).await
}

/// Backs up bindings that only bear the UID's name: ACK's purge may take them, as nobody knows how it matches.
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
    let entry = |binding: &LiveBinding| Entry {
        binding: binding.clone(),
        action: StoredAction::Keep,
        names: Vec::new(),
        fingerprint: String::new(),
    };
    let new = facts
        .lookalikes
        .iter()
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
        "ConfigMap {config_map} does not hold the backup that was written to it: {what}. Nothing was removed. Find out who \
         made it; after it is deleted, the operator writes the backup anew."
    );
    Hold::stall(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}
