//! What must be true of an identity before anything is done to it, or goes on.

use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Enforcement, IdentityType, Reason},
    offboarding::{
        facts::Facts,
        outcome::{Blocked, Requeue},
    },
    sources::identity::Identity,
};

/// Whether this identity may be touched at all.
///
/// # Errors
/// The first guard that holds.
pub(crate) fn guards(facts: &Facts) -> Result<(), Blocked> {
    let chain: [fn(&Facts) -> Option<Blocked>; 8] = [
        protected,
        caller_unknown,
        wrong_account,
        identity_unknown,
        ambiguous,
        type_mismatch,
        name_mismatch,
        access_returned,
    ];
    chain.into_iter().find_map(|guard| guard(facts)).map_or(Ok(()), Err)
}

fn protected(facts: &Facts) -> Option<Blocked> {
    let uid = &facts.uid.to_string();
    let own = |caller: &alibaba_cloud::sts::CallerIdentity| {
        [&caller.user_id, &caller.role_id]
            .into_iter()
            .flatten()
            .any(|id| id == uid)
    };
    let root = |caller: &alibaba_cloud::sts::CallerIdentity| caller.account_id == *uid;
    let why = if *uid == facts.cluster_account || facts.caller.as_ref().is_ok_and(root) {
        "it is the Alibaba Cloud account itself, whose access cannot be ended"
    } else if facts.caller.as_ref().is_ok_and(own) {
        "it is the identity that this operator runs as"
    } else if facts.protected.iter().any(|p| p == uid) {
        "it is on the operator's list of protected UIDs (--protected-uids)"
    } else {
        return None;
    };
    let so_far = facts.so_far();
    let message = format!(
        "UID {uid} is protected: {why}. {so_far} Delete this UserOffboarding. If the UID is mistyped, create one with the correct \
         UID."
    );
    Some(Blocked::recheck(Reason::ProtectedIdentity, message).about(Condition::IdentityResolved, Is::False))
}

fn caller_unknown(facts: &Facts) -> Option<Blocked> {
    let trouble = facts.caller.as_ref().err()?;
    Some(Blocked::by(trouble, facts.so_far()).about_as(Condition::IdentityResolved, Is::Unknown, Reason::LookupFailed))
}

fn wrong_account(facts: &Facts) -> Option<Blocked> {
    let caller = facts.caller.as_ref().ok()?;
    if caller.account_id == facts.cluster_account {
        return None;
    }
    let message = format!(
        "The operator's credentials belong to account {}, but cluster {} belongs to account {}: every user would look deleted. {} \
         Give the operator credentials of the cluster's account.",
        caller.account_id,
        facts.cluster_id,
        facts.cluster_account,
        facts.so_far()
    );
    Some(Blocked::recheck(Reason::WrongAccount, message).about(Condition::IdentityResolved, Is::Unknown))
}

fn identity_unknown(facts: &Facts) -> Option<Blocked> {
    let trouble = facts.identity.as_ref().err()?;
    Some(Blocked::by(trouble, facts.so_far()).about_as(Condition::IdentityResolved, Is::Unknown, Reason::LookupFailed))
}

/// A UID of two identities: what is bound to it may be either's.
fn ambiguous(facts: &Facts) -> Option<Blocked> {
    let Identity::Both { user, role } = facts.identity.as_ref().ok()? else {
        return None;
    };
    let message = format!(
        "UID {} belongs to both RAM user {user} and RAM role {role}: the operator cannot tell whose access it would remove. {} \
         Remove the access by hand, or delete one of the two identities.",
        facts.uid,
        facts.so_far()
    );
    Some(Blocked::recheck(Reason::AmbiguousIdentity, message).about(Condition::IdentityResolved, Is::False))
}

fn type_mismatch(facts: &Facts) -> Option<Blocked> {
    let uid = facts.uid;
    let message = match (facts.identity.as_ref().ok()?, facts.spec.identity_type) {
        (Identity::Role { name }, IdentityType::RamUser) => format!(
            "UID {uid} is RAM role {name}, not a RAM user. Everyone who assumes a role is the same user to Kubernetes \
             (including all CloudSSO users of an access configuration): all of them would lose access. If you want that, set identityType: \
             RamRole."
        ),
        (Identity::User { name } | Identity::Recycled { name, .. }, IdentityType::RamRole) => {
            format!("UID {uid} is RAM user {name}, not a RAM role. Remove identityType: RamRole, or correct the UID.")
        }
        _ => return None,
    };
    Some(Blocked::recheck(Reason::TypeMismatch, message).about(Condition::IdentityResolved, Is::False))
}

fn name_mismatch(facts: &Facts) -> Option<Blocked> {
    let expected = facts.spec.expected_name.as_ref()?;
    let uid = facts.uid;
    let so_far = facts.so_far();
    let message = match facts.identity.as_ref().ok()? {
        Identity::Nowhere {
            name_belongs_to: Some(other),
        } if other.parse() != Ok(uid) => format!(
            "UID {uid} is not known to RAM, and {expected} has UID {other}: the UID is probably mistyped. {so_far} Create a \
             UserOffboarding with the correct UID, or remove expectedName."
        ),
        identity => match identity.name() {
            Some(name) if name != expected => format!(
                "UID {uid} belongs to {name}, but expectedName says {expected}. {so_far} If expectedName is wrong, edit it. If \
                 the UID is wrong, delete this UserOffboarding and create a new one."
            ),
            _ => return None,
        },
    };
    Some(Blocked::recheck(Reason::NameMismatch, message).about(Condition::IdentityResolved, Is::False))
}

/// After the end, under `Once`, what returns is reported and left.
fn access_returned(facts: &Facts) -> Option<Blocked> {
    if facts.spec.enforcement == Enforcement::Continuous || facts.spec.suspend {
        return None;
    }
    let (reason, what) = facts.returned()?;
    let binding = facts.bindings.first().filter(|_| reason == Reason::BindingFound);
    let manager = binding.and_then(|binding| Some((binding, binding.managed_by.as_ref()?)));
    let (by, how) = match manager {
        Some((binding, manager)) if manager.owns => {
            let how = match binding.is_only_leavers() {
                true => format!("{}, then delete it if it is still there", manager.advice.binding),
                false => format!("{}, or, if it is not there, by hand", manager.advice.subject),
            };
            (format!(" {}", manager.relation()), how)
        }
        Some((_, writer)) => (format!(" {}", writer.relation()), "Remove it by hand".to_owned()),
        None => (String::new(), "Remove it by hand".to_owned()),
    };
    let message = format!(
        "UID {} was offboarded, but access returned: {what}.{by} {how}, or set enforcement: Continuous to have the \
         operator remove it. If access was restored on purpose, delete this UserOffboarding.",
        facts.uid
    );
    let blocked = Blocked {
        again: Requeue::Poll,
        ..Blocked::recheck(Reason::AccessReturned, message)
    };
    Some(blocked.about_as(Condition::AccessReturned, Is::True, reason))
}
