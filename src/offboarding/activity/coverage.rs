//! Does the audit log cover the window? Without that, finding nothing means nothing.

use super::{
    DAY, Doubt, Place, Window, days,
    record::{AUTHORIZATION, IMPERSONATED, USERNAME},
};
use crate::{
    alibaba::{
        error::ErrorKind,
        sls::{Bucket, Histograms, Index, Progress},
    },
    api::Reason,
    offboarding::context::Context,
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

const HOUR: i64 = 3_600;
/// The widest bucket in which a silence of an hour cannot hide for long.
const FINE: i64 = HOUR / 2;
/// A closed day counts as settled this long after its end: late records are indexed by then.
const SETTLED: i64 = HOUR;
/// Histograms asked at a time.
const PARALLEL: usize = 4;
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// A stretch without a single record of anybody, in unix seconds: from (included) to (excluded).
pub type Silence = (i64, i64);

/// Where the audit log is (GetClusterAuditProject). Its project can be changed, so it is asked every time.
///
/// # Errors
/// When auditing is off, or ACK does not say.
pub async fn place(ctx: &Context) -> Result<Place, Doubt> {
    let cluster = &ctx.settings.cluster_id;
    let audit = ctx.cloud.ack.get_cluster_audit_project(cluster).await?;
    match (audit.enabled, audit.project) {
        (true, Some(project)) => Ok(Place {
            project,
            logstore: format!("audit-{cluster}"),
        }),
        _ => Err(Doubt::new(
            Reason::AuditDisabled,
            "the cluster's audit log is off. Turn on cluster auditing in the ACK console; the check needs a whole window of it.",
        )),
    }
}

/// The index of the logstore, if it serves the search.
///
/// # Errors
/// When a field that the search needs is not indexed.
pub async fn index(ctx: &Context, place: &Place) -> Result<Index, Doubt> {
    let asked = ctx.cloud.sls.get_index(&place.project, &place.logstore).await;
    let none = || Index {
        full_text: false,
        keys: Default::default(),
        changed_at: None,
    };
    let index = asked.map_err(|error| missing_or(place, error))?.unwrap_or_else(none);
    let missing = if !index.keys.contains(USERNAME) {
        Some(USERNAME)
    } else if index.full_text {
        None
    } else {
        // Without full text, requests from the console and impersonated ones are found in these fields only.
        [IMPERSONATED, AUTHORIZATION]
            .into_iter()
            .find(|field| !index.keys.contains(*field))
    };
    match missing {
        None => Ok(index),
        Some(field) => Err(Doubt::new(
            Reason::FieldNotIndexed,
            format!(
                "logstore {} has no index on {field}. Add it to the logstore's index in the SLS console. SLS applies that to what is written \
                 from then on: the check needs another whole window.",
                place.logstore
            ),
        )),
    }
}

/// Whether all of the window was written under the index as it is now: a field that was added to it is not found in
/// what was written before, and SLS does not say so.
///
/// # Errors
/// When the index was changed in the window.
pub fn is_indexed_throughout(place: &Place, index: &Index, window: Window) -> Result<(), Doubt> {
    let Some(changed_at) = index.changed_at.filter(|changed_at| *changed_at > window.from) else {
        return Ok(());
    };
    Err(Doubt::new(
        Reason::AuditTooRecent,
        format!(
            "the index of logstore {} was changed at {}, and SLS applies a change only to what is written after it: an earlier \
             request might not be found. The whole window of {} is covered from {} on.",
            place.logstore,
            at(changed_at),
            days(window.days()),
            at(changed_at.saturating_add(window.to - window.from))
        ),
    ))
}

/// Whether the logstore covers the window without a hole.
///
/// # Errors
/// With the reason why it does not.
pub async fn covers(ctx: &Context, place: &Place, window: Window) -> Result<(), Doubt> {
    let asked = ctx.cloud.sls.get_logstore(&place.project, &place.logstore).await;
    let logstore = asked.map_err(|error| missing_or(place, error))?;
    if i64::from(logstore.ttl_days) * DAY < window.to - window.from {
        return Err(Doubt::new(
            Reason::RetentionTooShort,
            format!(
                "logstore {} keeps records for {}, and the window is {}. Set \
                 activityCheck.windowDays to no more than that, or raise the retention: the log then grows to the window's \
                 length.",
                place.logstore,
                days(logstore.ttl_days.min(u32::from(u16::MAX)) as u16),
                days(window.days())
            ),
        ));
    }
    if logstore.created_at > window.from {
        return Err(Doubt::new(
            Reason::AuditTooRecent,
            format!(
                "logstore {} was created at {}, within the window of {}. It covers the window from {} on.",
                place.logstore,
                at(logstore.created_at),
                days(window.days()),
                at(logstore.created_at.saturating_add(window.to - window.from))
            ),
        ));
    }
    let silences = silences(ctx, place, window).await?;
    let Some((from, to)) = silences.into_iter().find(|(from, to)| to - from >= HOUR) else {
        return Ok(());
    };
    // Records that were only late may come yet: these days are asked for again.
    ctx.settled_days
        .forget(place, from.div_euclid(DAY) * DAY..to.saturating_add(DAY));
    Err(Doubt::new(
        Reason::AuditGap,
        format!(
            "logstore {} holds no record of anybody from {} to {}: the log has a gap, and a request in it would not be \
             seen. Find out why audit records are missing (was auditing off, the log's collector down?). It goes on once \
             they are there, or at {}, when the window has moved past the gap.",
            place.logstore,
            at(from),
            at(to),
            at(to.saturating_add(window.to - window.from))
        ),
    ))
}

fn missing_or(place: &Place, error: crate::alibaba::error::ApiError) -> Doubt {
    if error.kind == ErrorKind::NotFound {
        let Place { project, logstore } = place;
        let missing = match error.has_code("ProjectNotExist") {
            true => format!("SLS has no project {project}, which ACK names for the cluster's audit log"),
            false => format!("SLS has no logstore {logstore} in project {project}"),
        };
        let advice =
            "Turn cluster auditing off and on again in the ACK console; the check needs a whole window of the new log";
        return Doubt::new(Reason::LogstoreMissing, format!("{missing}. {advice}."));
    }
    error.into()
}

fn at(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |t| t.to_string())
}

