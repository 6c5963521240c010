//! Does the audit log cover the window? Without that, finding nothing means nothing.
//!
//! Records must be there, and be found by the field that is searched: the log of a cluster has requests of its control plane all
//! the time, whose user names begin with `system`. They are searched for as the identity is, and must be found in each hour of the
//! window, or at least in each day if the hours have other requests with a user name; and each day, from the one after the operator's
//! installation on, must have requests of the operator itself. A log that holds records, but none that a
//! search by user name finds, proves nothing: the collector may not parse them.

use super::{
    audit_event::{AUTHORIZATION, IMPERSONATED, USERNAME},
    audit_log::AuditLog,
    day::{Day, Gap, Own},
    histogram::{self, FINE, HOUR, PARALLEL},
    window::{DAY, Inconclusive, LogstoreRef, Window, days, missing_or, timestamp},
};
use crate::api::Reason;
use alibaba_cloud::sls::Index;
use futures::{StreamExt, TryStreamExt};

/// A closed day counts as settled this long after its end: late records are indexed by then.
const SETTLED: i64 = HOUR;

/// What the log must hold in every hour: requests of the control plane, found by user name. A wildcard, so that it does not matter
/// how the index cuts names into words; what it finds is there, and that is all that is asked of it.
const CONTROL: &str = "user.username: system*";
/// Where that is missing: requests with any user name.
const ANYBODY: &str = "user.username: *";

/// What a logstore can tell of a window.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Its index, if it serves the search.
    pub index: Result<Index, Inconclusive>,
    /// Whether it covers the window without a hole.
    pub covered: Result<(), Inconclusive>,
}

/// Examines the logstore. A request that is found is proof all the same, whatever is amiss.
pub(crate) async fn examine(log: &AuditLog, place: &LogstoreRef, window: Window) -> Examined {
    let (index, kept) = tokio::join!(index(log, place), is_kept_throughout(log, place, window));
    let covered = match (&index, kept) {
        (_, Err(doubt)) => Err(doubt),
        (Err(doubt), Ok(())) => Err(doubt.clone()),
        (Ok(index), Ok(())) => match is_indexed_throughout(place, index, window) {
            Ok(()) => has_no_gap(log, place, window).await,
            too_recent => too_recent,
        },
    };
    Examined { index, covered }
}

/// Where the audit log is (GetClusterAuditProject). Its project can be changed, so it is asked every time.
///
/// # Errors
/// When auditing is off, or ACK does not say.
pub(crate) async fn place(log: &AuditLog) -> Result<LogstoreRef, Inconclusive> {
    let cluster = log.cluster_id();
    let audit = log.ack().get_cluster_audit_project(cluster).await?;
    match (audit.enabled, audit.project) {
        (true, Some(project)) => Ok(LogstoreRef {
            project,
            logstore: format!("audit-{cluster}"),
        }),
        _ => Err(Inconclusive::new(
            Reason::AuditDisabled,
            "the cluster's audit log is off. Turn on cluster auditing in the ACK console. The check then needs a whole window of \
             records.",
        )),
    }
}

/// The index of the logstore, if it serves the search.
///
/// # Errors
/// When a field that the search needs is not indexed.
async fn index(log: &AuditLog, place: &LogstoreRef) -> Result<Index, Inconclusive> {
    let asked = log.sls().get_index(&place.project, &place.logstore).await;
    let none = || Index {
        full_text: false,
        keys: Default::default(),
        json_texts: Default::default(),
        without_analytics: Default::default(),
        other_types: Default::default(),
        changed_at: None,
    };
    let index = asked.map_err(|error| missing_or(place, error))?.unwrap_or_else(none);
    // Without full text, requests from the console and impersonated ones are found in these fields only.
    let needed = [IMPERSONATED, AUTHORIZATION].into_iter().filter(|_| !index.full_text);
    let missing = [USERNAME]
        .into_iter()
        .chain(needed)
        .find(|field| !index.finds_text(field));
    let Some(field) = missing else { return Ok(index) };
    let (what, advice) = match index.other_types.get(field) {
        None => (format!("no index on {field}"), "Add it to the logstore's index"),
        Some(type_) => (
            format!("an index of type {type_} on {field}, which cannot be searched for names"),
            "Change its type to text",
        ),
    };
    Err(Inconclusive::new(
        Reason::FieldNotIndexed,
        format!(
            "logstore {} has {what}. {advice} in the SLS console. SLS indexes only records written after that, so \
             the check can pass only a whole inactivity window later.",
            place.logstore
        ),
    ))
}

