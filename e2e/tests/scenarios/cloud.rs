//! The cloud does not answer as it should: each operation that is called, with each thing that goes wrong.

use crate::credentials::rrsa;
use crate::sight::{self, sees, sees_text};
use crate::support::{
    TestEnv, UID, assert_conditions, assert_gone, assert_stalled, assert_untouched, assert_waiting, env, give_access,
    message, purges,
};
use ack_offboarding_e2e::{
    env::{OperatorOptions, kubeconfig_state, state},
    simulator::{Fault, FaultKind, Hint, Operation, Throttle, world::CertificateState},
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use serde_json::{Value, json};
use std::time::Duration;

/// What is seen while an operation fails.
#[derive(Clone, Copy)]
struct Seen {
    /// Ready's reason; another one after a 403.
    reason: &'static str,
    reason_if_forbidden: &'static str,
    /// The condition that tells about it, as `Status/Reason`; likewise.
    about: &'static str,
    condition: &'static str,
    condition_if_forbidden: &'static str,
    /// Whether the bindings are gone by then.
    bindings_gone: bool,
}

/// Nothing is known about the identity.
const NOBODY_KNOWN: Seen = Seen {
    reason: "LookupFailed",
    reason_if_forbidden: "Forbidden",
    about: "IdentityResolved",
    condition: "Unknown/LookupFailed",
    condition_if_forbidden: "Unknown/LookupFailed",
    bindings_gone: false,
};

/// It is not known whether they are active.
const LOG_SILENT: Seen = Seen {
    reason: "WaitingForInactivity",
    reason_if_forbidden: "WaitingForInactivity",
    about: "Inactive",
    condition: "Unknown/QueryFailed",
    condition_if_forbidden: "Unknown/QueryFailed",
    bindings_gone: false,
};

/// The kubeconfig's state is not known: the bindings go all the same.
const STATE_UNKNOWN: Seen = Seen {
    about: "KubeconfigPurged",
    condition_if_forbidden: "False/Forbidden",
    bindings_gone: true,
    ..NOBODY_KNOWN
};

/// The purge is not done, or its answer is lost.
const NOT_PURGED: Seen = Seen {
    reason: "NotConfirmed",
    condition: "Unknown/NotConfirmed",
    ..STATE_UNKNOWN
};

/// What goes wrong with every operation alike: its name, what a message says of it, and the fault. No two that follow one
/// another say the same, so that each is seen.
fn troubles(operation: Operation) -> [(&'static str, &'static str, FaultKind); 9] {
    let sls = operation.service().name() == "sls";
    let throttle = |hint| {
        let throttle = if sls { Throttle::read_quota() } else { Throttle::user() };
        FaultKind::Throttled(throttle.hint(hint))
    };
    [
        ("refused with 403", "forbidden", FaultKind::Forbidden),
        ("throttled", "throttled", throttle(Hint::None)),
        (
            "an error of the server",
            "the service failed",
            FaultKind::ServerError(503),
        ),
        (
            "throttled, with x-ratelimit-user-api",
            "throttled",
            throttle(Hint::TimeLeft(40)),
        ),
        ("no answer, ever", "no answer in time", FaultKind::Hang),
        (
            "throttled, with x-acs-retry-after",
            "throttled",
            throttle(Hint::RetryAfter(40)),
        ),
        ("the connection is cut", "no connection", FaultKind::CutBefore),
        ("a page of HTML", "it is HTML", FaultKind::Html(200)),
        ("an answer with nothing in it", "it is empty", FaultKind::EmptyBody),
    ]
}

/// Quick looks, and little patience with the cloud: its calls take milliseconds here.
fn options() -> OperatorOptions {
    let flags = ["--recheck-interval=300ms", "--backoff=300ms", "--cloud-timeout=250ms"];
    flags.iter().fold(OperatorOptions::default(), |o, flag| o.flag(flag))
}

/// One operation, in trouble of every kind.
struct Matrix {
    operation: Operation,
    seen: Seen,
    options: OperatorOptions,
    /// Whether the UID holds anything here.
    holds: bool,
    spec: Value,
}

impl Matrix {
    fn new(operation: Operation, seen: Seen) -> Self {
        Matrix {
            operation,
            seen,
            options: options(),
            holds: true,
            spec: json!({"uid": UID}),
        }
    }

    /// One object meets all troubles, one after the other, so that each is left by a look that nobody asked for; when there
    /// is none any more, it comes to its end. Returns what was seen.
    async fn run(self, env: &mut TestEnv) -> anyhow::Result<String> {
        let mut text = String::new();
        if self.holds {
            give_access(env).await?;
        }
        for (number, (name, says, kind)) in troubles(self.operation).into_iter().enumerate() {
            let harmless = self.operation == Operation::CsCleanClusterUserPermissions && says == "it is empty";
            let forbidden = matches!(kind, FaultKind::Forbidden);
            env.sim.fault_instead(Fault::new(self.operation, kind));
            if number == 0 {
                env.start_operator(&self.options).await?;
                env.apply("left", self.spec.clone()).await?;
            }
            if harmless {
                // ACK promises no body. The fault stays until the end.
                let status = self.at_the_end(env).await?;
                text.push_str(&format!("# {name}\n{}", brief(&status, self.seen.about)));
                return Ok(text);
            }
            let status = self.in_trouble(env, says, forbidden).await?;
            sight::record(&env.offboardings().get("left").await?)?;
            text.push_str(&format!("# {name}\n{}", brief(&status, self.seen.about)));
        }
        env.sim.clear_faults();
        self.at_the_end(env).await?;
        Ok(text)
    }

    async fn in_trouble(&self, env: &TestEnv, says: &str, forbidden: bool) -> anyhow::Result<UserOffboardingStatus> {
        let Seen {
            reason,
            reason_if_forbidden,
            about,
            condition,
            condition_if_forbidden,
            bindings_gone,
        } = self.seen;
        let (reason, condition) = match forbidden {
            true => (reason_if_forbidden, condition_if_forbidden),
            false => (reason, condition),
        };
        let operation = name_of(self.operation);
        let is_told = |s: &UserOffboardingStatus| {
            let text = message(s, "Ready");
            state(s) == reason && text.contains(operation) && text.contains(says)
        };
        let status = env
            .wait_for("left", &format!("{reason}: {operation}: {says}"), is_told)
            .await?;
        match reason {
            "Forbidden" => assert_stalled(&status, reason),
            _ => assert_waiting(&status, reason),
        }
        assert_conditions(&status, &[(about, condition)]);
        if self.holds && !bindings_gone {
            assert_untouched(env).await?;
        }
        if bindings_gone {
            assert_conditions(
                &status,
                &[("BindingsRemoved", "True/Removed"), ("BackedUp", "True/Stored")],
            );
            assert!(env.bindings_of(UID).await?.is_empty(), "the bindings go all the same");
            assert_eq!(kubeconfig_state(&env.sim, UID), Some(CertificateState::Unexpired));
        }
        if self.operation != Operation::CsCleanClusterUserPermissions {
            assert!(purges(env).is_empty(), "ACK is not asked");
        }
        Ok(status)
    }

    async fn at_the_end(&self, env: &TestEnv) -> anyhow::Result<UserOffboardingStatus> {
        if !self.holds {
            return env.wait_for_state("left", "NothingToRemove").await;
        }
        let status = env.wait_for_state("left", "Offboarded").await?;
        assert_gone(env, &status).await?;
        assert_conditions(&status, &[("KubeconfigPurged", "True/Purged")]);
        if self.operation != Operation::CsCleanClusterUserPermissions {
            assert_eq!(purges(env).len(), 1, "one purge");
        }
        Ok(status)
    }
}

/// The operation's name in messages.
fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::StsGetCallerIdentity => "STS GetCallerIdentity",
        Operation::StsAssumeRoleWithOidc => "STS AssumeRoleWithOIDC",
        Operation::ImsGetUser => "IMS GetUser (",
        Operation::ImsGetUserInRecycleBin => "IMS GetUserInRecycleBin",
        Operation::RamListRoles => "RAM ListRoles",
        Operation::RamGetUser => "RAM GetUser",
        Operation::RamGetRole => "RAM GetRole",
        Operation::CsListUserKubeConfigStates => "CS ListUserKubeConfigStates",
        Operation::CsGetClusterAuditProject => "CS GetClusterAuditProject",
        Operation::CsCleanClusterUserPermissions => "CS CleanClusterUserPermissions",
        Operation::SlsGetLogStore => "SLS GetLogStore",
        Operation::SlsGetIndex => "SLS GetIndex",
        Operation::SlsGetHistograms => "SLS GetHistograms",
        Operation::SlsGetLogsV2 => "SLS GetLogsV2",
        Operation::CsDescribeUserPermission
        | Operation::RamListUsers
        | Operation::ImsListUsers
        | Operation::ImsListUsersInRecycleBin
        | Operation::CsListClusterKubeconfigStates
        | Operation::CsDescribeClusterUserKubeconfig
        | Operation::CsDescribeClustersV1
        | Operation::Unknown => unreachable!("an offboarding does not call it"),
    }
}

