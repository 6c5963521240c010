//! Who the API server takes somebody for: client certificates, ServiceAccount tokens, and what the audit log says of them.

use std::path::PathBuf;

use ack_offboarding_e2e::cluster::{Cluster, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Options, eventually, pool};
use ack_offboarding_operator::api::UserOffboarding;
use k8s_openapi::api::{
    core::v1::ConfigMap,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{DEADLINE, LEAVER, assert_forbidden, bind_view, cluster, cluster_with_operator, user};

/// As the chart renders them.
const PEOPLE: &str = include_str!("../../manifests/people.yaml");

#[tokio::test]
async fn a_client_certificate_is_the_leaver_and_its_requests_are_in_the_audit_log() {
    let cluster = cluster().await;
    let leaver = cluster.user_client(LEAVER, &[]).unwrap();
    let pods = Api::<ConfigMap>::namespaced(leaver, "team-a");
    cluster.ensure_namespace("team-a").await.unwrap();

    assert_forbidden(
        "list without a binding",
        pods.list(&ListParams::default()).await,
        LEAVER,
    );

    bind_view(&cluster, "leaver", &[LEAVER]).await;
    eventually("the binding to take effect", DEADLINE, async || {
        Ok(pods.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();

    // The log is written before the answer is sent: nothing to wait for.
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let codes: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["user"]["username"] == LEAVER && event["objectRef"]["resource"] == "configmaps")
        .map(|event| event["responseStatus"]["code"].as_u64().unwrap())
        .collect();
    assert_eq!((codes.first(), codes.last()), (Some(&403), Some(&200)), "{codes:?}");
    // The bodies of the built-in roles name the path.
    assert!(
        !log.contains(r#""requestURI":"/readyz"#),
        "health checks are not recorded"
    );
    assert!(!log.contains("RequestReceived"), "one record a request");
}

#[tokio::test]
async fn the_kubeconfig_files_work_with_kubectl() {
    let (cluster, _) = cluster_with_operator().await;
    let whoami = |kubeconfig: PathBuf| {
        let output = cluster
            .kubectl()
            .env("KUBECONFIG", kubeconfig)
            .args(["auth", "whoami", "-o", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["status"]["userInfo"].clone()
    };

    assert_eq!(whoami(cluster.admin_kubeconfig())["username"], "kubernetes-admin");
    let somebody = whoami(cluster.user_kubeconfig(LEAVER, &["team-a", "team-b"]).unwrap());
    assert_eq!(somebody["username"], LEAVER);
    assert_eq!(somebody["groups"], json!(["team-a", "team-b", "system:authenticated"]));
    let operator = cluster
        .service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    assert_eq!(
        whoami(operator)["username"],
        format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}")
    );
}

#[tokio::test]
async fn a_token_names_its_audience_and_the_key_that_verifies_it() {
    let (cluster, _) = cluster_with_operator().await;
    let token = cluster
        .request_token(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, "sts.aliyuncs.com")
        .await
        .unwrap();
    let jwks = cluster.jwks().await.unwrap();
    let key = &jwks["keys"][0];
    assert_eq!((&key["alg"], &key["use"]), (&json!("ES256"), &json!("sig")));
    // Header, claims, signature.
    assert_eq!(token.split('.').count(), 3);
}

/// A RoleBinding as the administrator sees it.
pub(crate) async fn role_binding(cluster: &Cluster, namespace: &str, name: &str) -> RoleBinding {
    let api = Api::<RoleBinding>::namespaced(cluster.admin(), namespace);
    api.get(name).await.unwrap()
}

/// People with a role of the chart: real certificates, bound as an administrator would bind them.
async fn person(cluster: &Cluster, name: &str, role: &str) -> Api<UserOffboarding> {
    let binding = json!({
        "metadata": {"name": format!("people-{name}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [user(name)],
    });
    let api = Api::<ClusterRoleBinding>::all(cluster.admin());
    api.create(&PostParams::default(), &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
    Api::all(cluster.user_client(name, &[]).unwrap())
}

async fn apply(api: &Api<UserOffboarding>, name: &str, spec: Value) -> kube::Result<UserOffboarding> {
    let object = json!({"apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": {"name": name}, "spec": spec});
    api.patch(name, &PatchParams::apply("person").force(), &Patch::Apply(object))
        .await
}

/// The chart's approval policy: what removes somebody without a quiet window, or approves a plan, takes the verb `approve`.
#[tokio::test]
async fn a_requester_may_ask_and_an_approver_may_approve() {
    // The controller-manager adds the viewer's role to the built-in role view.
    let needs = Options {
        controller_manager: true,
        ..Options::default()
    };
    let cluster = pool::acquire(needs).await.unwrap();
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    cluster.install_people().await.unwrap();
    let viewer = person(&cluster, "viewer", "view").await;
    let requester = person(&cluster, "requester", "ack-offboarding-requester").await;
    let approver = person(&cluster, "approver", "ack-offboarding-approver").await;
    let editor = person(&cluster, "editor", "admin").await;
    eventually("the roles and the policy to be in force", DEADLINE, async || {
        let refused = apply(
            &requester,
            "probe",
            json!({"uid": "1", "activityCheck": {"whenActive": "Proceed"}}),
        )
        .await;
        let refused = refused.is_err_and(|error| error.to_string().contains("whenActive: Proceed"));
        let sees = viewer.list(&ListParams::default()).await.is_ok();
        let approves = apply(&approver, "probe", json!({"uid": "1"})).await.is_ok();
        Ok((refused && sees && approves).then_some(()))
    })
    .await
    .unwrap();
    assert_forbidden(
        "a viewer asks",
        apply(&viewer, "a", json!({"uid": "1"})).await,
        "cannot patch",
    );
    assert_forbidden(
        "an admin of namespaces asks",
        apply(&editor, "a", json!({"uid": "1"})).await,
        "cannot patch",
    );

    let digest = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
    let approval = |n: u8, reason: &str| json!({"digest": digest(n), "reason": reason});
    let manual = json!({"uid": "259083957089437690", "approval": "Manual"});
    apply(&requester, "left", manual.clone()).await.unwrap();
    let with = |field: &str, value: &Value| {
        let mut spec = manual.clone();
        spec[field] = value.clone();
        spec
    };
    // What loosens; and whether an object may be created so.
    let loosens = [
        ("approvals", json!([approval(1, "x")]), "approves a plan"),
        ("activityCheck", json!({"whenActive": "Proceed"}), "whenActive: Proceed"),
        (
            "activityCheck",
            json!({"whenUnknown": "Proceed"}),
            "whenUnknown: Proceed",
        ),
        ("activityCheck", json!({"waitAtMostDays": 3}), "waitAtMostDays"),
        ("activityCheck", json!({"windowDays": 6}), "windowDays: fewer than 7"),
        ("identityType", json!("RamRole"), "identityType: RamRole"),
        ("enforcement", json!("Continuous"), "enforcement: Continuous"),
        ("names", json!({"include": ["259083957089437690-x"]}), "names.include"),
        ("approval", json!("Automatic"), "Automatic instead of Manual"),
    ];
    for (number, (field, value, says)) in loosens.iter().enumerate() {
        let loose = with(field, value);
        let outcome = apply(&requester, "left", loose.clone()).await;
        assert_forbidden(says, outcome, says);
        if *field == "approval" {
            continue;
        }
        let created = apply(&requester, "another", loose.clone()).await;
        assert_forbidden(&format!("at creation: {says}"), created, says);

        // Whoever set it while it had no effect: that it begins to have one is a creation.
        for (what, field, asleep, awake, ends) in [
            ("dry", "mode", json!("DryRun"), json!("Execute"), *says),
            (
                "held",
                "suspend",
                json!(true),
                json!(false),
                "suspend: false instead of true",
            ),
        ] {
            let name = format!("{what}-{number}");
            let mut spec = loose.clone();
            spec[field] = asleep;
            apply(&approver, &name, spec.clone()).await.unwrap();
            // An edit beside it is none.
            spec["expectedName"] = json!("alice");
            apply(&requester, &name, spec.clone()).await.unwrap();
            spec[field] = awake;
            let woken = apply(&requester, &name, spec.clone()).await;
            assert_forbidden(&format!("{what}: {says}"), woken, ends);
            apply(&approver, &name, spec).await.unwrap();
        }
    }
    apply(&requester, "kept", with("kubeconfig", &json!("Keep")))
        .await
        .unwrap();
    assert_forbidden(
        "to purge what was kept",
        apply(&requester, "kept", manual.clone()).await,
        "kubeconfig: Purge instead of Keep",
    );
    apply(&approver, "kept", manual.clone()).await.unwrap();

    // What is no looser than a new object needs nobody; but to end a suspension always does.
    let mut plain = json!({"uid": "259083957089437691", "mode": "DryRun", "activityCheck": {"windowDays": 7}});
    apply(&requester, "plain", plain.clone()).await.unwrap();
    plain["mode"] = json!("Execute");
    plain["approval"] = json!("Manual");
    plain["suspend"] = json!(true);
    apply(&requester, "plain", plain.clone()).await.unwrap();
    plain["suspend"] = json!(false);
    let ended = apply(&requester, "plain", plain.clone()).await;
    assert_forbidden("to end a suspension", ended, "suspend: false instead of true");
    apply(&approver, "plain", plain).await.unwrap();
    let role = json!({"uid": "301111111111111111", "mode": "DryRun", "identityType": "RamRole"});
    apply(&requester, "role", role).await.unwrap();

    // Nobody takes the place of what a scan proposes.
    let proposal = |name: &str, labels: Value| {
        serde_json::from_value::<UserOffboarding>(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
            "metadata": {"name": name, "labels": labels}, "spec": {"uid": "259083957089437690", "mode": "DryRun"},
        }))
        .unwrap()
    };
    let label = || json!({"ack-offboarding.io/scan": "default"});
    let create = PostParams::default();
    for (name, labels) in [("scan-259083957089437690", json!({})), ("mine", label())] {
        let outcome = requester.create(&create, &proposal(name, labels.clone())).await;
        assert_forbidden(name, outcome, "for the UserOffboardings that a scan proposes");
        approver.create(&create, &proposal(name, labels)).await.unwrap();
    }
    requester
        .create(&create, &proposal("scan-of-alice", json!({})))
        .await
        .unwrap();
    for (name, labels) in [
        ("scan-of-alice", label()),
        ("mine", json!({"ack-offboarding.io/scan": null})),
    ] {
        let change = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let outcome = requester.patch(name, &PatchParams::default(), &change).await;
        assert_forbidden(name, outcome, "for the UserOffboardings that a scan proposes");
    }

    // What holds others up is not taken away by whoever may not approve.
    let others = [
        ("of-manual", json!({"uid": "259083957089437692", "approval": "Manual"})),
        ("of-keep", json!({"uid": "259083957089437692", "kubeconfig": "Keep"})),
        ("of-suspend", json!({"uid": "259083957089437692", "suspend": true})),
    ];
    let delete = DeleteParams::default();
    for (name, mut spec) in others {
        apply(&approver, name, spec.clone()).await.unwrap();
        let deleted = requester.delete(name, &delete).await;
        assert_forbidden(
            &format!("to delete {name}"),
            deleted,
            "another one could do what it holds up",
        );
        spec["mode"] = json!("DryRun");
        if name != "of-suspend" {
            let dry = apply(&requester, name, spec.clone()).await;
            assert_forbidden(&format!("to make {name} a dry run"), dry, "mode: DryRun takes away");
        }
        approver.delete(name, &delete).await.unwrap();
    }
    apply(&requester, "of-nothing", json!({"uid": "259083957089437692"}))
        .await
        .unwrap();
    requester.delete("of-nothing", &delete).await.unwrap();
    // Once it is over, it holds nothing up.
    apply(
        &requester,
        "over",
        json!({"uid": "259083957089437692", "approval": "Manual"}),
    )
    .await
    .unwrap();
    let over = json!({"status": {"conditions": [{
        "type": "Offboarded", "status": "True", "reason": "Verified", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    let admin = Api::<UserOffboarding>::all(cluster.admin());
    admin
        .patch_status("over", &PatchParams::default(), &Patch::Merge(over))
        .await
        .unwrap();
    requester.delete("over", &delete).await.unwrap();

    // An approver may, and what an approver has said stays when a requester edits something else, or takes some of it back.
    let approved = json!({
        "uid": "259083957089437690", "approval": "Manual", "approvals": [approval(1, "one"), approval(2, "two")],
        "names": {"include": ["259083957089437690-x", "259083957089437690-y"]}, "enforcement": "Continuous",
        "activityCheck": {"whenActive": "Proceed", "whenUnknown": "Proceed", "waitAtMostDays": 3, "windowDays": 2},
    });
    apply(&approver, "left", approved.clone()).await.unwrap();
    let mut edited = approved.clone();
    edited["suspend"] = json!(true);
    apply(&requester, "left", edited.clone()).await.unwrap();
    for (what, approvals) in [
        ("another digest", json!([approval(2, "two"), approval(3, "three")])),
        ("another reason", json!([approval(2, "for another reason")])),
    ] {
        edited["approvals"] = approvals;
        let outcome = apply(&requester, "left", edited.clone()).await;
        assert_forbidden(what, outcome, "approves a plan");
    }
    edited["approvals"] = json!([approval(2, "two")]);
    edited["names"] = json!({"include": ["259083957089437690-y"]});
    for (check, says) in [
        (json!({"waitAtMostDays": 2}), "waitAtMostDays"),
        (json!({"windowDays": 1}), "windowDays"),
    ] {
        edited["activityCheck"] = check;
        let outcome = apply(&requester, "left", edited.clone()).await;
        assert_forbidden(says, outcome, says);
    }
    edited["activityCheck"] = json!({"windowDays": 3});
    apply(&requester, "left", edited.clone()).await.unwrap();
    edited["activityCheck"] = json!({});
    apply(&requester, "left", edited).await.unwrap();
}

/// The chart's `approval.always`.
#[tokio::test]
async fn an_approval_can_be_demanded_of_everybody() {
    let cluster = cluster().await;
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    let admin = Api::<UserOffboarding>::all(cluster.admin());
    let before = json!({"uid": "259083957089437690"});
    apply(&admin, "before", before.clone()).await.unwrap();
    let always = PEOPLE.replacen("expression: \"false\"", "expression: \"true\"", 1);
    assert_ne!(always, PEOPLE);
    cluster.apply_manifests(&always).await.unwrap();
    // A dry run: what was made before the policy is in force would stay, and pass.
    let automatic = json!({"metadata": {"name": "probe"}, "spec": {"uid": "259083957089437691"}});
    let automatic: UserOffboarding = serde_json::from_value(automatic).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the policy to be in force", DEADLINE, async || {
        let made = admin.create(&dry_run, &automatic).await;
        Ok(made
            .err()
            .filter(|error| error.to_string().contains("approval.always"))
            .map(drop))
    })
    .await
    .unwrap();
    for (name, spec) in [
        ("manual", json!({"uid": "259083957089437691", "approval": "Manual"})),
        ("dry", json!({"uid": "259083957089437691", "mode": "DryRun"})),
        // What was there stays, and can always be stopped.
        ("before", before.clone()),
        ("before", json!({"uid": "259083957089437690", "suspend": true})),
    ] {
        apply(&admin, name, spec)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for name in ["before", "dry"] {
        let uid = if name == "before" {
            "259083957089437690"
        } else {
            "259083957089437691"
        };
        let outcome = apply(&admin, name, json!({"uid": uid})).await;
        assert_forbidden(name, outcome, "approval.always");
    }
}
