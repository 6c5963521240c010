//! CS 2015-12-15, but for the purge.

use std::path::Path;

use serde_json::{Value, json};

use super::number;
use crate::simulator::message::{Incoming, Refusal};
use crate::simulator::world::{
    AccessKey, AccountState, Certificate, CertificateState, Cluster, Grant, GrantedRole, Principal, Scope, World,
};
use crate::simulator::{now, rfc3339};

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

/// ListClusterKubeconfigStates: the users and roles that have a kubeconfig of the cluster, also those that RAM no longer has. (That a
/// purged kubeconfig is not listed follows from the states that the page names; which types and names the deleted ones have, and what can
/// be revoked, are guesses.)
pub(in crate::simulator) fn list_cluster_kubeconfig_states(
    world: &World,
    id: &str,
    request: &Incoming,
) -> Result<Value, Refusal> {
    use CertificateState as S;
    let page = number(request.query("pageNumber"), "pageNumber", 1, 1..=1_000_000)?;
    let size = number(request.query("pageSize"), "pageSize", 10, 1..=50)?;
    let cluster = cluster(world, id)?;
    // The simulated clusters give none to cloud services. The Python SDK sends True, the Go SDK true.
    let of_services = request
        .query("cloudServiceKubeConfig")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let listed = |state: S| matches!(state, S::Unexpired | S::Expired | S::Unknown) && !of_services;
    let states: Vec<Value> = cluster
        .certificates
        .iter()
        .filter(|(_, certificate)| listed(certificate.state))
        .map(|(uid, certificate)| {
            let (kind, name, display_name, state) = account(world, uid);
            json!({
                "account_id": uid,
                "account_name": name,
                "account_display_name": display_name,
                "account_type": kind,
                "account_state": certificate.account_state.unwrap_or(state),
                "cert_state": certificate.state,
                "cert_expire_time": rfc3339(certificate.expires_at),
                "cloud_service_name": "",
                "cloud_service_roles": [],
                "revokable": certificate.state == S::Unexpired && *uid != world.account_id,
            })
        })
        .collect();
    let total = states.len();
    let states: Vec<Value> = states.into_iter().skip((page - 1) * size).take(size).collect();
    Ok(json!({"page": {"page_number": page, "page_size": size, "total_count": total}, "states": states}))
}

/// The type of the owner of an ID, its names, and whether it is there.
fn account<'a>(world: &'a World, uid: &str) -> (&'static str, String, &'a str, AccountState) {
    if uid == world.account_id {
        return ("RootAccount", world.account_id.clone(), "", AccountState::Active);
    }
    if let Some(role) = world.roles.iter().find(|role| role.role_id == uid) {
        return ("RamRole", role.role_name.clone(), &role.role_name, AccountState::Active);
    }
    if let Some(user) = world.users.iter().find(|user| user.user_id == uid) {
        let state = match user.frozen {
            true => AccountState::InActive,
            false => AccountState::Active,
        };
        return ("RamUser", user.principal_name(&world.domain), &user.display_name, state);
    }
    let recycled = world.recycle_bin.iter().find(|user| user.user_id == uid);
    let (name, display_name) = recycled.map_or((String::new(), ""), |user| {
        (user.user_principal_name.clone(), user.display_name.as_str())
    });
    ("RamUser", name, display_name, AccountState::Deleted)
}

/// DescribeClusterUserKubeconfig: the kubeconfig that a test has given the caller. It holds for as long as the test runs, whatever time is
/// asked for or said.
pub(in crate::simulator) fn describe_cluster_user_kubeconfig(
    world: &World,
    kubeconfig: Option<&Path>,
    request: &Incoming,
) -> Result<Value, Refusal> {
    let minutes = number(
        request.query("TemporaryDurationMinutes"),
        "TemporaryDurationMinutes",
        3 * 365 * 24 * 60,
        15..=4320,
    )?;
    let none = || {
        Refusal::new(
            404,
            "Simulated.NoKubeconfig",
            "no test has given the caller a kubeconfig",
        )
    };
    let config = std::fs::read_to_string(kubeconfig.ok_or_else(none)?)
        .map_err(|error| Refusal::new(500, "InternalError", format!("the kubeconfig cannot be read: {error}")))?;
    let seconds = world.kubeconfig_seconds.unwrap_or(60 * minutes as i64);
    Ok(json!({"config": config, "expiration": rfc3339(now() + seconds)}))
}

