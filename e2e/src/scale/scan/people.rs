//! Who exists in the account, of those that the seeded bindings name.

use std::ops::Range;

use crate::{
    env::{CLUSTER_ID, OPERATOR_ROLE},
    scale::seed,
    simulator::{
        Simulator,
        world::{CertificateState, RecycledUser, Role, User},
    },
};

/// Those who were deleted for good, and hold as much as everybody else.
const DELETED: Range<u32> = 0..20;
/// RAM users.
const USERS: Range<u32> = 20..3020;
/// RAM roles.
const ROLES: Range<u32> = 3020..3520;
/// The others are in the recycle bin.
const BINNED: Range<u32> = 3520..seed::IDENTITIES;

/// How many of those that so many bindings name should have no access any more.
pub(super) fn gone(bindings: u32) -> usize {
    let is_gone = |n: &u32| DELETED.contains(n) || BINNED.contains(n);
    (0..bindings.min(seed::IDENTITIES)).filter(is_gone).count()
}

/// Has them in the account; each user has a kubeconfig.
pub(in crate::scale) fn arrive(sim: &Simulator) {
    let user = |n: u32| User::new(&seed::uid(n).to_string(), &format!("user-{n}"));
    sim.edit(|world| {
        world.users.extend(USERS.map(user));
        let role = |n: u32| Role::new(&seed::uid(n).to_string(), &format!("role-{n}"));
        world.roles.extend(ROLES.map(role));
        let binned = |n: u32| RecycledUser::new(&user(n), format!("user-{n}@example.onaliyun.com"));
        world.recycle_bin.extend(BINNED.map(binned));
        if let Some(cluster) = world.cluster_mut(CLUSTER_ID) {
            USERS.chain(DELETED).for_each(|n| {
                cluster.issue(&seed::uid(n).to_string(), CertificateState::Unexpired);
            });
        }
    });
}

/// Takes them away, for measurements that have an empty account to be compared with.
pub(in crate::scale) fn leave(sim: &Simulator) {
    sim.edit(|world| {
        world.users.clear();
        world.recycle_bin.clear();
        world.roles.retain(|role| role.role_id == OPERATOR_ROLE);
        if let Some(cluster) = world.cluster_mut(CLUSTER_ID) {
            for n in USERS.chain(DELETED) {
                cluster.certificates.remove(&seed::uid(n).to_string());
            }
        }
    });
}
