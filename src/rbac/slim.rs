//! A binding as the index wants it: everything that it does not keep is skipped while the JSON is read.

use super::subject::{self, Match, WireSubject};
use alibaba_cloud::Uid;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// A RoleBinding or ClusterRoleBinding, reduced to its key, the UIDs that its subjects bear, its role, and the nonce.
#[derive(Clone, Debug)]
pub(crate) struct SlimBinding {
    /// Its name; a watch bookmark has none.
    pub name: String,
    pub namespace: Option<String>,
    pub resource_version: Option<String>,
    /// The UIDs that subjects bear, each with how it relates to the subject; sorted, without duplicates.
    pub uids: Box<[(Uid, Match)]>,
    pub role: RoleRef,
    /// What stands in the barrier's annotation, on whatever binding.
    pub nonce: Option<String>,
}

/// The role that a binding grants, as the index keeps it: once for all bindings that grant it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoleRef {
    /// `ClusterRole` or `Role`, as the API server spells it.
    pub kind: Box<str>,
    pub name: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMetadata<'a>,
    #[serde(default)]
    subjects: Uids,
    #[serde(default, borrow)]
    role_ref: WireRole<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata<'a> {
    // Watch bookmarks carry neither name nor namespace.
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    #[serde(default, borrow)]
    annotations: Option<WireAnnotations<'a>>,
}

#[derive(Deserialize)]
struct WireAnnotations<'a> {
    // Must be spelled as `NONCE_ANNOTATION`: an attribute takes a literal only. A test compares the two.
    #[serde(default, borrow, rename = "ack-offboarding.io/barrier")]
    nonce: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct WireRole<'a> {
    #[serde(default, borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Cow<'a, str>,
}

/// The UIDs of the subjects, each of which is forgotten once it is read: there may be tens of thousands.
#[derive(Default)]
struct Uids(Vec<(Uid, Match)>);

impl<'de> Deserialize<'de> for Uids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Subjects;
        impl<'de> Visitor<'de> for Subjects {
            type Value = Uids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("subjects")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Uids, E> {
                Ok(Uids::default())
            }

            fn visit_none<E: de::Error>(self) -> Result<Uids, E> {
                Ok(Uids::default())
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Uids, D::Error> {
                deserializer.deserialize_seq(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut subjects: A) -> Result<Uids, A::Error> {
                let mut uids = Vec::new();
                while let Some(s) = subjects.next_element::<WireSubject<'de>>()? {
                    uids.extend(subject::classify(&s.kind, s.api_group.as_deref(), &s.name));
                }
                Ok(Uids(uids))
            }
        }
        deserializer.deserialize_option(Subjects)
    }
}

impl<'de> Deserialize<'de> for SlimBinding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let mut uids = wire.subjects.0;
        uids.sort_unstable_by_key(|(uid, relation)| (*uid, *relation));
        uids.dedup();
        Ok(SlimBinding {
            name: wire.metadata.name.unwrap_or_default(),
            namespace: wire.metadata.namespace,
            resource_version: wire.metadata.resource_version,
            uids: uids.into(),
            role: RoleRef {
                kind: wire.role_ref.kind.into(),
                name: wire.role_ref.name.into(),
            },
            nonce: wire.metadata.annotations.and_then(|a| a.nonce).map(Cow::into_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::{barrier_bindings::NONCE_ANNOTATION, subject::RBAC_GROUP};
    use crate::testing::uid;

    #[test]
    fn only_the_key_the_uids_and_the_nonce_are_kept() {
        let json = format!(
            r#"{{"metadata": {{"name": "b", "namespace": "n", "resourceVersion": "7", "uid": "u", "managedFields": [{{}}],
                "annotations": {{"{NONCE_ANNOTATION}": "x\"y", "other": "z"}}}}, "roleRef": {{"kind": "ClusterRole", "name": "r"}},
                "subjects": [{{"kind": "User", "apiGroup": "{RBAC_GROUP}", "name": "100-1"}},
                             {{"kind": "User", "apiGroup": "{RBAC_GROUP}", "name": "100"}},
                             {{"kind": "ServiceAccount", "name": "100", "namespace": "n"}},
                             {{"kind": "User", "name": "system:x\u0041"}}]}}"#
        );
        let slim: SlimBinding = serde_json::from_str(&json).unwrap();
        assert_eq!(slim.nonce.as_deref(), Some("x\"y"));
        assert_eq!(&*slim.uids, &[(uid(100), Match::User), (uid(100), Match::NameOnly)]);
        assert_eq!(slim.resource_version.as_deref(), Some("7"));
        assert_eq!((&*slim.role.kind, &*slim.role.name), ("ClusterRole", "r"));
        // Tests make them of values.
        let again: SlimBinding = serde_json::from_value(serde_json::from_str(&json).unwrap()).unwrap();
        assert_eq!(again.uids, slim.uids);
    }

    #[test]
    fn a_binding_without_subjects_is_read_too() {
        for subjects in ["", r#", "subjects": null"#, r#", "subjects": []"#] {
            let json = format!(r#"{{"metadata": {{"name": "b"}}{subjects}}}"#);
            assert!(serde_json::from_str::<SlimBinding>(&json).unwrap().uids.is_empty());
        }
    }
}
