//! Looks up each identity that is shown and that no listing has: a listing is some seconds old, and nobody is called deleted by it alone.

use super::{classify::Who, identity::Identity as Identified, result::ScanResult, trouble::Trouble};
use crate::{
    api::{
        CertState,
        scan::{AccountType, FindingState},
    },
    sources::{Account, QueryError, identity::Identity},
};
use alibaba_cloud::Uid;
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::HashMap, time::Duration};

/// Look-ups at a time.
const PARALLEL: usize = 4;
/// Look-ups without a pause, which is as long as they may take of the operator's calls in a minute: offboardings need some, too.
const AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_secs(20);

/// Looks them up, and takes in what has changed since the listings.
///
/// # Errors
/// When a service does not answer: the scan is not complete then.
pub(super) async fn confirm(account: &Account, result: &mut ScanResult) -> Result<(), Trouble> {
    let look_up = |uid| account.look_up(uid);
    let selected = result.selected();
    let uids = in_doubt(&selected);
    look_up_all(look_up, &uids, result, PAUSE).await
}

/// As [`confirm`], all of them, by this look-up and without a pause: for whoever makes no other calls.
///
/// # Errors
/// When a service does not answer.
pub(super) async fn confirm_all<F: Future<Output = Result<Identity, QueryError>>>(
    look_up: impl Fn(Uid) -> F,
    result: &mut ScanResult,
) -> Result<(), Trouble> {
    let all = result.worst_first();
    let uids = in_doubt(&all);
    look_up_all(look_up, &uids, result, Duration::ZERO).await
}

fn in_doubt(identities: &[&Identified]) -> Vec<Uid> {
    let in_doubt = identities.iter().filter(|identity| is_in_doubt(identity));
    in_doubt.map(|identity| identity.uid).collect()
}

async fn look_up_all<F: Future<Output = Result<Identity, QueryError>>>(
    look_up: impl Fn(Uid) -> F,
    uids: &[Uid],
    result: &mut ScanResult,
    pause: Duration,
) -> Result<(), Trouble> {
    let mut changed = HashMap::new();
    for (nth, some) in uids.chunks(AT_ONCE).enumerate() {
        if nth > 0 {
            tokio::time::sleep(pause).await;
        }
        let look_ups = stream::iter(some.to_vec()).map(|uid| {
            let asked = look_up(uid);
            async move { Ok::<_, Trouble>((uid, asked.await?)) }
        });
        let found: Vec<(Uid, Identity)> = look_ups.buffer_unordered(PARALLEL).try_collect().await?;
        changed.extend(
            found
                .into_iter()
                .filter_map(|(uid, found)| Some((uid, instead(found)?))),
        );
    }
    for identity in &mut result.identities {
        if let Some(who) = changed.remove(&identity.uid) {
            identity.who = who;
        }
    }
    Ok(())
}

/// Deleted, or unknown because no listing has it though ACK knows it: it may be new.
fn is_in_doubt(identity: &Identified) -> bool {
    match identity.who.state {
        FindingState::Deleted => true,
        FindingState::Unknown => !identity.is_listed && !matches!(identity.kubeconfig, None | Some(CertState::Absent)),
        _ => false,
    }
}

/// What the identity is instead of deleted; `None` if that is confirmed.
fn instead(found: Identity) -> Option<Who> {
    let note = |how: &str| {
        Some(format!(
            "No listing had it, but a look-up found it {how}: it may be new."
        ))
    };
    Some(match found {
        Identity::Nowhere { .. } => return None,
        Identity::User { name } => Who {
            type_: AccountType::RamUser,
            name: Some(name),
            state: FindingState::Active,
            note: note("as a RAM user"),
        },
        Identity::Role { name } => Who {
            type_: AccountType::RamRole,
            name: Some(name),
            state: FindingState::Active,
            note: note("as a RAM role"),
        },
        Identity::Recycled { name, .. } => Who {
            type_: AccountType::RamUser,
            name: Some(name),
            state: FindingState::RecycleBin,
            note: note("in the recycle bin"),
        },
        Identity::Both { user, role } => Who {
            type_: AccountType::Unknown,
            name: None,
            state: FindingState::Unknown,
            note: Some(format!("It is both RAM user {user} and RAM role {role}.")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_found_is_not_deleted() {
        let state = |found| instead(found).map(|who| who.state);
        assert_eq!(state(Identity::Nowhere { name_belongs_to: None }), None);
        assert_eq!(state(Identity::User { name: "a".into() }), Some(FindingState::Active));
        assert_eq!(state(Identity::Role { name: "a".into() }), Some(FindingState::Active));
        let recycled = Identity::Recycled {
            name: "a".into(),
            deleted_at: None,
        };
        assert_eq!(state(recycled), Some(FindingState::RecycleBin));
        let both = Identity::Both {
            user: "a".into(),
            role: "b".into(),
        };
        assert_eq!(state(both), Some(FindingState::Unknown));
    }
}