/// Whether all of the window was written under the index as it is now: a field that was added to it is not found in
/// what was written before, and SLS does not say so.
///
/// # Errors
/// When the index was changed in the window.
fn is_indexed_throughout(place: &LogstoreRef, index: &Index, window: Window) -> Result<(), Inconclusive> {
    let Some(changed_at) = index.changed_at.filter(|changed_at| *changed_at > window.from) else {
        return Ok(());
    };
    Err(Inconclusive::new(
        Reason::AuditTooRecent,
        format!(
            "the index of logstore {} was changed at {}, and SLS applies a change only to records written after it: a search \
             might miss an earlier request. The check can succeed from {} on, when the index covers the whole window of {}.",
            place.logstore,
            timestamp(changed_at),
            timestamp(changed_at.saturating_add(window.to - window.from)),
            days(window.days())
        ),
    ))
}

/// Whether the logstore is older than the window, and keeps records for as long.
///
/// # Errors
/// When it is or does not.
async fn is_kept_throughout(log: &AuditLog, place: &LogstoreRef, window: Window) -> Result<(), Inconclusive> {
    let asked = log.sls().get_logstore(&place.project, &place.logstore).await;
    let logstore = asked.map_err(|error| missing_or(place, error))?;
    // What SLS does not say is left to what is proved of every hour: that records are found in it.
    let too_short = |days: &u32| i64::from(*days) * DAY < window.to - window.from;
    if let Some(ttl_days) = logstore.ttl_days.filter(too_short) {
        return Err(Inconclusive::new(
            Reason::RetentionTooShort,
            format!(
                "logstore {} keeps records for {}, but the window is {}. Lower activityCheck.windowDays to the retention, or \
                 raise the retention: the log then grows to the window's length.",
                place.logstore,
                days(ttl_days.min(u32::from(u16::MAX)) as u16),
                days(window.days())
            ),
        ));
    }
    if let Some(created_at) = logstore.created_at.filter(|created_at| *created_at > window.from) {
        return Err(Inconclusive::new(
            Reason::AuditTooRecent,
            format!(
                "logstore {} was created at {}, within the window of {}. It covers the window from {} on.",
                place.logstore,
                timestamp(created_at),
                days(window.days()),
                timestamp(created_at.saturating_add(window.to - window.from))
            ),
        ));
    }
    Ok(())
}

/// Whether requests are found by user name all the time.
///
/// # Errors
/// When there is an hour without any, or a day without one of the control plane or of the operator.
async fn has_no_gap(log: &AuditLog, place: &LogstoreRef, window: Window) -> Result<(), Inconclusive> {
    let own = log.own().await?;
    let days = days_of(log, place, window, own.as_ref()).await?;
    let clip = |(from, to): Gap| (from.max(window.from), to.min(window.to));
    let silences = days.iter().flat_map(|(_, day)| &day.silences).copied().map(clip);
    let mut silences = histogram::join(silences.filter(|(from, to)| from < to)).into_iter();
    if let Some((from, to)) = silences.find(|(from, to)| to - from >= HOUR) {
        // Records that were only late may come yet: these days are asked for again.
        log.settled_days
            .forget(place, from.div_euclid(DAY) * DAY..to.saturating_add(DAY));
        return Err(gap(log, place, window, (from, to)).await?);
    }
    let unheard = days.into_iter().find(|(start, day)| {
        let within = (start + DAY).min(window.to) - (*start).max(window.from);
        !(day.control && day.own) && is_closed(*start, window.to) && within >= HOUR
    });
    let Some((start, day)) = unheard else { return Ok(()) };
    log.settled_days.forget(place, start..start.saturating_add(DAY));
    let end = start.saturating_add(DAY);
    let (whose, meaning) = match day.control {
        false => (
            "the control plane",
            "which makes requests all the time: the log is incomplete, or the search does not find its records",
        ),
        true => (
            "the operator's own ServiceAccount",
            "which makes requests all the time while the operator runs: if it ran on that day, the log is incomplete",
        ),
    };
    Err(Inconclusive::new(
        Reason::NotSearchable,
        format!(
            "a search of logstore {} by user name finds no request of {whose} from {} to {}, {meaning}. Look at that day's \
             records in the SLS console. The check can succeed from {} on, when the window has moved past that day.",
            place.logstore,
            timestamp(start),
            timestamp(end),
            timestamp(end.saturating_add(window.to - window.from))
        ),
    ))
}

