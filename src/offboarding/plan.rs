//! Step 2: what would be removed. Pure.

use super::facts::Facts;
use crate::{
    api::{BindingAction, PlanStatus, PlannedBinding},
    rbac::{BindingKey, LiveBinding, backup::StoredAction},
};
use serde_json::json;
use std::sync::Arc;

/// How many bindings of a plan the status shows.
const SHOWN: usize = 100;

/// What would be removed, and the digest by which a person approves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The bindings, in the order of their keys.
    pub items: Vec<Item>,
    /// Whether ACK is to be asked to purge the kubeconfig.
    pub purges: bool,
}

/// One binding of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The binding as it was read.
    pub binding: Arc<LiveBinding>,
    /// What is done with it.
    pub action: BindingAction,
    /// The sha256 of its place in the plan: what an approval covers.
    pub fingerprint: String,
}

/// What stands for the kubeconfig among the items that passed the checks.
pub const KUBECONFIG: &str = "kubeconfig";

/// Plans the removal of every binding that names the UID.
pub fn plan(facts: &Facts) -> Plan {
    let mut items: Vec<_> = facts
        .bindings
        .iter()
        .map(|binding| item(&facts.barrier, binding.clone()))
        .collect();
    items.sort_by(|a, b| a.binding.key.cmp(&b.binding.key));
    let places: Vec<_> = items.iter().map(place).collect();
    let canonical = json!({
        // What was approved was carried out then: an approval is good for one run.
        "after": facts.status.completed_at.as_ref().map(|time| time.0.as_second()),
        "bindings": places,
        "clusterID": facts.cluster_id,
        "identity": facts.identity_to_approve(),
        "kubeconfig": { "policy": facts.spec.kubeconfig, "toPurge": facts.kubeconfig_to_purge() },
        "uid": facts.uid.to_string(),
    });
    Plan {
        digest: format!(
            "sha256:{}",
            crate::rbac::backup::sha256(canonical.to_string().as_bytes())
        ),
        items,
        purges: facts.kubeconfig_to_purge(),
    }
}

/// What is done with one binding: it is deleted if every subject is the leaver's, else it loses those that are. The
/// operator's own barrier bindings are never deleted.
pub fn item(barrier: &[BindingKey], binding: Arc<LiveBinding>) -> Item {
    let action = if binding.is_only_leavers() && !barrier.contains(&binding.key) {
        BindingAction::Delete
    } else {
        BindingAction::RemoveSubject
    };
    let mut item = Item {
        binding,
        action,
        fingerprint: String::new(),
    };
    item.fingerprint = crate::rbac::backup::sha256(place(&item).to_string().as_bytes());
    item
}

/// What the digest covers of a binding. No resourceVersion: an unrelated edit of a label does not void an approval.
///
/// Keys of a `serde_json` object are sorted, so that the text is canonical.
fn place(item: &Item) -> serde_json::Value {
    let key = &item.binding.key;
    json!({
        "action": item.action,
        "kind": key.kind.as_str(),
        "name": key.name,
        "namespace": key.namespace,
        "roleRef": item.binding.role_ref,
        "subjects": item.binding.names_digest,
        "uid": item.binding.uid,
    })
}

impl Item {
    /// What is stored of it.
    pub fn stored_action(&self) -> StoredAction {
        match self.action {
            BindingAction::Delete => StoredAction::Delete,
            BindingAction::RemoveSubject => StoredAction::RemoveSubject,
        }
    }
}

impl Plan {
    /// The fingerprints of what it would change: the bindings, and the kubeconfig.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        let kubeconfig = self.purges.then_some(KUBECONFIG);
        self.items
            .iter()
            .map(|item| item.fingerprint.as_str())
            .chain(kubeconfig)
    }

    /// The part of it that `keep` says: its digest stays that of the whole.
    pub fn only(mut self, keep: impl Fn(&Item) -> bool) -> Self {
        self.items.retain(|item| keep(item));
        self
    }

    /// How it is reported.
    pub fn to_status(&self) -> PlanStatus {
        let shown = self.items.iter().take(SHOWN).map(|item| PlannedBinding {
            kind: item.binding.key.kind.as_str().to_owned(),
            namespace: item.binding.key.namespace.clone(),
            name: item.binding.key.name.clone(),
            role_ref: item.binding.role_ref.chars().take(256).collect(),
            action: item.action,
            managed_by: item
                .binding
                .managed_by
                .as_ref()
                .filter(|manager| manager.owns)
                .map(|manager| manager.name.clone()),
        });
        PlanStatus {
            digest: self.digest.clone(),
            bindings: shown.collect(),
            total: self.items.len() as u32,
        }
    }

    /// What it does, in a few words: `delete 3 bindings and take the UID out of 1 that others share`.
    pub fn summary(&self) -> String {
        let deletes = self.items.iter().filter(|i| i.action == BindingAction::Delete).count();
        let shrinks = self.items.len() - deletes;
        match (deletes, shrinks) {
            (0, 0) => "remove no binding".to_owned(),
            (_, 0) => format!("delete {}", bindings(deletes)),
            (0, _) => format!("remove the UID from {} shared with others", bindings(shrinks)),
            _ => format!(
                "delete {} and remove the UID from {shrinks} shared with others",
                bindings(deletes)
            ),
        }
    }
}

/// `1 more binding`, `2 more bindings`.
pub fn more_bindings(count: usize) -> String {
    format!("{count} more binding{}", if count == 1 { "" } else { "s" })
}

