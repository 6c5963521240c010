//! What a cluster is to have.

use std::net::Ipv4Addr;

/// What a cluster consists of beyond etcd and kube-apiserver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Run kube-controller-manager: garbage collection by owner reference, the deletion of namespaces, resource quotas.
    pub controller_manager: bool,
    /// All controllers use the controller manager's own account, which may do everything then, in place of an account each. Some clusters are
    /// set up so, and ACK's are not known.
    pub one_account: bool,
    /// Serve pods as well, which reach the API server at this address of this machine, on [`POD_API_SERVER_PORT`]: all controllers
    /// run, and kube-scheduler. The node is [`Node`](crate::node::Node)'s.
    pub pods: Option<Ipv4Addr>,
}

/// Where the API server listens, on every address, if it serves pods.
pub const POD_API_SERVER_PORT: u16 = 6443;
