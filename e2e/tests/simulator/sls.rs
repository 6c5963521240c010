//! SLS over the wire: searches, analysis, histograms, compression.

use std::io::Read;

use ack_offboarding_e2e::simulator::world::{GzipForm, Index};
use ack_offboarding_e2e::simulator::{Operation, Record, Simulator};
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::jiff::Timestamp;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{UID, client, simulator, status_and_code};

const LOGSTORE: &str = "/logstores/audit-c1";

/// A request with SLS4-HMAC-SHA256, signed by `ak` and `sk`.
async fn send(simulator: &Simulator, method: Method, path: &str, query: &str, encoding: &str, body: &str) -> Response {
    let hash = hex::encode(Sha256::digest(body));
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("host", "k8s-log-c1.simulated".to_owned()),
        ("x-log-apiversion", "0.6.0".to_owned()),
        ("x-log-content-sha256", hash.clone()),
        ("x-log-date", time.clone()),
        ("x-log-signaturemethod", "hmac-sha256".to_owned()),
    ];
    let names = headers.each_ref().map(|(name, _)| *name).join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{hash}");
    let scope = format!("{day}/cn-hangzhou/sls/aliyun_v4_request");
    let hashed = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("SLS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let mac = |key: &[u8], data: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.chain_update(data).finalize().into_bytes().to_vec()
    };
    let steps = [day, "cn-hangzhou", "sls", "aliyun_v4_request", to_sign.as_str()];
    let signature = hex::encode(steps.iter().fold(b"aliyun_v4sk".to_vec(), |key, step| mac(&key, step)));
    let request = client()
        .request(
            method,
            format!("{}{path}?{query}", simulator.url()).trim_end_matches('?'),
        )
        .header("accept-encoding", encoding)
        .header(
            "authorization",
            format!("SLS4-HMAC-SHA256 Credential=ak/{scope},Signature={signature}"),
        )
        .body(body.to_owned());
    let request = headers
        .into_iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.expect("an answer")
}

async fn ask(simulator: &Simulator, query: &str, encoding: &str) -> Response {
    let now = Timestamp::now().as_second();
    let body = json!({"from": now - 86_400, "to": now + 60, "query": query}).to_string();
    send(
        simulator,
        Method::POST,
        &format!("{LOGSTORE}/logs"),
        "",
        encoding,
        &body,
    )
    .await
}

/// The decompressed answer to a question that is answered.
async fn answer(simulator: &Simulator, query: &str) -> Value {
    let response = ask(simulator, query, "lz4").await;
    assert_eq!(response.status(), 200, "{query}");
    let size: usize = header(&response, "x-log-bodyrawsize").parse().expect("a number");
    let body = response.bytes().await.expect("a body");
    serde_json::from_slice(&lz4_flex::block::decompress(&body, size).expect("lz4")).expect("JSON")
}

fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Requests of the leaver under two names, and one of somebody else; without heartbeats.
fn with_records() -> (Simulator, i64) {
    let simulator = simulator();
    let now = Timestamp::now().as_second();
    simulator.edit(|world| {
        let logstore = world.audit_logstore_mut("c1").expect("a logstore");
        logstore.heartbeats.every_seconds = 0;
        for (who, ip, age) in [
            (UID.to_owned(), "192.0.2.1", 30),
            (UID.to_owned(), "192.0.2.1", 20),
            (UID.to_owned(), "192.0.2.2", 40),
            (format!("{UID}-1700000000"), "192.0.2.3", 50),
            ("somebody".to_owned(), "192.0.2.4", 10),
        ] {
            logstore
                .records
                .push(Record::by(&who).set("sourceIPs", ip).at(now - age));
        }
    });
    (simulator, now)
}