/// DescribeClustersV1, without its filters. (The default and the largest size of a page are not published.)
pub(in crate::simulator) fn describe_clusters_v1(world: &World, request: &Incoming) -> Result<Value, Refusal> {
    let page = number(request.query("page_number"), "page_number", 1, 1..=1_000_000)?;
    let size = number(request.query("page_size"), "page_size", 50, 1..=100)?;
    let size = size.min(world.clusters_per_page.unwrap_or(usize::MAX));
    let all = world.clusters.iter().map(|cluster| {
        json!({
            "cluster_id": cluster.id,
            "name": cluster.name,
            "state": cluster.state,
            "region_id": cluster.region,
            "cluster_type": "ManagedKubernetes",
            "profile": "Default",
            "cluster_spec": "ack.pro.small",
            "current_version": "1.33.0",
            "master_url": "{}",
            "meta_data": "{}",
        })
    });
    let clusters: Vec<Value> = all.skip((page - 1) * size).take(size).collect();
    let total = world.clusters.len();
    Ok(json!({"clusters": clusters, "page_info": {"page_number": page, "page_size": size, "total_count": total}}))
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
    fn the_kubeconfigs_of_a_cluster_say_whose_they_are_and_whether_they_are_there() {
        use crate::simulator::world::{Role, User};
        let mut world = World {
            roles: vec![Role::new("300000000000000001", "Admin")],
            users: ["1", "2", "3"]
                .map(|n| User::new(&format!("20000000000000000{n}"), n))
                .to_vec(),
            ..World::default()
        };
        world.users[1].frozen = true;
        assert!(world.delete_user("200000000000000003"));
        let account = world.account_id.clone();
        let cluster = world.add_cluster(Cluster::new("c1"));
        for uid in ["1", "2", "3", "4"].map(|n| format!("20000000000000000{n}")) {
            cluster.issue(&uid, CertificateState::Unexpired);
        }
        cluster
            .issue(&account, CertificateState::Unexpired)
            .issue("300000000000000001", CertificateState::Expired)
            .issue("200000000000000005", CertificateState::Removed)
            .issue("200000000000000006", CertificateState::Unissued);
        let said = |world: &World, query: &[(&str, &str)]| {
            let query = query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let request = Incoming {
                query: query.collect(),
                ..Incoming::default()
            };
            list_cluster_kubeconfig_states(world, "c1", &request)
        };
        let all = said(&world, &[("pageSize", "50")]).expect("states");
        let text = |state: &Value| {
            let fields = ["account_type", "account_state", "cert_state", "account_name"];
            let words = fields.map(|name| state[name].as_str().unwrap_or("?"));
            format!("{} {}", words.join(" "), state["revokable"])
        };
        let texts: Vec<_> = all["states"].as_array().expect("states").iter().map(text).collect();
        assert_eq!(
            texts,
            [
                format!("RootAccount Active Unexpired {account} false"),
                format!("RamUser Active Unexpired 1@{} true", world.domain),
                format!("RamUser InActive Unexpired 2@{} true", world.domain),
                format!("RamUser Deleted Unexpired 3@{} true", world.domain),
                "RamUser Deleted Unexpired  true".to_owned(),
                "RamRole Active Expired Admin false".to_owned(),
            ]
        );
        let page = said(&world, &[("pageSize", "4"), ("pageNumber", "2")]).expect("a page");
        assert_eq!(
            (page["states"].as_array().map(Vec::len), &page["page"]["total_count"]),
            (Some(2), &json!(6))
        );
        let services = said(&world, &[("cloudServiceKubeConfig", "true")]).expect("states");
        assert_eq!(services["page"]["total_count"], 0);
        assert!(said(&world, &[("pageSize", "51")]).is_err());
        let certificates = &mut world.cluster_mut("c1").expect("c1").certificates;
        let certificate = certificates.get_mut("200000000000000001").expect("a certificate");
        certificate.account_state = Some(AccountState::Deleted);
        let all = said(&world, &[]).expect("states");
        assert_eq!(
            all["states"][1]["account_state"], "Deleted",
            "where ACK and RAM disagree"
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
