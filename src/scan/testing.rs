//! What the unit tests of the scan share.

use crate::{sources::account::Everybody, testing::uid};
use alibaba_cloud::{
    ack::{AccountState, AccountType, CertState, ClusterKubeconfigState},
    ims::{ListedUser, RecycledUser, UserStatus},
    ram::Role,
    sts::CallerIdentity,
};

pub(super) const ACCOUNT: &str = "1234567890123456";
pub(super) const OWN_ROLE: &str = "300000000000000001";

pub(super) fn caller() -> CallerIdentity {
    CallerIdentity {
        account_id: ACCOUNT.into(),
        arn: format!("acs:ram::{ACCOUNT}:assumed-role/operator/session"),
        identity_type: "AssumedRoleUser".into(),
        principal_id: format!("{OWN_ROLE}:session"),
        user_id: None,
        role_id: Some(OWN_ROLE.into()),
    }
}

/// Nobody but the operator.
pub(super) fn everybody() -> Everybody {
    Everybody {
        active: Vec::new(),
        frozen: Vec::new(),
        recycled: Vec::new(),
        roles: vec![role(OWN_ROLE, "operator")],
    }
}

pub(super) fn listed(number: u128, name: &str, status: UserStatus) -> ListedUser {
    ListedUser {
        uid: uid(number),
        name: name.into(),
        display_name: String::new(),
        status,
    }
}

pub(super) fn recycled(number: u128, name: &str) -> RecycledUser {
    RecycledUser {
        uid: uid(number),
        user_principal_name: format!("{name}@{ACCOUNT}.onaliyun.com"),
        recycled_at: None,
        deleted_at: None,
    }
}

pub(super) fn role(id: &str, name: &str) -> Role {
    Role {
        id: id.into(),
        name: name.into(),
        arn: String::new(),
    }
}

/// An unexpired kubeconfig of a RAM user called `named`.
pub(super) fn kubeconfig(number: u128, state: AccountState) -> ClusterKubeconfigState {
    ClusterKubeconfigState {
        account_id: number.to_string(),
        account_name: "named".into(),
        account_type: AccountType::RamUser,
        account_state: state,
        cert_state: CertState::Unexpired,
        expires_at: None,
        revokable: true,
    }
}
