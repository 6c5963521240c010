//! Step 2: what would be removed. Pure.

use super::observe::Facts;
use crate::{
    api::{BindingAction, PlanStatus, PlannedBinding},
    rbac::{LiveBinding, backup::StoredAction, managed, subject},
    uid::Uid,
};
use serde_json::json;

/// How many bindings of a plan the status shows.
const SHOWN: usize = 100;

/// What would be removed, and the digest by which a person approves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The bindings, in the order of their keys.
    pub items: Vec<Item>,
}

/// One binding of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The binding as it was read.
    pub binding: LiveBinding,
    /// What is done with it.
    pub action: BindingAction,
    /// The names of the subjects that it loses.
    pub names: Vec<String>,
    /// The sha256 of its place in the plan: what an approval covers.
    pub fingerprint: String,
    /// The Git or Helm owner that may bring it back.
    pub managed_by: Option<String>,
}

/// Plans the removal of every binding that names the UID.
pub fn plan(facts: &Facts) -> Plan {
    let mut items: Vec<_> = facts
        .bindings
        .iter()
        .map(|binding| item(&facts.uid, binding.clone()))
        .collect();
    items.sort_by(|a, b| a.binding.key.cmp(&b.binding.key));
    let places: Vec<_> = items.iter().map(place).collect();
    let canonical = json!({ "bindings": places, "clusterID": facts.cluster_id, "uid": facts.uid.as_str() });
    Plan {
        digest: format!(
            "sha256:{}",
            crate::rbac::backup::sha256(canonical.to_string().as_bytes())
        ),
        items,
    }
}

/// What is done with one binding: it is deleted if every subject is the leaver, else it loses those that are.
pub fn item(uid: &Uid, binding: LiveBinding) -> Item {
    let key = subject::key(uid);
    let action = if binding.is_only_of(key) {
        BindingAction::Delete
    } else {
        BindingAction::RemoveSubject
    };
    let names = binding.names_of(key).into_iter().map(str::to_owned).collect();
    let managed_by = managed::manager_of(&binding.raw);
    let mut item = Item {
        binding,
        action,
        names,
        fingerprint: String::new(),
        managed_by,
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
        "subjects": item.names,
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
    /// How it is reported.
    pub fn to_status(&self) -> PlanStatus {
        let shown = self.items.iter().take(SHOWN).map(|item| PlannedBinding {
            kind: item.binding.key.kind.as_str().to_owned(),
            namespace: item.binding.key.namespace.clone(),
            name: item.binding.key.name.clone(),
            role_ref: item.binding.role_ref.chars().take(256).collect(),
            action: item.action,
            managed_by: item.managed_by.clone(),
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
            (0, _) => format!("take the UID out of {} that others share", bindings(shrinks)),
            _ => format!(
                "delete {} and take the UID out of {shrinks} that others share",
                bindings(deletes)
            ),
        }
    }
}

/// `1 binding`, `2 bindings`.
pub fn bindings(count: usize) -> String {
    format!("{count} binding{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{offboarding::testing, rbac::subject::RBAC_GROUP};

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
            .map(|i| (i.binding.key.name.as_str(), i.action, i.names.len()))
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
            "delete 1 binding and take the UID out of 1 that others share"
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
        same.bindings[0].resource_version = "8".into();
        same.bindings[0].raw["metadata"]["labels"] = json!({"edited": "yes"});
        assert_eq!(first, digest(&same), "order and unrelated edits do not matter");

        let changes: [fn(&mut Facts); 5] = [
            |f| f.cluster_id = "c2".into(),
            |f| f.uid = "101".parse().unwrap(),
            |f| f.bindings.truncate(1),
            |f| f.bindings[0].uid = "recreated".into(),
            |f| f.bindings[0].role_ref = "ClusterRole/cluster-admin".into(),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = facts.clone();
            change(&mut other);
            assert_ne!(first, digest(&other), "change {i}");
        }
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
