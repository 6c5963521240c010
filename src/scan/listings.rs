//! What the account's listings say, once they are known to be whole. Pure.

use super::trouble::Trouble;
use crate::{api::scan::ScanReason, sources::account::Everybody};
use alibaba_cloud::{Uid, ims::UserStatus, sts::CallerIdentity};
use std::collections::{HashMap, HashSet};

/// The reserved roles by which CloudSSO users sign in.
const CLOUD_SSO_ROLE: &str = "aliyunreservedsso-";

/// Whole listings.
#[derive(Debug)]
pub(super) struct Listings {
    /// The account's ID: its root identity.
    pub(super) account: Option<Uid>,
    pub(super) users: HashMap<Uid, (String, UserStatus)>,
    pub(super) recycled: HashMap<Uid, String>,
    pub(super) roles: HashMap<Uid, String>,
    /// Whether the caller's own identity is in them: that proves that they are the account's.
    pub(super) own_is_listed: bool,
    /// The caller's own UID.
    pub(super) own: Option<Uid>,
}

/// Puts the listings together.
///
/// # Errors
/// When the credentials are of another account, or a listing is not whole.
pub(super) fn whole(everybody: Everybody, caller: &CallerIdentity, cluster_account: &str) -> Result<Listings, Trouble> {
    is_of(&caller.account_id, cluster_account)?;
    let mut users = HashMap::new();
    for user in everybody.active.into_iter().chain(everybody.frozen) {
        let twice = users.insert(user.uid, (user.name, user.status)).is_some();
        if twice {
            return Err(Trouble::incomplete(format_args!(
                "user {} is listed twice, as an active one and as a frozen one",
                user.uid
            )));
        }
    }
    let mut recycled = HashMap::new();
    for user in everybody.recycled {
        if users.contains_key(&user.uid) {
            return Err(Trouble::incomplete(format_args!(
                "user {} is listed both as existing and in the recycle bin",
                user.uid
            )));
        }
        recycled.insert(user.uid, user.name().to_owned());
    }
    let roles: HashMap<Uid, String> = everybody
        .roles
        .into_iter()
        .filter_map(|role| Some((role.id.parse().ok()?, role.name)))
        .collect();
    let own = own_uid(caller);
    let own_is_listed = own.is_some_and(|own| users.contains_key(&own) || roles.contains_key(&own));
    if !own_is_listed && !is_in_no_listing(caller) {
        return Err(Trouble::incomplete(format_args!(
            "it lacks the identity whose credentials are used, {}",
            caller.arn
        )));
    }
    Ok(Listings {
        account: caller.account_id.parse().ok(),
        users,
        recycled,
        roles,
        own_is_listed,
        own,
    })
}

/// Whether the listings of this account are the cluster's.
///
/// # Errors
/// When they are not.
pub(super) fn is_of(listed: &str, cluster_account: &str) -> Result<(), Trouble> {
    match listed == cluster_account {
        true => Ok(()),
        false => Err(Trouble::new(
            ScanReason::WrongAccount,
            format!(
                "The credentials are of account {listed}, and the cluster belongs to account {cluster_account}: who exists there is unknown. \
                 Use credentials of the cluster's account."
            ),
        )),
    }
}

/// The UID of the user, or the ID of the role, whose credentials are used.
fn own_uid(caller: &CallerIdentity) -> Option<Uid> {
    let from_principal = || caller.principal_id.split(':').next().map(str::to_owned);
    let id = match caller.identity_type.as_str() {
        "RAMUser" => caller.user_id.clone().or_else(from_principal),
        "AssumedRoleUser" => caller.role_id.clone().or_else(from_principal),
        _ => None,
    };
    id?.parse().ok()
}

/// The account itself, and sessions of CloudSSO.
fn is_in_no_listing(caller: &CallerIdentity) -> bool {
    let role = caller.arn.split('/').nth(1).unwrap_or_default();
    caller.identity_type == "Account" || role.to_ascii_lowercase().starts_with(CLOUD_SSO_ROLE)
}

impl Listings {
    /// Whether one of them has it.
    pub(super) fn have(&self, uid: Uid) -> bool {
        self.account == Some(uid)
            || self.users.contains_key(&uid)
            || self.recycled.contains_key(&uid)
            || self.roles.contains_key(&uid)
    }

    /// The identities that nobody proposes to offboard.
    pub(super) fn untouchable(&self) -> HashSet<Uid> {
        self.account.into_iter().chain(self.own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scan::testing::{ACCOUNT, OWN_ROLE, caller, everybody, listed, recycled},
        testing::uid,
    };

    fn reason(everybody: Everybody, caller: &CallerIdentity) -> Option<ScanReason> {
        whole(everybody, caller, ACCOUNT).err().map(|trouble| trouble.reason)
    }

    #[test]
    fn listings_are_whole_only_with_the_operators_own_identity() {
        assert_eq!(reason(everybody(), &caller()), None);
        let mut without = everybody();
        without.roles.retain(|role| role.id != OWN_ROLE);
        assert_eq!(reason(without, &caller()), Some(ScanReason::ListingIncomplete));

        let mut as_user = caller();
        as_user.identity_type = "RAMUser".into();
        as_user.user_id = Some("300".into());
        assert_eq!(reason(everybody(), &as_user), Some(ScanReason::ListingIncomplete));
        let mut with = everybody();
        with.frozen.push(listed(300, "operator", UserStatus::Frozen));
        assert_eq!(reason(with, &as_user), None);
    }

    #[test]
    fn root_and_cloud_sso_are_in_no_listing() {
        let mut root = caller();
        root.identity_type = "Account".into();
        let mut sso = caller();
        sso.role_id = Some("777".into());
        sso.arn = format!("acs:ram::{ACCOUNT}:assumed-role/AliyunReservedSSO-admin/somebody");
        for caller in [root, sso] {
            let listings = whole(everybody(), &caller, ACCOUNT).unwrap();
            assert!(!listings.own_is_listed, "{caller:?}");
        }
        assert!(whole(everybody(), &caller(), ACCOUNT).unwrap().own_is_listed);
    }

    #[test]
    fn another_account_says_nothing() {
        let mut other = caller();
        other.account_id = "1999999999999999".into();
        assert_eq!(reason(everybody(), &other), Some(ScanReason::WrongAccount));
    }

    #[test]
    fn who_moves_while_it_is_listed_makes_the_listing_incomplete() {
        let mut twice = everybody();
        twice.active.push(listed(100, "a", UserStatus::Active));
        twice.frozen.push(listed(100, "a", UserStatus::Frozen));
        assert_eq!(reason(twice, &caller()), Some(ScanReason::ListingIncomplete));
        let mut binned = everybody();
        binned.active.push(listed(100, "a", UserStatus::Active));
        binned.recycled.push(recycled(100, "a"));
        assert_eq!(reason(binned, &caller()), Some(ScanReason::ListingIncomplete));
    }

    #[test]
    fn nobody_proposes_the_account_or_the_operator() {
        let listings = whole(everybody(), &caller(), ACCOUNT).unwrap();
        let untouchable = listings.untouchable();
        assert!(untouchable.contains(&uid(ACCOUNT.parse().unwrap())));
        assert!(untouchable.contains(&OWN_ROLE.parse().unwrap()));
    }
}
