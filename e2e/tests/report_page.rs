//! The page of `fleet report -o html` in a real browser: headless Chromium, driven by its DevTools protocol.
//!
//! Where there is no Chromium (`chromium` in the PATH, or `$CHROMIUM`), the test says so and shows nothing. `.ci/run` installs it as root,
//! and sets `CHROMIUM_REQUIRED` where it is installed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ack_offboarding_e2e::{
    cluster::{Process, ScratchDir},
    env::plugin_binary,
};
use anyhow::{Context, ensure};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// How long Chromium may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
const IDENTITIES: usize = 500;
const CLUSTERS: usize = 20;
/// What a name could do.
const HOSTILE: &str =
    "</script><script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=\"document.title='owned'\">";

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("chromium"))
        .find(|file| file.is_file());
    named.or(found)
}

/// A report of many clusters, of which one was not reached; the identities are in the wrong order.
fn report() -> Value {
    let finding = |number: usize, cluster: usize| {
        let (state, access) = match number % 5 {
            0 => ("Active", "Namespaced"),
            1 => ("Deleted", if number == 1 { "ClusterAdmin" } else { "ClusterWide" }),
            2 => ("RecycleBin", "Namespaced"),
            3 => ("Frozen", "ClusterWide"),
            _ => ("Active", "ClusterAdmin"),
        };
        json!({
            "uid": format!("{}", 201_000_000_000_000_000_usize + number), "type": "RamUser", "state": state, "dormant": "Unknown", "access": access,
            "name": if number == 2 { HOSTILE.to_owned() } else { format!("user-{number}") }, "bindingsTotal": 1 + cluster % 3,
            "bindings": [{"kind": "RoleBinding", "namespace": "team-a", "name": format!("binding-{number}"), "roleRef": "ClusterRole/edit"}],
            "kubeconfig": "Unexpired",
        })
    };
    let cluster = |index: usize| {
        let last = index + 1 == CLUSTERS;
        let findings: Vec<_> = (0..IDENTITIES)
            .filter(|number| number % CLUSTERS == index || number % 7 == 1)
            .map(|number| finding(number, index))
            .collect();
        let mut cluster = json!({
            "name": format!("cluster-{index:02}"), "region": "cn-hangzhou", "tookMs": 300, "ended": if last { "NotCovered" } else { "Done" },
            "message": if last { "no answer within 10 s" } else { "scanned" }, "findings": if last { json!([]) } else { json!(findings) },
        });
        if last {
            cluster["notCovered"] = json!("Unreachable");
        } else {
            cluster["scannedAt"] = json!("2026-01-06T00:00:00Z");
        }
        cluster
    };
    json!({
        "apiVersion": "cli.ack-offboarding.io/v1", "kind": "FleetReport", "verb": "report", "madeAt": "2026-01-06T00:00:01Z", "plugin": "0.1.0",
        "clusters": (0..CLUSTERS).map(cluster).collect::<Vec<_>>(),
    })
}

/// A page in Chromium, and what it told of itself.
struct Page {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    asked: u64,
    /// Requests, console messages, errors and refusals: each as the protocol tells it.
    told: Vec<Value>,
    /// Killed before its folder goes, and also where this process is killed.
    _process: Process,
    _folder: ScratchDir,
}

impl Page {
    async fn open(chromium: &Path, url: &str) -> anyhow::Result<Self> {
        let folder = ScratchDir::new("chromium")?;
        // reqwest wants one; an earlier one would be this one as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = Command::new(chromium);
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-sync",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank")
            // Its crash reports go with the folder as well.
            .env("HOME", folder.path());
        let mut process = Process::spawn("chromium", &command, &folder.path().join("chromium.log"))?;
        let port_file = folder.path().join("DevToolsActivePort");
        let begun = Instant::now();
        let port = loop {
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Some(port) = text.lines().next().filter(|_| text.contains('\n')) {
                break port.to_owned();
            }
            let ended = process.try_wait()?;
            ensure!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "Chromium does not listen: {}",
                process.log_tail(2_000)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let listed = reqwest::get(format!("http://127.0.0.1:{port}/json/list"))
            .await?
            .text()
            .await?;
        let targets: Vec<Value> = serde_json::from_str(&listed)?;
        let page = targets
            .iter()
            .find(|target| target["type"] == "page")
            .context("a page")?;
        let address = page["webSocketDebuggerUrl"].as_str().context("an address")?;
        let (socket, _) = connect_async(address).await?;
        let mut page = Page {
            socket,
            asked: 0,
            told: Vec::new(),
            _process: process,
            _folder: folder,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await?;
        }
        page.call("Page.navigate", json!({"url": url})).await?;
        let loaded = |told: &Value| told["method"] == "Page.loadEventFired";
        while !page.told.iter().any(loaded) {
            page.listen().await?;
        }
        Ok(page)
    }

