//! `scan --direct`: whose credentials, and whose rights.

use crate::scan::{direct_as, give_all};
use crate::support::{Said, UID, command, env, stranger};
use ack_offboarding_e2e::{
    env::{ACCESS_KEY, ACCESS_SECRET, ACCOUNT, CLUSTER_ID, SECURITY_TOKEN, user},
    simulator::{
        Fault, FaultKind, Operation,
        world::{AccessKey, Principal},
    },
};
use serde_json::{Value, json};
use std::path::Path;

/// Bound, never in RAM, and without a kubeconfig: ACK knows nothing of it.
const UNHEARD_OF: &str = "201000000000000077";
const ROOT_KEY: &str = "LTAI-stage-root";
const ROOT_SECRET: &str = "root-secret-0123456789abcdef";

/// The state of each identity that was found, by its UID.
fn states(said: &Said) -> anyhow::Result<Vec<(String, String)>> {
    let found: Value = serde_json::from_str(&said.out)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = found["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .iter()
        .map(|item| (text(&item["uid"]), text(&item["state"])))
        .collect())
}

fn state<'a>(states: &'a [(String, String)], uid: &str) -> Option<&'a str> {
    let found = states.iter().find(|(of, _)| of == uid);
    found.map(|(_, state)| state.as_str())
}

/// Root is in no listing, so it cannot be told that the listings are the account's: ACK must agree, or nobody is called deleted.
#[tokio::test(flavor = "multi_thread")]
async fn the_account_itself_calls_nobody_deleted_alone() -> anyhow::Result<()> {
    let env = env().await;
    give_all(&env).await?;
    env.role_binding("team-a", "unheard-of", "view", &[user(UNHEARD_OF)])
        .await?;
    env.sim.edit(|world| {
        let key = AccessKey::new(ROOT_KEY, ROOT_SECRET, Principal::Account);
        world.access_keys.push(key);
    });
    let as_root = async || {
        let keys = [
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", ROOT_KEY),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ROOT_SECRET),
        ];
        let said = direct_as(&env, &env.cluster.admin_kubeconfig(), &keys, &["-o", "json"]).await?;
        states(&said.ends_with(1))
    };
    let seen = as_root().await?;
    assert_eq!(state(&seen, UID), Some("Deleted"), "ACK agrees: {seen:?}");
    assert_eq!(state(&seen, UNHEARD_OF), Some("Unknown"), "{seen:?}");
    env.sim.fault(Fault::new(
        Operation::CsListClusterKubeconfigStates,
        FaultKind::Forbidden,
    ));
    let seen = as_root().await?;
    assert_eq!(state(&seen, UID), Some("Unknown"), "ACK says nothing: {seen:?}");
    Ok(())
}

/// Bindings that may not be listed are named, and so is a cluster that says nothing of itself.
#[tokio::test(flavor = "multi_thread")]
async fn without_rights_in_the_cluster() -> anyhow::Result<()> {
    let env = env().await;
    let stranger = stranger(&env)?;
    let keys = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_SECRET),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", SECURITY_TOKEN),
    ];
    let said = direct_as(&env, &stranger, &keys, &[]).await?.ends_with(64);
    said.prints_nothing().tells("ack-cluster-profile cannot be read");
    let named = [format!("--cluster-id={CLUSTER_ID}"), format!("--account-id={ACCOUNT}")];
    let named = named.each_ref().map(String::as_str);
    let said = direct_as(&env, &stranger, &keys, &named).await?.ends_with(2);
    said.prints_nothing()
        .tells("clusterrolebindings")
        .tells("nobody is called deleted");
    Ok(())
}

/// A configuration of the aliyun CLI with two profiles, of which one works.
fn configuration(folder: &Path) -> anyhow::Result<String> {
    let profile = |name: &str, secret: &str| {
        json!({
            "name": name, "mode": "StsToken", "access_key_id": ACCESS_KEY, "access_key_secret": secret,
            "sts_token": SECURITY_TOKEN, "region_id": "cn-hangzhou",
        })
    };
    let config = json!({"current": "broken", "profiles": [profile("broken", "another-secret"), profile("works", ACCESS_SECRET)]});
    let file = folder.join("config.json");
    std::fs::write(&file, config.to_string())?;
    Ok(file.display().to_string())
}

/// The credentials are those of the flags; `version -v` names them; no secret is shown.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_profile() -> anyhow::Result<()> {
    let env = env().await;
    give_all(&env).await?;
    let folder = tempfile::tempdir()?;
    let file = configuration(folder.path())?;
    let file = format!("--profile-file={file}");
    let admin = env.cluster.admin_kubeconfig();
    direct_as(&env, &admin, &[], &[&file, "--profile=works"])
        .await?
        .ends_with(1);
    let broken = direct_as(&env, &admin, &[], &[&file]).await?.ends_with(2);
    broken.prints_nothing().tells("Renew your Alibaba Cloud credentials");
    let none = direct_as(&env, &admin, &[], &[&file, "--profile=none"])
        .await?
        .ends_with(2);
    none.prints_nothing().tells("none");

    for (profile, words) in [("works", "\"works\""), ("none", "\"none\"")] {
        let profile = format!("--profile={profile}");
        let args = ["version", "-v", &file, &profile];
        let mut command = command(&admin, &args)?;
        let said = Said::of(tokio::task::spawn_blocking(move || command.output()).await??)?;
        let line = said.out.lines().find(|line| line.starts_with("Cloud"));
        assert!(line.is_some_and(|line| line.contains(words)), "{said:#?}");
        for secret in [ACCESS_SECRET, "another-secret", SECURITY_TOKEN] {
            assert!(!said.out.contains(secret) && !said.err.contains(secret), "{said:?}");
        }
    }
    Ok(())
}
