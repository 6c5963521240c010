//! Which identities are findings, in which order, and how many of them a status has room for. Pure.

use super::identity::Identity;
use crate::api::{
    CertState,
    scan::{Dormancy, FINDINGS_AT_MOST, Finding, FindingBinding, FindingState, Include},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::cmp::Ordering;

/// Characters of a name that are shown.
const NAME: usize = 63;
/// Characters of a note that are shown.
const NOTE: usize = 256;

/// Whether an identity is to be looked at.
pub(super) fn is_finding(identity: &Identity, include: Include) -> bool {
    match identity.who.state {
        state if is_gone(state) => true,
        FindingState::Unknown => true,
        FindingState::Active if identity.dormancy == Dormancy::Dormant => include != Include::Deleted,
        _ => include == Include::All,
    }
}

/// Whether nobody signs in as it any more.
pub(super) fn is_gone(state: FindingState) -> bool {
    matches!(
        state,
        FindingState::Deleted | FindingState::RecycleBin | FindingState::Frozen
    )
}

/// The worst first: by state; then a dormant one before one in use; then by what it may do, and whether its kubeconfig works.
pub(super) fn worst_first(a: &Identity, b: &Identity) -> Ordering {
    let key = |one: &Identity| {
        (
            one.who.state,
            one.dormancy != Dormancy::Dormant,
            one.held.access,
            one.kubeconfig != Some(CertState::Unexpired),
            !one.has_been_here(),
            std::cmp::Reverse(one.held.total),
            one.uid,
        )
    };
    key(a).cmp(&key(b))
}

/// All of these, whole, the worst first: for whoever has room for that.
pub(super) fn whole(mut identities: Vec<Identity>) -> Vec<Finding> {
    identities.sort_by(worst_first);
    let all = identities.into_iter();
    // Each is dropped once it is one: there is no second copy of everything.
    all.map(|identity| finding(&identity, usize::MAX, usize::MAX)).collect()
}

/// As it is shown, with all its bindings that are; names and notes have so many characters at most.
fn finding(identity: &Identity, name: usize, note: usize) -> Finding {
    let held = &identity.held;
    let undecided = match held.undecided {
        0 => String::new(),
        1 => format!(
            "1 binding names a user {}-… whose suffix is not digits: whose it is, is unknown.",
            identity.uid
        ),
        n => format!(
            "{n} bindings name users {}-… whose suffix is not digits: whose they are, is unknown.",
            identity.uid
        ),
    };
    let notes: Vec<&str> = identity
        .who
        .note
        .iter()
        .map(String::as_str)
        .chain((!undecided.is_empty()).then_some(undecided.as_str()))
        .collect();
    Finding {
        uid: identity.uid.to_string(),
        type_: identity.who.type_,
        name: identity.who.name.as_deref().map(|known| cut(known, name)),
        state: identity.who.state,
        dormant: identity.dormancy,
        access: held.access,
        bindings: held
            .shown
            .iter()
            .map(|binding| FindingBinding {
                kind: binding.key.kind.as_str().to_owned(),
                namespace: binding.key.namespace.as_deref().map(|namespace| cut(namespace, name)),
                name: cut(&binding.key.name, name),
                role_ref: match binding.role_ref.split_once('/') {
                    Some((kind, role)) => format!("{kind}/{}", cut(role, name)),
                    None => cut(&binding.role_ref, name),
                },
            })
            .collect(),
        bindings_total: held.total,
        kubeconfig: identity.kubeconfig,
        last_seen: identity.last_seen.map(Time),
        offboarding: identity.dealing.as_ref().map(|dealing| dealing.name.clone()),
        note: (!notes.is_empty()).then(|| cut(&notes.join(" "), note)),
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The same in their order, but first those whom nobody can have invented: whoever may create a binding may bind any number.
pub(super) fn known_first(mut identities: Vec<&Identity>) -> Vec<&Identity> {
    // A stable sort.
    identities.sort_by_key(|identity| !identity.has_been_here());
    identities
}

/// Of more than 500, those that are looked at. The worst first.
pub(super) fn selected(identities: Vec<&Identity>) -> Vec<&Identity> {
    let mut selected = known_first(identities);
    selected.truncate(FINDINGS_AT_MOST);
    selected.sort_by(|a, b| worst_first(a, b));
    selected
}

/// The findings that are shown, and whether there are more: at most 500, and at most so many bytes of JSON. Where these do not do, the
/// last lose their bindings first, all but one, then that one; then they are left out.
pub(super) fn shown(worst_first: Vec<&Identity>, room: usize) -> (Vec<Finding>, bool) {
    let all = worst_first.len();
    let mut findings: Vec<Finding> = selected(worst_first)
        .into_iter()
        .map(|identity| finding(identity, NAME, NOTE))
        .collect();
    let mut sizes: Vec<usize> = findings.iter().map(size).collect();
    let mut total: usize = sizes.iter().sum();
    for most in [1, 0] {
        for (finding, size_of) in findings.iter_mut().zip(&mut sizes).rev() {
            if total <= room {
                break;
            }
            finding.bindings.truncate(most);
            let now = size(finding);
            total = total + now - *size_of;
            *size_of = now;
        }
    }
    while total > room
        && let Some(last) = sizes.pop()
    {
        findings.pop();
        total -= last;
    }
    let truncated = findings.len() < all;
    (findings, truncated)
}

/// Its bytes in a list of JSON.
fn size(finding: &Finding) -> usize {
    serde_json::to_vec(finding).map_or(usize::MAX / 1024, |json| json.len() + 1)
}