    async fn listen(&mut self) -> anyhow::Result<Value> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next())
            .await
            .context("Chromium is silent")?;
        let text = next.context("Chromium hung up")??.into_text()?;
        let told: Value = serde_json::from_str(&text)?;
        if told.get("method").is_some() {
            self.told.push(told.clone());
        }
        Ok(told)
    }

    async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let question = json!({"id": self.asked, "method": method, "params": params});
        self.socket.send(Message::text(question.to_string())).await?;
        loop {
            let told = self.listen().await?;
            if told["id"] == self.asked {
                ensure!(told.get("error").is_none(), "{method}: {told}");
                return Ok(told["result"].clone());
            }
        }
    }

    /// What an expression comes to in the page.
    async fn eval(&mut self, expression: &str) -> anyhow::Result<Value> {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", asked).await?;
        ensure!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        Ok(result["result"]["value"].clone())
    }

    /// The UIDs of the rows that are shown, in their order.
    async fn shown(&mut self) -> anyhow::Result<Vec<String>> {
        let rows = "Array.from(document.querySelectorAll('#matrix tbody tr')).filter(r => r.offsetParent !== null || r.getClientRects().length > 0)";
        let uids = self
            .eval(&format!("{rows}.map(r => r.querySelector('small').textContent)"))
            .await?;
        Ok(serde_json::from_value(uids)?)
    }

    /// Types into a control, or chooses, as a person does.
    async fn set(&mut self, id: &str, value: &str) -> anyhow::Result<()> {
        let change = format!(
            "(() => {{ const c = document.getElementById('{id}'); c.value = '{value}'; c.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
        );
        self.eval(&change).await.map(drop)
    }

    async fn click(&mut self, column: usize) -> anyhow::Result<String> {
        let head = format!("document.querySelectorAll('#matrix thead th')[{column}]");
        self.eval(&format!("{head}.querySelector('button').click()")).await?;
        let sort = self.eval(&format!("{head}.getAttribute('aria-sort')")).await?;
        Ok(sort.as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_renders_sorts_and_filters_and_asks_for_nothing() -> anyhow::Result<()> {
    let Some(chromium) = chromium() else {
        assert!(std::env::var_os("CHROMIUM_REQUIRED").is_none(), "there is no Chromium");
        eprintln!("NOT SHOWN: there is no Chromium on this machine (Debian: apt-get install chromium).");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    std::fs::write(&file, report().to_string())?;
    let output = Command::new(plugin_binary()?)
        .args(["fleet", "report"])
        .arg(&file)
        .args(["-o", "html"])
        .output()?;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let html = folder.path().join("page.html");
    std::fs::write(&html, &output.stdout)?;
    let url = format!("file://{}", html.display());
    let mut page = Page::open(&chromium, &url).await?;

    // The worst first: the deleted cluster-admin, though others come before it in every cluster.
    let all = page.shown().await?;
    assert_eq!(
        (all.len(), all[0].as_str()),
        (IDENTITIES - missing(), "201000000000000001")
    );
    let title = page.eval("document.title").await?;
    assert!(
        title.as_str().unwrap().starts_with("Who has access: 20 clusters"),
        "{title}"
    );
    let amiss = page.eval("document.querySelector('section.amiss').innerText").await?;
    assert!(
        amiss.as_str().unwrap().contains("cluster-19") && amiss.as_str().unwrap().contains("not covered"),
        "{amiss}"
    );

    // Sorts, both ways, and back.
    assert_eq!(page.click(0).await?, "ascending");
    let by_name = page.shown().await?;
    assert_eq!(page.click(0).await?, "descending");
    let mut back = page.shown().await?;
    back.reverse();
    assert_eq!(by_name, back);
    assert_ne!(by_name, all);
    assert_eq!(page.click(1).await?, "ascending");
    assert_eq!(page.shown().await?[0], "201000000000000001", "by state, as it came");

    // Filters: by words, by state, by both.
    page.set("search", "BINDING-101").await?;
    assert_eq!(page.shown().await?, ["201000000000000101"]);
    let count = page.eval("document.getElementById('count').textContent").await?;
    assert_eq!(count, json!(format!("1 of {} identities", all.len())));
    page.set("search", "").await?;
    page.set("state", "Frozen").await?;
    let frozen = page.shown().await?;
    assert!(
        !frozen.is_empty() && frozen.iter().all(|uid| uid.ends_with('3') || uid.ends_with('8')),
        "{frozen:?}"
    );
    page.set("state", "gone").await?;
    page.set("access", "cluster-admin").await?;
    assert_eq!(page.shown().await?, ["201000000000000001"]);
    page.set("state", "").await?;
    page.set("access", "").await?;
    assert_eq!(page.shown().await?.len(), all.len());

    // Every state is said in words, and for a screen reader what a mark means.
    let words = page
        .eval("Array.from(document.querySelectorAll('#matrix .state')).every(s => s.textContent.trim().length > 3)")
        .await?;
    assert_eq!(words, json!(true));
    let labels = page.eval("Array.from(document.querySelectorAll('#matrix td.nothing, #matrix td.unknown')).every(c => c.getAttribute('aria-label'))").await?;
    assert_eq!(labels, json!(true));
    // On paper, everything is there but the controls.
    page.call("Emulation.setEmulatedMedia", json!({"media": "print"}))
        .await?;
    let controls = page
        .eval("getComputedStyle(document.querySelector('.controls')).display")
        .await?;
    assert_eq!(controls, json!("none"));
    // No cell leaves the sheet, which is A4 across without its margins, and each that holds something names its cluster.
    page.call(
        "Emulation.setDeviceMetricsOverride",
        json!({"width": 1032, "height": 703, "deviceScaleFactor": 1, "mobile": false}),
    )
    .await?;
    let shown = "Array.from(document.querySelectorAll('th, td')).filter(c => c.getClientRects().length > 0)";
    let cut = page
        .eval(&format!(
            "{shown}.filter(c => c.getBoundingClientRect().right > 1033).length"
        ))
        .await?;
    assert_eq!(cut, json!(0), "cells that are cut off");
    let named = page
        .eval(&format!("new Set({shown}.filter(c => c.matches('#matrix .holds, #matrix .unknown')).map(c => getComputedStyle(c, '::before').content)).size"))
        .await?;
    assert_eq!(named, json!(CLUSTERS), "the clusters that are named");
    // The bindings are unfolded, and a paper that leaves somebody out says so.
    let folded = format!(
        "{shown}.filter(c => c.matches('#matrix .holds') && !c.querySelector('details div').checkVisibility()).length"
    );
    assert_eq!(
        page.eval(&folded).await?,
        json!(0),
        "cells with bindings that are not printed"
    );
    page.set("search", "binding-101").await?;
    let count = page
        .eval("(c => c.checkVisibility() && c.textContent)(document.getElementById('count'))")
        .await?;
    assert_eq!(count, json!(format!("1 of {} identities", all.len())), "on paper");
    page.set("search", "").await?;
    let pdf = page.call("Page.printToPDF", json!({"preferCSSPageSize": true})).await?;
    assert!(pdf["data"].as_str().unwrap_or_default().len() > 10_000, "a PDF");

    // Nothing but the page itself was loaded, and nothing went wrong.
    let requests: Vec<_> = page
        .told
        .iter()
        .filter(|told| told["method"] == "Network.requestWillBeSent")
        .map(|told| told["params"]["request"]["url"].clone())
        .collect();
    assert_eq!(requests, [json!(url)], "no other request");
    let wrong: Vec<_> = page
        .told
        .iter()
        .filter(|told| {
            let method = told["method"].as_str().unwrap_or_default();
            method == "Runtime.exceptionThrown" || method == "Log.entryAdded" || method == "Runtime.consoleAPICalled"
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(
        page.eval("document.title")
            .await?
            .as_str()
            .unwrap()
            .starts_with("Who has access"),
        "no name ran"
    );

    // Without its script, everything is shown.
    page.call("Emulation.setScriptExecutionDisabled", json!({"value": true}))
        .await?;
    page.told.clear();
    page.call("Page.reload", json!({})).await?;
    while !page.told.iter().any(|told| told["method"] == "Page.loadEventFired") {
        page.listen().await?;
    }
    let text = page.call("DOM.getDocument", json!({"depth": 0})).await?;
    let body = page
        .call(
            "DOM.querySelectorAll",
            json!({"nodeId": text["root"]["nodeId"], "selector": "#matrix tbody tr:not([hidden])"}),
        )
        .await?;
    assert_eq!(body["nodeIds"].as_array().map(Vec::len), Some(all.len()));
    Ok(())
}

/// Identities that only the cluster that was not covered has.
fn missing() -> usize {
    (0..IDENTITIES)
        .filter(|number| number % CLUSTERS == CLUSTERS - 1 && number % 7 != 1)
        .count()
}
