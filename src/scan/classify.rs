//! Whether an identity still exists, by all that was listed. Pure.

use super::{
    ack_opinion::{self, AckOpinion},
    listings::Listings,
};
use crate::api::scan::{AccountType, FindingState};
use alibaba_cloud::{
    Uid,
    ack::{self, AccountState},
    ims::UserStatus,
};

/// RAM's UIDs have 15 digits at least; those of the account have 16.
const SHORTEST_UID: usize = 15;

/// Who a UID is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Who {
    pub(super) type_: AccountType,
    pub(super) name: Option<String>,
    pub(super) state: FindingState,
    /// What else should be known.
    pub(super) note: Option<String>,
}

/// Judges a UID. It is called deleted only if it is in none of the listings, which are whole, and nothing speaks against it.
pub(super) fn classify(uid: Uid, listings: &Listings, ack: &AckOpinion) -> Who {
    let user = listings.users.get(&uid);
    let role = listings.roles.get(&uid);
    let opinion = ack.on(uid);
    let says = opinion.map_or(AccountState::Unknown, |opinion| opinion.account_state);
    let who = |type_, name: Option<&String>, state, note| Who {
        type_,
        name: name.filter(|name| !name.is_empty()).cloned(),
        state,
        note,
    };
    let disagrees = |ram: &str, agreeing: &[AccountState]| {
        let agrees = says == AccountState::Unknown || agreeing.contains(&says);
        (!agrees).then(|| {
            format!(
                "RAM and ACK disagree: {ram}, but ACK calls it {}.",
                ack_opinion::describe(says)
            )
        })
    };
    if listings.account == Some(uid) {
        return who(AccountType::Root, None, FindingState::Root, None);
    }
    if let (Some((user, _)), Some(role)) = (user, role) {
        let note = format!("It is both RAM user {user} and RAM role {role}: whose the access is, is unknown.");
        return who(AccountType::Unknown, None, FindingState::Unknown, Some(note));
    }
    if let Some((name, status)) = user {
        let (state, word, agreeing) = match status {
            UserStatus::Active => (FindingState::Active, "active", AccountState::Active),
            UserStatus::Frozen => (FindingState::Frozen, "frozen", AccountState::InActive),
        };
        let note = disagrees(&format!("RAM lists it as {word}"), &[agreeing]);
        return who(AccountType::RamUser, Some(name), state, note);
    }
    if let Some(name) = listings.recycled.get(&uid) {
        // What ACK calls a user in the recycle bin is not documented.
        let note = disagrees(
            "RAM has it in the recycle bin",
            &[AccountState::Deleted, AccountState::InActive],
        );
        return who(AccountType::RamUser, Some(name), FindingState::RecycleBin, note);
    }
    if let Some(name) = role {
        let note = disagrees("RAM lists it as a role", &[AccountState::Active]);
        return who(AccountType::RamRole, Some(name), FindingState::Active, note);
    }
    let type_ = opinion.map_or(AccountType::Unknown, ack_opinion::account_type);
    // Of a user, ACK has the name for signing in.
    let name = opinion
        .and_then(|opinion| opinion.account_name.split('@').next())
        .map(str::to_owned);
    let name = name.as_ref();
    if opinion.is_some_and(|opinion| opinion.account_type == ack::AccountType::RootAccount) {
        let note = "ACK calls it an Alibaba Cloud account, but it is not the cluster's.".to_owned();
        return who(type_, name, FindingState::Unknown, Some(note));
    }
    if let Some(note) = disagrees("RAM does not list it", &[AccountState::Deleted]) {
        return who(type_, name, FindingState::Unknown, Some(note));
    }
    if !listings.own_is_listed && says != AccountState::Deleted {
        let note = "RAM does not list it; but neither does it list the account itself and CloudSSO sessions, whose credentials are \
                    used here, and ACK does not call it deleted."
            .to_owned();
        return who(type_, name, FindingState::Unknown, Some(note));
    }
    if uid.to_string().len() < SHORTEST_UID {
        let note = "It is shorter than a UID of RAM: it is probably a user of something else.".to_owned();
        return who(type_, name, FindingState::Unknown, Some(note));
    }
    who(type_, name, FindingState::Deleted, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scan::{
            listings::whole,
            testing::{ACCOUNT, caller, everybody, kubeconfig, listed, recycled, role},
        },
        testing::uid,
    };

    const DELETED: u128 = 259_083_957_089_437_690;

    fn listings(own_is_listed: bool) -> Listings {
        let mut all = everybody();
        all.active.push(listed(100, "active", UserStatus::Active));
        all.frozen.push(listed(200, "frozen", UserStatus::Frozen));
        all.recycled.push(recycled(300, "binned"));
        all.roles.push(role("400", "role"));
        all.active.push(listed(500, "both", UserStatus::Active));
        all.roles.push(role("500", "both-role"));
        let mut caller = caller();
        if !own_is_listed {
            caller.identity_type = "Account".into();
        }
        whole(all, &caller, ACCOUNT).unwrap()
    }

    fn silent() -> AckOpinion {
        AckOpinion::Silent("forbidden".into())
    }

    fn says(number: u128, state: AccountState) -> AckOpinion {
        AckOpinion::of(vec![kubeconfig(number, state)])
    }

    #[test]
    fn each_listing_gives_a_state() {
        let listings = listings(true);
        let account = ACCOUNT.parse().unwrap();
        for (number, type_, name, state) in [
            (100, AccountType::RamUser, Some("active"), FindingState::Active),
            (200, AccountType::RamUser, Some("frozen"), FindingState::Frozen),
            (300, AccountType::RamUser, Some("binned"), FindingState::RecycleBin),
            (400, AccountType::RamRole, Some("role"), FindingState::Active),
            (500, AccountType::Unknown, None, FindingState::Unknown),
            (account, AccountType::Root, None, FindingState::Root),
            (DELETED, AccountType::Unknown, None, FindingState::Deleted),
        ] {
            for opinion in [silent(), AckOpinion::of(Vec::new())] {
                let who = classify(uid(number), &listings, &opinion);
                assert_eq!(
                    (who.type_, who.name.as_deref(), who.state),
                    (type_, name, state),
                    "{number}"
                );
            }
        }
    }

    #[test]
    fn two_sources_that_disagree_are_said_to_and_nobody_is_called_deleted_by_one() {
        let listings = listings(true);
        for (number, ack, state, words) in [
            (
                100,
                AccountState::Deleted,
                FindingState::Active,
                "RAM lists it as active, but ACK calls it deleted",
            ),
            (
                100,
                AccountState::InActive,
                FindingState::Active,
                "but ACK calls it frozen",
            ),
            (
                200,
                AccountState::Active,
                FindingState::Frozen,
                "RAM lists it as frozen, but ACK calls it active",
            ),
            (
                300,
                AccountState::Active,
                FindingState::RecycleBin,
                "in the recycle bin, but ACK calls it active",
            ),
            (
                400,
                AccountState::Deleted,
                FindingState::Active,
                "as a role, but ACK calls it deleted",
            ),
            (
                DELETED,
                AccountState::Active,
                FindingState::Unknown,
                "does not list it, but ACK calls it active",
            ),
            (
                DELETED,
                AccountState::InActive,
                FindingState::Unknown,
                "does not list it, but ACK calls it frozen",
            ),
        ] {
            let who = classify(uid(number), &listings, &says(number, ack));
            assert_eq!(who.state, state, "{number} {ack:?}");
            let note = who.note.unwrap_or_default();
            assert!(note.contains(words), "{number} {ack:?}: {note}");
        }
        for (number, ack) in [
            (100, AccountState::Active),
            (200, AccountState::InActive),
            (300, AccountState::Deleted),
            (DELETED, AccountState::Deleted),
            (DELETED, AccountState::Unknown),
        ] {
            assert_eq!(
                classify(uid(number), &listings, &says(number, ack)).note,
                None,
                "{number}"
            );
        }
    }

    #[test]
    fn with_credentials_that_are_in_no_listing_ack_must_agree() {
        let listings = listings(false);
        let state = |ack: &AckOpinion| classify(uid(DELETED), &listings, ack).state;
        assert_eq!(state(&silent()), FindingState::Unknown);
        assert_eq!(state(&AckOpinion::of(Vec::new())), FindingState::Unknown);
        assert_eq!(state(&says(DELETED, AccountState::Unknown)), FindingState::Unknown);
        assert_eq!(state(&says(DELETED, AccountState::Active)), FindingState::Unknown);
        assert_eq!(state(&says(DELETED, AccountState::Deleted)), FindingState::Deleted);
    }

    #[test]
    fn another_account_and_a_number_that_is_no_uid_are_said_to_be() {
        let listings = listings(true);
        let mut root = kubeconfig(DELETED, AccountState::Active);
        root.account_type = ack::AccountType::RootAccount;
        let who = classify(uid(DELETED), &listings, &AckOpinion::of(vec![root]));
        assert_eq!((who.type_, who.state), (AccountType::Root, FindingState::Unknown));
        let who = classify(uid(1001), &listings, &silent());
        assert_eq!(who.state, FindingState::Unknown);
        assert!(who.note.unwrap_or_default().contains("shorter"));
    }

    #[test]
    fn what_ack_remembers_of_a_deleted_one_is_its_name_and_type() {
        let who = classify(uid(DELETED), &listings(true), &says(DELETED, AccountState::Deleted));
        assert_eq!((who.type_, who.name.as_deref()), (AccountType::RamUser, Some("named")));
    }
}