/// Ready, and the condition that tells about it.
fn brief(status: &UserOffboardingStatus, about: &str) -> String {
    let about = format!("{about}=");
    let text = sight::describe(status);
    let lines = text
        .lines()
        .filter(|l| l.starts_with("Ready=") || l.starts_with(&about));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Without knowing whose credentials it has, the operator touches nothing.
#[tokio::test(flavor = "multi_thread")]
async fn sts_does_not_say_who_the_operator_is() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::StsGetCallerIdentity, NOBODY_KNOWN);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// Without credentials nothing can be asked, and nothing is touched; no other credentials are tried.
#[tokio::test(flavor = "multi_thread")]
async fn sts_gives_no_credentials_for_the_operators_token() -> anyhow::Result<()> {
    let mut env = env().await;
    let (rrsa, _) = rrsa(&env).await?;
    let mut matrix = Matrix::new(Operation::StsAssumeRoleWithOidc, NOBODY_KNOWN);
    matrix.options.flags.push("--credentials=rrsa".to_owned());
    matrix.options.env = rrsa.env;
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// A user who cannot be looked up is not taken for deleted: nothing is touched until IMS answers.
#[tokio::test(flavor = "multi_thread")]
async fn ims_does_not_say_whether_there_is_such_a_user() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::ImsGetUser, NOBODY_KNOWN);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// A UID that may be a role's is not taken for a deleted user's: nothing is touched until RAM answers.
#[tokio::test(flavor = "multi_thread")]
async fn ram_does_not_list_the_roles() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::RamListRoles, NOBODY_KNOWN);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// Nothing is touched until it is known whether the user was deleted.
#[tokio::test(flavor = "multi_thread")]
async fn ims_does_not_say_who_is_in_the_recycle_bin() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::ImsGetUserInRecycleBin, NOBODY_KNOWN);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// The UID that nobody knows may be mistyped: nothing is said to be done until RAM tells whose the expected name is.
#[tokio::test(flavor = "multi_thread")]
async fn ram_does_not_say_whose_the_expected_user_name_is() -> anyhow::Result<()> {
    let mut env = env().await;
    let mut matrix = Matrix::new(Operation::RamGetUser, NOBODY_KNOWN);
    matrix.holds = false;
    matrix.spec = json!({"uid": UID, "expectedName": "leaver"});
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// The same for a role.
#[tokio::test(flavor = "multi_thread")]
async fn ram_does_not_say_whose_the_expected_role_name_is() -> anyhow::Result<()> {
    let mut env = env().await;
    let mut matrix = Matrix::new(Operation::RamGetRole, NOBODY_KNOWN);
    matrix.holds = false;
    matrix.spec = json!({"uid": UID, "expectedName": "shared-role", "identityType": "RamRole"});
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// The bindings go all the same; ACK is not asked to purge what it does not tell the state of.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_say_whether_there_is_a_kubeconfig() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::CsListUserKubeConfigStates, STATE_UNKNOWN);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// The bindings are gone; the kubeconfig's state is read before each new try, so that the purge is not repeated when it was
/// carried out.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_purge_the_kubeconfig() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::CsCleanClusterUserPermissions, NOT_PURGED);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// It is not known whether the leaver is active: the operator waits, and looks again.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_say_where_the_audit_log_is() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::CsGetClusterAuditProject, LOG_SILENT);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// Nobody can tell how far back the log reaches: the operator waits, and looks again.
#[tokio::test(flavor = "multi_thread")]
async fn sls_does_not_tell_about_the_logstore() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::SlsGetLogStore, LOG_SILENT);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// It is not known whether the log can be searched: the operator waits, and looks again.
#[tokio::test(flavor = "multi_thread")]
async fn sls_does_not_tell_about_the_index() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::SlsGetIndex, LOG_SILENT);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// It is not known whether the log has gaps: the operator waits, and looks again.
#[tokio::test(flavor = "multi_thread")]
async fn sls_does_not_count_the_records() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::SlsGetHistograms, LOG_SILENT);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// The log cannot be searched, which is no quiet user: the operator waits, and looks again.
#[tokio::test(flavor = "multi_thread")]
async fn sls_does_not_search_the_log() -> anyhow::Result<()> {
    let mut env = env().await;
    let matrix = Matrix::new(Operation::SlsGetLogsV2, LOG_SILENT);
    sees_text!("by trouble", matrix.run(&mut env).await?);
    Ok(())
}

