//! Which source is used: the first that exists, and no other.

use alibaba_cloud::person::{Mode, PersonOptions, SourceKind};
use serde_json::json;

use super::{Home, ak, ask, key_variables, refused, resolved, variables};
use crate::credentials::caller;
use crate::server::{SECRET, Server};

const INI: &str =
    "[default]\ntype = access_key\naccess_key_id = key-of-ini\naccess_key_secret = the-secret-of-the-key\n";

/// The access key that a call was signed with.
async fn key(options: &PersonOptions) -> String {
    let server = Server::start([caller()]).await;
    ask(&server, options).await.unwrap();
    let seen = server.take();
    let (_, rest) = seen[0].headers["authorization"].split_once("Credential=").unwrap();
    rest.split(',').next().unwrap().to_owned()
}

fn both() -> Home {
    let home = Home::with(json!([ak("first"), ak("second"), ak("third")]));
    home.write(".alibabacloud/credentials", INI);
    home
}

#[tokio::test]
async fn the_environment_comes_first_then_the_cli_then_the_ini_file() {
    let home = both();
    let mut options = PersonOptions {
        variables: key_variables(),
        ..home.options()
    };
    assert_eq!(key(&options).await, "key-of-env");
    let source = resolved(&options);
    assert_eq!(
        source.described().to_string(),
        "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET), mode AK"
    );
    options.ignore_env = true;
    assert_eq!(key(&options).await, "key-of-first");
    assert_eq!(resolved(&options).described().kind, SourceKind::ConfigJson);
    std::fs::remove_file(home.path(".aliyun/config.json")).unwrap();
    assert_eq!(key(&options).await, "key-of-ini");
    let source = resolved(&options);
    let described = source.described();
    assert_eq!((described.kind, described.mode), (SourceKind::Ini, Some(Mode::Ak)));
    std::fs::remove_file(home.path(".alibabacloud/credentials")).unwrap();
    options.ignore_env = false;
    assert_eq!(key(&options).await, "key-of-env");
    options.ignore_env = true;
    let text = home.refused_with(&options);
    assert_eq!(
        text,
        "no Alibaba Cloud credentials: none in the environment, and there is no ~/.aliyun/config.json and no ~/.alibabacloud/credentials; \
         run `aliyun configure`, or name a file with --profile-file"
    );
    options.home = None;
    assert!(refused(&options).contains("there is no home directory to look in"));
}

#[tokio::test]
async fn the_flag_beats_the_variable_which_beats_the_current_profile() {
    let home = both();
    let mut options = home.options();
    assert_eq!(key(&options).await, "key-of-first");
    options.variables = variables(&[("ALICLOUD_PROFILE", "first"), ("ALIBABACLOUD_PROFILE", "second")]);
    assert_eq!(key(&options).await, "key-of-second");
    options.profile = Some("third".into());
    assert_eq!(key(&options).await, "key-of-third");
    let text = resolved(&options).described().to_string();
    let file = home.path(".aliyun/config.json");
    assert_eq!(text, format!("profile \"third\" of {}, mode AK", file.display()));
    // Whoever names a profile means it.
    options.variables = key_variables();
    assert_eq!(key(&options).await, "key-of-third");
    // And a profile that is only in the other file is not looked for there.
    options.profile = Some("default".into());
    assert_eq!(
        home.refused_with(&options),
        "cannot use profile \"default\" of ~/.aliyun/config.json: the file has no profile \"default\"; it has \"first\", \"second\", \"third\""
    );
}

#[tokio::test]
async fn a_named_file_is_the_only_one_that_is_looked_at() {
    let home = both();
    home.write("own.json", json!({"profiles": [ak("default")]}).to_string());
    home.write("own.ini", INI.replace("key-of-ini", "key-of-own"));
    let named = |file: &str| PersonOptions {
        profile_file: Some(home.path(file)),
        variables: key_variables(),
        ..home.options()
    };
    assert_eq!(key(&named("own.json")).await, "key-of-default");
    assert_eq!(key(&named("own.ini")).await, "key-of-own");
    assert_eq!(
        home.refused_with(&named("missing.json")),
        "cannot use ~/missing.json: the file cannot be read: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn variables_name_files_too() {
    let home = both();
    home.write("own.ini", INI.replace("key-of-ini", "key-of-own"));
    home.write("own", json!({"current": "x", "profiles": [ak("x")]}).to_string());
    let path = |file: &str| home.path(file).to_str().unwrap().to_owned();
    let with = |name: &str, value: &str| PersonOptions {
        variables: variables(&[(name, value)]),
        ..home.options()
    };
    assert_eq!(
        key(&with("ALIBABA_CLOUD_CREDENTIALS_FILE", &path("own.ini"))).await,
        "key-of-own"
    );
    assert_eq!(key(&with("ALIBABACLOUD_PROFILE_PATH", &path("own"))).await, "key-of-x");
    assert_eq!(key(&with("ALIBABACLOUD_IGNORE_PROFILE", "TRUE")).await, "key-of-ini");
    let missing = with("ALIBABACLOUD_PROFILE_PATH", &path("missing"));
    assert!(
        home.refused_with(&missing)
            .contains("~/missing: the file cannot be read")
    );
}

#[test]
fn a_source_that_fails_is_the_error_whatever_else_there_is() {
    let home = both();
    home.write(".aliyun/config.json", "{");
    assert!(home.refused().contains("config.json: the file is not a configuration"));
    // Not even when it cannot be told what is there.
    std::fs::remove_file(home.path(".aliyun/config.json")).unwrap();
    std::fs::create_dir(home.path(".aliyun/config.json")).unwrap();
    assert_eq!(
        home.refused(),
        "cannot use ~/.aliyun/config.json: it is not a regular file"
    );
    let half = PersonOptions {
        variables: variables(&[("ACCESS_KEY_SECRET", SECRET)]),
        ..both().options()
    };
    assert_eq!(
        refused(&half),
        "cannot use the environment (ACCESS_KEY_SECRET), mode AK: it lacks ALIBABA_CLOUD_ACCESS_KEY_ID; set what is missing, or leave the \
         environment out with --ignore-env-credentials"
    );
}

#[test]
fn the_region_may_come_from_the_source() {
    let home = both();
    assert_eq!(resolved(&home.options()).region(), Some("cn-hangzhou"));
    let mut pairs = vec![
        ("ALICLOUD_REGION_ID", "cn-beijing"),
        ("ACCESS_KEY_ID", "k"),
        ("ACCESS_KEY_SECRET", SECRET),
    ];
    let options = |pairs: &[(&str, &str)]| PersonOptions {
        variables: variables(pairs),
        ..home.options()
    };
    assert_eq!(resolved(&options(&pairs)).region(), Some("cn-beijing"));
    pairs.remove(0);
    assert_eq!(resolved(&options(&pairs)).region(), None);
}
