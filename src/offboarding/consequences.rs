//! What a plan means besides the access that it ends: said to people before it is carried out. Nothing is decided by it.

use super::{facts::Facts, plan::Plan};
use crate::{
    api::KubeconfigPolicy,
    rbac::{BindingKind, index::Kept, subject::Match, watch::BindingIndex},
    sources::AckCluster,
};
use alibaba_cloud::Uid;

/// The role that may do anything.
const CLUSTER_ADMIN: &str = "cluster-admin";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Consequences {
    /// It takes away the last ClusterRoleBinding to cluster-admin that names a RAM identity.
    pub last_cluster_admin: bool,
    /// ACK says that the identity created the cluster.
    pub cluster_creator: bool,
}

impl Consequences {
    /// What it means, as sentences; none if there is nothing to say.
    pub(super) fn describe(self, uid: Uid, kubeconfig: KubeconfigPolicy) -> Option<String> {
        let admin =
            "The plan removes the last ClusterRoleBinding to cluster-admin that names a RAM identity: bind another \
                     administrator first."
                .to_owned();
        let advice = match kubeconfig {
            KubeconfigPolicy::Purge => ": set kubeconfig: Keep to remove the bindings only",
            KubeconfigPolicy::Keep => ", which is kept",
        };
        let creator = format!("UID {uid} created this cluster, and ACK cannot purge its creator's kubeconfig{advice}.");
        let said: Vec<String> = [(self.last_cluster_admin, admin), (self.cluster_creator, creator)]
            .into_iter()
            .filter_map(|(is, text)| is.then_some(text))
            .collect();
        (!said.is_empty()).then(|| said.join(" "))
    }
}

/// What the plan means. ACK is not asked again once it said yes.
pub(super) async fn of(index: &BindingIndex, cluster: &AckCluster, facts: &Facts, plan: &Plan) -> Consequences {
    Consequences {
        last_cluster_admin: takes_last_admin(plan, facts.leaver.uid(), |each| index.for_each(each)),
        cluster_creator: facts.status.cluster_creator == Some(true) || cluster.is_creator(facts.uid).await,
    }
}

/// Whether the plan takes the leaver out of a ClusterRoleBinding to cluster-admin, and no such binding names another RAM identity. One
/// that names very many is taken to name others.
fn takes_last_admin(plan: &Plan, leaver: Uid, bindings: impl FnOnce(&mut dyn FnMut(BindingKind, Kept<'_>))) -> bool {
    let is_admins = |kind: BindingKind, role: &str| kind == BindingKind::ClusterRoleBinding && role == CLUSTER_ADMIN;
    let takes = plan.items.iter().any(|item| {
        let role = item.binding.role_ref.strip_prefix("ClusterRole/");
        role.is_some_and(|role| is_admins(item.binding.key.kind, role))
    });
    if !takes {
        return false;
    }
    let mut others = false;
    bindings(&mut |kind, kept| {
        let names_another = |uids: &[(Uid, Match)]| {
            uids.iter()
                .any(|(uid, relation)| *uid != leaver && *relation == Match::User)
        };
        others |= is_admins(kind, &kept.role.name) && kept.uids.is_none_or(names_another);
    });
    !others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;
    use crate::{
        offboarding::{plan, testing},
        rbac::{
            index::Half,
            slim::{RoleRef, SlimBinding},
            subject::RBAC_GROUP,
        },
    };
    use serde_json::json;
    use std::sync::Arc;

    const KIND: BindingKind = BindingKind::ClusterRoleBinding;

    fn kept(name: &str, role: &str, uids: &[(Uid, Match)]) -> SlimBinding {
        SlimBinding {
            name: name.into(),
            namespace: None,
            resource_version: None,
            uids: uids.into(),
            role: RoleRef {
                kind: "ClusterRole".into(),
                name: role.into(),
            },
            nonce: None,
        }
    }

    /// Whether UID 100, bound to `role` by a binding of `kind`, is the last administrator beside these bindings.
    fn is_last(kind: BindingKind, role: &str, others: &[SlimBinding]) -> bool {
        let mut facts = testing::facts();
        let user = json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": "100"});
        let mut binding = testing::binding("own", &[user]);
        let one = Arc::make_mut(&mut binding);
        one.key.kind = kind;
        one.role_ref = role.into();
        facts.bindings = vec![binding];
        let mut half = Half::new(KIND);
        half.apply(&kept("own", "cluster-admin", &[(uid(100), Match::User)]));
        others.iter().for_each(|other| half.apply(other));
        takes_last_admin(&plan::plan(&facts), uid(100), |each| {
            half.iter().for_each(|kept| each(KIND, kept));
        })
    }

    #[test]
    fn the_last_administrator_is_told_from_all_others() {
        let admin = "ClusterRole/cluster-admin";
        let many: Vec<_> = (200..200 + 5000).map(|number| (uid(number), Match::User)).collect();
        let alone: [&[SlimBinding]; 5] = [
            &[],
            &[kept("other", "view", &[(uid(200), Match::User)])],
            &[kept("group", "cluster-admin", &[(uid(200), Match::NameOnly)])],
            &[kept("undecided", "cluster-admin", &[(uid(200), Match::OtherSuffix)])],
            &[kept("again", "cluster-admin", &[(uid(100), Match::User)])],
        ];
        for others in alone {
            assert!(is_last(KIND, admin, others), "{others:?}");
        }
        let accompanied = [
            kept("other", "cluster-admin", &[(uid(200), Match::User)]),
            kept(
                "shared",
                "cluster-admin",
                &[(uid(100), Match::User), (uid(200), Match::User)],
            ),
            kept("crowd", "cluster-admin", &many),
        ];
        for other in accompanied {
            assert!(!is_last(KIND, admin, std::slice::from_ref(&other)), "{}", other.name);
        }
        assert!(!is_last(KIND, "ClusterRole/view", &[]));
        assert!(!is_last(BindingKind::RoleBinding, admin, &[]), "in one namespace");
        assert!(!is_last(KIND, "Role/cluster-admin", &[]));
    }

    #[test]
    fn what_is_said_tells_what_to_do_and_nothing_is_said_of_nothing() {
        let say = |last_cluster_admin, cluster_creator, policy| {
            let all = Consequences {
                last_cluster_admin,
                cluster_creator,
            };
            all.describe(uid(100), policy).unwrap_or_default()
        };
        assert_eq!(say(false, false, KubeconfigPolicy::Purge), "");
        let both = say(true, true, KubeconfigPolicy::Purge);
        for part in [
            "bind another administrator first. UID 100",
            "created this cluster",
            "kubeconfig: Keep",
        ] {
            assert!(both.contains(part), "{part}: {both}");
        }
        assert!(say(false, true, KubeconfigPolicy::Keep).ends_with("which is kept."));
    }
}