/// The silences of the window, adjacent ones joined.
async fn silences(ctx: &Context, place: &Place, window: Window) -> Result<Vec<Silence>, Doubt> {
    let first = window.from.div_euclid(DAY) * DAY;
    let days = (0..).map(|n| first + n * DAY).take_while(|day| *day < window.to);
    let asked = futures::stream::iter(days)
        .map(|day| silences_of_day(ctx, place, day, window.to))
        .buffered(PARALLEL);
    let found: Vec<Vec<Silence>> = asked.try_collect().await?;
    let clipped = found
        .into_iter()
        .flatten()
        .map(|(from, to)| (from.max(window.from), to.min(window.to)));
    Ok(join(clipped.filter(|(from, to)| from < to)))
}

async fn silences_of_day(ctx: &Context, place: &Place, day: i64, end: i64) -> Result<Vec<Silence>, Doubt> {
    let closed = day + DAY + SETTLED <= end;
    if closed && let Some(known) = ctx.settled_days.get(place, day) {
        return Ok(known);
    }
    let found = ask(ctx, place, day, (day + DAY).min(end)).await?;
    if closed {
        ctx.settled_days.put(place, day, found.clone());
    }
    Ok(found)
}

/// Asks for a stretch; where the buckets are too wide, for each hour by itself.
async fn ask(ctx: &Context, place: &Place, from: i64, to: i64) -> Result<Vec<Silence>, Doubt> {
    let histogram = complete(ctx, place, from, to).await?;
    if to - from <= HOUR || histogram.buckets.iter().all(|b| b.to - b.from <= FINE) {
        return Ok(silent(&histogram.buckets, from, to));
    }
    let hours = (from..to)
        .step_by(HOUR as usize)
        .map(|start| (start, (start + HOUR).min(to)));
    let asked = futures::stream::iter(hours).map(|(start, stop)| async move {
        Ok::<_, Doubt>(silent(&complete(ctx, place, start, stop).await?.buckets, start, stop))
    });
    let found: Vec<Vec<Silence>> = asked.buffered(PARALLEL).try_collect().await?;
    Ok(join(found.into_iter().flatten()))
}

