//! What was asked of the simulator.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::watch;

use super::lock;

/// An Alibaba Cloud service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub enum Service {
    Sts,
    Ims,
    Ram,
    Cs,
    Sls,
    /// Not a request for any of them.
    None,
}

impl Service {
    /// Its name in a host name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Ims => "ims",
            Self::Ram => "ram",
            Self::Cs => "cs",
            Self::Sls => "sls",
            Self::None => "none",
        }
    }
}

/// An operation that the simulator serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub enum Operation {
    StsGetCallerIdentity,
    StsAssumeRoleWithOidc,
    ImsGetUser,
    ImsGetUserInRecycleBin,
    ImsListUsers,
    ImsListUsersInRecycleBin,
    RamListRoles,
    RamListUsers,
    RamGetUser,
    RamGetRole,
    CsGetClusterAuditProject,
    CsListUserKubeConfigStates,
    CsDescribeUserPermission,
    CsCleanClusterUserPermissions,
    CsListClusterKubeconfigStates,
    CsDescribeClusterUserKubeconfig,
    CsDescribeClustersV1,
    SlsGetLogsV2,
    SlsGetLogStore,
    SlsGetIndex,
    SlsGetHistograms,
    /// Something else.
    Unknown,
}

impl Operation {
    /// The service that it belongs to.
    pub fn service(self) -> Service {
        use Operation as O;
        match self {
            O::StsGetCallerIdentity | O::StsAssumeRoleWithOidc => Service::Sts,
            O::ImsGetUser | O::ImsGetUserInRecycleBin | O::ImsListUsers | O::ImsListUsersInRecycleBin => Service::Ims,
            O::RamListRoles | O::RamListUsers | O::RamGetUser | O::RamGetRole => Service::Ram,
            O::CsGetClusterAuditProject
            | O::CsListUserKubeConfigStates
            | O::CsDescribeUserPermission
            | O::CsCleanClusterUserPermissions
            | O::CsListClusterKubeconfigStates
            | O::CsDescribeClusterUserKubeconfig
            | O::CsDescribeClustersV1 => Service::Cs,
            O::SlsGetLogsV2 | O::SlsGetLogStore | O::SlsGetIndex | O::SlsGetHistograms => Service::Sls,
            O::Unknown => Service::None,
        }
    }
}

/// One request. It never holds a secret, a token or a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// When it arrived.
    pub at: SystemTime,
    /// What was asked for.
    pub operation: Operation,
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// The parameters that matter: `UserId`, `UserName`, `RoleName`, `Status`, `Marker`, `pageNumber`, `RoleArn`, `cluster`, `uid`, `force`,
    /// `project`, `logstore`, `query`, `from`, `to`, `offset`, `line`, `reverse`.
    pub parameters: BTreeMap<String, String>,
    /// The AccessKeyId that signed it, if it was signed.
    pub access_key: Option<String>,
    /// The HTTP status that was answered; none while it is being worked on, or if the connection was cut.
    pub status: Option<u16>,
    /// The error code that was answered.
    pub code: Option<String>,
    /// Whether it is over, answered or cut.
    pub done: bool,
}

impl Call {
    /// A parameter, or `""`.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// Whether it was answered with a 2xx status.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// All calls, and a signal whenever one comes or ends.
pub(crate) struct Calls {
    all: Mutex<Vec<Call>>,
    changes: watch::Sender<u64>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            all: Mutex::new(Vec::new()),
            changes: watch::Sender::new(0),
        }
    }

    /// Notes a call that has arrived, and says where.
    pub(crate) fn begin(&self, call: Call) -> usize {
        let mut all = lock(&self.all);
        all.push(call);
        let at = all.len() - 1;
        drop(all);
        self.changes.send_modify(|n| *n += 1);
        at
    }

    pub(crate) fn end(&self, at: usize, status: Option<u16>, code: Option<String>) {
        if let Some(call) = lock(&self.all).get_mut(at) {
            call.status = status;
            call.code = code;
            call.done = true;
        }
        self.changes.send_modify(|n| *n += 1);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        lock(&self.all).clone()
    }

    pub(crate) fn find(&self, predicate: impl Fn(&Call) -> bool) -> Option<Call> {
        lock(&self.all).iter().find(|call| predicate(call)).cloned()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