/// What is answered instead, what a message says of it, and Ready's reason then.
type Oddity = (&'static str, Operation, Value, &'static str, &'static str);

/// One object meets all of these, as in [`Matrix::run`]; while `untouched`, nothing may have happened.
async fn odd_answers(env: &mut TestEnv, oddities: Vec<Oddity>, untouched: bool) -> anyhow::Result<String> {
    let mut text = String::new();
    give_access(env).await?;
    for (number, (name, operation, answer, says, reason)) in oddities.into_iter().enumerate() {
        env.sim.fault_instead(Fault::new(operation, FaultKind::Answer(answer)));
        if number == 0 {
            env.start_operator(&options()).await?;
            env.apply("left", json!({"uid": UID, "expectedName": "leaver"})).await?;
        }
        let is_told = |s: &UserOffboardingStatus| state(s) == reason && message(s, "Ready").contains(says);
        let status = env.wait_for("left", &format!("{reason}: {says}"), is_told).await?;
        assert!(purges(env).is_empty(), "ACK is not asked");
        if untouched {
            assert_untouched(env).await?;
        }
        text.push_str(&format!("# {name}\n{}", brief(&status, "Ready")));
    }
    Ok(text)
}

/// A list of roles that cannot be whole is not believed: nobody is taken for deleted because of it, and it is not read for
/// ever. A role that is listed twice does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn ram_lists_roles_in_pages_that_make_no_sense() -> anyhow::Result<()> {
    let mut env = env().await;
    let role = json!({"RoleId": "300000000000000009", "RoleName": "ack-offboarding-operator"});
    let page = |roles: Value, more: Value| {
        let mut page = json!({"IsTruncated": true, "Roles": {"Role": roles}});
        if let (Some(page), Some(more)) = (page.as_object_mut(), more.as_object()) {
            page.extend(more.clone());
        }
        page
    };
    let list = Operation::RamListRoles;
    let oddities = vec![
        (
            "an empty page that is not the last",
            list,
            page(json!([]), json!({"Marker": "m"})),
            "it is an empty page but not the last one",
            "LookupFailed",
        ),
        (
            "no marker of the next page",
            list,
            page(json!([role]), json!({})),
            "has no marker for the next one",
            "LookupFailed",
        ),
        (
            "the same page again and again",
            list,
            page(json!([role]), json!({"Marker": "m"})),
            "its marker leads to a page that was already read",
            "LookupFailed",
        ),
    ];
    sees_text!("by oddity", odd_answers(&mut env, oddities, true).await?);
    let twice = page(json!([role, role]), json!({"IsTruncated": false}));
    env.sim.fault_instead(Fault::new(list, FaultKind::Answer(twice)));
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// A list of kubeconfigs that cannot be whole is no proof that there is none: the bindings go, and the end is not reported.
#[tokio::test(flavor = "multi_thread")]
async fn ack_lists_kubeconfigs_in_pages_that_make_no_sense() -> anyhow::Result<()> {
    let mut env = env().await;
    let page =
        |states: Value| json!({"page": {"page_number": 1, "page_size": 100, "total_count": 3}, "states": states});
    let list = Operation::CsListUserKubeConfigStates;
    let oddities = vec![
        (
            "an empty page that is not the last",
            list,
            page(json!([])),
            "it is an empty page but not the last one",
            "LookupFailed",
        ),
        (
            "the same page again",
            list,
            page(json!([{"cluster_id": "c2", "cert_state": "Removed"}])),
            "the same page came twice",
            "LookupFailed",
        ),
    ];
    sees_text!("by oddity", odd_answers(&mut env, oddities, false).await?);
    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// An answer of another shape, or about somebody else, tells nothing: nothing is touched. What a service says is shown in a
/// form that does a terminal no harm.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_malformed_or_about_somebody_else() -> anyhow::Result<()> {
    let mut env = env().await;
    let named = |name: &str| json!({"User": {"UserId": UID, "UserName": name}});
    let (user, bin) = (Operation::ImsGetUser, Operation::ImsGetUserInRecycleBin);
    let oddities = vec![
        (
            "another user",
            user,
            json!({"User": {"UserId": "200000000000000002", "UserName": "leaver"}}),
            "it describes another user than the requested one",
            "LookupFailed",
        ),
        (
            "a number for a UID",
            user,
            json!({"User": {"UserId": 5}}),
            "invalid type: integer `5`, expected a string",
            "LookupFailed",
        ),
        ("no user", user, json!({}), "missing field `User`", "LookupFailed"),
        (
            "another deleted user",
            bin,
            json!({"User": {"UserId": "200000000000000002", "UserPrincipalName": "leaver@example"}}),
            "it describes another user than the requested one",
            "LookupFailed",
        ),
        (
            "a name with control characters",
            user,
            named("leaver\u{1b}[2J\n"),
            "belongs to leaver\\u{1b}[2J\\u{a}, but",
            "NameMismatch",
        ),
        (
            "a name without end",
            user,
            named(&"x".repeat(10_000)),
            "x…, but",
            "NameMismatch",
        ),
        (
            "a project that is no name",
            Operation::CsGetClusterAuditProject,
            json!({"audit_enabled": true, "sls_project_name": "evil.example/x?"}),
            "this is not the name of an SLS project",
            "WaitingForInactivity",
        ),
        (
            "texts for numbers",
            Operation::SlsGetLogStore,
            json!({"ttl": "long", "createTime": "ago"}),
            "invalid type: string",
            "WaitingForInactivity",
        ),
        (
            "records that are counted and not there",
            Operation::SlsGetLogsV2,
            json!({"meta": {"count": 3, "progress": "Complete"}, "data": []}),
            "it counts 3 records but contains 0",
            "WaitingForInactivity",
        ),
    ];
    sees_text!("by oddity", odd_answers(&mut env, oddities, true).await?);
    let name = env.status("left").await?.identity.and_then(|i| i.name);
    assert!(name.is_none_or(|name| name.chars().count() < 200), "names are bounded");
    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Touches nothing, names the key's trouble, and goes on once the key works.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_access_key_is_revoked() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let keys = env.sim.edit(|w| std::mem::take(&mut w.access_keys));
    env.start_operator(&options()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "CredentialsRejected").await?;
    assert_stalled(&status, "CredentialsRejected");
    assert!(message(&status, "Ready").contains("InvalidAccessKeyId.NotFound"));
    sees!(env, "left", "while the key is revoked");
    assert_untouched(&env).await?;

    env.sim.edit(|w| w.access_keys = keys);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// The services refuse requests of another time: nothing is touched, and the message says to set the clock right.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_the_operators_node_is_wrong() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.start_operator(&options()).await?;
    let mut seen = String::new();
    let about_the_clock = |s: &UserOffboardingStatus| message(s, "Ready").contains("Correct the clock");
    env.sim.edit(|w| w.clock_ahead_seconds = 1200);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for("left", "the clock to be named", about_the_clock).await?;
    assert_stalled(&status, "CredentialsRejected");
    seen.push_str(&format!("# 20 minutes slow\n{}", brief(&status, "IdentityResolved")));
    // SLS says it in words of its own.
    let late = FaultKind::Custom {
        status: 400,
        code: "RequestTimeExpired".to_owned(),
        message: "The request is expired".to_owned(),
    };
    env.sim.fault(Fault::new(Operation::SlsGetIndex, late));
    env.sim.edit(|w| w.clock_ahead_seconds = 0);
    let waits = |s: &UserOffboardingStatus| state(s) == "WaitingForInactivity" && about_the_clock(s);
    let status = env.wait_for("left", "SLS to be quoted", waits).await?;
    seen.push_str(&format!("# only SLS minds\n{}", brief(&status, "Inactive")));
    sees_text!("by clock", seen);
    assert_untouched(&env).await?;

    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Says why the exchange fails, reads the token's file anew each time, and goes on with the token that is put there.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_token_is_rejected_until_it_is_replaced() -> anyhow::Result<()> {
    let mut env = env().await;
    let (rrsa, token) = rrsa(&env).await?;
    give_access(&env).await?;
    let file = env.cluster.dir().join("rrsa-token");
    // Its signature is another's.
    let (head, _) = token.rsplit_once('.').expect("a signature");
    std::fs::write(&file, format!("{head}.AAAA"))?;
    let mut options = options();
    options.flags.push("--credentials=rrsa".to_owned());
    options.env = rrsa.env;
    env.start_operator(&options).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "CredentialsRejected").await?;
    assert_stalled(&status, "CredentialsRejected");
    sees!(env, "left", "with a rejected token");
    assert_untouched(&env).await?;

    std::fs::write(&file, &token)?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Renews them and repeats the call: nobody notices. The purge, which is never repeated at once, is asked for again at the
/// next look.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_credentials_expire_in_the_middle() -> anyhow::Result<()> {
    let mut env = env().await;
    let (rrsa, _) = rrsa(&env).await?;
    give_access(&env).await?;
    let expired = |operation, status, code: &str| {
        let kind = FaultKind::Custom {
            status,
            code: code.to_owned(),
            message: "Specified SecurityToken is expired.".to_owned(),
        };
        Fault::new(operation, kind)
    };
    let once = [
        expired(Operation::RamListRoles, 400, "InvalidSecurityToken.Expired").times(1),
        expired(Operation::SlsGetIndex, 401, "SecurityTokenExpired").times(1),
    ];
    let purge = Operation::CsCleanClusterUserPermissions;
    let always = expired(purge, 400, "InvalidSecurityToken.Expired");
    once.into_iter().chain([always]).for_each(|fault| env.sim.fault(fault));
    let mut options = options();
    options.flags.push("--credentials=rrsa".to_owned());
    options.env = rrsa.env;
    env.start_operator(&options).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "NotConfirmed").await?;
    assert_conditions(&status, &[("KubeconfigPurged", "Unknown/NotConfirmed")]);
    sees_text!("while the purge meets it", brief(&status, "KubeconfigPurged"));
    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let calls = env.sim.calls();
    let exchanges = calls
        .iter()
        .filter(|c| c.operation == Operation::StsAssumeRoleWithOidc)
        .count();
    // At first, for the roles, for the index, and for each purge that follows a refused one.
    assert_eq!(exchanges, 3 + purges(&env).len() - 1, "each time new ones");
    Ok(())
}

/// Is asked again no sooner than it said, however often the operator would look.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_says_when_to_come_back() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let hint = Duration::from_secs(2);
    let throttle = Throttle::plain().hint(Hint::TimeLeft(hint.as_millis() as u64));
    let fault = Fault::new(Operation::ImsGetUser, FaultKind::Throttled(throttle));
    env.sim.fault(fault);
    env.start_operator(&options()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "LookupFailed").await?;
    assert_waiting(&status, "LookupFailed");
    sees!(env, "left", "while it waits");
    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    let asked: Vec<_> = env
        .sim
        .calls()
        .into_iter()
        .filter(|c| c.operation == Operation::ImsGetUser)
        .map(|c| c.at)
        .collect();
    assert!(
        asked.len() >= 2 && asked[1].duration_since(asked[0])? >= hint,
        "{asked:?}"
    );
    assert_gone(&env, &status).await
}
