//! A binding as the API server returned it.

use super::subject::{self, Match, UidKey};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// The two kinds of binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingKind {
    /// Grants a role everywhere.
    ClusterRoleBinding,
    /// Grants a role in one namespace.
    RoleBinding,
}

impl BindingKind {
    /// The kind as manifests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
            BindingKind::RoleBinding => "RoleBinding",
        }
    }

    /// The resource as URLs spell it.
    pub fn plural(self) -> &'static str {
        match self {
            BindingKind::ClusterRoleBinding => "clusterrolebindings",
            BindingKind::RoleBinding => "rolebindings",
        }
    }

    /// The kind of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Which binding: unique in a cluster at any one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingKey {
    /// RoleBinding or ClusterRoleBinding.
    pub kind: BindingKind,
    /// The namespace of a RoleBinding.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl BindingKey {
    /// The path of its URL.
    pub fn path(&self) -> String {
        let namespace = self
            .namespace
            .as_ref()
            .map(|n| format!("namespaces/{n}/"))
            .unwrap_or_default();
        format!(
            "/apis/{}/v1/{namespace}{}/{}",
            subject::RBAC_GROUP,
            self.kind.plural(),
            self.name
        )
    }
}

/// `RoleBinding NAMESPACE/NAME` or `ClusterRoleBinding NAME`.
impl fmt::Display for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.as_str(), self.name),
            None => write!(f, "{} {}", self.kind.as_str(), self.name),
        }
    }
}

/// One subject of a binding, with the fields that decide whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// User, Group or ServiceAccount.
    pub kind: String,
    /// The API group; the RBAC group for User and Group.
    #[serde(default)]
    pub api_group: Option<String>,
    /// Its name.
    pub name: String,
}

impl Subject {
    /// Whose it is: the UID that it bears, if it bears one.
    pub fn classify(&self) -> Option<(UidKey, Match)> {
        subject::classify(&self.kind, self.api_group.as_deref(), &self.name)
    }
}

/// What the API server returned lacks something that every binding has.
#[derive(Debug, thiserror::Error)]
#[error("the API server returned {key} without a usable {field}")]
pub struct MalformedBinding {
    /// Which binding was asked for.
    pub key: BindingKey,
    /// What is missing.
    pub field: &'static str,
}

/// A binding read from the API server, whole: a backup must not lose a field that this program does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveBinding {
    /// Which binding.
    pub key: BindingKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// The role it grants, as `ClusterRole/NAME` or `Role/NAME`.
    pub role_ref: String,
    /// Its subjects, in the order of `raw`.
    pub subjects: Vec<Subject>,
    /// It was deleted, and waits for its finalizers: it still grants access.
    pub terminating: bool,
    /// The object as it was returned.
    pub raw: Value,
}

impl LiveBinding {
    /// Reads a binding out of what the API server returned.
    ///
    /// # Errors
    /// When a field that every binding has is missing or of another type.
    pub fn parse(key: BindingKey, raw: Value) -> Result<Self, MalformedBinding> {
        let text = |pointer: &str, field: &'static str| {
            let value = raw.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| MalformedBinding {
                key: key.clone(),
                field,
            })
        };
        let uid = text("/metadata/uid", "metadata.uid")?;
        let resource_version = text("/metadata/resourceVersion", "metadata.resourceVersion")?;
        let role_ref = format!(
            "{}/{}",
            text("/roleRef/kind", "roleRef.kind")?,
            text("/roleRef/name", "roleRef.name")?
        );
        let subjects = match raw.get("subjects") {
            None | Some(Value::Null) => Vec::new(),
            Some(subjects) => Vec::<Subject>::deserialize(subjects).map_err(|_| MalformedBinding {
                key: key.clone(),
                field: "subjects",
            })?,
        };
        let terminating = raw.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null());
        Ok(LiveBinding {
            key,
            uid,
            resource_version,
            role_ref,
            subjects,
            terminating,
            raw,
        })
    }

    /// The names of the subjects that are the RAM identity `uid`, in order.
    pub fn names_of(&self, uid: UidKey) -> Vec<&str> {
        self.subjects
            .iter()
            .filter(|s| s.classify() == Some((uid, Match::User)))
            .map(|s| s.name.as_str())
            .collect()
    }

    /// Whether a subject bears the name of `uid` without being it.
    pub fn has_lookalike_of(&self, uid: UidKey) -> bool {
        self.subjects
            .iter()
            .any(|s| s.classify() == Some((uid, Match::NameOnly)))
    }

    /// Whether every subject is the RAM identity `uid`, and there is one.
    pub fn is_only_of(&self, uid: UidKey) -> bool {
        !self.subjects.is_empty() && self.subjects.iter().all(|s| s.classify() == Some((uid, Match::User)))
    }

    /// The raw subjects that are left when those of `uid` are dropped.
    pub fn subjects_without(&self, uid: UidKey) -> Vec<Value> {
        let raw = self
            .raw
            .get("subjects")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let keeps = self.subjects.iter().map(|s| s.classify() != Some((uid, Match::User)));
        raw.into_iter()
            .zip(keeps)
            .filter(|(_, keep)| *keep)
            .map(|(subject, _)| subject)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const UID: UidKey = 100;

    fn key() -> BindingKey {
        BindingKey {
            kind: BindingKind::RoleBinding,
            namespace: Some("team-a".into()),
            name: "b".into(),
        }
    }

    fn binding(subjects: Value) -> LiveBinding {
        let raw = json!({
            "metadata": {"uid": "u", "resourceVersion": "7"},
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": subjects,
        });
        LiveBinding::parse(key(), raw).unwrap()
    }

    #[test]
    fn the_leavers_subjects_are_dropped_and_the_others_are_kept_as_they_were() {
        let others = [
            json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "200", "unknownField": 1}),
            json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "100"}),
            json!({"kind": "ServiceAccount", "name": "100", "namespace": "n"}),
        ];
        let leaver = |name: &str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        let binding = binding(json!([
            others[0],
            leaver("100"),
            others[1],
            leaver("100-170"),
            others[2]
        ]));
        assert_eq!(binding.names_of(UID), ["100", "100-170"]);
        assert_eq!(binding.subjects_without(UID), others);
        assert!(!binding.is_only_of(UID) && binding.has_lookalike_of(UID));
    }

    #[test]
    fn a_binding_without_subjects_belongs_to_nobody() {
        for subjects in [json!(null), json!([])] {
            assert!(!binding(subjects).is_only_of(UID));
        }
    }

    #[test]
    fn what_is_not_a_binding_is_an_error() {
        for raw in [json!({}), json!(null), json!([]), json!({"metadata": {"uid": 7}})] {
            assert!(LiveBinding::parse(key(), raw).is_err());
        }
        let raw = json!({"metadata": {"uid": "u", "resourceVersion": "7"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": "x"});
        let error = LiveBinding::parse(key(), raw).unwrap_err().to_string();
        assert_eq!(
            error,
            "the API server returned RoleBinding team-a/b without a usable subjects"
        );
    }
}
