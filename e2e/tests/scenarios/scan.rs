//! Who still has access: PermissionScans.

use crate::support::{LEAVER, TestEnv, UID, env, running};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, eventually},
    env::{ACCOUNT, CLUSTER_ID, OPERATOR_ROLE, OperatorOptions, PATIENCE, add_user, issue_kubeconfig, user},
    simulator::{
        Fault, FaultKind, Operation, PageFault, Record,
        world::{AccountState, CertificateState, Role, User},
    },
};
use ack_offboarding_operator::api::{
    CertState, PermissionScan, PermissionScanStatus,
    scan::{Access, AccountType, Dormancy, FindingState, SCAN_LABEL, SCAN_REQUESTED},
};
use k8s_openapi::{api::admissionregistration::v1::ValidatingAdmissionPolicyBinding, jiff::Timestamp};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// What `scan.propose` adds to an installation.
const PROPOSALS: &str = include_str!("../../manifests/scan-proposals.yaml");

/// Identities besides the leaver, none of whom the account has.
const OTHERS: [&str; 3] = ["259083957089437691", "259083957089437692", "259083957089437693"];

fn scans(env: &TestEnv) -> Api<PermissionScan> {
    Api::all(env.admin())
}

async fn apply(env: &TestEnv, spec: Value) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "PermissionScan", "metadata": {"name": "default"}, "spec": spec,
    });
    let params = PatchParams::apply("person").force();
    scans(env).patch("default", &params, &Patch::Apply(object)).await?;
    Ok(())
}

/// Asks for a scan now, and waits until it is dealt with.
async fn request(env: &TestEnv, value: &str) -> anyhow::Result<PermissionScanStatus> {
    let annotate = json!({"metadata": {"annotations": {SCAN_REQUESTED: value}}});
    scans(env)
        .patch("default", &PatchParams::default(), &Patch::Merge(annotate))
        .await?;
    until(env, "the request to be dealt with", |status| {
        status.last_request.as_deref() == Some(value)
    })
    .await
}

/// Waits until this is proposed: a scan is reported before anything is.
async fn until_proposed(env: &TestEnv, name: &str) -> anyhow::Result<()> {
    eventually("the proposal", PATIENCE, async || {
        Ok(env.offboardings().get_opt(name).await?.map(drop))
    })
    .await?;
    env.wait_for_state(name, "AwaitingApproval").await?;
    Ok(())
}

async fn until(
    env: &TestEnv,
    what: &str,
    is_so: impl Fn(&PermissionScanStatus) -> bool,
) -> anyhow::Result<PermissionScanStatus> {
    let outcome = eventually(what, PATIENCE, async || {
        let status = scans(env).get("default").await?.status.unwrap_or_default();
        Ok(is_so(&status).then_some(status))
    });
    match outcome.await {
        Ok(status) => Ok(status),
        Err(error) => {
            let status = scans(env).get("default").await?.status;
            let status = serde_json::to_string_pretty(&status)?;
            let log = env.operator_log();
            let tail: Vec<_> = log.lines().rev().take(25).collect();
            Err(error.context(format!("{status}\nthe operator's log, backwards:\n{}", tail.join("\n"))))
        }
    }
}

/// `Status/Reason` of a condition.
fn condition(status: &PermissionScanStatus, type_: &str) -> String {
    let found = status.conditions.iter().find(|c| c.type_ == type_);
    found.map(|c| format!("{}/{}", c.status, c.reason)).unwrap_or_default()
}

fn message(status: &PermissionScanStatus, type_: &str) -> String {
    let found = status.conditions.iter().find(|c| c.type_ == type_);
    found.map(|c| c.message.clone()).unwrap_or_default()
}

async fn until_scanned(env: &TestEnv) -> anyhow::Result<PermissionScanStatus> {
    until(env, "a whole scan", |status| {
        condition(status, "Ready") == "True/Scanned"
    })
    .await
}

async fn until_ready_is(env: &TestEnv, expected: &str) -> anyhow::Result<PermissionScanStatus> {
    until(env, expected, |status| condition(status, "Ready") == expected).await
}

