//! Kubeconfigs that ACK issues are kept in memory: nothing that is printed or written holds a key of theirs, or the caller's secret.

use crate::{
    account::{CALLER, KEY, SECRET, account, caller, over_account},
    support::{UID, bind, clusters, run, running, scanned},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What must never be seen of a kubeconfig: its key and certificate, encoded and plain, line by line.
fn needles(kubeconfig: &Path) -> anyhow::Result<Vec<String>> {
    let config: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig)?)?;
    let mut needles = Vec::new();
    for field in ["client-key-data", "client-certificate-data"] {
        let data = config["users"][0]["user"][field].as_str().unwrap_or_default();
        let plain = String::from_utf8(STANDARD.decode(data)?)?;
        let lines = plain
            .lines()
            .filter(|line| !line.starts_with("-----") && line.len() > 16);
        needles.extend(lines.map(str::to_owned));
        // Of what is cut or wrapped, a part is seen.
        needles.extend(
            data.as_bytes()
                .chunks(40)
                .map(|part| String::from_utf8_lossy(part).into_owned()),
        );
    }
    needles.retain(|needle| needle.len() > 16);
    anyhow::ensure!(needles.len() > 4, "the kubeconfig holds a key");
    Ok(needles)
}

/// Every file below a folder.
fn files(folder: &Path, all: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files(&entry.path(), all)?,
            false => all.push(entry.path()),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_printed_or_written() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [one, two] = clusters().await;
    let (one, two) = (running(one).await, running(two).await);
    for env in [&one, &two] {
        bind(env, &["team-a"]).await?;
        scanned(env, &[UID]).await?;
    }
    let all = ["c1", "c2", "c3", "c4", "c5"].map(|id| (id, "cn-hangzhou", id, "running"));
    let sim = account(folder.path(), &all)?;
    let own = [caller(&one.cluster)?, caller(&two.cluster)?];
    let mut secrets = vec![SECRET.to_owned()];
    for (id, path) in [("c1", &own[0]), ("c2", &own[1])] {
        sim.attach_user_kubeconfig(id, CALLER, path);
        secrets.extend(needles(path)?);
    }
    // Those that cannot be used, and hold a key all the same: one runs a program, one is no YAML, and the key of one is damaged.
    let ran = folder.path().join("ran");
    let valid: Value = serde_json::from_str(&std::fs::read_to_string(&own[0])?)?;
    let mut program = valid.clone();
    program["users"][0]["user"]["exec"] = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [ran], "interactiveMode": "Never",
    });
    let mut damaged = valid.clone();
    let key = valid["users"][0]["user"]["client-key-data"].as_str().unwrap();
    damaged["users"][0]["user"]["client-key-data"] = STANDARD.encode(format!("no PEM: {key}")).into();
    let broken = valid.to_string().replacen(':', "[", 3);
    let aside = tempfile::tempdir()?;
    for (id, text) in [("c3", program.to_string()), ("c4", broken), ("c5", damaged.to_string())] {
        let path = aside.path().join(id);
        std::fs::write(&path, text)?;
        sim.attach_user_kubeconfig(id, CALLER, &path);
    }

    let report = folder.path().join("report.json");
    let report = report.to_str().unwrap();
    let verbs: [&[&str]; 6] = [
        &["scan", "--report", report],
        &["status", "-o", "json"],
        &["plan", UID, "-o", "yaml"],
        &["start", UID, "--object=left", "--yes", "-o", "wide", "--report", report],
        &["approve", "left", "--yes"],
        &["report", "-o", "json", "--report", report],
    ];
    let mut written = String::new();
    for verb in verbs {
        let said = run(over_account(folder.path(), &sim, verb)?).await?;
        let said =
            said.tells("Not covered: c3 (unreachable): ACK issued a kubeconfig that is not used: it names a program");
        let said = said
            .tells("Not covered: c4 (unreachable)")
            .tells("Not covered: c5 (unreachable)");
        assert!(said.err.contains("c1: "), "{}", said.err);
        written.push_str(&said.out);
        written.push_str(&said.err);
    }
    assert!(!ran.exists(), "no program of a kubeconfig is run");
    let mut found = Vec::new();
    files(folder.path(), &mut found)?;
    assert!(found.iter().any(|path| path.ends_with("report.json")), "{found:?}");
    for path in &found {
        written.push_str(&String::from_utf8_lossy(&std::fs::read(path)?));
    }
    assert!(written.contains("FleetReport"));
    for secret in &secrets {
        assert!(!written.contains(secret.as_str()), "{secret} was printed or written");
    }
    assert!(!written.contains(KEY), "not even the name of the key");
    Ok(())
}
