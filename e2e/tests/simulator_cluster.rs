//! The simulator together with a real API server: purges delete real bindings, and the real audit log fills the logstore.

use std::time::Duration;

use ack_offboarding_e2e::access::binding;
use ack_offboarding_e2e::cluster::{
    Cluster, Options as ClusterOptions, named,
    pool::{self, Lease},
};
use ack_offboarding_e2e::simulator::world::{self, AccessKey, CertificateState, Match, Principal};
use ack_offboarding_e2e::simulator::{Options, Simulator, World};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

mod signed;

const UID: &str = "259083957089437690";
const LEAVER: &str = "259083957089437690-1700000000";
const DEADLINE: Duration = Duration::from_secs(30);

async fn start() -> (Lease, Simulator) {
    let cluster = pool::acquire(ClusterOptions::default()).await.expect("a cluster");
    let mut world = World::default();
    world.access_keys.push(AccessKey::new("ak", "sk", Principal::Account));
    world
        .add_cluster(world::Cluster::new("c1"))
        .issue(UID, CertificateState::Unexpired);
    let simulator = Simulator::start(Options {
        world,
        ..Options::default()
    })
    .expect("a simulator");
    simulator.attach_cluster("c1", &cluster.admin_kubeconfig());
    simulator.follow_audit_log("c1", &cluster.audit_log());
    (cluster, simulator)
}

/// Creates bindings of every sort, purges, and says which of them are left.
async fn left_after_purge(cluster: &Cluster, simulator: &Simulator) -> Vec<String> {
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin(), "default");
    let cluster_bindings: Api<ClusterRoleBinding> = Api::all(cluster.admin());
    for (name, subjects) in [
        ("t-own", vec![("User", UID)]),
        ("t-suffixed", vec![("User", LEAVER)]),
        ("t-shared", vec![("User", UID), ("User", "300000000000000001")]),
        ("t-group", vec![("Group", UID)]),
        ("t-account", vec![("ServiceAccount", UID)]),
        ("t-other", vec![("User", "300000000000000001")]),
    ] {
        let created = binding("RoleBinding", name, &subjects);
        bindings
            .create(&PostParams::default(), &created)
            .await
            .expect("created");
        let created = binding("ClusterRoleBinding", name, &subjects);
        cluster_bindings
            .create(&PostParams::default(), &created)
            .await
            .expect("created");
    }
    let path = format!("/cluster/c1/user/{UID}/permissions");
    let status = signed::send(
        simulator,
        "DELETE",
        &path,
        "Force=true",
        "CleanClusterUserPermissions",
        "2015-12-15",
    )
    .await;
    assert_eq!(status, 200);
    let all = ListParams::default();
    let left = |names: Vec<String>| {
        names
            .into_iter()
            .filter(|name| name.starts_with("t-"))
            .collect::<Vec<_>>()
    };
    let namespaced = left(
        bindings
            .list(&all)
            .await
            .expect("a list")
            .iter()
            .map(ResourceExt::name_any)
            .collect(),
    );
    let cluster_wide = left(
        cluster_bindings
            .list(&all)
            .await
            .expect("a list")
            .iter()
            .map(ResourceExt::name_any)
            .collect(),
    );
    assert_eq!(namespaced, cluster_wide);
    namespaced
}

#[tokio::test]
async fn a_purge_deletes_every_binding_with_the_user_shared_ones_included() {
    let (cluster, simulator) = start().await;
    assert_eq!(
        left_after_purge(&cluster, &simulator).await,
        ["t-account", "t-group", "t-other"]
    );
    let state = simulator.read(|world| world.cluster("c1").map(|c| c.certificates[UID].state));
    assert_eq!(state, Some(CertificateState::Removed));
}

/// Whatever a binding is called: put into a URL as it is, `colleague#x` is a request for `colleague`.
#[tokio::test]
async fn a_purge_deletes_bindings_of_every_name_and_no_other() {
    let (cluster, simulator) = start().await;
    let inside: Api<RoleBinding> = Api::namespaced(cluster.admin(), "default");
    let everywhere: Api<ClusterRoleBinding> = Api::all(cluster.admin());
    for name in ["t-colleague", "t-colleague?a=b"] {
        let other = [("User", "300000000000000001")];
        let object = binding("RoleBinding", name, &other);
        inside.create(&PostParams::default(), &object).await.expect("created");
        let object = binding("ClusterRoleBinding", name, &other);
        everywhere
            .create(&PostParams::default(), &object)
            .await
            .expect("created");
    }
    for name in named::hostile_names("t-colleague", "x") {
        if name == "t-colleague?a=b&c=d" {
            continue;
        }
        let object = binding("RoleBinding", &name, &[("User", UID)]);
        inside.create(&PostParams::default(), &object).await.expect("created");
        let object = binding("ClusterRoleBinding", &name, &[("User", LEAVER)]);
        everywhere
            .create(&PostParams::default(), &object)
            .await
            .expect("created");
    }
    assert_eq!(
        left_after_purge(&cluster, &simulator).await,
        ["t-account", "t-colleague", "t-colleague?a=b", "t-group", "t-other"]
    );
}

#[tokio::test]
async fn a_pessimistic_purge_deletes_by_name_alone() {
    let (cluster, simulator) = start().await;
    simulator.edit(|world| world.purge.matching = Match::NameOnly);
    assert_eq!(left_after_purge(&cluster, &simulator).await, ["t-other"]);
}

#[tokio::test]
async fn a_leavers_own_request_arrives_in_the_logstore() {
    let (cluster, simulator) = start().await;
    let leaver = cluster.user_client(LEAVER, &[]).expect("a client");
    let refused = Api::<Pod>::namespaced(leaver, "default")
        .list(&ListParams::default())
        .await;
    assert!(refused.is_err(), "the leaver has no permission");
    let by_leaver = |record: &ack_offboarding_e2e::simulator::Record| record.get("user.username") == Some(LEAVER);
    let record = simulator
        .wait_for_record("c1", by_leaver, DEADLINE)
        .await
        .expect("the record");
    assert_eq!(
        (record.get("verb"), record.get("responseStatus.code")),
        (Some("list"), Some("403"))
    );
    assert_eq!(record.get("objectRef.resource"), Some("pods"));
}