/// Shows the deleted user with cluster-admin first, then who can do less; who exists is counted and not shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_administrator_is_found_first() -> anyhow::Result<()> {
    let env = running().await;
    let [viewer, binned, frozen] = OTHERS;
    env.cluster_role_binding("everything", "cluster-admin", &[user(LEAVER)])
        .await?;
    env.role_binding("team-a", "leaver", "edit", &[user(UID)]).await?;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    env.role_binding("team-a", "viewer", "view", &[user(viewer)]).await?;
    add_user(&env.sim, binned, "binned");
    env.sim.edit(|w| assert!(w.delete_user(binned)));
    env.cluster_role_binding("binned", "view", &[user(binned)]).await?;
    env.sim.edit(|w| {
        w.users.push(User {
            frozen: true,
            ..User::new(frozen, "frozen")
        });
        w.users.push(User::new("259083957089437699", "at-work"));
        w.roles.push(Role::new("359083957089437699", "ci"));
    });
    env.role_binding("team-a", "frozen", "view", &[user(frozen)]).await?;
    env.role_binding(
        "team-a",
        "at-work",
        "admin",
        &[user("259083957089437699"), user("359083957089437699")],
    )
    .await?;
    env.role_binding("team-a", "root", "view", &[user(ACCOUNT)]).await?;
    apply(&env, json!({})).await?;
    let status = until_scanned(&env).await?;

    let found: Vec<_> = status
        .findings
        .iter()
        .map(|f| (f.uid.as_str(), f.state, f.access))
        .collect();
    assert_eq!(
        found,
        [
            (UID, FindingState::Deleted, Access::ClusterAdmin),
            (viewer, FindingState::Deleted, Access::Namespaced),
            (binned, FindingState::RecycleBin, Access::ClusterWide),
            (frozen, FindingState::Frozen, Access::Namespaced),
        ]
    );
    let worst = &status.findings[0];
    assert_eq!(
        (worst.bindings_total, worst.kubeconfig),
        (2, Some(CertState::Unexpired))
    );
    let first = &worst.bindings[0];
    assert_eq!(
        (first.name.as_str(), first.role_ref.as_str()),
        ("everything", "ClusterRole/cluster-admin")
    );
    assert_eq!(worst.type_, AccountType::RamUser, "as ACK remembers it");
    assert_eq!(status.findings[2].name.as_deref(), Some("binned"));
    let counts = status.counts.expect("counts");
    assert_eq!(
        (
            counts.identities,
            counts.active,
            counts.deleted,
            counts.recycle_bin,
            counts.frozen,
            counts.root
        ),
        (7, 2, 2, 1, 1, 1)
    );
    assert_eq!(
        (counts.findings, counts.cluster_admins, counts.without_offboarding),
        (4, 1, 4)
    );
    assert_eq!(condition(&status, "FindingsPresent"), "True/Found");
    assert_eq!(condition(&status, "Stalled"), "False/None");
    let operator = status.operator.clone().expect("the operator");
    assert_eq!(operator.namespace, OPERATOR_NAMESPACE);
    // Live questions are about the deleted ones that are shown, and nobody else.
    let asked = env.sim.calls();
    let look_ups = asked.iter().filter(|call| call.operation == Operation::ImsGetUser);
    assert_eq!(look_ups.count(), 2);
    let lists = asked.iter().filter(|call| call.operation == Operation::ImsListUsers);
    assert_eq!(lists.count(), 2, "the active and the frozen");

    // The metrics tell the same, and what deals with a finding is named.
    eventually("the metrics to tell it", PATIENCE, async || {
        let metrics = env.metrics().await?;
        let deleted = "ack_offboarding_scan_identities{state=\"Deleted\"} 2";
        let tells = metrics.contains(deleted) && metrics.contains("ack_offboarding_scan_residual 4");
        Ok(tells.then_some(()))
    })
    .await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = request(&env, "once more").await?;
    assert_eq!(status.findings[0].offboarding.as_deref(), Some("left"));
    assert_eq!(status.counts.expect("counts").without_offboarding, 3);
    Ok(())
}

