//! The pure part as a whole: from what was seen to what is in the status.

use super::{
    ack_opinion::AckOpinion,
    gather::Seen,
    holdings::Holdings,
    known::Offboardings,
    last_seen::LastSeen,
    listings::whole,
    proposals::{self, Memory, Proposals},
    report::{self, Attempt},
    result::{self, ScanResult},
    testing::{ACCOUNT, OWN_ROLE, caller, everybody, kubeconfig, listed},
    trouble::Trouble,
};
use crate::{
    api::{
        OperatorStatus, PermissionScan, PermissionScanSpec, PermissionScanStatus,
        scan::{Access, FindingState, ScanReason},
    },
    rbac::{
        BindingKind, Match,
        index::Half,
        slim::{RoleRef, SlimBinding},
    },
    testing::uid,
};
use alibaba_cloud::{Uid, ack::AccountState, ims::UserStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// The first of many UIDs.
const FIRST: u128 = 200_000_000_000_000_000;

fn binding(namespace: Option<&str>, name: &str, role: &str, uid: Uid) -> SlimBinding {
    SlimBinding {
        name: name.into(),
        namespace: namespace.map(str::to_owned),
        resource_version: None,
        uids: [(uid, Match::User)].into(),
        role: RoleRef {
            kind: "ClusterRole".into(),
            name: role.into(),
        },
        nonce: None,
    }
}

/// A cluster with these bindings, in which these users exist.
fn seen(bindings: &[SlimBinding], active: &[u128]) -> Seen {
    let mut holdings = Holdings::default();
    for kind in [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding] {
        let mut half = Half::new(kind);
        let of_kind = bindings
            .iter()
            .filter(|b| b.namespace.is_some() == (kind == BindingKind::RoleBinding));
        of_kind.for_each(|binding| half.apply(binding));
        half.iter().for_each(|kept| holdings.take(kind, kept));
    }
    let mut all = everybody();
    all.active.extend(
        active
            .iter()
            .map(|number| listed(*number, "somebody", UserStatus::Active)),
    );
    Seen {
        holdings,
        listings: Arc::new(whole(all, &caller(), ACCOUNT).unwrap()),
        ack: AckOpinion::of(Vec::new()),
        offboardings: Offboardings::default(),
        last_seen: LastSeen::NotAvailable("no analytics".into()),
    }
}

fn spec(spec: Value) -> PermissionScanSpec {
    serde_json::from_value(spec).unwrap()
}

fn now() -> Timestamp {
    "2026-01-08T00:00:00Z".parse().unwrap()
}

fn attempt() -> Attempt {
    Attempt {
        generation: Some(1),
        operator: OperatorStatus {
            namespace: "ack-offboarding-system".into(),
            version: "0".into(),
        },
        request: None,
        now: now(),
        again: Duration::from_secs(86_400),
    }
}

fn status_of(result: &ScanResult, proposals: Option<&Proposals>) -> PermissionScanStatus {
    let mut status = PermissionScanStatus::default();
    report::complete(&mut status, &attempt(), result, proposals);
    status
}

fn condition(status: &PermissionScanStatus, type_: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|c| c.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn assemble(seen: &Seen, spec: &PermissionScanSpec, now: Timestamp) -> ScanResult {
    result::assemble(seen, spec.include, spec.dormant_days, now)
}

#[test]
fn the_worst_comes_first() {
    let [admin, admin_without, wide, active] = [1, 2, 3, 4].map(|n| FIRST + n);
    let mut seen = seen(
        &[
            binding(None, "wide", "view", uid(wide)),
            binding(None, "admin", "cluster-admin", uid(admin)),
            binding(None, "admin-without", "cluster-admin", uid(admin_without)),
            binding(None, "active", "cluster-admin", uid(active)),
            binding(Some("a"), "root", "view", ACCOUNT.parse().unwrap()),
        ],
        &[active],
    );
    seen.ack = AckOpinion::of(vec![kubeconfig(admin, AccountState::Deleted)]);
    let result = assemble(&seen, &spec(json!({})), now());
    let status = status_of(&result, None);
    let order: Vec<_> = status.findings.iter().map(|f| f.uid.parse::<u128>().unwrap()).collect();
    assert_eq!(order, [admin, admin_without, wide]);
    assert_eq!(status.findings[0].access, Access::ClusterAdmin);
    let counts = status.counts.unwrap();
    assert_eq!(
        (counts.identities, counts.deleted, counts.active, counts.root),
        (5, 3, 1, 1)
    );
    assert_eq!(
        (counts.findings, counts.cluster_admins, counts.without_offboarding),
        (3, 2, 3)
    );
    assert_eq!(counts.dormant, None, "never guessed");
    assert_eq!(condition(&status, "FindingsPresent").0, "True");
    assert_eq!(condition(&status, "Ready").1, "Scanned");
    // All: who exists comes after, the account itself last.
    let all = status_of(&assemble(&seen, &spec(json!({"include": "All"})), now()), None);
    let states: Vec<_> = all.findings.iter().map(|f| f.state).collect();
    assert_eq!(states[3..], [FindingState::Active, FindingState::Root]);
}

#[test]
fn ten_thousand_identities_of_which_five_hundred_are_gone_fit() {
    let longest = |n: u128| format!("{n:05}{}", "x".repeat(248));
    let mut bindings = Vec::new();
    let mut active = Vec::new();
    for n in 0..10_000 {
        let number = FIRST + n;
        if n >= 500 {
            active.push(number);
        }
        for kind in 0..4_u128 {
            let name = longest(10 * n + kind);
            bindings.push(binding(Some(&"n".repeat(63)), &name, &longest(kind), uid(number)));
        }
    }
    let mut seen = seen(&bindings, &active);
    seen.ack = AckOpinion::of(
        (0..500)
            .map(|n| {
                let mut state = kubeconfig(FIRST + n, AccountState::Deleted);
                state.account_name = "名".repeat(64);
                state
            })
            .collect(),
    );
    let result = assemble(&seen, &spec(json!({})), now());
    // The worst case: as much as is ever remembered.
    let memory: Memory = (0..1000)
        .map(|n| ((FIRST * 100 + n).to_string(), "f".repeat(32)))
        .collect();
    let remembering = Proposals {
        memory,
        ..Proposals::default()
    };
    for proposals in [None, Some(&remembering)] {
        let status = status_of(&result, proposals);
        let counts = status.counts.unwrap();
        assert_eq!((counts.identities, counts.active, counts.deleted), (10_000, 9500, 500));
        assert_eq!((counts.findings, counts.without_offboarding), (500, 500));
        let bytes = serde_json::to_vec(&status).unwrap().len();
        assert!(bytes < 240 << 10, "{bytes}");
        assert!(status.findings.iter().all(|f| f.bindings_total == 4));
        let names = status
            .findings
            .iter()
            .flat_map(|f| &f.bindings)
            .map(|b| b.name.chars().count());
        assert!(names.max().unwrap() <= 63);
        // Without a thousand proposals to remember, all of them are shown.
        if proposals.is_none() {
            assert_eq!((status.findings.len(), status.truncated), (500, false));
            assert!(!status.findings[0].bindings.is_empty());
        }
    }
}

#[test]
fn more_than_five_hundred_findings_are_counted_and_not_shown() {
    let bindings: Vec<_> = (0..700)
        .map(|n| binding(None, &format!("b{n}"), "view", uid(FIRST + n)))
        .collect();
    let status = status_of(&assemble(&seen(&bindings, &[]), &spec(json!({})), now()), None);
    assert_eq!((status.findings.len(), status.truncated), (500, true));
    assert_eq!(status.counts.unwrap().findings, 700);
    assert!(
        condition(&status, "FindingsPresent")
            .2
            .contains("The worst 500 are shown.")
    );
}

#[test]
fn a_scan_that_is_not_complete_keeps_the_last_findings_and_their_age() {
    let seen = seen(&[binding(None, "b", "view", uid(FIRST))], &[]);
    let mut status = status_of(&assemble(&seen, &spec(json!({})), now()), None);
    let before = status.clone();
    let mut later = attempt();
    later.now = "2026-01-09T00:00:00Z".parse().unwrap();
    report::failed(&mut status, &later, &Trouble::incomplete("page 2 came twice"));
    assert_eq!((&status.findings, status.counts), (&before.findings, before.counts));
    assert_eq!(status.last_scan_time, before.last_scan_time);
    let (is, reason, message) = condition(&status, "FindingsPresent");
    assert_eq!((is.as_str(), reason.as_str()), ("Unknown", "ListingIncomplete"));
    assert!(
        message.contains("page 2 came twice") && message.contains("those of 2026-01-08T00:00:00Z"),
        "{message}"
    );
    assert_eq!(condition(&status, "Stalled").0, "False");
    assert_eq!(condition(&status, "Reconciling").0, "True");

    report::failed(
        &mut status,
        &later,
        &Trouble::new(ScanReason::WrongAccount, "Another account."),
    );
    assert_eq!(condition(&status, "Stalled").0, "True");
    assert_eq!(condition(&status, "Reconciling").0, "False");
}

fn choose(result: &ScanResult, own: &Memory) -> Proposals {
    let spec = spec(json!({"onFinding": "Propose", "maxProposals": 2}));
    proposals::choose(result, &spec, "default", own, &[], &HashSet::new())
}

#[test]
fn what_was_declined_stays_declined_until_the_bindings_change() {
    let one = binding(None, "one", "view", uid(FIRST));
    let scan = |bindings: &[SlimBinding]| assemble(&seen(bindings, &[]), &spec(json!({})), now());
    let first = choose(&scan(std::slice::from_ref(&one)), &Memory::new());
    assert_eq!(
        (first.uids.as_slice(), first.memory.len()),
        ([uid(FIRST)].as_slice(), 1)
    );
    // A person deleted it: there is none any more.
    let again = choose(&scan(std::slice::from_ref(&one)), &first.memory);
    assert!(again.uids.is_empty());
    assert_eq!(again.memory, first.memory);
    let more = [one.clone(), binding(Some("a"), "two", "view", uid(FIRST))];
    assert_eq!(choose(&scan(&more), &first.memory).uids, [uid(FIRST)]);
    // All of it was taken away, and came back.
    let nothing = choose(&scan(&[]), &first.memory);
    assert!(nothing.memory.is_empty());
    assert_eq!(
        choose(&scan(std::slice::from_ref(&one)), &nothing.memory).uids,
        [uid(FIRST)]
    );
    // Another scan remembers it.
    let result = scan(std::slice::from_ref(&one));
    let propose = spec(json!({"onFinding": "Propose"}));
    let others = proposals::choose(
        &result,
        &propose,
        "other",
        &Memory::new(),
        &[first.memory],
        &HashSet::new(),
    );
    assert!(others.uids.is_empty());
}

#[test]
fn only_the_deleted_are_proposed_and_only_as_many_as_may_be_open() {
    let numbers: Vec<u128> = (0..5).map(|n| FIRST + n).collect();
    let mut bindings: Vec<_> = numbers
        .iter()
        .map(|number| binding(None, &number.to_string(), "view", uid(*number)))
        .collect();
    bindings.push(binding(None, "own", "cluster-admin", OWN_ROLE.parse().unwrap()));
    bindings.push(binding(None, "root", "cluster-admin", ACCOUNT.parse().unwrap()));
    // The last one exists; the first is protected.
    let seen = seen(&bindings, &[numbers[4]]);
    let mut result = assemble(&seen, &spec(json!({})), now());
    let propose = spec(json!({"onFinding": "Propose", "maxProposals": 2}));
    let protected = HashSet::from([uid(numbers[0])]);
    let chosen = proposals::choose(&result, &propose, "default", &Memory::new(), &[], &protected);
    assert_eq!(chosen.uids, [uid(numbers[1]), uid(numbers[2])]);
    assert_eq!(chosen.waiting, 1);
    result.open = [("default".to_owned(), 2)].into();
    assert!(choose(&result, &Memory::new()).uids.is_empty());
    result.open = [("another".to_owned(), 2)].into();
    assert_eq!(choose(&result, &Memory::new()).uids.len(), 2);
}

#[test]
fn a_proposal_that_failed_is_not_remembered() {
    let bindings: Vec<_> = (0..2)
        .map(|n| binding(None, &format!("b{n}"), "view", uid(FIRST + n)))
        .collect();
    let result = assemble(&seen(&bindings, &[]), &spec(json!({})), now());
    let chosen = choose(&result, &Memory::new());
    let mut status = status_of(&result, Some(&chosen));
    assert_eq!(status.proposed.len(), 2);
    let (created, failed) = chosen.uids.split_at(1);
    let trouble = Trouble::new(ScanReason::ProposalFailed, "Refused.");
    report::proposed(
        &mut status,
        &attempt(),
        created,
        Some((failed, &trouble)),
        &BTreeMap::new(),
    );
    assert_eq!(status.proposed.keys().collect::<Vec<_>>(), [&created[0].to_string()]);
    assert_eq!(
        status.findings[0].offboarding.as_deref(),
        Some("scan-200000000000000000")
    );
    assert_eq!(status.counts.unwrap().without_offboarding, 1);
    assert_eq!(condition(&status, "Ready").1, "ProposalFailed");
}

#[test]
fn an_empty_spec_is_a_whole_one() {
    let object = PermissionScan::new("default", spec(json!({})));
    assert_eq!(object.name_any(), "default");
    assert_eq!(object.spec.interval(), Duration::from_secs(86_400));
}
