//! SLS: search over a logstore, and what makes an absence of hits believable.

mod answer;

use std::ops::Range;

use serde_json::{Map, Value, json};

use self::answer::{Encoding, Progress, row};
use crate::simulator::message::{Incoming, Refusal, Reply};
use crate::simulator::search::sql::{self, SqlError};
use crate::simulator::search::{self, DELIMITERS, QueryError, Test, Words};
use crate::simulator::world::{Incomplete, Index, Logstore, Record, World};

/// The logstore, or SLS's refusal.
fn logstore<'a>(world: &'a mut World, project: &str, name: &str) -> Result<&'a mut Logstore, Refusal> {
    let project_not_exist = || {
        Refusal::new(
            404,
            "ProjectNotExist",
            format!("The Project does not exist : {project}"),
        )
    };
    let logstores = world.projects.get_mut(project).ok_or_else(project_not_exist)?;
    let not_exist = || Refusal::new(404, "LogStoreNotExist", format!("logstore {name} does not exist"));
    logstores.get_mut(name).ok_or_else(not_exist)
}

/// GetLogStore.
pub(in crate::simulator) fn get_log_store(world: &mut World, project: &str, name: &str) -> Result<Reply, Refusal> {
    let logstore = logstore(world, project, name)?;
    Ok(Reply::json(&json!({
        "logstoreName": name,
        "ttl": logstore.ttl_days,
        "shardCount": 2,
        "enable_tracking": false,
        "autoSplit": true,
        "maxSplitShard": 64,
        "appendMeta": false,
        "telemetryType": "",
        "mode": "standard",
        "createTime": logstore.created_at,
        "lastModifyTime": logstore.created_at,
    })))
}

/// GetIndex.
pub(in crate::simulator) fn get_index(world: &mut World, project: &str, name: &str) -> Result<Reply, Refusal> {
    let logstore = logstore(world, project, name)?;
    let not_exist = || Refusal::new(404, "IndexConfigNotExist", "index config doesn't exist");
    let index = logstore.index.as_ref().ok_or_else(not_exist)?;
    let token: Vec<String> = DELIMITERS.iter().map(char::to_string).collect();
    let key = json!({"type": "text", "token": token, "caseSensitive": false, "chn": false, "alias": ""});
    let key = |name: &String| {
        let mut key = match index.types.get(name) {
            Some(other) => json!({"type": other, "alias": ""}),
            None => key.clone(),
        };
        key["doc_value"] = index.has_analytics(name).into();
        key
    };
    let keys: Map<String, Value> = index.keys.iter().map(|name| (name.clone(), key(name))).collect();
    let mut answer = json!({"index_mode": "v2", "ttl": logstore.ttl_days, "lastModifyTime": logstore.index_changed_at(), "keys": keys});
    if index.full_text {
        answer["line"] = json!({"token": token, "caseSensitive": false, "chn": false});
    }
    Ok(Reply::json(&answer))
}