/// Tells from the audit log who made no request for so many days; where the log has no analytics, it calls nobody dormant, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn dormant_is_who_made_no_request() -> anyhow::Result<()> {
    let env = running().await;
    let asleep = OTHERS[0];
    for (uid, name) in [(UID, "at-work"), (asleep, "asleep")] {
        add_user(&env.sim, uid, name);
        env.cluster_role_binding(name, "view", &[user(uid)]).await?;
    }
    let two_days = Duration::from_secs(2 * 86_400);
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(two_days));
    apply(&env, json!({"include": "All", "dormantDays": 7})).await?;
    let status = until_scanned(&env).await?;
    let found: Vec<_> = status
        .findings
        .iter()
        .map(|f| (f.uid.as_str(), f.state, f.dormant, f.last_seen.is_some()))
        .collect();
    let (dormant, in_use) = (Dormancy::Dormant, Dormancy::InUse);
    assert_eq!(
        found,
        [
            (asleep, FindingState::Active, dormant, false),
            (UID, FindingState::Active, in_use, true)
        ],
        "{:?}",
        status.last_seen
    );
    let seen = status.findings[1].last_seen.as_ref().expect("a time").0;
    let ago = Timestamp::now().duration_since(seen).unsigned_abs();
    assert!(ago.abs_diff(two_days) < Duration::from_secs(600), "{seen}");
    assert_eq!(status.counts.as_ref().and_then(|counts| counts.dormant), Some(1));

    apply(&env, json!({"include": "Dormant", "dormantDays": 7})).await?;
    let status = request(&env, "the dormant").await?;
    let uids: Vec<_> = status.findings.iter().map(|finding| finding.uid.as_str()).collect();
    assert_eq!(uids, [asleep]);

    env.sim.edit(|world| {
        let logstore = world.audit_logstore_mut(CLUSTER_ID).expect("the audit log");
        let index = std::mem::take(&mut logstore.index).expect("its index");
        logstore.index = Some(index.without_analytics("user.username"));
    });
    let status = request(&env, "without analytics").await?;
    assert_eq!(status.findings.len(), 0, "nobody is called dormant");
    assert_eq!(status.counts.as_ref().and_then(|counts| counts.dormant), None);
    let why = status.last_seen.and_then(|seen| seen.not_available).expect("a reason");
    assert!(why.contains("user.username"), "{why}");
    Ok(())
}

/// Calls nobody deleted while a page came twice, or the operator's own role is not in the listing; what was found before stays, with its age.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_listing_that_is_not_whole_nobody_is_deleted() -> anyhow::Result<()> {
    let env = running().await;
    env.sim.edit(|w| {
        w.users
            .extend((0..1100).map(|n| User::new(&(260_000_000_000_000_000_u64 + n).to_string(), &format!("user-{n}"))));
    });
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    env.sim.fault(Fault::new(
        Operation::ImsListUsers,
        FaultKind::Page(PageFault::Repeated),
    ));
    apply(&env, json!({})).await?;
    let status = until_ready_is(&env, "False/ListingIncomplete").await?;
    assert_eq!(condition(&status, "FindingsPresent"), "Unknown/ListingIncomplete");
    assert_eq!((status.counts, status.findings.len()), (None, 0));
    assert!(
        message(&status, "Ready").contains("No scan was complete yet."),
        "{}",
        message(&status, "Ready")
    );

    env.sim.clear_faults();
    let whole = until_scanned(&env).await?;
    assert_eq!(whole.findings.len(), 1);

    // The list of roles is one empty page: it looks whole, and lacks the operator's own.
    env.sim
        .fault(Fault::new(Operation::RamListRoles, FaultKind::Page(PageFault::Empty)));
    request(&env, "again").await?;
    let status = until_ready_is(&env, "False/ListingIncomplete").await?;
    assert_eq!((&status.findings, status.counts), (&whole.findings, whole.counts));
    assert_eq!(status.last_scan_time, whole.last_scan_time);
    let said = message(&status, "FindingsPresent");
    assert!(
        said.contains("lacks the identity whose credentials are used")
            && said.contains("Counts and findings are those of"),
        "{said}"
    );
    Ok(())
}

/// Says so where RAM and ACK disagree: whoever RAM does not list, and ACK calls active, is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn ram_and_ack_disagree() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    env.sim.edit(|w| {
        let cluster = w.cluster_mut(CLUSTER_ID).expect("the cluster");
        let certificate = cluster.certificates.get_mut(UID).expect("a certificate");
        certificate.account_state = Some(AccountState::Active);
    });
    apply(&env, json!({})).await?;
    let status = until_scanned(&env).await?;
    let finding = &status.findings[0];
    assert_eq!(finding.state, FindingState::Unknown);
    let note = finding.note.clone().unwrap_or_default();
    assert!(note.contains("RAM does not list it, but ACK calls it active"), "{note}");
    Ok(())
}

