//! The roles that ACK has granted.

use http::Method;
use serde::Deserialize;

use super::Ack;
use crate::{answer::nullable, error::ApiError, uid::Uid};

/// A role that ACK has granted to a user or role. Source: API page `DescribeUserPermission`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// The cluster's ID, `<cluster>/<namespace>`, or `all-clusters`. Empty if ACK does not say: then it is a grant of no cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub resource_id: String,
    /// `cluster`, `namespace`, or `console` (all clusters).
    #[serde(default, deserialize_with = "nullable")]
    pub resource_type: String,
    /// The predefined role (`admin`, `ops`, `dev`, `restricted`), or `custom`.
    #[serde(default, deserialize_with = "nullable")]
    pub role_type: String,
    /// The name of a custom role, which is a ClusterRole.
    #[serde(default, deserialize_with = "nullable")]
    pub role_name: String,
    /// 1 if it was granted to whoever made the cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub is_owner: u8,
}

impl Grant {
    /// Whether it makes an administrator of a cluster.
    pub fn is_administrator_of(&self, cluster: &str) -> bool {
        let here = self.resource_id == cluster || self.resource_id == "all-clusters";
        here && (self.role_type == "admin" || self.role_name == "cluster-admin" || self.is_owner == 1)
    }

    /// Whether it is that of whoever made the cluster.
    pub fn is_owner_of(&self, cluster: &str) -> bool {
        self.resource_id == cluster && self.is_owner == 1
    }
}

impl Ack {
    /// The roles that ACK has granted to a user or role (by its ID), of those clusters in which the caller is an RBAC administrator. Needs
    /// `cs:GetUserPermissions`.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn describe_user_permission(&self, uid: Uid) -> Result<Vec<Grant>, ApiError> {
        let segments = ["permissions", "users", &uid.to_string()];
        let call = self.call("DescribeUserPermission", Method::GET, segments, format!("user {uid}"))?;
        call.json(&self.client.send(&call).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_administrator_is_one_of_this_cluster_and_no_less() {
        let grant = |resource_id: &str, role_type: &str, role_name: &str, is_owner: u8| {
            serde_json::from_value::<Grant>(json!({
                "resource_id": resource_id, "resource_type": "cluster", "role_type": role_type, "role_name": role_name,
                "is_owner": is_owner, "is_ram_role": 1,
            }))
            .unwrap()
        };
        for (grant, expected) in [
            (grant("c1", "admin", "", 0), true),
            (grant("all-clusters", "admin", "", 0), true),
            (grant("c1", "custom", "cluster-admin", 0), true),
            (grant("c1", "", "", 1), true),
            (grant("c2", "admin", "", 0), false),
            (grant("c1/default", "admin", "", 0), false),
            (grant("c1", "ops", "", 0), false),
            (grant("c1", "custom", "view", 0), false),
        ] {
            assert_eq!(grant.is_administrator_of("c1"), expected, "{grant:?}");
        }
        for (grant, expected) in [
            (grant("c1", "admin", "", 1), true),
            (grant("c1", "admin", "", 0), false),
            (grant("c2", "admin", "", 1), false),
            (grant("all-clusters", "admin", "", 1), false),
        ] {
            assert_eq!(grant.is_owner_of("c1"), expected, "{grant:?}");
        }
        let least: Grant = serde_json::from_value(json!({"resource_id": "c1"})).unwrap();
        assert!(!least.is_administrator_of("c1"));
    }
}