/// GetLogsV2: a search, or `<search> | <analysis>`, for which `line`, `offset` and `reverse` mean nothing.
pub(in crate::simulator) fn get_logs_v2(
    world: &mut World,
    project: &str,
    name: &str,
    request: &Incoming,
) -> Result<Reply, Refusal> {
    let encoding = Encoding::accepted(request.header("accept-encoding"))?;
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::new(400, "Simulated.InvalidBody", format!("the body is not JSON: {error}")))?;
    let integer = |field: &str| body[field].as_i64();
    let times = times(integer("from"), integer("to"))?;
    let line = integer("line").unwrap_or(100);
    let offset = integer("offset").unwrap_or(0);
    if !(0..=100).contains(&line) || offset < 0 {
        return Err(Refusal::new(
            400,
            "ParameterInvalid",
            "line must be from 0 to 100, and offset not be negative",
        ));
    }
    let (search, statement) = search::split(body["query"].as_str().unwrap_or(""));
    let gzip = world.gzip;
    let logstore = logstore(world, project, name)?;
    let statement = match statement.map(str::trim) {
        Some(statement) => Some((statement, prepare(logstore, search, statement)?)),
        None => None,
    };
    let limit = take_incomplete(logstore, |_| true);
    let from = times.start;
    let times = if logstore.ignores_times { 0..i64::MAX } else { times };
    let (form, at_most) = (logstore.row_form, logstore.finds_at_most);
    let analysed_from = logstore.index_changed_at.unwrap_or(i64::MIN);
    let mut hits = hits(logstore, search, times)?;
    hits.truncate(limit.unwrap_or(usize::MAX));
    hits.truncate(at_most.unwrap_or(usize::MAX));
    let progress = Progress {
        complete: limit.is_none(),
        processed: hits.len(),
        search: search.trim(),
    };
    if let Some((statement, prepared)) = statement {
        let records: Vec<Record> = hits.into_iter().map(Hit::into_record).collect();
        let rows: Vec<_> = records
            .iter()
            .map(|record| sql::Row {
                record,
                analysed: record.time() >= analysed_from,
            })
            .collect();
        return encoding.compress(&progress.analysed(statement, from, &prepared.run(&rows)), gzip);
    }
    if body["reverse"].as_bool().unwrap_or(false) {
        hits.reverse();
    }
    let rows = hits
        .into_iter()
        .skip(offset as usize)
        .take(line as usize)
        .map(Hit::into_record)
        .map(|record| row(&record, form));
    encoding.compress(&progress.found(rows.collect()), gzip)
}

/// Reads the analytic part of a query. The codes are unproven; see [`sql::SqlError`] for the texts.
fn prepare(logstore: &Logstore, search: &str, statement: &str) -> Result<sql::Prepared, Refusal> {
    if search.trim().is_empty() {
        let message = "sql query must follow search query,please read syntax doc";
        return Err(Refusal::new(400, "ParameterInvalid", message));
    }
    sql::prepare(statement, index(logstore)?).map_err(|error| {
        let code = match error {
            SqlError::Unsupported { .. } => "Simulated.UnsupportedSql",
            _ => "ParameterInvalid",
        };
        Refusal::new(400, code, error.to_string())
    })
}

fn index(logstore: &Logstore) -> Result<&Index, Refusal> {
    let no_index = || Refusal::new(400, "IndexConfigNotExist", "logstore without index config");
    logstore.index.as_ref().ok_or_else(no_index)
}

/// GetHistograms.
pub(in crate::simulator) fn get_histograms(
    world: &mut World,
    project: &str,
    name: &str,
    request: &Incoming,
) -> Result<Reply, Refusal> {
    let integer = |field: &str| request.query(field).and_then(|text| text.parse().ok());
    let range = times(integer("from"), integer("to"))?;
    let chosen = world.histogram_seconds;
    let asked = range.clone();
    let range = match chosen.filter(|_| world.histogram_reaches_beyond) {
        Some(width) => range.start.div_euclid(width) * width..(range.end + width - 1).div_euclid(width) * width,
        None => range,
    };
    let logstore = logstore(world, project, name)?;
    let limit = take_incomplete(logstore, |incomplete| incomplete.histograms);
    let mut hits = hits(logstore, request.query("query").unwrap_or(""), range.clone())?;
    hits.truncate(limit.unwrap_or(usize::MAX));
    let complete = limit.is_none();
    let width = chosen.unwrap_or_else(|| width(asked.end - asked.start));
    let mut intervals = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = (start.div_euclid(width) * width + width).min(range.end);
        // Hits come in the order of time.
        let count = hits.partition_point(|hit| hit.time() < end) - hits.partition_point(|hit| hit.time() < start);
        intervals.push(json!({"from": start, "to": end, "count": count, "progress": Progress::name(complete)}));
        start = end;
    }
    Ok(Reply::json(&Value::Array(intervals))
        .with_header("x-log-progress", Progress::name(complete))
        .with_header("x-log-count", hits.len().to_string()))
}

/// The simulator's choice of interval widths: at most sixty of them.
fn width(seconds: i64) -> i64 {
    let widths = [1, 5, 15, 60, 300, 900, 1800, 3600, 4 * 3600];
    widths.into_iter().find(|width| seconds / width <= 60).unwrap_or(86_400)
}