/// Without ACK's second opinion the scan goes on, and says that it has none.
#[tokio::test(flavor = "multi_thread")]
async fn ack_says_nothing() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    env.sim.fault(Fault::new(
        Operation::CsListClusterKubeconfigStates,
        FaultKind::Custom {
            status: 403,
            code: "StatusForbidden".into(),
            message: "no".into(),
        },
    ));
    apply(&env, json!({})).await?;
    let status = until_scanned(&env).await?;
    assert_eq!(
        (status.findings[0].state, status.findings[0].kubeconfig),
        (FindingState::Deleted, None)
    );
    assert!(
        message(&status, "Ready").contains("ACK gave no second opinion"),
        "{}",
        message(&status, "Ready")
    );
    Ok(())
}

/// Nobody is called deleted by the listings of another account.
#[tokio::test(flavor = "multi_thread")]
async fn the_credentials_are_of_another_account() -> anyhow::Result<()> {
    let mut env = env().await;
    env.cluster.set_cluster_profile(CLUSTER_ID, "999").await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    apply(&env, json!({})).await?;
    let status = until_ready_is(&env, "False/WrongAccount").await?;
    assert_eq!(condition(&status, "Stalled"), "True/WrongAccount");
    assert_eq!(condition(&status, "FindingsPresent"), "Unknown/WrongAccount");
    assert_eq!((status.findings.len(), status.counts), (0, None));
    assert!(message(&status, "Ready").contains(ACCOUNT));
    Ok(())
}

/// Scans when the annotation changes, once for each value; not while it is suspended, when what was found stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_requested_and_suspended() -> anyhow::Result<()> {
    let mut env = running().await;
    apply(&env, json!({})).await?;
    let empty = until_scanned(&env).await?;
    assert_eq!(condition(&empty, "FindingsPresent"), "False/NothingFound");
    let lists = |env: &TestEnv| {
        let calls = env.sim.calls();
        calls
            .iter()
            .filter(|call| call.operation == Operation::ImsListUsers)
            .count()
    };
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    let found = request(&env, "one").await?;
    assert_eq!(found.findings.len(), 1);
    let before = lists(&env);
    // The value is remembered by the status, not by the process; and the time of the next scan, too.
    env.kill_operator();
    env.start_operator(&OperatorOptions::default()).await?;

    apply(&env, json!({"suspend": true})).await?;
    let suspended = until_ready_is(&env, "False/Suspended").await?;
    assert_eq!(suspended.findings, found.findings);
    assert_eq!(lists(&env), before, "neither the restart nor the edit made it scan");
    env.cluster_role_binding("other", "view", &[user(OTHERS[0])]).await?;
    apply(&env, json!({"suspend": false})).await?;
    let again = until(&env, "another finding", |status| status.findings.len() == 2).await?;
    assert_eq!(again.last_request.as_deref(), Some("one"));
    Ok(())
}

/// Proposes an offboarding for a deleted identity once. One that a person deletes stays declined, also after a restart, until
/// a binding of the identity changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_declined_stays_declined() -> anyhow::Result<()> {
    let mut env = running().await;
    env.cluster.apply_manifests(PROPOSALS).await?;
    let name = format!("scan-{UID}");
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    add_user(&env.sim, OTHERS[0], "binned");
    env.sim.edit(|w| assert!(w.delete_user(OTHERS[0])));
    env.cluster_role_binding("binned", "view", &[user(OTHERS[0])]).await?;
    env.cluster_role_binding("operator", "view", &[user(OPERATOR_ROLE)])
        .await?;
    apply(&env, json!({"onFinding": "Propose"})).await?;
    let status = until(&env, "a proposal", |status| {
        status.findings.iter().any(|f| f.offboarding.is_some())
    })
    .await?;
    assert_eq!(status.findings[0].offboarding.as_deref(), Some(name.as_str()));
    assert_eq!(status.proposed.keys().collect::<Vec<_>>(), [UID]);
    let all = env.offboardings().list(&ListParams::default()).await?.items;
    assert_eq!(all.len(), 1, "who is in the recycle bin may come back");
    let proposal = &all[0];
    assert_eq!(proposal.metadata.name.as_deref(), Some(name.as_str()));
    let labels = proposal.metadata.labels.clone().unwrap_or_default();
    assert_eq!(labels.get(SCAN_LABEL).map(String::as_str), Some("default"));
    until_proposed(&env, &name).await?;

    env.delete(&name).await?;
    let status = request(&env, "one").await?;
    assert_eq!(status.findings[0].offboarding, None);
    env.kill_operator();
    env.start_operator(&OperatorOptions::default()).await?;
    request(&env, "two").await?;
    assert_eq!(env.offboardings().list(&ListParams::default()).await?.items.len(), 0);

    env.role_binding("team-a", "more", "edit", &[user(UID)]).await?;
    request(&env, "three").await?;
    until_proposed(&env, &name).await?;
    Ok(())
}

