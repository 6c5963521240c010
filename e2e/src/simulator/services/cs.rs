//! CS 2015-12-15, but for the purge.

use serde_json::{Value, json};

use super::number;
use crate::simulator::message::{Incoming, Refusal};
use crate::simulator::rfc3339;
use crate::simulator::world::{
    AccessKey, Certificate, CertificateState, Cluster, Grant, GrantedRole, Principal, Scope, World,
};

/// The cluster, or CS's refusal.
pub(in crate::simulator) fn cluster<'a>(world: &'a World, id: &str) -> Result<&'a Cluster, Refusal> {
    world
        .cluster(id)
        .ok_or_else(|| Refusal::new(404, "ErrorClusterNotFound", format!("cluster not found: {id}")))
}

/// GetClusterAuditProject. The documentation's sample has a newline after the project's name.
pub(in crate::simulator) fn get_cluster_audit_project(world: &World, id: &str) -> Result<Value, Refusal> {
    let cluster = cluster(world, id)?;
    let project = if cluster.audit_enabled {
        format!("{}\n", cluster.project())
    } else {
        String::new()
    };
    Ok(json!({"audit_enabled": cluster.audit_enabled, "sls_project_name": project}))
}

/// DescribeUserPermission: of the clusters in which the caller is an administrator. (That a grant in all clusters is shown to
/// every caller is a guess.)
pub(in crate::simulator) fn describe_user_permission(world: &World, uid: &str, caller: &AccessKey) -> Value {
    let own = caller.principal.id(&world.account_id);
    let is_role = world.roles.iter().any(|role| role.role_id == uid);
    let seen = |cluster: &Cluster| caller.principal == Principal::Account || world.is_administrator(cluster, own);
    let granted: Vec<&Grant> = world.grants.iter().filter(|grant| grant.uid == uid).collect();
    let by_list: Vec<Grant> = world
        .clusters
        .iter()
        .filter(|cluster| granted.is_empty() && cluster.is_administrator(uid))
        .map(|cluster| Grant::new(uid, Scope::Cluster(cluster.id.clone()), GrantedRole::Admin))
        .collect();
    let shown = |grant: &&Grant| {
        let cluster = grant.scope.cluster();
        cluster.is_none_or(|id| world.cluster(id).is_some_and(seen))
    };
    let all = granted.into_iter().chain(&by_list).filter(shown);
    all.map(|grant| {
        let (resource_type, resource_id) = match &grant.scope {
            Scope::Cluster(cluster) => ("cluster", cluster.clone()),
            Scope::Namespace { cluster, namespace } => ("namespace", format!("{cluster}/{namespace}")),
            Scope::AllClusters => ("console", "all-clusters".to_owned()),
        };
        json!({
            "resource_id": resource_id,
            "resource_type": resource_type,
            "role_name": grant.role.name(),
            "role_type": grant.role.kind(),
            "is_owner": u8::from(grant.is_owner),
            "is_ram_role": u8::from(is_role),
        })
    })
    .collect()
}

