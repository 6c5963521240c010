//! What is said when a source cannot be used: what was seen, and what to do next.

use serde_json::{Value, json};

use super::{Home, LATER, LONG_AGO, ak, modes::sso, with_token};
use crate::server::{SECRET, Server};

const FILE: &str = "cannot use ~/.aliyun/config.json: ";

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let config = |content: &[u8]| {
        let home = Home::new();
        home.write(".aliyun/config.json", content);
        home.refused()
    };
    let not_json = |line, column| {
        format!(
            "{FILE}the file is not a configuration of the aliyun CLI: line {line}, column {column} is not what JSON allows there"
        )
    };
    assert_eq!(config(b""), not_json(1, 0));
    assert_eq!(
        config(format!("{{\n\"{SECRET}\": {SECRET}").as_bytes()),
        not_json(2, 27)
    );
    for other in [
        format!("\"{SECRET}\""),
        "[1]".to_owned(),
        "{}".to_owned(),
        r#"{"profiles": {}}"#.to_owned(),
    ] {
        assert_eq!(
            config(other.as_bytes()),
            format!("{FILE}the file is not a configuration of the aliyun CLI: it has no list of profiles")
        );
    }
    assert_eq!(config(b"\xff\xfe{}"), format!("{FILE}the file is not text in UTF-8"));
    assert_eq!(
        config(&vec![b' '; (1 << 20) + 1]),
        format!("{FILE}the file is larger than 1048576 bytes, which no file of credentials is")
    );
    // As deep as a stranger likes.
    assert!(config("[".repeat(100_000).as_bytes()).contains("is not what JSON allows there"));
}

#[cfg(unix)]
#[test]
fn a_file_that_the_system_does_not_give_is_an_error() {
    let home = Home::new();
    home.write(".alibabacloud/credentials", "");
    std::fs::create_dir(home.path(".aliyun")).unwrap();
    let file = home.path(".aliyun/config.json");
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let text = home.refused();
    assert!(text.starts_with(&format!("{FILE}the file cannot be read: ")), "{text}");
}

#[test]
fn ini_files_that_make_no_sense_are_named_by_line() {
    let home = Home::ini(&format!("[default]\ntype = access_key\n{SECRET}\n"));
    assert_eq!(
        home.refused(),
        "cannot use ~/.alibabacloud/credentials: the file is not an ini file: line 4, or one before it, is neither a section, a key with a value, nor a comment"
    );
    let home = Home::ini("# nothing\n");
    assert!(
        home.refused()
            .ends_with("the file has no profiles; run `aliyun configure`")
    );
    let home = Home::ini("[default]\naccess_key_id = k\n");
    assert!(home.refused().contains("the profile has no type"));
    let home = Home::ini("[default]\ntype = ram_role_arn\naccess_key_id = k\naccess_key_secret = s\n");
    assert!(home.refused().ends_with("mode RamRoleArn: it lacks role_arn"));
    let home = Home::ini("[default]\ntype = rsa_key_pair\n");
    assert!(home.refused().contains("mode rsa_key_pair is not supported"));
}

/// The complaint about the only profile.
fn complaint(profile: Value) -> String {
    complaint_of(json!([profile]))
}

fn complaint_of(profiles: Value) -> String {
    let text = Home::with(profiles).refused();
    let (_, after) = text.split_once("config.json").unwrap();
    after.to_owned()
}

pub(super) fn edited(mut profile: Value, name: &str, value: Value) -> Value {
    profile[name] = value;
    profile
}

#[test]
fn profiles_and_modes_that_are_not_there_are_named() {
    let home = Home::with(json!([ak("a"), ak("b")]));
    let profile = home.profile("\u{1b}[31mc\n");
    assert_eq!(
        home.refused_with(&profile),
        "cannot use profile \"\\u{1b}[31mc\\u{a}\" of ~/.aliyun/config.json: the file has no profile \"\\u{1b}[31mc\\u{a}\"; it has \"a\", \"b\""
    );
    let many: Vec<_> = (0..300)
        .map(|number| ak(&format!("{number}{}", "n".repeat(300))))
        .collect();
    let text = Home::with(json!(many)).refused_with(&Home::with(json!(many)).profile("x"));
    assert!(text.ends_with("…\", 290 more"), "{text}");
    assert_eq!(
        complaint_of(json!([])),
        ": the file has no profiles; run `aliyun configure`"
    );
    let none = complaint(json!({"name": "p"}));
    assert!(
        none.contains("the profile has no mode, which says how to get credentials"),
        "{none}"
    );
    let unknown = complaint(edited(ak("p"), "mode", json!("Magic\n")));
    assert!(
        unknown.contains("mode \"Magic\" is unknown; known are AK, StsToken, RamRoleArn,")
            && unknown.ends_with("OAuth"),
        "{unknown}"
    );
    for mode in ["RsaKeyPair", "BearerToken", "Anonymous"] {
        let text = complaint(edited(ak("p"), "mode", json!(mode)));
        assert!(text.contains(&format!("mode {mode} is not supported: ")), "{text}");
    }
}

