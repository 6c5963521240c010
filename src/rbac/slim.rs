//! A binding as the index wants it: everything that it does not keep is skipped while the JSON is read.

use super::{
    binding::BindingKind,
    fence::NONCE_ANNOTATION,
    subject::{self, Match, RBAC_GROUP, UidKey},
};
use kube::{Resource, core::DynamicResourceScope, core::ObjectMeta};
use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, collections::BTreeMap};

/// A RoleBinding or ClusterRoleBinding, reduced to its key, the UIDs that its subjects bear, and the fence's nonce.
#[derive(Clone, Debug)]
pub struct SlimBinding {
    metadata: ObjectMeta,
    /// The UIDs that subjects bear, each with how it relates to the subject; sorted, without duplicates.
    pub uids: Box<[(UidKey, Match)]>,
}

impl SlimBinding {
    /// The nonce of the fence, on the two bindings that have one.
    pub fn nonce(&self) -> Option<&str> {
        self.metadata
            .annotations
            .as_ref()?
            .get(NONCE_ANNOTATION)
            .map(String::as_str)
    }
}

impl Resource for SlimBinding {
    type DynamicType = BindingKind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &BindingKind) -> Cow<'_, str> {
        kind.as_str().into()
    }
    fn group(_: &BindingKind) -> Cow<'_, str> {
        RBAC_GROUP.into()
    }
    fn version(_: &BindingKind) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural(kind: &BindingKind) -> Cow<'_, str> {
        kind.plural().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMetadata<'a>,
    #[serde(default, borrow)]
    subjects: Option<Vec<WireSubject<'a>>>,
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
    #[serde(default, borrow, rename = "ack-offboarding.io/fence")]
    nonce: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSubject<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    api_group: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for SlimBinding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer).map_err(de::Error::custom)?;
        let classify = |s: &WireSubject<'_>| subject::classify(&s.kind, s.api_group.as_deref(), &s.name);
        let mut uids: Vec<_> = wire.subjects.iter().flatten().filter_map(classify).collect();
        uids.sort_unstable_by_key(|(uid, relation)| (*uid, *relation));
        uids.dedup();
        let nonce = wire.metadata.annotations.and_then(|a| a.nonce);
        Ok(SlimBinding {
            metadata: ObjectMeta {
                name: wire.metadata.name,
                namespace: wire.metadata.namespace,
                resource_version: wire.metadata.resource_version,
                annotations: nonce.map(|n| BTreeMap::from([(NONCE_ANNOTATION.to_owned(), n.into_owned())])),
                ..ObjectMeta::default()
            },
            uids: uids.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_the_uids_and_the_nonce_are_kept() {
        let json = format!(
            r#"{{"metadata": {{"name": "b", "namespace": "n", "resourceVersion": "7", "uid": "u", "managedFields": [{{}}],
                "annotations": {{"{NONCE_ANNOTATION}": "x\"y", "other": "z"}}}}, "roleRef": {{"name": "r"}},
                "subjects": [{{"kind": "User", "apiGroup": "{RBAC_GROUP}", "name": "100-1"}},
                             {{"kind": "User", "apiGroup": "{RBAC_GROUP}", "name": "100"}},
                             {{"kind": "ServiceAccount", "name": "100", "namespace": "n"}},
                             {{"kind": "User", "name": "system:x\u0041"}}]}}"#
        );
        let slim: SlimBinding = serde_json::from_str(&json).unwrap();
        assert_eq!(slim.nonce(), Some("x\"y"));
        assert_eq!(&*slim.uids, &[(100, Match::User), (100, Match::NameOnly)]);
        assert_eq!(slim.meta().resource_version.as_deref(), Some("7"));
        assert!(slim.meta().uid.is_none());
        // The watch parser reads by way of an intermediate value.
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
