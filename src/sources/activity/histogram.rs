//! Counts over time: what SLS says of how many records match, and what of that is believed.

use super::{
    audit_log::AuditLog,
    day::Gap,
    window::{Inconclusive, LogstoreRef, missing_or, timestamp},
};
use crate::api::Reason;
use alibaba_cloud::sls::{Bucket, Histograms, Progress, Unfinished};
use futures::{StreamExt, TryStreamExt};

pub(super) const HOUR: i64 = 3_600;
/// The widest bucket in which a silence of an hour cannot hide for long.
pub(super) const FINE: i64 = HOUR / 2;
pub(super) const PARALLEL: usize = 4;

/// What matches in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Where nothing does, adjacent stretches joined.
    pub silences: Vec<Gap>,
    pub count: u64,
}

/// When records match between `from` and `to`; where the buckets are too wide, each hour is asked for by itself.
///
/// # Errors
/// When SLS does not answer completely, or not about these times.
pub(super) async fn heard(
    log: &AuditLog,
    place: &LogstoreRef,
    from: i64,
    to: i64,
    query: &str,
) -> Result<Heard, Inconclusive> {
    let buckets = complete(log, place, from, to, query).await?;
    if to - from <= HOUR || buckets.iter().all(|b| b.to - b.from <= FINE) {
        return Ok(Heard {
            silences: silent(&buckets, from, to),
            count: buckets.iter().map(|b| b.count).sum(),
        });
    }
    let hours = (from..to)
        .step_by(HOUR as usize)
        .map(|start| (start, (start + HOUR).min(to)));
    let asked = futures::stream::iter(hours).map(|(start, stop)| async move {
        let buckets = complete(log, place, start, stop, query).await?;
        let count: u64 = buckets.iter().map(|b| b.count).sum();
        Ok::<_, Inconclusive>((silent(&buckets, start, stop), count))
    });
    let found: Vec<(Vec<Gap>, u64)> = asked.buffered(PARALLEL).try_collect().await?;
    Ok(Heard {
        count: found.iter().map(|(_, count)| count).sum(),
        silences: join(found.into_iter().flat_map(|(silences, _)| silences)),
    })
}

/// How many records match between `from` and `to`.
///
/// # Errors
/// As [`heard`]; also when the buckets leave a part of these times out.
pub(super) async fn total(
    log: &AuditLog,
    place: &LogstoreRef,
    from: i64,
    to: i64,
    query: &str,
) -> Result<u64, Inconclusive> {
    let buckets = complete(log, place, from, to, query).await?;
    let counted: Vec<Bucket> = buckets.iter().map(|b| Bucket { count: 1, ..b.clone() }).collect();
    match silent(&counted, from, to).first() {
        None => Ok(buckets.iter().map(|b| b.count).sum()),
        Some((from, to)) => Err(inconsistent(format!(
            "SLS counted records but left out those from {} to {}",
            timestamp(*from),
            timestamp(*to)
        ))),
    }
}

/// Answers of SLS that cannot all be true.
pub(super) fn inconsistent(what: String) -> Inconclusive {
    let advice = "If this persists, search the logstore in the SLS console and ask Alibaba Cloud's support";
    Inconclusive::new(Reason::ResultInconsistent, format!("{what}. {advice}."))
}

/// The buckets of a complete answer, none of which reaches beyond the times asked for: of one that does, nobody can tell where in
/// it the records are.
async fn complete(
    log: &AuditLog,
    place: &LogstoreRef,
    from: i64,
    to: i64,
    query: &str,
) -> Result<Vec<Bucket>, Inconclusive> {
    let LogstoreRef { project, logstore } = place;
    let sls = log.sls();
    let ask = || sls.get_histograms(project, logstore, from, to, query);
    let is_enough = |found: &Histograms| found.progress == Progress::Complete;
    let asked = sls.until_complete(ask, is_enough).await;
    let Histograms { buckets, .. } =
        asked
            .map_err(|error| missing_or(place, error))?
            .map_err(|Unfinished { attempts }| {
                Inconclusive::new(
                    Reason::ResultIncomplete,
                    format!(
                        "SLS did not finish counting the records from {} to {} in {attempts} attempts. If this persists, set a \
                         smaller windowDays.",
                        timestamp(from),
                        timestamp(to)
                    ),
                )
            })?;
    match buckets.iter().find(|b| reaches_beyond(b, from, to)) {
        None => Ok(buckets),
        Some(bucket) => Err(inconsistent(format!(
            "the operator asked SLS to count records from {} to {}, but SLS counted from {} to {}",
            timestamp(from),
            timestamp(to),
            timestamp(bucket.from),
            timestamp(bucket.to)
        ))),
    }
}

fn reaches_beyond(bucket: &Bucket, from: i64, to: i64) -> bool {
    bucket.from < from || bucket.to > to || bucket.from > bucket.to
}

/// The stretches of `from..to` in which no bucket has a record. What no bucket covers is silent too.
fn silent(buckets: &[Bucket], from: i64, to: i64) -> Vec<Gap> {
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
pub(super) fn join(silences: impl Iterator<Item = Gap>) -> Vec<Gap> {
    let mut joined: Vec<Gap> = Vec::new();
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
    fn silence_is_found_between_at_the_edges_and_where_no_bucket_is() {
        let cases: [(&[Bucket], &[Gap]); 5] = [
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
    fn a_bucket_that_reaches_beyond_what_was_asked_for_is_noticed() {
        for (bucket, expected) in [
            (bucket(0, 100, 1), false),
            (bucket(10, 20, 1), false),
            (bucket(-1, 50, 1), true),
            (bucket(50, 101, 0), true),
            (bucket(60, 50, 1), true),
        ] {
            assert_eq!(reaches_beyond(&bucket, 0, 100), expected, "{bucket:?}");
        }
    }

    #[test]
    fn a_gap_across_midnight_is_one_gap() {
        assert_eq!(join([(0, 10), (10, 30), (40, 50)].into_iter()), [(0, 30), (40, 50)]);
    }
}