#[test]
fn settings_that_are_missing_or_wrong_are_named() {
    let lacks = |profile: Value, expected: &str| {
        let text = complaint(profile);
        assert!(text.ends_with(&format!(": {expected}")), "{text}");
    };
    lacks(
        edited(ak("p"), "access_key_secret", json!("")),
        "it lacks access_key_secret",
    );
    lacks(
        json!({"name": "p", "mode": "AK"}),
        "it lacks access_key_id and access_key_secret",
    );
    lacks(edited(ak("p"), "mode", json!("StsToken")), "it lacks sts_token");
    lacks(edited(ak("p"), "mode", json!("RamRoleArn")), "it lacks ram_role_arn");
    for (mode, first) in [
        ("ChainableRamRoleArn", "ram_role_arn"),
        ("OIDC", "ram_role_arn"),
        ("CredentialsURI", "credentials_uri"),
        ("External", "process_command"),
    ] {
        lacks(json!({"name": "p", "mode": mode}), &format!("it lacks {first}"));
    }
    for (value, why) in [
        (json!([SECRET]), "it is not text"),
        (json!(7), "it is not text"),
        (
            json!(format!("{SECRET}\r\nx-acs-action: y")),
            "it contains a control character",
        ),
        (json!(SECRET.repeat(1000)), "it is longer than any such value"),
    ] {
        lacks(
            edited(ak("p"), "access_key_secret", value),
            &format!("access_key_secret cannot be used: {why}"),
        );
    }
    let session = || with_token(json!({"name": "p", "mode": "StsToken"}), LATER);
    lacks(
        edited(session(), "sts_expiration", json!(SECRET)),
        "sts_expiration cannot be used: it is not a whole number",
    );
    lacks(
        edited(session(), "sts_expiration", json!(i64::MAX)),
        "sts_expiration cannot be used: it is not a time",
    );
    lacks(
        json!({"name": "p", "mode": "CredentialsURI", "credentials_uri": format!("http://creds.example.com/{SECRET}")}),
        "credentials_uri cannot be used: http would send credentials in the clear; use https (http is for this machine only)",
    );
    lacks(
        json!({"name": "p", "mode": "EcsRamRole", "ram_role_name": "../../x"}),
        "ram_role_name cannot be used: a role's name has up to 64 letters, digits, '.', '_' and '-'",
    );
    lacks(
        json!({"name": "p", "mode": "External", "process_command": format!("x '{SECRET}")}),
        "process_command cannot be used: it cannot be split into words: a quote is not closed, or it ends in a backslash",
    );
}

#[test]
fn what_has_expired_says_since_when_and_what_to_run() {
    let text = complaint(with_token(json!({"name": "my profile", "mode": "StsToken"}), LONG_AGO));
    assert_eq!(
        text,
        ", mode StsToken: its credentials expired at 2020-09-13T12:26:40Z; set new ones with \
         `aliyun configure --mode StsToken --profile 'my profile'`"
    );
    let text = complaint(with_token(edited(ak("p"), "mode", json!("OAuth")), LONG_AGO));
    assert_eq!(
        text,
        ", mode OAuth: the credentials in the profile expire at 2020-09-13T12:26:40Z; let the CLI renew them with \
         `aliyun sts GetCallerIdentity --profile p`, or sign in again with `aliyun configure --mode OAuth --profile p`"
    );
    let text = complaint(json!({"name": "p", "mode": "OAuth"}));
    assert!(
        text.contains("there are no credentials in the profile yet; let the CLI renew them"),
        "{text}"
    );
}

#[tokio::test]
async fn a_cloud_sso_session_that_has_ended_says_how_to_sign_in() {
    let server = Server::start([]).await;
    let sign_in = "; sign in again with `aliyun configure --mode CloudSSO --profile sso`";
    let says = |profile: Value, what: &str| {
        assert_eq!(complaint(profile), format!(", mode CloudSSO: {what}{sign_in}"));
    };
    says(
        sso(&server, LONG_AGO),
        "the CloudSSO session ended at 2020-09-13T12:26:40Z",
    );
    // What is cached has expired as well.
    says(
        with_token(sso(&server, LONG_AGO), LONG_AGO),
        "the CloudSSO session ended at 2020-09-13T12:26:40Z",
    );
    says(
        edited(sso(&server, LATER), "access_token", json!("")),
        "nobody is signed in to CloudSSO",
    );
    says(
        sso(&server, 0),
        "the profile does not say until when its CloudSSO session lasts",
    );
    let text = complaint(edited(sso(&server, LATER), "cloud_sso_account_id", json!("")));
    assert!(text.ends_with("it lacks cloud_sso_account_id"), "{text}");
    let text = complaint(edited(
        sso(&server, LATER),
        "cloud_sso_sign_in_url",
        json!("http://signin.example.com"),
    ));
    assert!(text.contains("in the clear"), "{text}");
    assert_eq!(server.count(), 0);
}

#[test]
fn chains_of_profiles_end() {
    let link = |name: &str, source: &str| json!({"name": name, "mode": "ChainableRamRoleArn", "source_profile": source, "ram_role_arn": "acs:ram::1:role/x"});
    assert!(
        complaint_of(json!([link("a", "b"), link("b", "c"), link("c", "a")]))
            .ends_with(": its source profiles lead back to themselves: \"a\" -> \"b\" -> \"c\" -> \"a\"")
    );
    assert!(complaint(link("a", "a")).ends_with(": \"a\" -> \"a\""));
    let many: Vec<_> = (0..100)
        .map(|number| link(&number.to_string(), &(number + 1).to_string()))
        .collect();
    assert!(complaint_of(json!(many)).ends_with("it has more than 8 source profiles behind one another"));
    assert!(
        complaint_of(json!([link("a", "b"), ak("c")])).ends_with("the file has no profile \"b\"; it has \"a\", \"c\"")
    );
    let expired = with_token(json!({"name": "b", "mode": "StsToken"}), LONG_AGO);
    let text = complaint_of(json!([link("a", "b"), expired]));
    assert!(
        text.contains(": its source_profile \"b\": its credentials expired at 2020-09-13T12:26:40Z"),
        "{text}"
    );
}
