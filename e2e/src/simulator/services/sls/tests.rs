//! Retention, gaps, paging, progress, refusals, compression.

use std::io::Read;

use super::*;
use crate::simulator::now;
use crate::simulator::world::{Cluster, Index};

const PROJECT: &str = "k8s-log-c1";
const LOGSTORE: &str = "audit-c1";
const HOUR: i64 = 3600;

fn world() -> World {
    let mut world = World::default();
    world.add_cluster(Cluster::new("c1"));
    world
}

fn store(world: &mut World) -> &mut Logstore {
    world.audit_logstore_mut("c1").expect("a logstore")
}

fn ask(world: &mut World, body: &Value, encoding: &str) -> Result<Reply, Refusal> {
    let headers = [("accept-encoding".to_owned(), encoding.to_owned())].into();
    let request = Incoming {
        headers,
        body: body.to_string().into_bytes(),
        ..Incoming::default()
    };
    get_logs_v2(world, PROJECT, LOGSTORE, &request)
}

fn logs(world: &mut World, body: &Value) -> Result<Value, Refusal> {
    let reply = ask(world, body, "gzip")?;
    assert!(
        reply.headers.contains(&("x-log-compresstype", "gzip".to_owned())),
        "{:?}",
        reply.headers
    );
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(&reply.body[..])
        .read_to_end(&mut raw)
        .expect("gzip");
    assert!(
        reply.headers.contains(&("x-log-bodyrawsize", raw.len().to_string())),
        "{:?}",
        reply.headers
    );
    Ok(serde_json::from_slice(&raw).expect("JSON"))
}

fn histogram(world: &mut World, from: i64, to: i64) -> Vec<Value> {
    let query = [("from", from), ("to", to)]
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .to_vec();
    let reply = get_histograms(
        world,
        PROJECT,
        LOGSTORE,
        &Incoming {
            query,
            ..Incoming::default()
        },
    )
    .expect("an answer");
    serde_json::from_slice(&reply.body).expect("JSON")
}

#[test]
fn no_hour_of_thirty_days_is_empty_unless_cut() {
    let (mut world, now) = (world(), now());
    world.histogram_seconds = Some(HOUR);
    let empty = |world: &mut World| {
        let whole = (now - 29 * 24 * HOUR).div_euclid(HOUR) * HOUR..now.div_euclid(HOUR) * HOUR;
        let intervals = histogram(world, whole.start, whole.end);
        intervals.iter().filter(|interval| interval["count"] == 0).count()
    };
    assert_eq!(empty(&mut world), 0);
    let start = (now - 50 * HOUR).div_euclid(HOUR) * HOUR;
    store(&mut world).cut_gap(start..start + 3 * HOUR);
    assert_eq!(empty(&mut world), 3);
}

#[test]
fn nothing_is_older_than_the_logstore_and_its_retention() {
    let (mut world, now) = (world(), now());
    store(&mut world)
        .records
        .push(Record::by("leaver").at(now - 3 * 24 * HOUR));
    let body = json!({"from": now - 7 * 24 * HOUR, "to": now, "query": "leaver"});
    assert_eq!(logs(&mut world, &body).expect("an answer")["meta"]["count"], 1);
    store(&mut world).ttl_days = 2;
    assert_eq!(logs(&mut world, &body).expect("an answer")["meta"]["count"], 0);
    store(&mut world).ttl_days = 30;
    store(&mut world).created_at = now - HOUR;
    assert_eq!(logs(&mut world, &body).expect("an answer")["meta"]["count"], 0);
}

