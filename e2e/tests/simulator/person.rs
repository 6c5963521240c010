//! A person's credentials from real files, against the simulator: it knows the keys, checks the signatures, and says who it takes the caller for.
//! Modes that need other services are tested in `crates/alibaba-cloud`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{fs, path::Path, sync::Arc};

use ack_offboarding_e2e::simulator::{
    Options, Simulator, World,
    world::{AccessKey, Principal, User},
};
use alibaba_cloud::{
    Cloud, CloudSettings, CredentialsSource, EndpointOverrides, ErrorKind,
    person::{PersonOptions, Variables},
    sts::CallerIdentity,
};
use serde_json::{Value, json};

const KEY_OWNER: &str = "200000000000000001";
const SESSION_OWNER: &str = "200000000000000002";

fn simulator() -> Simulator {
    let mut world = World::default();
    let user = |uid: &str| Principal::RamUser {
        user_id: uid.to_owned(),
    };
    world.users.push(User::new(KEY_OWNER, "key-owner"));
    world.users.push(User::new(SESSION_OWNER, "session-owner"));
    world.access_keys.push(AccessKey::new("ak", "sk", user(KEY_OWNER)));
    world.access_keys.push(AccessKey {
        security_token: Some("session-token".to_owned()),
        ..AccessKey::new("STS.ak", "session-sk", user(SESSION_OWNER))
    });
    Simulator::start(Options {
        world,
        ..Options::default()
    })
    .unwrap()
}

async fn who(
    simulator: &Simulator,
    home: &Path,
    profile: Option<&str>,
) -> Result<CallerIdentity, alibaba_cloud::ApiError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = PersonOptions {
        profile: profile.map(str::to_owned),
        home: Some(home.to_owned()),
        variables: Variables::default(),
        ..PersonOptions::of_process()
    };
    let source = options.resolve().unwrap();
    let settings = CloudSettings {
        credentials: CredentialsSource::Person(source),
        endpoints: EndpointOverrides {
            sts: Some(simulator.url()),
            ..EndpointOverrides::default()
        },
        ..CloudSettings::new("cn-hangzhou")
    };
    let cloud = Cloud::connect(&settings, Arc::new(())).unwrap();
    cloud.sts.get_caller_identity().await
}

fn home(profiles: &Value) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".aliyun")).unwrap();
    let config = json!({"current": "key", "profiles": profiles});
    fs::write(home.path().join(".aliyun/config.json"), config.to_string()).unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn each_profile_is_whom_its_key_belongs_to() {
    let simulator = simulator();
    let session = json!({"mode": "StsToken", "access_key_id": "STS.ak", "access_key_secret": "session-sk", "sts_token": "session-token"});
    let mut profile = session.clone();
    profile["name"] = json!("session");
    let home = home(&json!([
        {"name": "key", "mode": "AK", "access_key_id": "ak", "access_key_secret": "sk"},
        profile,
        {"name": "program", "mode": "External", "process_command": format!("echo '{session}'")},
        {"name": "wrong", "mode": "AK", "access_key_id": "ak", "access_key_secret": "another-sk"},
    ]));
    for (profile, owner) in [
        (None, KEY_OWNER),
        (Some("session"), SESSION_OWNER),
        (Some("program"), SESSION_OWNER),
    ] {
        let caller = who(&simulator, home.path(), profile).await.unwrap();
        assert_eq!(caller.user_id.as_deref(), Some(owner), "{profile:?}");
    }
    let error = who(&simulator, home.path(), Some("wrong")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials);
    assert!(!error.to_string().contains("another-sk"), "{error}");

    fs::remove_dir_all(home.path().join(".aliyun")).unwrap();
    fs::create_dir(home.path().join(".alibabacloud")).unwrap();
    let ini =
        "[default]\ntype = sts\naccess_key_id = STS.ak\naccess_key_secret = session-sk\nsts_token = session-token\n";
    fs::write(home.path().join(".alibabacloud/credentials"), ini).unwrap();
    let caller = who(&simulator, home.path(), None).await.unwrap();
    assert_eq!(caller.user_id.as_deref(), Some(SESSION_OWNER));
}