/// What it is that no request is found by user name for so long: that there are no records, or that they are not parsed.
async fn gap(
    log: &AuditLog,
    place: &LogstoreRef,
    window: Window,
    (from, to): Gap,
) -> Result<Inconclusive, Inconclusive> {
    let (logstore, start, end) = (&place.logstore, timestamp(from), timestamp(to));
    let past = timestamp(to.saturating_add(window.to - window.from));
    Ok(match histogram::heard(log, place, from, to, "*").await?.count {
        0 => Inconclusive::new(
            Reason::AuditGap,
            format!(
                "logstore {logstore} has no record of any user from {start} to {end}: the log has a gap, and the check would miss \
                 a request in it. Find out why audit records are missing (was auditing off, or the log's collector down?). The \
                 check can succeed once the records arrive, or from {past} on, when the window has moved past the gap."
            ),
        ),
        _ => Inconclusive::new(
            Reason::NotSearchable,
            format!(
                "logstore {logstore} has records from {start} to {end}, but a search for {ANYBODY} finds none of them: their \
                 fields are not parsed or not indexed, and the check would miss a request. Compare a record in the SLS console \
                 with the fields of ACK's audit log, and fix the collector's configuration. The check can succeed from {past} \
                 on, when the window has moved past these records."
            ),
        ),
    })
}

/// The days of the window, by their starts.
async fn days_of(
    log: &AuditLog,
    place: &LogstoreRef,
    window: Window,
    own: Option<&Own>,
) -> Result<Vec<(i64, Day)>, Inconclusive> {
    let first = window.from.div_euclid(DAY) * DAY;
    let days = (0..).map(|n| first + n * DAY).take_while(|day| *day < window.to);
    let asked = futures::stream::iter(days)
        .map(|start| async move { Ok((start, day(log, place, start, window.to, own).await?)) })
        .buffered(PARALLEL);
    asked.try_collect().await
}

/// Whether a day is over for so long that nothing more comes of it.
fn is_closed(start: i64, end: i64) -> bool {
    start + DAY + SETTLED <= end
}

async fn day(
    log: &AuditLog,
    place: &LogstoreRef,
    start: i64,
    end: i64,
    own: Option<&Own>,
) -> Result<Day, Inconclusive> {
    let closed = is_closed(start, end);
    if closed && let Some(known) = log.settled_days.get(place, start) {
        return Ok(known);
    }
    let (from, to) = (start, (start + DAY).min(end));
    let control = histogram::heard(log, place, from, to, CONTROL).await?;
    // Silences this short make no hour, not even two of them at midnight.
    let silences = match control.silences.iter().all(|(from, to)| to - from < FINE) {
        true => control.silences,
        false => histogram::heard(log, place, from, to, ANYBODY).await?.silences,
    };
    let own = match own.filter(|own| closed && own.owes(start)) {
        Some(own) => histogram::total(log, place, from, to, &own.query).await? > 0,
        None => true,
    };
    let found = Day {
        silences,
        control: control.count > 0,
        own,
    };
    if closed {
        log.settled_days.put(place, start, found.clone());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_own_requests_are_owed_from_the_day_after_its_installation_on() {
        let user = "system:serviceaccount:ack-offboarding-system:operator";
        let noon = 20_000 * DAY + DAY / 2;
        let own = Own::of(user, noon).unwrap();
        assert_eq!(own.query, format!("user.username: \"{user}\""));
        for (day, expected) in [(19_999, false), (20_000, false), (20_001, true), (20_002, true)] {
            assert_eq!(own.owes(day * DAY), expected, "{day}");
        }
        assert_eq!(Own::of("kubernetes-admin", noon), None, "somebody who tries it out");
    }

    #[test]
    fn an_index_that_was_changed_in_the_window_does_not_cover_it() {
        let place = LogstoreRef {
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
                json_texts: Default::default(),
                without_analytics: Default::default(),
                other_types: Default::default(),
                changed_at,
            };
            let covers = is_indexed_throughout(&place, &index, window);
            assert_eq!(covers.is_ok(), expected, "{changed_at:?}: {covers:?}");
        }
    }
}