/// Proposes for others where somebody has taken the name of one proposal for another UID, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_keeps_no_other_from_being_proposed() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster.apply_manifests(PROPOSALS).await?;
    let taken = format!("scan-{UID}");
    // The worst of the two: cluster-wide.
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    env.role_binding("team-a", "other", "view", &[user(OTHERS[0])]).await?;
    env.apply(&taken, json!({"uid": OTHERS[1], "mode": "DryRun"})).await?;
    apply(&env, json!({"onFinding": "Propose"})).await?;
    let status = until_ready_is(&env, "False/ProposalFailed").await?;
    until_proposed(&env, &format!("scan-{}", OTHERS[0])).await?;
    let said = message(&status, "Ready");
    assert!(said.contains(&taken) && said.contains(OTHERS[1]), "{said}");
    let remembered: Vec<_> = status.proposed.keys().collect();
    assert_eq!(remembered, [OTHERS[0]], "what was not created is not remembered");

    env.delete(&taken).await?;
    request(&env, "again").await?;
    until_proposed(&env, &taken).await?;
    Ok(())
}

/// Shows whom it knows of where somebody has made more bindings of very many UIDs than the operator reads, and says that there is more.
#[tokio::test(flavor = "multi_thread")]
async fn crowded_bindings_hide_nobody_else() -> anyhow::Result<()> {
    let env = running().await;
    let crowd: Vec<_> = (0..70)
        .map(|n| user(&(270_000_000_000_000_000_u64 + n).to_string()))
        .collect();
    for number in 0..101 {
        env.role_binding("team-a", &format!("crowd-{number}"), "view", &crowd)
            .await?;
    }
    env.cluster_role_binding("leaver", "cluster-admin", &[user(UID)])
        .await?;
    apply(&env, json!({})).await?;
    let status = until_scanned(&env).await?;
    assert_eq!(status.findings[0].uid, UID, "the worst first");
    assert_eq!(condition(&status, "FindingsPresent"), "True/Found");
    let said = message(&status, "Ready");
    assert!(
        said.contains("1 further binding of very many UIDs was left out"),
        "{said}"
    );
    Ok(())
}

/// Proposes nothing while nothing holds it to plain proposals, and does once that is back; who only looks at a plan keeps nothing back.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_policy_nothing_is_proposed() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster.apply_manifests(PROPOSALS).await?;
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(env.admin());
    let audit = Patch::Merge(json!({"spec": {"validationActions": ["Audit"]}}));
    bindings
        .patch("ack-offboarding-proposals", &PatchParams::default(), &audit)
        .await?;
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    env.apply("look", json!({"uid": UID, "mode": "DryRun"})).await?;
    apply(&env, json!({"onFinding": "Propose"})).await?;
    let status = until_ready_is(&env, "False/ProposalFailed").await?;
    let said = message(&status, "Ready");
    assert!(
        said.contains("policy ack-offboarding-proposals is not in force") && said.contains("validationActions (Audit)"),
        "{said}"
    );
    let name = format!("scan-{UID}");
    assert!(env.offboardings().get_opt(&name).await?.is_none());

    // As the message says: an apply alone leaves what others added.
    bindings
        .delete("ack-offboarding-proposals", &DeleteParams::default())
        .await?;
    env.cluster.apply_manifests(PROPOSALS).await?;
    request(&env, "again").await?;
    until_proposed(&env, &name).await?;
    Ok(())
}