/// ListUserKubeConfigStates: of all clusters of the account, also of those in which the user never had a kubeconfig. A
/// certificate whose purge takes its time moves on with every poll.
pub(in crate::simulator) fn list_user_kube_config_states(
    world: &mut World,
    uid: &str,
    request: &Incoming,
) -> Result<Value, Refusal> {
    let page = number(request.query("page_number"), "page_number", 1, 1..=1_000_000)?;
    let size = number(request.query("page_size"), "page_size", 50, 1..=100)?;
    let mut states = Vec::new();
    for cluster in &mut world.clusters {
        // The page's sample of an `Unissued` has an expiry too.
        let mut unissued = Certificate {
            state: CertificateState::Unissued,
            ..Certificate::default()
        };
        let certificate = match cluster.certificates.get_mut(uid) {
            Some(certificate) => certificate,
            None if cluster.hides_unissued => continue,
            None => &mut unissued,
        };
        match certificate.removed_after_polls {
            Some(0) => {
                certificate.state = CertificateState::Removed;
                certificate.removed_after_polls = None;
            }
            Some(u32::MAX) | None => {}
            Some(polls) => certificate.removed_after_polls = Some(polls - 1),
        }
        states.push(json!({
            "cluster_id": cluster.id,
            "cluster_name": cluster.name,
            "cluster_state": cluster.state,
            "cert_state": certificate.state,
            "cert_expire_time": rfc3339(certificate.expires_at),
        }));
    }
    let total = states.len();
    let states: Vec<Value> = states.into_iter().skip((page - 1) * size).take(size).collect();
    Ok(json!({"page": {"page_number": page, "page_size": size, "total_count": total}, "states": states}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "259083957089437690";
    const OPERATOR: &str = "200000000000000001";

    fn world() -> World {
        let mut world = World::default();
        world
            .add_cluster(Cluster::new("c1"))
            .issue(UID, CertificateState::Expired);
        world.add_cluster(Cluster::new("c2"));
        world
    }

    fn caller(principal: Principal) -> AccessKey {
        AccessKey::new("ak", "sk", principal)
    }

    fn operator() -> AccessKey {
        let user_id = OPERATOR.to_owned();
        caller(Principal::RamUser { user_id })
    }

    #[test]
    fn every_cluster_of_the_account_has_a_state() {
        let mut world = world();
        let mut states = |change: fn(&mut World), number: &str| {
            change(&mut world);
            let query = [("page_size", "1"), ("page_number", number)];
            let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            let request = Incoming {
                query,
                ..Incoming::default()
            };
            list_user_kube_config_states(&mut world, UID, &request).expect("an answer")
        };
        let (first, second) = (states(|_| {}, "1"), states(|_| {}, "2"));
        assert_eq!(first["page"]["total_count"], 2);
        let state =
            |answer: &Value| [&answer["states"][0]["cluster_id"], &answer["states"][0]["cert_state"]].map(Value::clone);
        assert_eq!(state(&first), ["c1", "Expired"].map(Value::from));
        assert_eq!(state(&second), ["c2", "Unissued"].map(Value::from));
        let fields: Vec<_> = second["states"][0]
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        assert_eq!(
            fields,
            [
                "cert_expire_time",
                "cert_state",
                "cluster_id",
                "cluster_name",
                "cluster_state"
            ]
        );
        let hidden = states(|world| world.cluster_mut("c2").expect("c2").hides_unissued = true, "2");
        assert_eq!(
            (&hidden["page"]["total_count"], &hidden["states"]),
            (&json!(1), &json!([]))
        );
    }

    #[test]
    fn every_kind_of_grant_is_described() {
        let mut world = world();
        let namespace = |cluster: &str, namespace: &str| Scope::Namespace {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
        };
        let c1 = || Scope::Cluster("c1".to_owned());
        world.grants = vec![
            Grant {
                is_owner: true,
                ..Grant::new(UID, c1(), GrantedRole::Admin)
            },
            Grant::new(UID, namespace("c1", "shop"), GrantedRole::Dev),
            Grant::new(UID, namespace("c2", "shop"), GrantedRole::Restricted),
            Grant::new(UID, Scope::AllClusters, GrantedRole::Ops),
            Grant::new(UID, c1(), GrantedRole::AdminView),
            Grant::new(UID, c1(), GrantedRole::Custom("cs:mine".to_owned())),
            Grant::new("somebody", c1(), GrantedRole::Admin),
            Grant::new(OPERATOR, c1(), GrantedRole::Admin),
        ];
        let described = |world: &World, caller: &AccessKey| -> Vec<String> {
            let answer = describe_user_permission(world, UID, caller);
            let text = |grant: &Value| {
                let names = ["resource_type", "resource_id", "role_type", "role_name"];
                let words = names.map(|name| grant[name].as_str().unwrap_or("?").to_owned());
                format!("{} {} {}", words.join(" "), grant["is_owner"], grant["is_ram_role"])
            };
            answer.as_array().expect("a list").iter().map(text).collect()
        };
        let all = [
            "cluster c1 admin  1 0",
            "namespace c1/shop dev  0 0",
            "namespace c2/shop restricted  0 0",
            "console all-clusters ops  0 0",
            "cluster c1 admin-view  0 0",
            "cluster c1 custom cs:mine 0 0",
        ];
        assert_eq!(described(&world, &caller(Principal::Account)), all);
        let without_c2: Vec<_> = all.into_iter().filter(|grant| !grant.contains("c2")).collect();
        assert_eq!(
            described(&world, &operator()),
            without_c2,
            "the operator administers c1 only"
        );
        world.roles.push(crate::simulator::world::Role::new(UID, "role"));
        assert!(described(&world, &operator()).iter().all(|grant| grant.ends_with(" 1")));
        world.grants.clear();
        assert_eq!(
            described(&world, &operator()),
            ["cluster c1 admin  0 1", "cluster c2 admin  0 1"],
            "without grants, the clusters' own lists count"
        );
    }
}