#[tokio::test]
async fn an_analysis_tells_who_was_last_seen_when_and_from_where() {
    let (simulator, now) = with_records();
    let statement = format!(
        r#"SELECT "user.username" AS who, sourceIPs, count(*) AS requests, max(__time__) AS last FROM log WHERE "user.username" LIKE '{UID}%' GROUP BY "user.username", sourceIPs ORDER BY last DESC LIMIT 2"#
    );
    let answer = answer(&simulator, &format!("verb: get | {statement}")).await;
    let meta = &answer["meta"];
    assert_eq!((&meta["hasSQL"], &meta["progress"]), (&json!(true), &json!("Complete")));
    assert_eq!(
        (&meta["whereQuery"], &meta["aggQuery"]),
        (&json!("verb: get"), &json!(statement))
    );
    assert_eq!(meta["keys"], json!(["who", "sourceIPs", "requests", "last"]));
    assert_eq!(meta["columnTypes"], json!(["varchar", "varchar", "bigint", "bigint"]));
    assert_eq!(
        (&meta["count"], &meta["processedRows"], &meta["limited"]),
        (&json!(2), &json!(5), &json!(2))
    );
    let rows = answer["data"].as_array().expect("rows");
    let columns = |row: &Value| ["who", "sourceIPs", "requests", "last"].map(|name| row[name].clone());
    let (newest, older) = ((now - 20).to_string(), (now - 40).to_string());
    assert_eq!(
        rows.iter().map(columns).collect::<Vec<_>>(),
        [
            [json!(UID), json!("192.0.2.1"), json!("2"), json!(newest)],
            [json!(UID), json!("192.0.2.2"), json!("1"), json!(older)],
        ]
    );
    let calls = simulator.calls();
    let call = calls.last().expect("noted");
    assert_eq!(call.operation, Operation::SlsGetLogsV2);
    assert!(call.parameter("query").ends_with(&statement), "{call:?}");
}

#[tokio::test]
async fn the_search_before_the_bar_decides_over_which_records() {
    let (simulator, _) = with_records();
    for (query, expected) in [
        ("* | SELECT count(*) AS n FROM log", "5"),
        ("user.username: somebody | SELECT count(*) AS n FROM log", "1"),
        (r#"userAgent: "a|b" | SELECT count(*) AS n"#, "0"),
        (
            "* | SELECT count(*) AS n FROM log WHERE sourceIPs = '192.0.2.1' OR verb IN ('list')",
            "2",
        ),
    ] {
        assert_eq!(answer(&simulator, query).await["data"][0]["n"], expected, "{query}");
    }
    let search = answer(&simulator, "user.username: somebody").await;
    assert_eq!(
        (&search["meta"]["hasSQL"], &search["meta"]["count"]),
        (&json!(false), &json!(1))
    );
}

#[tokio::test]
async fn an_analysis_that_sls_refuses_is_refused() {
    let (simulator, _) = with_records();
    let code = async |query: &str| status_and_code(ask(&simulator, query, "lz4").await).await;
    let invalid = || (400, "ParameterInvalid".to_owned());
    let by_verb = "* | SELECT verb, count(*) FROM log GROUP BY verb";
    assert_eq!(ask(&simulator, by_verb, "lz4").await.status(), 200);
    simulator.edit(|world| {
        let logstore = world.audit_logstore_mut("c1").expect("a logstore");
        logstore.index = Some(Index::default().without_analytics("verb"));
    });
    assert_eq!(code(by_verb).await, invalid());
    let index = send(&simulator, Method::GET, &format!("{LOGSTORE}/index"), "", "", "").await;
    let index: Value = serde_json::from_slice(&index.bytes().await.expect("a body")).expect("JSON");
    let has_analytics = |field: &str| index["keys"][field]["doc_value"].clone();
    assert_eq!(
        (has_analytics("verb"), has_analytics("stage")),
        (json!(false), json!(true))
    );
    assert_eq!(
        answer(&simulator, "verb: get").await["meta"]["count"],
        5,
        "a search needs no analytics"
    );
    assert_eq!(code("* | SELECT nowhere FROM log").await, invalid());
    assert_eq!(code(" | SELECT count(*) FROM log").await, invalid());
    let unsupported = (400, "Simulated.UnsupportedSql".to_owned());
    assert_eq!(code("* | SELECT * FROM log").await, unsupported);
}

/// What the operator asks when it wants to know of everybody.
const LAST_SEEN: &str = include_str!("../../conformance/last-seen.sls");

#[tokio::test]
async fn one_query_says_when_everybody_was_last_seen() {
    let (simulator, now) = with_records();
    let reason =
        |name: &str| format!("RBAC: allowed by ClusterRoleBinding \"b\" of ClusterRole \"r\" to User \"{name}\"");
    const AUTHORIZATION: &str = "annotations.authorization.k8s.io/reason";
    simulator.edit(|world| {
        let logstore = world.audit_logstore_mut("c1").expect("a logstore");
        logstore.heartbeats.every_seconds = 600;
        // As many names as they may have, it is one identity.
        for n in 0..10_000 {
            logstore
                .records
                .push(Record::by(&format!("100-{}", 1_700_000_000 + n)).at(now - 20_000 + n));
        }
        for record in [
            Record::by("200-' OR '1'='1").at(now - 100),
            Record::by("200\" | SELECT 1").at(now - 50),
            Record::by("2001-").at(now - 200),
            Record::by("system:serviceaccount:a:b")
                .set("impersonatedUser.username", "300-\"x\"")
                .at(now - 300),
            Record::by("kubernetes-admin")
                .set(AUTHORIZATION, &reason("400-17"))
                .at(now - 400),
            Record::by("500").set(AUTHORIZATION, &reason("500")).at(now - 500),
            Record::by("admin")
                .set(AUTHORIZATION, &reason("admin"))
                .set("objectRef.name", "600")
                .at(now - 600),
            Record::by("0700").at(now - 700),
            Record::by("800000000000000000000").at(now - 800),
        ] {
            logstore.records.push(record);
        }
    });
    let answer = answer(&simulator, LAST_SEEN.trim()).await;
    let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
    let rows: Vec<_> = answer["data"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let uids = ["own_uid", "borrowed_uid", "authorized_uid"].map(|name| text(row, name));
            (
                uids.join(" "),
                now - text(row, "latest").parse::<i64>().expect("a time"),
            )
        })
        .collect();
    let expected = [
        // Whoever has no UID, and what is in no name.
        ("null null null".to_owned(), 10),
        (format!("{UID} null null"), 20),
        ("200 null null".to_owned(), 100),
        ("2001 null null".to_owned(), 200),
        ("null 300 null".to_owned(), 300),
        ("null null 400".to_owned(), 400),
        ("500 null 500".to_owned(), 500),
        ("100 null null".to_owned(), 10_001),
    ];
    assert_eq!(rows, expected);
    assert_eq!(
        (&answer["meta"]["progress"], &answer["meta"]["limited"]),
        (&json!("Complete"), &json!(50_000))
    );
}