/// The operator may create plain proposals, and nothing else; without `scan.propose` none at all, which the status says.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_may_propose() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster_role_binding("leaver", "view", &[user(UID)]).await?;
    apply(&env, json!({"onFinding": "Propose"})).await?;
    let status = until_ready_is(&env, "False/ProposalFailed").await?;
    assert!(
        message(&status, "Ready").contains("scan.propose"),
        "{}",
        message(&status, "Ready")
    );
    assert!(status.proposed.is_empty(), "what was not created is not remembered");
    assert_eq!(status.findings.len(), 1);

    env.cluster.apply_manifests(PROPOSALS).await?;
    let operator = env
        .cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let try_to_create = async |metadata: Value, spec: Value| {
        let object = serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": metadata, "spec": spec,
        }))?;
        let api = Api::<ack_offboarding_operator::api::UserOffboarding>::all(operator.clone());
        anyhow::Ok(
            api.create(&dry_run, &object)
                .await
                .map(drop)
                .map_err(|error| error.to_string()),
        )
    };
    let name = format!("scan-{UID}");
    let metadata = json!({"name": name, "labels": {SCAN_LABEL: "default"}});
    let plain = json!({"uid": UID, "approval": "Manual"});
    // Both the right and the policy take a moment.
    eventually("the policy to be in force", PATIENCE, async || {
        let automatic = try_to_create(metadata.clone(), json!({"uid": UID})).await?;
        let is_refused = automatic.is_err_and(|why| why.contains("waits for approval"));
        Ok((is_refused && try_to_create(metadata.clone(), plain.clone()).await?.is_ok()).then_some(()))
    })
    .await?;
    for (metadata, change) in [
        (json!({"name": "left", "labels": {SCAN_LABEL: "default"}}), json!({})),
        (json!({"name": name}), json!({})),
        (
            json!({"name": name, "labels": {SCAN_LABEL: "default", "other": "x"}}),
            json!({}),
        ),
        (metadata.clone(), json!({"enforcement": "Continuous"})),
        (metadata.clone(), json!({"identityType": "RamRole"})),
        (metadata.clone(), json!({"activityCheck": {"whenActive": "Proceed"}})),
        (metadata.clone(), json!({"names": {"include": [format!("{UID}-x")]}})),
        (
            metadata.clone(),
            json!({"approvals": [{"digest": format!("sha256:{}", "0".repeat(64))}]}),
        ),
    ] {
        let mut spec = plain.clone();
        let fields = change.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(fields);
        assert!(
            try_to_create(metadata.clone(), spec).await?.is_err(),
            "{metadata} {change}"
        );
    }
    Ok(())
}

/// An auditor asks for a scan now, and changes nothing else: the spec needs the verb configure.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_asks_for_a_scan_and_configures_none() -> anyhow::Result<()> {
    let env = running().await;
    apply(&env, json!({})).await?;
    until_scanned(&env).await?;
    let name = "auditor@example.com";
    env.cluster_role_binding("auditor", "ack-offboarding-auditor", &[user(name)])
        .await?;
    let auditor = Api::<PermissionScan>::all(env.cluster.user_client(name, &[])?);
    let patch = async |patch: Value| {
        auditor
            .patch("default", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
    };
    eventually("the role to take effect", PATIENCE, async || {
        Ok(auditor.get("default").await.ok())
    })
    .await?;
    // What is only tried changes nothing, should it be let through at first.
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    eventually("the policy to be in force", PATIENCE, async || {
        let suspend = Patch::Merge(json!({"spec": {"suspend": true}}));
        let refused = auditor.patch("default", &dry_run, &suspend).await.err();
        Ok(refused
            .filter(|error| error.to_string().contains("configure"))
            .map(drop))
    })
    .await?;
    let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "gone", "uid": "x"}]);
    assert!(patch(json!({"metadata": {"ownerReferences": owner}})).await.is_err());
    assert!(auditor.delete("default", &DeleteParams::default()).await.is_err());
    patch(json!({"metadata": {"annotations": {SCAN_REQUESTED: "by an auditor"}}})).await?;
    until(&env, "the auditor's scan", |status| {
        status.last_request.as_deref() == Some("by an auditor")
    })
    .await?;
    Ok(())
}
