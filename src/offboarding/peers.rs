//! Other objects for the same UID: the strictest of them counts, so that a second object is no way around the first. Pure.

use crate::api::{Approval, KubeconfigPolicy, Mode, UserOffboardingSpec};
use alibaba_cloud::Uid;
use kube::core::ObjectMeta;
use std::{sync::Arc, time::Instant};

/// Another object for the same UID.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    pub name: String,
    pub spec: UserOffboardingSpec,
}

/// The objects for a UID, each in the version of its spec that was observed: asked for again before each effect, they must be the same.
#[derive(Clone, Debug)]
pub struct Asked {
    pub uid: Uid,
    /// The name of the object whose run it is.
    pub name: String,
    /// `metadata.uid` and `metadata.generation` of each that is not being deleted, in order.
    pub objects: Vec<(String, i64)>,
    /// When the list that was last seen to be the same was asked for.
    pub listed: Arc<tokio::sync::Mutex<Instant>>,
}

impl Asked {
    /// Of the object `own`, by all objects for the UID, which were asked for at `began`; `None` if it is not among them as it is.
    pub fn by<'a>(
        uid: Uid,
        own: &ObjectMeta,
        objects: impl Iterator<Item = &'a ObjectMeta>,
        began: Instant,
    ) -> Option<Self> {
        let asked = Asked {
            uid,
            name: own.name.clone()?,
            objects: versions(objects),
            listed: Arc::new(tokio::sync::Mutex::new(began)),
        };
        asked.has(own).then_some(asked)
    }

    /// Whether this is one of them, as it was observed.
    pub fn has(&self, object: &ObjectMeta) -> bool {
        versions(std::iter::once(object))
            .iter()
            .any(|one| self.objects.contains(one))
    }

    /// Whether these objects are the same.
    pub fn is_by<'a>(&self, objects: impl Iterator<Item = &'a ObjectMeta>) -> bool {
        versions(objects) == self.objects
    }
}

/// `metadata.uid` and `metadata.generation` of each that is not being deleted, in order.
fn versions<'a>(objects: impl Iterator<Item = &'a ObjectMeta>) -> Vec<(String, i64)> {
    let mut versions: Vec<_> = objects
        .filter(|metadata| metadata.deletion_timestamp.is_none())
        .filter_map(|metadata| Some((metadata.uid.clone()?, metadata.generation.unwrap_or_default())))
        .collect();
    versions.sort();
    versions
}

/// `own` with the longest window of all, and without the purge if one of them keeps the kubeconfig.
pub(super) fn strictest(own: &UserOffboardingSpec, peers: &[Peer]) -> UserOffboardingSpec {
    let mut spec = own.clone();
    for peer in executing(peers) {
        let window = &mut spec.activity_check.window_days;
        *window = (*window).max(peer.spec.activity_check.window_days);
        if peer.spec.kubeconfig == KubeconfigPolicy::Keep {
            spec.kubeconfig = KubeconfigPolicy::Keep;
        }
    }
    spec
}

pub(super) fn suspended(peers: &[Peer]) -> Option<&Peer> {
    peers.iter().find(|peer| peer.spec.suspend)
}

/// The first that wants a person to approve, and whose approvals do not hold this plan.
pub(super) fn unapproved<'a>(peers: &'a [Peer], digest: &str) -> Option<&'a Peer> {
    executing(peers).find(|peer| {
        peer.spec.approval == Approval::Manual && peer.spec.approvals.iter().all(|approval| approval.digest != digest)
    })
}

/// A dry run asks for nothing.
fn executing(peers: &[Peer]) -> impl Iterator<Item = &Peer> {
    peers.iter().filter(|peer| peer.spec.mode == Mode::Execute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use serde_json::{Value, json};

    fn spec(mut spec: Value) -> UserOffboardingSpec {
        spec["uid"] = json!("100");
        serde_json::from_value(spec).unwrap()
    }

    fn peer(of: Value) -> Peer {
        Peer {
            name: "first".into(),
            spec: spec(of),
        }
    }

    #[test]
    fn the_same_objects_are_those_in_the_same_versions() {
        let uid: Uid = "100".parse().unwrap();
        let object = |of: &str, generation: i64, deleted: bool| ObjectMeta {
            name: Some(of.to_owned()),
            uid: Some(of.to_owned()),
            generation: Some(generation),
            deletion_timestamp: deleted.then_some(Time(Timestamp::UNIX_EPOCH)),
            ..ObjectMeta::default()
        };
        let (a, b) = (object("a", 1, false), object("b", 1, false));
        let asked = Asked::by(uid, &a, [&b, &a].into_iter(), Instant::now()).unwrap();
        assert!(asked.is_by([&a, &b].into_iter()));
        assert!(asked.has(&a) && asked.has(&b));
        for other in [object("c", 1, false), object("a", 2, false), object("a", 1, true)] {
            assert!(!asked.has(&other), "{other:?}");
        }
        for others in [
            vec![a.clone()],
            vec![a.clone(), object("b", 2, false)],
            vec![object("a", 2, false), b.clone()],
            vec![a.clone(), object("b", 1, true)],
            vec![a.clone(), b.clone(), object("c", 1, false)],
            vec![],
        ] {
            assert!(!asked.is_by(others.iter()), "{others:?}");
        }
        assert!(Asked::by(uid, &object("c", 1, false), [&a, &b].into_iter(), Instant::now()).is_none());
    }

    #[test]
    fn the_strictest_counts() {
        let own = spec(json!({"activityCheck": {"windowDays": 1}}));
        let both = |of: Value| {
            let spec = strictest(&own, &[peer(of)]);
            (spec.activity_check.window_days, spec.kubeconfig)
        };
        assert_eq!(strictest(&own, &[]), own);
        assert_eq!(both(json!({})), (7, KubeconfigPolicy::Purge));
        assert_eq!(both(json!({"kubeconfig": "Keep"})), (7, KubeconfigPolicy::Keep));
        assert_eq!(
            both(json!({"kubeconfig": "Keep", "mode": "DryRun"})),
            (1, KubeconfigPolicy::Purge)
        );
    }

    #[test]
    fn a_suspended_or_unapproved_one_holds_the_others() {
        assert!(suspended(&[peer(json!({}))]).is_none());
        assert!(suspended(&[peer(json!({"suspend": true, "mode": "DryRun"}))]).is_some());
        let manual = |approvals: Value| {
            unapproved(&[peer(json!({"approval": "Manual", "approvals": approvals}))], "d").is_some()
        };
        assert!(manual(json!([])) && manual(json!([{"digest": "other"}])));
        assert!(!manual(json!([{"digest": "d"}])));
        assert!(unapproved(&[peer(json!({"approval": "Manual", "mode": "DryRun"}))], "d").is_none());
    }
}
