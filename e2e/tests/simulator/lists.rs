//! The operator's own clients read the simulator's lists to their end, and take none that goes wrong between two pages.

use ack_offboarding_e2e::simulator::world::{
    AccessKey, CertificateState, Cluster, Principal, RecycledUser, Role, User,
};
use ack_offboarding_e2e::simulator::{Fault, FaultKind, Operation, Options, PageFault, Simulator, Throttle, World};
use alibaba_cloud::{
    Cloud, CloudSettings, CredentialsSource, EndpointOverrides, Environment, ErrorKind, ims::UserStatus,
};

/// More of everything than one page holds.
fn simulator() -> Simulator {
    let user = |prefix: u32| move |n: u32| User::new(&format!("{prefix}{n:017}"), &format!("user-{n}"));
    let mut frozen: Vec<User> = (0..1001).map(user(2)).collect();
    frozen.iter_mut().for_each(|user| user.frozen = true);
    let recycled = |n: u32| RecycledUser::new(&user(3)(n), format!("user-{n}@example.onaliyun.com"));
    let mut world = World {
        access_keys: vec![AccessKey::new("ak", "sk", Principal::Account)],
        users: (0..1500).map(user(1)).chain(frozen).collect(),
        recycle_bin: (0..150).map(recycled).collect(),
        roles: (0..1100)
            .map(|n| Role::new(&format!("4{n:017}"), &format!("role-{n}")))
            .collect(),
        ..World::default()
    };
    let cluster = world.add_cluster(Cluster::new("c1"));
    for n in 0..120 {
        cluster.issue(&format!("1{n:017}"), CertificateState::Unexpired);
    }
    Simulator::start(Options {
        world,
        ..Options::default()
    })
    .expect("a simulator")
}

fn cloud(simulator: &Simulator) -> Cloud {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = || Some(simulator.url());
    let keys = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ak"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "sk"),
    ];
    let settings = CloudSettings {
        endpoints: EndpointOverrides {
            sts: url(),
            ims: url(),
            ram: url(),
            ack: url(),
            sls: url(),
        },
        credentials: CredentialsSource::Env,
        environment: Environment::from_iter(keys),
        ..CloudSettings::new("cn-hangzhou")
    };
    Cloud::connect(&settings, std::sync::Arc::new(())).expect("clients")
}

/// How many entries the list of this operation has.
async fn count(cloud: &Cloud, operation: Operation) -> Result<usize, ErrorKind> {
    let counted = match operation {
        Operation::ImsListUsers => cloud.ims.list_users(UserStatus::Frozen).await.map(|all| all.len()),
        Operation::ImsListUsersInRecycleBin => cloud.ims.list_users_in_recycle_bin().await.map(|all| all.len()),
        Operation::RamListUsers => cloud.ram.list_users().await.map(|all| all.len()),
        Operation::RamListRoles => cloud.ram.list_roles().await.map(|all| all.len()),
        _ => cloud
            .ack
            .list_cluster_kubeconfig_states("c1")
            .await
            .map(|all| all.len()),
    };
    counted.map_err(|error| error.kind)
}

const LISTS: [(Operation, usize); 5] = [
    (Operation::ImsListUsers, 1001),
    (Operation::ImsListUsersInRecycleBin, 150),
    (Operation::RamListUsers, 2501),
    (Operation::RamListRoles, 1100),
    (Operation::CsListClusterKubeconfigStates, 120),
];

#[tokio::test]
async fn lists_are_read_to_their_end_or_not_at_all() {
    let simulator = simulator();
    let cloud = cloud(&simulator);
    for (operation, length) in LISTS {
        assert_eq!(count(&cloud, operation).await, Ok(length), "{operation:?}");
        for fault in [PageFault::Repeated, PageFault::Empty, PageFault::OtherTotal] {
            // The second page: the first repeats nothing.
            simulator.fault_instead(Fault::new(operation, FaultKind::Page(fault)).after(1).times(1));
            let says_total = operation == Operation::CsListClusterKubeconfigStates;
            let expected = match fault {
                // The last page of a list with markers may be empty: nobody can tell.
                PageFault::Empty if !says_total && length < 2000 => continue,
                PageFault::OtherTotal if !says_total => Ok(length),
                _ => Err(ErrorKind::Malformed),
            };
            assert_eq!(count(&cloud, operation).await, expected, "{operation:?} {fault:?}");
        }
        simulator.fault_instead(
            Fault::new(operation, FaultKind::Throttled(Throttle::user()))
                .after(1)
                .times(1),
        );
        assert_eq!(count(&cloud, operation).await, Ok(length), "{operation:?} is repeated");
        simulator.fault_instead(Fault::new(operation, FaultKind::Forbidden).after(1));
        assert_eq!(
            count(&cloud, operation).await,
            Err(ErrorKind::Forbidden),
            "{operation:?}"
        );
        simulator.clear_faults();
    }
    let active = cloud.ims.list_users(UserStatus::Active).await.expect("users");
    assert_eq!(active.len(), 1500);
    assert!(
        active
            .iter()
            .all(|user| user.status == UserStatus::Active && user.name.starts_with("user-"))
    );
}
