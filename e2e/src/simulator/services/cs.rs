//! CS 2015-12-15, but for the purge.

use serde_json::{Value, json};

use super::number;
use crate::simulator::message::{Incoming, Refusal};
use crate::simulator::rfc3339;
use crate::simulator::world::{AccessKey, CertificateState, Cluster, Principal, World};

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

/// DescribeUserPermission: of the clusters in which the caller is an administrator.
pub(in crate::simulator) fn describe_user_permission(world: &World, uid: &str, caller: &AccessKey) -> Value {
    let own = caller.principal.id(&world.account_id);
    let seen = |cluster: &&Cluster| caller.principal == Principal::Account || cluster.is_administrator(own);
    let grants = world.clusters.iter().filter(seen);
    grants
        .filter(|cluster| cluster.is_administrator(uid))
        .map(|cluster| {
            json!({
                "resource_id": cluster.id,
                "resource_type": "cluster",
                "role_name": "",
                "role_type": "admin",
                "is_owner": 0,
                "is_ram_role": u8::from(world.roles.iter().any(|role| role.role_id == uid)),
            })
        })
        .collect()
}

/// ListUserKubeConfigStates. A certificate whose purge takes its time moves on with every poll.
pub(in crate::simulator) fn list_user_kube_config_states(
    world: &mut World,
    uid: &str,
    request: &Incoming,
) -> Result<Value, Refusal> {
    let page = number(request.query("page_number"), "page_number", 1, 1..=1_000_000)?;
    let size = number(request.query("page_size"), "page_size", 50, 1..=100)?;
    let mut states = Vec::new();
    for cluster in &mut world.clusters {
        let Some(certificate) = cluster.certificates.get_mut(uid) else {
            continue;
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
            "cluster_type": "ManagedKubernetes",
            "cert_state": certificate.state,
            "cert_expire_time": rfc3339(certificate.expires_at),
        }));
    }
    let total = states.len();
    let states: Vec<Value> = states.into_iter().skip((page - 1) * size).take(size).collect();
    Ok(json!({"page": {"page_number": page, "page_size": size, "total_count": total}, "states": states}))
}