/// Left-closed, right-open; the same second twice is an error.
fn times(from: Option<i64>, to: Option<i64>) -> Result<Range<i64>, Refusal> {
    let missing = || Refusal::new(400, "ParameterInvalid", "from and to must be unix seconds");
    let times = from.ok_or_else(missing)?..to.ok_or_else(missing)?;
    if times.is_empty() {
        return Err(Refusal::new(
            400,
            "InvalidTimeRange",
            "request time range is invalid: from must be less than to",
        ));
    }
    Ok(times)
}

/// A record found: a real one, or a heartbeat of some kind.
enum Hit<'a> {
    Record(&'a Record),
    Heartbeat(Record, i64),
}

impl Hit<'_> {
    fn time(&self) -> i64 {
        match self {
            Self::Record(record) => record.time(),
            Self::Heartbeat(_, time) => *time,
        }
    }

    fn into_record(self) -> Record {
        match self {
            Self::Record(record) => record.clone(),
            Self::Heartbeat(kind, time) => kind.set("auditID", &format!("heartbeat-{time}")).at(time),
        }
    }
}

/// What a query finds in a logstore, oldest first.
pub(in crate::simulator) fn found(logstore: &Logstore, query: &str, times: Range<i64>) -> Result<Vec<Record>, Refusal> {
    Ok(hits(logstore, query, times)?
        .into_iter()
        .map(Hit::into_record)
        .collect())
}

fn hits<'a>(logstore: &'a Logstore, query: &str, times: Range<i64>) -> Result<Vec<Hit<'a>>, Refusal> {
    let index = index(logstore)?;
    let query = search::parse(query, index).map_err(|error| match error {
        QueryError::NotIndexed(_) => Refusal::new(400, "ParameterInvalid", error.to_string()),
        QueryError::Syntax(_) => Refusal::new(400, "InvalidQueryString", error.to_string()),
    })?;
    let times = times.start.max(logstore.oldest())..times.end;
    let indexed_from = |test: &Test| match test {
        Test::Always => i64::MIN,
        _ => logstore.index_changed_at.unwrap_or(i64::MIN),
    };

    let records = &logstore.records;
    let test = Test::compile(
        &query,
        index,
        records.words(),
        records.indexed().map(|(_, entry)| entry),
    );
    let searched = times.start.max(indexed_from(&test))..times.end;
    let real = records
        .indexed()
        .filter(|(record, entry)| searched.contains(&record.time()) && test.matches(record, entry))
        .map(|(record, _)| Hit::Record(record));

    // All heartbeats of a kind are equal but for their time, so that one test decides over all of them.
    let kinds = logstore.heartbeats.kinds();
    let mut words = Words::default();
    let entries: Vec<_> = kinds.iter().map(|kind| words.entry(kind)).collect();
    let test = Test::compile(&query, index, &words, &entries);
    let found: Vec<bool> = kinds
        .iter()
        .zip(&entries)
        .map(|(kind, entry)| test.matches(kind, entry))
        .collect();
    // Nobody's heart beats in the future.
    let beats = logstore
        .heartbeats
        .times(times.start.max(indexed_from(&test))..times.end.min(crate::simulator::now() + 1));
    let beats = beats.into_iter().filter(|(_, kind)| found[*kind]);

    let mut hits: Vec<Hit<'_>> = real
        .chain(beats.map(|(time, kind)| Hit::Heartbeat(kinds[kind].clone(), time)))
        .collect();
    hits.sort_by_key(Hit::time);
    Ok(hits)
}

/// How many hits this answer may have, if it is to be incomplete.
fn take_incomplete(logstore: &mut Logstore, concerns: impl FnOnce(&Incomplete) -> bool) -> Option<usize> {
    let incomplete = logstore.incomplete.as_mut().filter(|incomplete| concerns(incomplete))?;
    let rows = incomplete.rows;
    if incomplete.answers != u32::MAX {
        incomplete.answers = incomplete.answers.saturating_sub(1);
        if incomplete.answers == 0 {
            logstore.incomplete = None;
        }
    }
    Some(rows)
}

#[cfg(test)]
mod tests;
