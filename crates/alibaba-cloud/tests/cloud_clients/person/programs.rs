//! Mode `External`: a program prints the credentials.

use std::{path::Path, time::Duration};

use alibaba_cloud::person::{Mode, PersonOptions};
use serde_json::{Value, json};

use super::{Home, LATER, LONG_AGO, ask, failed, resolved, settings, variables, with_token};
use crate::credentials::caller;
use crate::server::{SECRET, Server, TOKEN, connect};

/// A home with a program that does this, in a folder whose name has a space.
fn program(script: &str) -> Home {
    let home = Home::new();
    home.write("my tools/sso.sh", script);
    let command = format!(
        "sh '{}' login \"my profile\" $HOME",
        home.path("my tools/sso.sh").display()
    );
    home.write(
        ".aliyun/config.json",
        json!({"current": "p", "profiles": [{"name": "p", "mode": "External", "process_command": command}]})
            .to_string(),
    );
    home
}

fn printing(profile: &Value) -> Home {
    program(&format!("cat <<'END'\n{profile}\nEND\n"))
}

/// The message, without what comes before it.
async fn complaint(home: &Home, limit: Duration) -> String {
    let server = Server::start([]).await;
    let options = PersonOptions {
        external_limit: limit,
        ..home.options()
    };
    let text = failed(&server, &options).await;
    assert_eq!(server.count(), 0);
    let (before, after) = text.split_once("credentials do not work: ").unwrap();
    assert!(
        before.contains("profile \"p\" of ") && before.contains("mode External"),
        "{text}"
    );
    after.to_owned()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_program_prints_credentials() {
    let server = Server::start([caller(), caller()]).await;
    // It also gets its words as they are, without a shell.
    let home = program(&format!(
        "[ \"$1/$2/$3/$#\" = 'login/my profile/$HOME/3' ] || exit 9\necho noise >&2\necho '{}'\n",
        with_token(json!({"mode": "StsToken"}), LATER)
    ));
    assert_eq!(resolved(&home.options()).described().mode, Some(Mode::External));
    ask(&server, &home.options()).await.unwrap();
    let mut printed = json!({"mode": "AK", "access_key_id": "k", "access_key_secret": SECRET});
    ask(&server, &printing(&printed).options()).await.unwrap();
    let seen = server.take();
    assert_eq!(seen[0].headers["x-acs-security-token"], TOKEN);
    assert!(seen[1].headers["authorization"].contains("Credential=k,"));
    // The other spelling of the time, which the Python SDK reads.
    printed["mode"] = json!("StsToken");
    printed["sts_token"] = json!(TOKEN);
    printed["expiration"] = json!("2020-01-01T00:00:00Z");
    let text = complaint(&printing(&printed), LONG).await;
    assert!(
        text.contains("its credentials expired at 2020-01-01T00:00:00Z"),
        "{text}"
    );
}

#[tokio::test]
async fn a_program_in_an_ini_file_is_run_as_well() {
    let server = Server::start([caller()]).await;
    let home = printing(&json!({"mode": "AK", "access_key_id": "k", "access_key_secret": SECRET}));
    let script = home.path("my tools/sso.sh");
    home.write(
        "credentials",
        format!(
            "[default]\ntype = external\nprocess_command = sh \"{}\"\n",
            script.display()
        ),
    );
    let options = PersonOptions {
        profile_file: Some(home.path("credentials")),
        ..home.options()
    };
    ask(&server, &options).await.unwrap();
}

#[tokio::test]
async fn a_program_that_fails_is_named_and_nothing_of_its_output_is() {
    let text = complaint(&program(&format!("echo {SECRET}; echo {SECRET} >&2; exit 3")), LONG).await;
    assert_eq!(
        text,
        "its program \"sh\" ended with exit code 3; run the profile's process_command yourself to see why"
    );
    let text = complaint(&program(&format!("echo {SECRET}; kill -9 $$")), LONG).await;
    assert!(text.starts_with("its program \"sh\" was ended by a signal"), "{text}");
}

#[tokio::test]
async fn what_a_program_prints_must_be_one_profile_with_keys() {
    for garbage in [
        "".to_owned(),
        SECRET.to_owned(),
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        format!("log: {SECRET}\n{{\"mode\": \"AK\"}}"),
        format!("{{\"mode\": \"AK\", \"access_key_id\": \"{SECRET}\""),
    ] {
        let text = complaint(&program(&format!("cat <<'END'\n{garbage}\nEND\n")), LONG).await;
        assert!(
            text.contains("printed something else than one JSON object"),
            "{garbage}: {text}"
        );
    }
    let session = || with_token(json!({"mode": "StsToken"}), LATER);
    let without = |name: &str| {
        let mut profile = session();
        profile[name] = json!("");
        profile
    };
    let with = |name: &str, value: Value| {
        let mut profile = session();
        profile[name] = value;
        profile
    };
    for (profile, expected) in [
        (
            with("mode", json!(SECRET)),
            "mode cannot be used: it is neither AK nor StsToken",
        ),
        (
            with("mode", json!("External")),
            "mode cannot be used: it is neither AK nor StsToken",
        ),
        (without("sts_token"), "it lacks sts_token"),
        (without("access_key_secret"), "it lacks access_key_secret"),
        (
            with("access_key_id", json!([SECRET])),
            "access_key_id cannot be used: it is not text",
        ),
        (
            with("access_key_id", json!(format!("{SECRET}\nx"))),
            "it contains a control character",
        ),
        (
            with("sts_token", json!(SECRET.repeat(2000))),
            "it is longer than any such value",
        ),
        (
            with("sts_expiration", json!(SECRET)),
            "sts_expiration cannot be used: it is not a whole number",
        ),
        (
            with("sts_expiration", json!(LONG_AGO)),
            "its credentials expired at 2020-09-13T12:26:40Z",
        ),
        (
            with("expiration", json!(SECRET)),
            "expiration cannot be used: it is not a time",
        ),
    ] {
        let text = complaint(&printing(&profile), LONG).await;
        assert!(
            text.starts_with("its program \"sh\" printed a profile that cannot be used: ") && text.contains(expected),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_program_without_end_is_killed() {
    let text = complaint(&program(&format!("exec yes {SECRET}")), LONG).await;
    assert_eq!(text, "its program \"sh\" printed more than 65536 bytes and was killed");
}

#[tokio::test]
async fn a_program_that_hangs_is_killed() {
    let home = program("echo $$ > \"${0%/*}/pid\"; exec sleep 600");
    let pid = home.path("my tools/pid");
    let mut limit = Duration::from_millis(200);
    // On a busy machine it may be killed before it has said who it is.
    while !pid.exists() {
        limit *= 2;
        let text = complaint(&home, limit).await;
        assert_eq!(
            text,
            format!(
                "its program \"sh\" did not end within {limit:?} and was killed; run the profile's process_command yourself to see why"
            )
        );
    }
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "{pid} still runs");
}

#[tokio::test]
async fn a_program_that_nobody_waits_for_any_more_is_killed() {
    let home = program("echo $$ > \"${0%/*}/pid.new\"; mv \"${0%/*}/pid.new\" \"${0%/*}/pid\"; exec sleep 600");
    let file = home.path("my tools/pid");
    let server = Server::start([]).await;
    let cloud = connect(&settings(&server, &home.options()));
    let asking = tokio::spawn(async move { cloud.sts.get_caller_identity().await });
    until(|| file.exists()).await;
    let pid = std::fs::read_to_string(&file).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists() || !Path::new("/proc").exists());
    asking.abort();
    assert!(asking.await.is_err());
    until(|| !process.exists()).await;
}

/// Looks until it is so, for at most half a minute.
async fn until(mut so: impl FnMut() -> bool) {
    let looking = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let home = Home::with(
        json!([{"name": "p", "mode": "External", "process_command": format!("/nonexistent/acs-sso --key {SECRET}")}]),
    );
    let text = complaint(&home, LONG).await;
    assert_eq!(
        text,
        "its program \"/nonexistent/acs-sso\" cannot be started: entity not found"
    );
}

#[test]
fn other_programs_can_be_forbidden() {
    for on in ["1", "true", "TRUE"] {
        for (profile, mode) in [
            (
                json!({"name": "p", "mode": "External", "process_command": "true"}),
                "External",
            ),
            (
                json!({"name": "p", "mode": "CredentialsURI", "credentials_uri": "https://x/"}),
                "CredentialsURI",
            ),
        ] {
            let home = Home::with(json!([profile]));
            let options = PersonOptions {
                variables: variables(&[("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", on)]),
                ..home.options()
            };
            assert_eq!(
                home.refused_with(&options),
                format!(
                    "cannot use profile \"p\" of ~/.aliyun/config.json, mode {mode}: ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids mode {mode} on this machine"
                )
            );
        }
    }
    let home = Home::with(json!([{"name": "p", "mode": "External", "process_command": "true"}]));
    let options = PersonOptions {
        variables: variables(&[("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", "0")]),
        ..home.options()
    };
    resolved(&options);
}
