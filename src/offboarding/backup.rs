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
    metrics::METRICS,
    rbac::{
        LiveBinding, Match,
        backup::{self, Entry, Purpose, StoredAction, TooLarge, Unreadable},
        subject,
    },
    request_id,
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{Api, ResourceExt, api::PostParams};

/// Proof that exactly these bindings, in these resourceVersions, are stored and were read back.
///
/// Made here only: [`super::remove`] cannot be called without one.
#[derive(Debug)]
pub struct VerifiedBackup {
    items: Vec<Item>,
    too_large: Vec<TooLarge>,
}

impl VerifiedBackup {
    /// What is stored.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What could not be stored, and so must stay.
    pub fn too_large(&self) -> &[TooLarge] {
        &self.too_large
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
    let too_large = store(ctx, object, &mut facts.record, &purpose, new).await?;
    match too_large.first() {
        None => Ok(()),
        Some(one) => Err(lookalike_too_large(one).into()),
    }
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

/// Stores those of `items` that the record does not hold already in this resourceVersion. One that is too large to be
/// stored is left out.
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
    let too_large = store(ctx, object, record, purpose, new).await?;
    let is_stored = |item: &Item| too_large.iter().all(|left| left.key != item.binding.key);
    Ok(VerifiedBackup {
        items: items.into_iter().filter(is_stored).collect(),
        too_large,
    })
}

async fn store(
    ctx: &Context,
    object: &UserOffboarding,
    record: &mut Record,
    purpose: &Purpose,
    entries: Vec<Entry>,
) -> Result<Vec<TooLarge>, Stop> {
    let now = Timestamp::now();
    let mut too_large = Vec::new();
    for part in backup::write(purpose, &entries, &ctx.settings.namespace, now) {
        let map = match part {
            Ok(map) => map,
            Err(left) => {
                too_large.push(left);
                continue;
            }
        };
        let _permit = ctx.still_wanted(object).await?;
        let (stored, request_id) = create(ctx, &map).await?;
        if !backup::is_same(&map, &stored) {
            let name = format!("{}/{}", ctx.settings.namespace, map.name_any());
            return Err(verify_failed(&name, "its content is not what was written").into());
        }
        let part = backup::read(&stored).map_err(|error| verify_failed(&error.name, &error.what))?;
        tracing::info!(
            config_map = part.config_map,
            bindings = part.entries.len(),
            request_id,
            "stored a backup"
        );
        METRICS.backed_up();
        record.add(part);
    }
    Ok(too_large)
}

/// Creates a ConfigMap, or finds it created before, and reads it back. Also says which request created it, if it was this one.
async fn create(ctx: &Context, map: &ConfigMap) -> Result<(ConfigMap, Option<String>), Hold> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let name = map.name_any();
    let (created, request_id) = request_id::traced(api.create(&PostParams::default(), map)).await;
    let is_new = created.is_ok();
    match created {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => {
            tracing::warn!(config_map = name, request_id, %error, "a backup was not stored");
            return Err(write_failed(&format!(
                "creating ConfigMap {}/{name}: {}",
                ctx.settings.namespace,
                words(&error)
            )));
        }
    }
    let read = api.get(&name).await.map_err(|error| {
        write_failed(&format!(
            "reading ConfigMap {}/{name} back: {}",
            ctx.settings.namespace,
            words(&error)
        ))
    })?;
    Ok((read, request_id.filter(|_| is_new)))
}

/// What a person needs of an error: the API server's own words, without the answer's other fields.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.trim_end_matches('.').to_owned(),
        other => other.to_string(),
    }
}

fn write_failed(what: &str) -> Hold {
    let message = format!(
        "The backup could not be written: {what}. Nothing is removed without a backup. It is tried again by itself; check \
         the quota and the state of the operator's namespace."
    );
    Hold::wait(Reason::WriteFailed, Again::Backoff, message).about(Condition::BackedUp, Is::False)
}

/// The hold for bindings that stay because they could not be stored; the others are removed.
pub fn left_too_large(too_large: &[TooLarge]) -> Option<Hold> {
    let (first, rest) = too_large.split_first()?;
    let more = match rest.len() {
        0 => String::new(),
        n => format!(" (and {} more)", super::plan::bindings(n)),
    };
    let message = format!(
        "{first}{more}. It is left as it is, and so is the access that it grants; the other bindings are removed. The kubeconfig \
         is not purged, since ACK would remove what is left. Save the binding elsewhere and take the subject out of it by \
         hand; the operator goes on by itself then."
    );
    Some(Hold::stall(Reason::WriteFailed, message).about(Condition::BackedUp, Is::False))
}

fn lookalike_too_large(one: &TooLarge) -> Hold {
    let message = format!(
        "{one}. It is not the leaver's, but bears the UID's name under another kind of subject, and ACK's purge might take it: so \
         ACK is not asked for the purge. The leaver's bindings are removed. Save this one elsewhere and rename or remove the \
         subject that bears the UID's name, or set kubeconfig: Keep."
    );
    Hold::stall(Reason::WriteFailed, message).about(Condition::BackedUp, Is::False)
}

fn verify_failed(config_map: &str, what: &str) -> Hold {
    let message = format!(
        "ConfigMap {config_map} does not hold the backup that was written to it: {what}. Nothing is removed without a \
         backup. Find out who made or changed it (a mutating webhook or policy, say). After you delete it, the operator writes \
         the backup of what is still there anew; it looks again every hour."
    );
    Hold::stall(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}

/// The hold for a ConfigMap with the labels of this object's backup that is none, or not whole: what was done is not
/// known then.
pub fn unreadable(error: &Unreadable) -> Hold {
    let message = format!(
        "{error}. It bears the labels of a backup of this UserOffboarding, and nothing more is done while the record of what was \
         done cannot be read. Find out who made or changed it (a mutating webhook or policy, say), keep a copy, and delete it; \
         the operator looks again every hour."
    );
    Hold::stall(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}