#[tokio::test]
async fn answers_come_in_the_first_encoding_that_the_client_names() {
    let (simulator, _) = with_records();
    let plain = answer(&simulator, "*").await;
    for (accepted, form, named) in [
        ("lz4", GzipForm::Gzip, "lz4"),
        ("zstd", GzipForm::Gzip, "zstd"),
        ("gzip", GzipForm::Gzip, "gzip"),
        ("gzip", GzipForm::Zlib, "gzip"),
        ("deflate", GzipForm::Gzip, "deflate"),
        ("br, zstd;q=1, lz4", GzipForm::Gzip, "zstd"),
        ("LZ4,gzip", GzipForm::Gzip, "lz4"),
    ] {
        simulator.edit(|world| world.gzip = form);
        let response = ask(&simulator, "*", accepted).await;
        assert_eq!(header(&response, "x-log-compresstype"), named, "{accepted}");
        assert_eq!(header(&response, "content-encoding"), "", "{accepted}");
        let size: usize = header(&response, "x-log-bodyrawsize").parse().expect("a number");
        let body = response.bytes().await.expect("a body");
        let mut raw = Vec::new();
        match (named, form) {
            ("lz4", _) => raw = lz4_flex::block::decompress(&body, size).expect("lz4"),
            ("zstd", _) => {
                let mut decoder = ruzstd::decoding::StreamingDecoder::new(&body[..]).expect("a frame");
                decoder.read_to_end(&mut raw).expect("zstd");
            }
            ("gzip", GzipForm::Gzip) => {
                flate2::read::GzDecoder::new(&body[..])
                    .read_to_end(&mut raw)
                    .expect("gzip");
            }
            _ => {
                flate2::read::ZlibDecoder::new(&body[..])
                    .read_to_end(&mut raw)
                    .expect("zlib");
            }
        }
        assert_eq!(raw.len(), size, "{accepted}");
        let decoded: Value = serde_json::from_slice(&raw).expect("JSON");
        assert_eq!(decoded["data"], plain["data"], "{accepted}");
    }
    let answer = status_and_code(ask(&simulator, "*", "br").await).await;
    assert_eq!(answer, (400, "Simulated.AcceptEncodingMissing".to_owned()));
}

#[tokio::test]
async fn histograms_are_served_under_the_documented_and_the_legacy_path() {
    let (simulator, now) = with_records();
    let query = format!("from={}&query=somebody&to={}&type=histogram", now - 3600, now + 1);
    for path in [format!("{LOGSTORE}/index"), LOGSTORE.to_owned()] {
        let response = send(&simulator, Method::GET, &path, &query, "", "").await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "x-log-progress"), "Complete", "{path}");
        assert_eq!(header(&response, "x-log-count"), "1", "{path}");
        let intervals: Vec<Value> = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
        let total: i64 = intervals.iter().filter_map(|interval| interval["count"].as_i64()).sum();
        assert_eq!(total, 1, "{path}");
    }
    let operations: Vec<_> = simulator.calls().iter().map(|call| call.operation).collect();
    assert_eq!(operations, [Operation::SlsGetHistograms; 2]);
}
