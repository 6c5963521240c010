//! The two bindings that serve as the barrier: they grant nothing, and carry a nonce.

use super::binding::{BindingKey, BindingKind};

/// The annotation that carries the nonce.
pub(crate) const NONCE_ANNOTATION: &str = "ack-offboarding.io/barrier";

/// The two bindings that the operator annotates to see how far its watches are. The chart installs them, without subjects.
#[derive(Clone, Debug)]
pub struct BarrierNames {
    pub cluster_role_binding: String,
    pub role_binding: String,
    /// The namespace of the RoleBinding.
    pub namespace: String,
}

impl BarrierNames {
    /// Whether this is one of the two bindings: whatever subjects it bears, it is not deleted.
    pub fn is_barrier(&self, key: &BindingKey) -> bool {
        self.keys().contains(key)
    }

    /// The ClusterRoleBinding first.
    pub fn keys(&self) -> [BindingKey; 2] {
        [
            BindingKey {
                kind: BindingKind::ClusterRoleBinding,
                namespace: None,
                name: self.cluster_role_binding.clone(),
            },
            BindingKey {
                kind: BindingKind::RoleBinding,
                namespace: Some(self.namespace.clone()),
                name: self.role_binding.clone(),
            },
        ]
    }
}
