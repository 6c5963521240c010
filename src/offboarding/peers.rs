//! Other objects for the same UID: the strictest of them counts, so that a second object is no way around the first. Pure.

use crate::api::{Approval, KubeconfigPolicy, Mode, UserOffboardingSpec};

/// Another object for the same UID.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub spec: UserOffboardingSpec,
}

/// `own` with the longest window of all, and without the purge if one of them keeps the kubeconfig.
pub fn strictest(own: &UserOffboardingSpec, peers: &[Peer]) -> UserOffboardingSpec {
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

/// The first that is suspended.
pub fn suspended(peers: &[Peer]) -> Option<&Peer> {
    peers.iter().find(|peer| peer.spec.suspend)
}

/// The first that wants a person to approve, and whose approvals do not hold this plan.
pub fn unapproved<'a>(peers: &'a [Peer], digest: &str) -> Option<&'a Peer> {
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