async fn complete(ctx: &Context, place: &Place, from: i64, to: i64) -> Result<Histograms, Doubt> {
    for attempt in 1..=TRIES {
        let histogram = ctx
            .cloud
            .sls
            .get_histograms(&place.project, &place.logstore, from, to, "*")
            .await;
        let histogram = histogram.map_err(|error| missing_or(place, error))?;
        if histogram.progress == Progress::Complete {
            return Ok(histogram);
        }
        if attempt < TRIES {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(Doubt::new(
        Reason::ResultIncomplete,
        format!(
            "SLS did not finish counting the records from {} to {} in {TRIES} tries. If this goes on, set a smaller windowDays.",
            at(from),
            at(to)
        ),
    ))
}

/// The stretches of `from..to` in which no bucket has a record. What no bucket covers is silent too.
fn silent(buckets: &[Bucket], from: i64, to: i64) -> Vec<Silence> {
    let mut heard: Vec<_> = buckets.iter().filter(|b| b.count > 0).map(|b| (b.from, b.to)).collect();
    heard.sort_unstable();
    let (mut silences, mut at) = (Vec::new(), from);
    for (start, stop) in heard.into_iter().chain([(to, to)]) {
        if start > at {
            silences.push((at, start.min(to)));
        }
        at = at.max(stop);
    }
    silences
}

/// Joins silences that touch each other; they come in order.
fn join(silences: impl Iterator<Item = Silence>) -> Vec<Silence> {
    let mut joined: Vec<Silence> = Vec::new();
    for (from, to) in silences {
        match joined.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(from: i64, to: i64, count: u64) -> Bucket {
        Bucket {
            from,
            to,
            count,
            progress: Progress::Complete,
        }
    }

    #[test]
    fn an_index_that_was_changed_in_the_window_does_not_cover_it() {
        let place = Place {
            project: "p".into(),
            logstore: "l".into(),
        };
        let window = Window { from: 1000, to: 2000 };
        for (changed_at, expected) in [
            (None, true),
            (Some(1000), true),
            (Some(1001), false),
            (Some(i64::MAX), false),
        ] {
            let index = Index {
                full_text: true,
                keys: Default::default(),
                changed_at,
            };
            let covers = is_indexed_throughout(&place, &index, window);
            assert_eq!(covers.is_ok(), expected, "{changed_at:?}: {covers:?}");
        }
    }

    #[test]
    fn silence_is_found_between_at_the_edges_and_where_no_bucket_is() {
        let cases: [(&[Bucket], &[Silence]); 5] = [
            (&[bucket(0, 50, 1), bucket(50, 100, 2)], &[]),
            (&[bucket(0, 50, 0), bucket(50, 100, 2)], &[(0, 50)]),
            (&[bucket(0, 50, 1), bucket(50, 100, 0)], &[(50, 100)]),
            (&[bucket(10, 20, 1), bucket(80, 90, 1)], &[(0, 10), (20, 80), (90, 100)]),
            (&[], &[(0, 100)]),
        ];
        for (buckets, expected) in cases {
            assert_eq!(silent(buckets, 0, 100), expected, "{buckets:?}");
        }
    }

    #[test]
    fn a_gap_across_midnight_is_one_gap() {
        assert_eq!(join([(0, 10), (10, 30), (40, 50)].into_iter()), [(0, 30), (40, 50)]);
    }
}
