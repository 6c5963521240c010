//! CleanClusterUserPermissions: what ACK refuses, and what it does to the cluster and to the kubeconfig.
//!
//! No page gives the codes of its refusals, hence `Simulated.`; that it refuses these cases is documented.

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, Subject};
use kube::api::{ApiResource, ListParams};
use kube::{Api, Client, ResourceExt};

use super::message::Refusal;
use super::services::{cs, sls};
use super::world::{
    AccessKey, CertificateState, Cluster, Guard, Logstore, Match, Principal, PurgeBehaviour, RecycledKubeconfig, World,
};
use super::{lock, now};
use crate::cluster::named;

/// ACK's own check looks back so far.
const GUARD_SECONDS: i64 = 7 * 86_400;

/// Refuses what ACK refuses.
pub(crate) fn check(world: &World, caller: &AccessKey, cluster: &str, uid: &str, force: bool) -> Result<(), Refusal> {
    let cluster = cs::cluster(world, cluster)?;
    let refuse = |code: &str, why: &str| Err(Refusal::new(400, &format!("Simulated.{code}"), why));
    if ["failed", "deleting", "deleted", "delete_failed"].contains(&cluster.state.as_str()) {
        return refuse("ClusterState", "the cluster's state does not allow it");
    }
    if uid == world.account_id {
        return refuse("RootAccount", "the permissions of the root account cannot be cleaned");
    }
    let own = caller.principal.id(&world.account_id);
    if caller.principal != Principal::Account && !world.is_administrator(cluster, own) {
        let why = "the caller is no RBAC administrator of the cluster (simulated)";
        return Err(Refusal::new(403, "StatusForbidden", why));
    }
    if own == uid {
        return refuse("CallerItself", "callers cannot clean their own permissions");
    }
    let state = cluster
        .certificates
        .get(uid)
        .map_or(CertificateState::Unissued, |certificate| certificate.state);
    if !matches!(state, CertificateState::Unexpired | CertificateState::Expired) {
        return refuse("NothingToRevoke", "the kubeconfig's state does not allow it");
    }
    if force { Ok(()) } else { guard(world, cluster, uid) }
}

/// ACK's own seven-day check, which also refuses when it cannot look.
fn guard(world: &World, cluster: &Cluster, uid: &str) -> Result<(), Refusal> {
    let unknown = |why: &str| {
        Refusal::new(
            400,
            "Simulated.UserActivityUnknown",
            format!("cannot check activity: {why}"),
        )
    };
    if !cluster.audit_enabled {
        return Err(unknown("the audit log is disabled"));
    }
    let logstore = world
        .audit_logstore(&cluster.id)
        .ok_or_else(|| unknown("there is no logstore"))?;
    if is_active(logstore, uid, &world.purge).map_err(|refusal| unknown(&refusal.message))? {
        let message = "the user accessed the cluster within the last 7 days; use Force to clean nevertheless";
        return Err(Refusal::new(400, "Simulated.UserActive", message));
    }
    Ok(())
}

fn is_active(logstore: &Logstore, uid: &str, purge: &PurgeBehaviour) -> Result<bool, Refusal> {
    let records = sls::found(logstore, "", now() - GUARD_SECONDS..now() + 1)?;
    let field = |record: &super::Record, name: &str| record.get(name).map(str::to_owned).unwrap_or_default();
    let is_name_of = |name: &str, uid: &str| purge.suffix.is_name_of(name, uid);
    Ok(records.iter().any(|record| match purge.guard {
        Guard::Nothing => false,
        Guard::AnyMention => record.fields().values().any(|value| value.contains(uid)),
        Guard::ByUser => {
            is_name_of(&field(record, "user.username"), uid)
                || is_name_of(&field(record, "impersonatedUser.username"), uid)
                || field(record, "annotations.authorization.k8s.io/reason")
                    .split_once("to User \"")
                    .and_then(|(_, rest)| rest.split('"').next())
                    .is_some_and(|name| is_name_of(name, uid))
        }
    }))
}

fn is_subject(subject: &Subject, uid: &str, purge: &PurgeBehaviour) -> bool {
    let user = subject.kind == "User" && subject.api_group.as_deref() == Some("rbac.authorization.k8s.io");
    purge.suffix.is_name_of(&subject.name, uid) && (user || purge.matching == Match::NameOnly)
}

