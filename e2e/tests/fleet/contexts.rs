//! The contexts of a hub's kubeconfig: some clusters answer, one is down, one refuses, one is slow, one never answers, one has no operator.

use crate::support::{
    Silent, at, bind, closed, cluster, clusters, ended, finish, fleet, hub, installed, running, scanned, terminal,
    without_our_kinds,
};
use ack_offboarding_e2e::proxy::{Proxy, Upstream};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Each ends in its own way, none stops another, and the closing table has every one of them.
#[tokio::test(flavor = "multi_thread")]
async fn every_cluster_is_accounted_for() -> anyhow::Result<()> {
    let [one, two, bare] = clusters().await;
    let (one, two) = (running(one).await, installed(two).await);
    without_our_kinds(&bare).await?;
    bind(&one, &["team-a"]).await?;
    one.apply("left", json!({"uid": crate::support::UID, "approval": "Manual"}))
        .await?;
    one.wait_for_state("left", "AwaitingApproval").await?;

    let folder = tempfile::tempdir()?;
    let silent = Silent::start().await?;
    let delay = Duration::from_millis(700);
    let slow = Proxy::stepping_in(
        Upstream::api_server(&two.cluster)?,
        Arc::new(move |_, _, _| Box::pin(tokio::time::sleep(delay))),
    )
    .await?;
    let token = two
        .cluster
        .service_account_kubeconfig("ack-offboarding-system", "ack-offboarding-operator")
        .await?;
    let admin = two.cluster.admin_kubeconfig();
    let paths = [
        ("held", one.cluster.admin_kubeconfig()),
        ("done", admin.clone()),
        ("bare", bare.admin_kubeconfig()),
        ("down", at(&admin, &format!("https://{}", closed().await?), "down")?),
        ("refusing", two.cluster.user_kubeconfig("a-stranger", &[])?),
        ("slow", at(&token, &slow.url(), "slow")?),
        ("silent", at(&admin, &format!("https://{}", silent.address), "silent")?),
    ];
    let members: Vec<_> = paths.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let kubeconfig = folder.path().join("hub.kubeconfig");
    hub(&kubeconfig, &members)?;

    let args = ["status", "--all-contexts", "--cluster-timeout=3s"];
    let said = fleet(folder.path(), &kubeconfig, &[&args[..], &["-o", "json"]].concat()).await?;
    let said = said.ends_with(1);
    assert_eq!(
        ended(&said.json()),
        [
            "held: Held",
            "done: Done",
            "bare: NotCovered/NoOperator",
            "down: NotCovered/Unreachable",
            "refusing: NotCovered/NoRights",
            "slow: Done",
            "silent: NotCovered/Unreachable",
        ]
    );
    let report = said.json();
    assert_eq!(
        (&report["kind"], &report["verb"]),
        (&json!("FleetReport"), &json!("status"))
    );
    let held = &cluster(&report, "held")["offboardings"][0];
    assert_eq!(
        (&held["name"], &held["state"]),
        (&json!("left"), &json!("AwaitingApproval"))
    );
    assert!(
        held["digest"]
            .as_str()
            .is_some_and(|digest| digest.starts_with("sha256:"))
    );
    let took = |name: &str| cluster(&report, name)["tookMs"].as_u64().unwrap();
    assert!(took("slow") >= 700, "{}", took("slow"));
    assert!((3_000..9_000).contains(&took("silent")), "{}", took("silent"));
    // Each server is named as what it is, not as the one that was asked first.
    let message = |name: &str| cluster(&report, name)["message"].as_str().unwrap().to_owned();
    assert!(
        message("down").contains("the API server at https://127.0.0.1:"),
        "{}",
        message("down")
    );
    assert!(
        message("refusing").contains("ClusterRole ack-offboarding-viewer"),
        "{}",
        message("refusing")
    );
    assert!(
        message("silent").contains("no answer within 3s"),
        "{}",
        message("silent")
    );

    let said = fleet(folder.path(), &kubeconfig, &args).await?.ends_with(1);
    let said = said
        .tells("7 clusters: 2 done, 1 held, 4 not covered.")
        .tells("Not covered: down (unreachable): ")
        .tells("Not covered: bare (no operator): ")
        .tells("Not covered: refusing (no rights): ");
    for (name, _) in &members {
        assert!(
            said.out.lines().any(|line| line.starts_with(&format!("{name} "))),
            "{name}: {}",
            said.out
        );
        // A plain line each, as this is no terminal.
        assert!(
            said.err.lines().any(|line| line.starts_with(&format!("{name}: "))),
            "{name}: {}",
            said.err
        );
    }
    assert!(!said.err.contains('\u{1b}'), "{}", said.err);
    Ok(())
}

