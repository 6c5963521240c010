//! What the API server refuses: with a message that names the field and the rule.

use super::{COLLECTION, JSON, UID, cluster, create, create_manifest, digest, manifest, send};
use serde_json::{Value, json};

/// A malformed spec, and what the message must say.
type Case = (&'static str, Value, &'static [&'static str]);

const UID_RULE: &[&str] = &["spec.uid", "1 to 20 decimal digits, without a leading zero"];
const DIGEST_RULE: &[&str] = &["spec.approvals", "'sha256:' and 64 hexadecimal digits in lower case"];

fn check(check: Value) -> Value {
    json!({"uid": UID, "activityCheck": check})
}

fn approved(plans: Value) -> Value {
    let Value::Array(digests) = plans else {
        return json!({"uid": UID, "approvals": plans});
    };
    let approvals: Vec<_> = digests.iter().map(|digest| json!({"digest": digest})).collect();
    json!({"uid": UID, "approvals": approvals})
}

fn with(field: &str, value: Value) -> Value {
    json!({"uid": UID, field: value})
}

fn malformed() -> Vec<Case> {
    let short = &digest('a')[..70];
    vec![
        // Who.
        (
            "no uid",
            json!({"expectedName": "leaver"}),
            &["spec.uid", "Required value"],
        ),
        (
            "a uid without quotes",
            json!({"uid": 259_083_957_089_437_690_i64}),
            &["spec.uid", "must be of type string", "integer"],
        ),
        ("a uid of null", json!({"uid": null}), &["spec.uid", "Required value"]),
        ("an empty uid", json!({"uid": ""}), UID_RULE),
        (
            "a uid of 21 digits",
            json!({"uid": "123456789012345678901"}),
            &["spec.uid", "Too long", "20"],
        ),
        ("a leading zero", json!({"uid": "0259083957089437690"}), UID_RULE),
        ("zero", json!({"uid": "0"}), UID_RULE),
        ("letters", json!({"uid": "25908395708943769O"}), UID_RULE),
        ("a user name", json!({"uid": "leaver"}), UID_RULE),
        ("a sign", json!({"uid": "-259083957089437690"}), UID_RULE),
        ("a plus", json!({"uid": "+259083957089437690"}), UID_RULE),
        ("a space in front", json!({"uid": " 25908395708943769"}), UID_RULE),
        ("a space within", json!({"uid": "259083 957089"}), UID_RULE),
        ("a newline behind", json!({"uid": "259083957089\n"}), UID_RULE),
        ("a float in quotes", json!({"uid": "2.59083957e17"}), UID_RULE),
        ("digits of another script", json!({"uid": "１２３"}), UID_RULE),
        ("a certificate's name", json!({"uid": "2590839570-171717"}), UID_RULE),
        (
            "a list of UIDs",
            json!({"uid": [UID]}),
            &["spec.uid", "must be of type string", "array"],
        ),
        (
            "an empty name",
            with("expectedName", json!("")),
            &["spec.expectedName", "at least 1 chars long"],
        ),
        (
            "a logon name",
            with("expectedName", json!("leaver@example.onaliyun.com")),
            &["spec.expectedName", "leave out the '@'"],
        ),
        (
            "a long name",
            with("expectedName", json!("a".repeat(129))),
            &["spec.expectedName", "Too long", "128"],
        ),
        (
            "a name that is a number",
            with("expectedName", json!(7)),
            &["spec.expectedName", "must be of type string"],
        ),
        // Choices.
        (
            "another identity type",
            with("identityType", json!("User")),
            &["spec.identityType", "\"RamUser\", \"RamRole\""],
        ),
        (
            "another mode",
            with("mode", json!("dryRun")),
            &["spec.mode", "\"Execute\", \"DryRun\""],
        ),
        (
            "another approval",
            with("approval", json!("None")),
            &["spec.approval", "\"Automatic\", \"Manual\""],
        ),
        (
            "another kubeconfig policy",
            with("kubeconfig", json!("Delete")),
            &["spec.kubeconfig", "\"Purge\", \"Keep\""],
        ),
        (
            "another enforcement",
            with("enforcement", json!("Always")),
            &["spec.enforcement", "\"Once\", \"Continuous\""],
        ),
        (
            "another whenActive",
            check(json!({"whenActive": "Force"})),
            &["spec.activityCheck.whenActive", "\"Wait\", \"Proceed\""],
        ),
        (
            "another whenUnknown",
            check(json!({"whenUnknown": ""})),
            &["spec.activityCheck.whenUnknown", "\"Wait\", \"Proceed\""],
        ),
        // Numbers.
        (
            "a window of nothing",
            check(json!({"windowDays": 0})),
            &["spec.activityCheck.windowDays", "greater than or equal to 1"],
        ),
        (
            "a negative window",
            check(json!({"windowDays": -7})),
            &["spec.activityCheck.windowDays", "greater than or equal to 1"],
        ),
        (
            "a window of 181 days",
            check(json!({"windowDays": 181})),
            &["spec.activityCheck.windowDays", "less than or equal to 180"],
        ),
        (
            "half a day",
            check(json!({"windowDays": 0.5})),
            &["spec.activityCheck.windowDays", "must be of type integer"],
        ),
        (
            "a window in quotes",
            check(json!({"windowDays": "7"})),
            &["spec.activityCheck.windowDays", "must be of type integer"],
        ),
        (
            "a wait of nothing",
            check(json!({"waitAtMostDays": 0})),
            &["spec.activityCheck.waitAtMostDays", "greater than or equal to 1"],
        ),
        (
            "a wait of 366 days",
            check(json!({"waitAtMostDays": 366})),
            &["spec.activityCheck.waitAtMostDays", "less than or equal to 365"],
        ),
        (
            "a check that is a word",
            check(json!("Skip")),
            &["spec.activityCheck", "must be of type object"],
        ),
        // Approvals.
        ("a short digest", approved(json!([short])), DIGEST_RULE),
        (
            "a long digest",
            approved(json!([digest('a') + "a"])),
            &["spec.approvals[0].digest", "Too long", "71"],
        ),
        ("a digest in upper case", approved(json!([digest('A')])), DIGEST_RULE),
        (
            "a digest without prefix",
            approved(json!(["a".repeat(64)])),
            DIGEST_RULE,
        ),
        (
            "another hash",
            approved(json!(["sha512:".to_owned() + &"a".repeat(64)])),
            DIGEST_RULE,
        ),
        ("an empty digest", approved(json!([""])), DIGEST_RULE),
        (
            "one good digest and one bad",
            approved(json!([digest('a'), "yes"])),
            DIGEST_RULE,
        ),
        (
            "a digest twice",
            approved(json!([digest('a'), digest('a')])),
            &["spec.approvals[1]", "Duplicate value"],
        ),
        (
            "a digest that is no list",
            approved(json!(digest('a'))),
            &["spec.approvals", "must be of type array"],
        ),
        (
            "more than 256 digests",
            approved((0..257).map(|i| json!(format!("sha256:{i:064}"))).collect()),
            &["spec.approvals", "Too many", "256"],
        ),
        // The rest.
        (
            "suspend as a word",
            with("suspend", json!("true")),
            &["spec.suspend", "must be of type boolean"],
        ),
        (
            "a field that does not exist",
            with("force", json!(true)),
            &["unknown field \"spec.force\""],
        ),
        (
            "a misspelled field",
            check(json!({"windowdays": 30})),
            &["unknown field \"spec.activityCheck.windowdays\""],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_spec_is_refused_by_field_and_rule() {
    let cluster = cluster().await;
    let mut wrong = Vec::new();
    for (what, spec, expected) in malformed() {
        let answer = create(&cluster, "malformed", &spec).await;
        let said = expected.iter().all(|words| answer.message().contains(words));
        println!("{what}: {} {}", answer.code, answer.message());
        if !(400..500).contains(&answer.code) || !said {
            wrong.push(format!(
                "{what}: {} {:?}, expected {expected:?}",
                answer.code,
                answer.message()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_a_spec_is_refused() {
    let cluster = cluster().await;
    let mut without = manifest("no-spec", &json!({}));
    without.as_object_mut().unwrap().remove("spec");
    for (what, object) in [("none", without), ("null", manifest("no-spec", &Value::Null))] {
        let answer = create_manifest(&cluster, &object).await;
        assert!(answer.message().contains("spec: Required value"), "{what}: {answer:?}");
    }
    let text = create(&cluster, "no-spec", &json!("leaver")).await;
    assert!(
        text.message().contains("spec in body must be of type object"),
        "{text:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uid_never_changes_and_the_rest_may() {
    let cluster = cluster().await;
    let client = cluster.admin();
    let created = create(&cluster, "mine", &json!({"uid": UID})).await;
    assert_eq!(created.code, 201, "{created:?}");
    let path = format!("{COLLECTION}/mine");
    let patch = async |spec: Value| {
        send(
            &client,
            "PATCH",
            &path,
            "application/merge-patch+json",
            &json!({"spec": spec}),
        )
        .await
    };

    let changed = patch(json!({"uid": "259083957089437691"})).await;
    assert_eq!(changed.code, 422, "{changed:?}");
    let rule = "spec.uid: Invalid value: \"259083957089437691\": uid is immutable: create another UserOffboarding for another UID";
    assert!(changed.message().contains(rule), "{changed:?}");
    // One who drops the field is told the same way as one who never wrote it.
    let dropped = patch(json!({"uid": null})).await;
    assert!(dropped.message().contains("spec.uid: Required value"), "{dropped:?}");

    let everything = json!({
        "expectedName": "leaver", "identityType": "RamRole", "mode": "DryRun", "approval": "Manual",
        "approvals": [{"digest": digest('a')}], "suspend": true, "kubeconfig": "Keep", "enforcement": "Continuous",
        "activityCheck": {"windowDays": 30, "whenActive": "Proceed", "whenUnknown": "Proceed", "waitAtMostDays": 60},
    });
    let edited = patch(everything).await;
    assert_eq!(
        (edited.code, &edited.body["metadata"]["generation"]),
        (200, &json!(2)),
        "{edited:?}"
    );
    let mut whole = edited.body.clone();
    whole["spec"]["uid"] = json!("1");
    let replaced = send(&client, "PUT", &path, JSON, &whole).await;
    assert!(replaced.message().contains("uid is immutable"), "{replaced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_the_rule_for_a_uid_without_quotes() {
    let cluster = cluster().await;
    let file = cluster.dir().join("unquoted.yaml");
    let yaml = format!(
        "apiVersion: ack-offboarding.io/v1alpha1\nkind: UserOffboarding\nmetadata: {{name: unquoted}}\nspec: {{uid: {UID}}}\n"
    );
    std::fs::write(&file, yaml).unwrap();
    let output = cluster
        .kubectl()
        .args(["apply", "--filename"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("spec.uid") && said.contains("must be of type string"),
        "{said}"
    );
}