/// Deletes the user's bindings, whoever made them and whoever else they name, without a precondition.
pub(crate) async fn delete_bindings(client: Client, uid: &str, purge: &PurgeBehaviour) -> anyhow::Result<usize> {
    let mut deleted = 0;
    let names = |subjects: &Option<Vec<Subject>>| subjects.iter().flatten().any(|s| is_subject(s, uid, purge));
    for binding in Api::<RoleBinding>::all(client.clone())
        .list(&ListParams::default())
        .await?
    {
        if names(&binding.subjects) {
            let (namespace, name) = (binding.namespace(), binding.name_any());
            let resource = ApiResource::erase::<RoleBinding>(&());
            let was_there = named::delete(&client, &resource, namespace.as_deref(), &name).await?;
            deleted += usize::from(was_there);
        }
    }
    let api: Api<ClusterRoleBinding> = Api::all(client.clone());
    for binding in api.list(&ListParams::default()).await? {
        if names(&binding.subjects) {
            let resource = ApiResource::erase::<ClusterRoleBinding>(&());
            let was_there = named::delete(&client, &resource, None, &binding.name_any()).await?;
            deleted += usize::from(was_there);
        }
    }
    Ok(deleted)
}

/// Moves the kubeconfig to the recycle bin, at once or after so many polls.
pub(crate) fn revoke(world: &std::sync::Mutex<World>, cluster: &str, uid: &str) {
    let mut world = lock(world);
    let polls = world.purge.removed_after_polls;
    let Some(cluster) = world.cluster_mut(cluster) else {
        return;
    };
    cluster.recycle_bin.push(RecycledKubeconfig {
        uid: uid.to_owned(),
        purged_at: now(),
    });
    if let Some(certificate) = cluster.certificates.get_mut(uid) {
        if polls == 0 {
            certificate.state = CertificateState::Removed;
        } else {
            certificate.removed_after_polls = Some(polls);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::world::{Record, Suffix};
    use super::*;

    const UID: &str = "259083957089437690";

    fn world() -> (World, AccessKey) {
        let mut world = World::default();
        world
            .add_cluster(Cluster::new("c1"))
            .issue(UID, CertificateState::Unexpired);
        (
            world,
            AccessKey::new(
                "ak",
                "sk",
                Principal::AssumedRole {
                    role_id: "300000000000000001".to_owned(),
                    session: "s".to_owned(),
                },
            ),
        )
    }

    fn code(world: &World, caller: &AccessKey, cluster: &str, uid: &str, force: bool) -> String {
        check(world, caller, cluster, uid, force)
            .err()
            .map_or_else(String::new, |refusal| refusal.code)
    }

    #[test]
    fn what_ack_refuses_is_refused_even_with_force() {
        let (mut world, caller) = world();
        assert_eq!(code(&world, &caller, "c1", UID, true), "");
        assert_eq!(code(&world, &caller, "c2", UID, true), "ErrorClusterNotFound");
        assert_eq!(
            code(&world, &caller, "c1", &world.account_id.clone(), true),
            "Simulated.RootAccount"
        );
        assert_eq!(
            code(&world, &caller, "c1", "300000000000000001", true),
            "Simulated.CallerItself"
        );
        assert_eq!(
            code(&world, &caller, "c1", "400000000000000001", true),
            "Simulated.NothingToRevoke"
        );
        use CertificateState as S;
        for (state, expected) in [
            (S::Expired, ""),
            (S::Unissued, "Simulated.NothingToRevoke"),
            (S::Removed, "Simulated.NothingToRevoke"),
            (S::Unknown, "Simulated.NothingToRevoke"),
        ] {
            world.cluster_mut("c1").expect("c1").issue(UID, state);
            assert_eq!(code(&world, &caller, "c1", UID, true), expected, "{state:?}");
        }
        world.cluster_mut("c1").expect("c1").issue(UID, S::Unexpired).state = "deleting".to_owned();
        assert_eq!(code(&world, &caller, "c1", UID, true), "Simulated.ClusterState");
    }

    #[test]
    fn without_force_activity_of_seven_days_is_refused() {
        let day = Duration::from_secs(86_400);
        let about = Record::by("someone").requesting("delete", "rolebindings", "a", &format!("{UID}-rolebinding"));
        for (record, by_user, any_mention) in [
            (
                Record::by(UID).ago(day * 6),
                "Simulated.UserActive",
                "Simulated.UserActive",
            ),
            (
                Record::by(&format!("{UID}-1700000000")).ago(day),
                "Simulated.UserActive",
                "Simulated.UserActive",
            ),
            (
                Record::from_console(UID).ago(day),
                "Simulated.UserActive",
                "Simulated.UserActive",
            ),
            (Record::by(UID).ago(day * 8), "", ""),
            (about.ago(day), "", "Simulated.UserActive"),
        ] {
            for (guard, expected) in [(Guard::ByUser, by_user), (Guard::AnyMention, any_mention)] {
                let (mut world, caller) = world();
                world.purge.guard = guard;
                world
                    .audit_logstore_mut("c1")
                    .expect("a logstore")
                    .records
                    .push(record.clone());
                assert_eq!(
                    code(&world, &caller, "c1", UID, false),
                    expected,
                    "{guard:?} {record:?}"
                );
                assert_eq!(code(&world, &caller, "c1", UID, true), "");
            }
        }
    }

    #[test]
    fn without_force_an_unreadable_log_is_refused() {
        let (mut world, caller) = world();
        world.projects.clear();
        assert_eq!(code(&world, &caller, "c1", UID, false), "Simulated.UserActivityUnknown");
        world.cluster_mut("c1").expect("c1").audit_enabled = false;
        assert_eq!(code(&world, &caller, "c1", UID, false), "Simulated.UserActivityUnknown");
    }

    #[test]
    fn every_name_that_rbac_allows_is_one_segment_of_a_path() {
        let root = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/";
        for letter in (1..=0x2ff_u32)
            .filter_map(char::from_u32)
            .filter(|c| !"/%".contains(*c))
        {
            let name = format!("leaver{letter}2");
            let path = named::path(&ApiResource::erase::<ClusterRoleBinding>(&()), None, &name);
            let uri: http::Uri = path.parse().unwrap_or_else(|error| panic!("{name:?}: {error}"));
            let segment = uri.path().strip_prefix(root).expect("the same folder");
            assert_eq!(uri.query(), None, "{name:?}");
            assert_eq!(super::super::message::percent_decode(segment), name);
        }
    }

    #[test]
    fn only_user_subjects_are_the_user_unless_pessimistic() {
        let subject = |kind: &str, name: &str| Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            api_group: (kind != "ServiceAccount").then(|| "rbac.authorization.k8s.io".to_owned()),
            namespace: None,
        };
        let purge = |matching, suffix| PurgeBehaviour {
            matching,
            suffix,
            ..PurgeBehaviour::default()
        };
        for (subject, by_kind, by_name, with_letters) in [
            (subject("User", UID), true, true, true),
            (subject("User", &format!("{UID}-1700000000")), true, true, true),
            (subject("User", &format!("{UID}-x7Kq")), false, false, true),
            (subject("User", &format!("{UID}-a-b")), false, false, false),
            (subject("User", &format!("{UID}-")), false, false, false),
            (subject("User", &format!("{UID}0")), false, false, false),
            (subject("Group", UID), false, true, false),
            (subject("ServiceAccount", UID), false, true, false),
        ] {
            for (purge, expected) in [
                (purge(Match::UserSubjects, Suffix::Digits), by_kind),
                (purge(Match::NameOnly, Suffix::Digits), by_name),
                (purge(Match::UserSubjects, Suffix::Letters), with_letters),
            ] {
                assert_eq!(is_subject(&subject, UID, &purge), expected, "{purge:?} {subject:?}");
            }
        }
    }

    #[test]
    fn activity_under_a_name_with_letters_counts_if_ack_issues_such_names() {
        let (mut world, caller) = world();
        let record = Record::by(&format!("{UID}-x7Kq")).ago(Duration::from_secs(60));
        world.audit_logstore_mut("c1").expect("a logstore").records.push(record);
        assert_eq!(code(&world, &caller, "c1", UID, false), "");
        world.purge.suffix = Suffix::Letters;
        assert_eq!(code(&world, &caller, "c1", UID, false), "Simulated.UserActive");
    }
}