/// `1 binding`, `2 bindings`.
pub fn bindings(count: usize) -> String {
    format!("{count} binding{}", if count == 1 { "" } else { "s" })
}

/// Whether the operator is allowed to do what the plan says of a binding.
pub fn may_remove(remove_subjects: bool, item: &Item) -> bool {
    item.action == BindingAction::Delete || remove_subjects
}

/// Whether the operator is about to change a binding: not if it may not; and in one move, one that was deleted already can only be
/// waited for.
pub fn is_to_change(remove_subjects: bool, item: &Item) -> bool {
    may_remove(remove_subjects, item) && (remove_subjects || !item.binding.terminating)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{CertState, KubeconfigPolicy},
        offboarding::testing,
        rbac::subject::RBAC_GROUP,
        sources::identity::Identity,
    };

    fn user(name: &str) -> serde_json::Value {
        json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": name})
    }

    #[test]
    fn a_binding_is_deleted_only_if_nobody_else_is_in_it() {
        let mut facts = testing::facts();
        facts.bindings = vec![
            testing::binding("shared", &[user("100"), user("100-1700000000"), user("200")]),
            testing::binding("own", &[user("100"), user("100-1700000000")]),
        ];
        let plan = plan(&facts);
        let items: Vec<_> = plan
            .items
            .iter()
            .map(|i| (i.binding.key.name.as_str(), i.action, i.binding.leaver_subjects))
            .collect();
        assert_eq!(
            items,
            [
                ("own", BindingAction::Delete, 2),
                ("shared", BindingAction::RemoveSubject, 2)
            ]
        );
        assert_eq!(
            plan.summary(),
            "delete 1 binding and remove the UID from 1 shared with others"
        );
    }

    #[test]
    fn the_digest_covers_what_is_approved_and_nothing_else() {
        let mut facts = testing::facts();
        facts.bindings = vec![
            testing::binding("a", &[user("100")]),
            testing::binding("b", &[user("100")]),
        ];
        let digest = |facts: &Facts| plan(facts).digest;
        let first = digest(&facts);
        assert!(first.starts_with("sha256:") && first.len() == 71);

        let mut same = facts.clone();
        same.bindings.reverse();
        Arc::make_mut(&mut same.bindings[0]).resource_version = "8".into();
        Arc::make_mut(&mut same.bindings[0]).sha256 = "of an edited label".into();
        assert_eq!(first, digest(&same), "order and unrelated edits do not matter");

        let changes: [fn(&mut Facts); 12] = [
            |f| f.status.completed_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(f.now)),
            |f| f.cluster_id = "c2".into(),
            |f| f.uid = "101".parse().unwrap(),
            |f| f.bindings.truncate(1),
            |f| Arc::make_mut(&mut f.bindings[0]).uid = "recreated".into(),
            |f| Arc::make_mut(&mut f.bindings[0]).role_ref = "ClusterRole/cluster-admin".into(),
            |f| Arc::make_mut(&mut f.bindings[0]).names_digest = "other names".into(),
            |f| f.spec.kubeconfig = KubeconfigPolicy::Keep,
            |f| f.kubeconfig = Ok(CertState::Unexpired),
            |f| f.identity = Ok(Identity::User { name: "another".into() }),
            |f| f.identity = Ok(Identity::Role { name: "leaver".into() }),
            |f| f.returned_at = Some(f.now),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = facts.clone();
            change(&mut other);
            assert_ne!(first, digest(&other), "change {i}");
        }
        // What moves by itself: deleted from RAM, expired.
        let mut gone = facts.clone();
        gone.identity = Ok(Identity::Recycled {
            name: "leaver".into(),
            deleted_at: None,
        });
        assert_eq!(first, digest(&gone), "deleted from RAM");
        gone.identity = Ok(Identity::Nowhere { name_belongs_to: None });
        gone.last_known = Some((crate::api::ResolvedIdentityType::RamUser, Some("leaver".into())));
        assert_eq!(first, digest(&gone), "gone from the recycle bin");
        let purges = |state| {
            let mut facts = facts.clone();
            facts.kubeconfig = Ok(state);
            digest(&facts)
        };
        assert_eq!(purges(CertState::Unexpired), purges(CertState::Expired));
        assert_eq!(purges(CertState::Unexpired), purges(CertState::Unknown));
    }

    #[test]
    fn the_plan_of_an_empty_cluster_is_not_everybodys() {
        let facts = testing::facts();
        let mut other = facts.clone();
        other.identity = Ok(Identity::User { name: "another".into() });
        assert_ne!(plan(&facts).digest, plan(&other).digest);
    }

    #[test]
    fn the_operators_own_barrier_is_never_deleted() {
        let mut facts = testing::facts();
        facts.bindings = vec![testing::binding("barrier", &[user("100")])];
        facts.barrier = vec![facts.bindings[0].key.clone()];
        assert_eq!(plan(&facts).items[0].action, BindingAction::RemoveSubject);
    }

    #[test]
    fn the_status_shows_a_hundred_bindings_and_counts_all() {
        let mut facts = testing::facts();
        facts.bindings = (0..150)
            .map(|i| testing::binding(&format!("b{i}"), &[user("100")]))
            .collect();
        let status = plan(&facts).to_status();
        assert_eq!((status.bindings.len(), status.total), (100, 150));
    }
}
