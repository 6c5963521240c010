//! What the guards hold.

use super::super::*;
use super::trouble;
use crate::{
    api::{CertState, Enforcement, IdentityType, KubeconfigStatus},
    offboarding::testing::{self, after, holder},
    sources::identity::Identity,
};

fn held(facts: &Facts) -> Option<(Reason, bool)> {
    guards(facts)
        .err()
        .map(|blocked| (blocked.reason, blocked.is_stalled()))
}

#[test]
fn each_guard_holds_what_it_is_for() {
    type Change = fn(&mut Facts);
    /// Ready's reason, and whether it is stalled; `None` if nothing holds.
    type Held = Option<(Reason, bool)>;
    let cases: [(&str, Change, Held); 17] = [
        ("nothing in the way", |_| {}, None),
        (
            "root by the cluster",
            |f| f.uid = "1".parse().unwrap(),
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "root by the caller",
            |f| {
                f.cluster_account = "2".into();
                f.uid = "1".parse().unwrap();
            },
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "the operator's role",
            |f| f.uid = "9".parse().unwrap(),
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "on the list",
            |f| f.protected = vec!["100".into()],
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "on the list, while nobody answers",
            |f| {
                f.protected = vec!["100".into()];
                f.caller = Err(trouble(false));
            },
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "STS fails",
            |f| f.caller = Err(trouble(false)),
            Some((Reason::LookupFailed, false)),
        ),
        (
            "STS forbids",
            |f| f.caller = Err(trouble(true)),
            Some((Reason::Forbidden, true)),
        ),
        (
            "another account",
            |f| f.cluster_account = "2".into(),
            Some((Reason::WrongAccount, true)),
        ),
        (
            "the lookup fails",
            |f| f.identity = Err(trouble(false)),
            Some((Reason::LookupFailed, false)),
        ),
        (
            "the lookup is forbidden",
            |f| f.identity = Err(trouble(true)),
            Some((Reason::Forbidden, true)),
        ),
        (
            "a role unasked",
            |f| f.identity = Ok(Identity::Role { name: "r".into() }),
            Some((Reason::TypeMismatch, true)),
        ),
        (
            "a user and a role",
            |f| {
                f.identity = Ok(Identity::Both {
                    user: "u".into(),
                    role: "r".into(),
                });
            },
            Some((Reason::AmbiguousIdentity, true)),
        ),
        (
            "a user for a role",
            |f| f.spec.identity_type = IdentityType::RamRole,
            Some((Reason::TypeMismatch, true)),
        ),
        (
            "another name",
            |f| f.spec.expected_name = Some("x".into()),
            Some((Reason::NameMismatch, true)),
        ),
        (
            "the name is another's",
            |f| {
                f.spec.expected_name = Some("x".into());
                f.identity = Ok(Identity::Nowhere {
                    name_belongs_to: Some("200".into()),
                });
            },
            Some((Reason::NameMismatch, true)),
        ),
        (
            "deleted, name unknown",
            |f| {
                f.spec.expected_name = Some("x".into());
                f.identity = Ok(Identity::Nowhere { name_belongs_to: None });
            },
            None,
        ),
    ];
    for (what, change, expected) in cases {
        let mut facts = holder();
        change(&mut facts);
        assert_eq!(held(&facts), expected, "{what}");
    }
}

#[test]
fn access_that_returns_holds_under_once_only() {
    let mut facts = holder();
    facts.status.completed_at = Some(after(&facts, -10));
    assert_eq!(held(&facts), Some((Reason::AccessReturned, true)));
    facts.spec.enforcement = Enforcement::Continuous;
    assert_eq!(held(&facts), None);
    facts.spec.enforcement = Enforcement::Once;
    facts.bindings.clear();
    assert_eq!(held(&facts), None);
    facts.status.kubeconfig = Some(KubeconfigStatus::of(CertState::Removed));
    facts.kubeconfig = Ok(CertState::Unexpired);
    let blocked = guards(&facts).unwrap_err();
    assert_eq!(blocked.about.unwrap().2, Reason::KubeconfigReissued);
}

#[test]
fn a_kubeconfig_returns_only_if_it_was_gone() {
    let reported = |state, purged_at| {
        Some(KubeconfigStatus {
            purged_at,
            ..KubeconfigStatus::of(state)
        })
    };
    let mut facts = testing::facts();
    facts.status.completed_at = Some(after(&facts, -10));
    facts.kubeconfig = Ok(CertState::Unexpired);
    facts.status.kubeconfig = reported(CertState::Unexpired, None);
    assert_eq!(held(&facts), None, "Keep was edited to Purge");
    for before in [CertState::Absent, CertState::Removed, CertState::Unissued] {
        facts.status.kubeconfig = reported(before, None);
        assert_eq!(held(&facts), Some((Reason::AccessReturned, true)), "{before:?}");
    }
    facts.status.kubeconfig = reported(CertState::Unknown, Some(after(&facts, -20)));
    assert_eq!(held(&facts), Some((Reason::AccessReturned, true)), "it was purged");
    facts.kubeconfig = Ok(CertState::Unknown);
    assert_eq!(held(&facts), None, "Unknown is no news");

    facts.kubeconfig = Ok(CertState::Unexpired);
    facts.status.kubeconfig = reported(CertState::Unexpired, None);
    let told = after(&facts, -3);
    if let Some(kubeconfig) = &mut facts.status.kubeconfig {
        kubeconfig.reissued_at = Some(told);
    }
    assert_eq!(held(&facts), Some((Reason::AccessReturned, true)), "it was told before");
}