#[test]
fn pages_are_left_closed_right_open_and_newest_first_when_reversed() {
    let (mut world, now) = (world(), now());
    (0..5).for_each(|n| {
        store(&mut world)
            .records
            .push(Record::by("leaver").set("auditID", &n.to_string()).at(now - 100 + n))
    });
    let ids = |world: &mut World, body: Value| -> String {
        let answer = logs(world, &body).expect("an answer");
        let rows = answer["data"].as_array().expect("rows").clone();
        rows.iter()
            .filter_map(|row| row["auditID"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (from, to) = (now - 100, now - 96);
    assert_eq!(
        ids(&mut world, json!({"from": from, "to": to, "query": "leaver"})),
        "0 1 2 3"
    );
    assert_eq!(
        ids(
            &mut world,
            json!({"from": from, "to": to, "query": "leaver", "reverse": true, "line": 2})
        ),
        "3 2"
    );
    assert_eq!(
        ids(
            &mut world,
            json!({"from": from, "to": to, "query": "leaver", "offset": 3, "line": 2})
        ),
        "3"
    );
}

#[test]
fn incomplete_answers_come_as_often_as_asked_for() {
    let (mut world, now) = (world(), now());
    store(&mut world).records.push(Record::by("leaver").at(now - 10));
    store(&mut world).incomplete = Some(Incomplete {
        answers: 2,
        rows: 0,
        histograms: true,
    });
    let body = json!({"from": now - 100, "to": now, "query": "leaver"});
    let mut seen = Vec::new();
    for _ in 0..3 {
        let meta = logs(&mut world, &body).expect("an answer")["meta"].clone();
        seen.push((
            meta["progress"].as_str().unwrap_or("").to_owned(),
            meta["count"].as_i64(),
        ));
    }
    let expected = [("Incomplete", Some(0)), ("Incomplete", Some(0)), ("Complete", Some(1))];
    assert_eq!(seen, expected.map(|(progress, count)| (progress.to_owned(), count)));
}

#[test]
fn a_changed_index_finds_no_word_of_what_was_written_before() {
    let (mut world, now) = (world(), now());
    store(&mut world).records.push(Record::by("leaver").at(now - 10));
    store(&mut world).change_index(|_| {});
    let count = |world: &mut World, query: &str| {
        let body = json!({"from": now - 100, "to": now, "query": query});
        logs(world, &body).expect("an answer")["meta"]["count"]
            .as_u64()
            .unwrap_or_default()
    };
    assert_eq!(count(&mut world, "leaver"), 0);
    assert!(count(&mut world, "*") >= 1, "everything is found without a word");
    let answer = get_index(&mut world, PROJECT, LOGSTORE).expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert!(answer["lastModifyTime"].as_i64().is_some_and(|time| time >= now));
    store(&mut world).index_changed_at = Some(now - 11);
    assert_eq!(count(&mut world, "leaver"), 1);
}

#[test]
fn times_are_ignored_when_it_is_told_so() {
    let (mut world, now) = (world(), now());
    store(&mut world)
        .records
        .push(Record::by("leaver").at(now - 8 * 24 * HOUR));
    store(&mut world).records.push(Record::by("leaver").at(now + HOUR));
    store(&mut world).ignores_times = true;
    let body = json!({"from": now - 100, "to": now, "query": "leaver"});
    assert_eq!(logs(&mut world, &body).expect("an answer")["meta"]["count"], 2);
}

#[test]
fn refusals_have_slss_codes() {
    let (mut world, now) = (world(), now());
    let good = json!({"from": now - 100, "to": now, "query": ""});
    let code = |world: &mut World, change: &str, value: Value| {
        let mut body = good.clone();
        body[change] = value;
        logs(world, &body).err().map(|refusal| (refusal.status, refusal.code))
    };
    let expect = |status: u16, code: &str| Some((status, code.to_owned()));
    assert_eq!(
        code(&mut world, "to", json!(now - 100)),
        expect(400, "InvalidTimeRange")
    );
    assert_eq!(code(&mut world, "from", Value::Null), expect(400, "ParameterInvalid"));
    assert_eq!(code(&mut world, "line", json!(101)), expect(400, "ParameterInvalid"));
    assert_eq!(
        code(&mut world, "query", json!("nowhere: x")),
        expect(400, "ParameterInvalid")
    );
    assert_eq!(code(&mut world, "query", json!("(")), expect(400, "InvalidQueryString"));
    assert_eq!(
        ask(&mut world, &good, "").err().map(|r| r.code),
        Some("Simulated.AcceptEncodingMissing".to_owned())
    );
    store(&mut world).index = None;
    assert_eq!(code(&mut world, "query", json!("")), expect(400, "IndexConfigNotExist"));
    assert_eq!(
        get_index(&mut world, PROJECT, LOGSTORE).err().map(|r| r.status),
        Some(404)
    );
    store(&mut world).index = Some(Index::default());
    assert_eq!(
        get_log_store(&mut world, PROJECT, "x").err().map(|r| r.code),
        Some("LogStoreNotExist".to_owned())
    );
    assert_eq!(
        get_log_store(&mut world, "x", LOGSTORE).err().map(|r| r.code),
        Some("ProjectNotExist".to_owned())
    );
}

#[test]
fn lz4_is_a_raw_block() {
    let (mut world, now) = (world(), now());
    let reply = ask(&mut world, &json!({"from": now - 3600, "to": now}), "lz4").expect("an answer");
    let (_, size) = reply
        .headers
        .iter()
        .find(|(name, _)| *name == "x-log-bodyrawsize")
        .expect("a size");
    let raw = lz4_flex::block::decompress(&reply.body, size.parse().expect("a number")).expect("lz4");
    assert!(serde_json::from_slice::<Value>(&raw).expect("JSON")["data"].is_array());
}