/// By name, by pattern, or all; a context that is not there is a wrong usage, and nothing is asked.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_chosen() -> anyhow::Result<()> {
    let [one] = clusters().await;
    let one = installed(one).await;
    scanned(&one, &["259083957089437691"]).await?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("hub.kubeconfig");
    let admin = one.cluster.admin_kubeconfig();
    hub(&kubeconfig, &[("prod-a", &admin), ("prod-b", &admin), ("test", &admin)])?;
    let scan = async |args: &[&str]| {
        let args = [&["scan", "-o", "json"], args].concat();
        fleet(folder.path(), &kubeconfig, &args).await
    };
    let said = scan(&["--context-selector", "prod-*"]).await?.ends_with(1);
    assert_eq!(ended(&said.json()), ["prod-a: Done", "prod-b: Done"]);
    let report = said.json();
    let finding = &cluster(&report, "prod-a")["findings"][0];
    assert_eq!(
        (&finding["uid"], &finding["access"]),
        (&json!("259083957089437691"), &json!("ClusterAdmin"))
    );
    let said = scan(&["--contexts", "test,prod-a"]).await?.ends_with(1);
    assert_eq!(ended(&said.json()), ["test: Done", "prod-a: Done"]);
    // Nobody of this UID: done, and nothing found.
    let said = scan(&["--contexts", "test", "--uid", "259083957089437692"])
        .await?
        .ends_with(0);
    assert_eq!(ended(&said.json()), ["test: Done"]);
    let wrong: [(&[&str], &str); 5] = [
        (&["--contexts", "test,prod-c"], "no context \"prod-c\""),
        (&["--context-selector", "x*"], "no context fits"),
        (&[], "which clusters?"),
        (&["--context", "test"], "--contexts"),
        (&["--all-contexts", "--all-clusters"], "cannot be used with"),
    ];
    for (args, tells) in wrong {
        scan(args).await?.ends_with(64).tells(tells);
    }
    Ok(())
}

/// On a terminal, lines for those that are being asked, which are gone at the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_who_is_being_asked() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let silent = Silent::start().await?;
    let member = |name: &str, address: &str| {
        let config = json!({
            "clusters": [{"cluster": {"server": format!("https://{address}")}}], "users": [{"user": {"token": "x"}}],
        });
        let path = folder.path().join(name);
        std::fs::write(&path, config.to_string()).map(|()| path)
    };
    let paths = [member("down", &closed().await?)?, member("silent", &silent.address)?];
    let kubeconfig = folder.path().join("hub.kubeconfig");
    hub(&kubeconfig, &[("down", &paths[0]), ("silent", &paths[1])])?;
    let said = tokio::task::spawn_blocking(move || {
        let args = ["fleet", "status", "--all-contexts", "--cluster-timeout=2s"];
        let mut session = terminal(&kubeconfig, &args, false)?;
        session.exp_string("1 of 2 clusters")?;
        finish(session)
    });
    let (said, code) = said.await??;
    assert_eq!(code, Some(1), "{said}");
    let yellow = "\u{1b}[33mnot covered (unreachable)\u{1b}[0m";
    let last = said.rsplit("CLUSTER").next().unwrap_or_default();
    assert_eq!(last.matches(yellow).count(), 2, "{said:?}");
    assert!(
        last.contains("2 clusters: 2 not covered.") && !last.contains("of 2 clusters"),
        "{said:?}"
    );
    Ok(())
}
