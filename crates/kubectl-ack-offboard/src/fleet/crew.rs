//! Asks clusters side by side: so many at a time, each with a deadline, none stopped by another. What came of each is kept as it comes.

use super::{
    file,
    live::Live,
    member::Member,
    result::{ClusterResult, Ended, FleetReport, Gap},
    select::{self, Selection},
};
use crate::{
    cli::{Connection, ManyArgs},
    cluster::Cluster,
    exit::{Exit, Failure, NotCovered, Outcome},
    interrupt::Interrupt,
    output::{self, Format},
};
use alibaba_cloud::Cloud;
use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use std::{
    cell::RefCell,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Everybody who is asked, and what came of it so far.
pub(crate) struct Crew<'a> {
    pub(crate) interrupt: &'a Interrupt,
    /// Those who are still to be asked.
    pub(crate) members: Vec<Member>,
    /// The clients by which the account was asked for its clusters, if it was.
    pub(crate) cloud: Option<Cloud>,
    connection: Connection,
    deadline: Duration,
    concurrency: usize,
    report: RefCell<FleetReport>,
    file: Option<PathBuf>,
}

impl<'a> Crew<'a> {
    /// Finds out which clusters to ask, and leaves out those that an earlier run is done with.
    ///
    /// # Errors
    /// When they cannot be found, the earlier run's file does not fit, or the report file cannot be written.
    pub(crate) async fn gather(
        verb: &str,
        uid: Option<&str>,
        many: &ManyArgs,
        connection: &Connection,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Failure> {
        let earlier = match &many.resume {
            Some(path) => done_in(file::read(path)?, verb, uid)?,
            None => Vec::new(),
        };
        let Selection {
            mut members,
            kubeconfigs,
            warnings,
            cloud,
        } = interrupt.ends(select::select(many, connection, uid)).await?;
        warnings.iter().for_each(output::warn);
        let mut clusters: Vec<_> = members
            .iter()
            .map(|member| {
                let (id, region) = (member.id.as_deref(), member.region.as_deref());
                let state = id.and_then(|id| kubeconfigs.get(id));
                ClusterResult {
                    kubeconfig: state.map(|state| format!("{state:?}")),
                    ..ClusterResult::waiting(&member.name, id, region)
                }
            })
            .collect();
        // What was done then is not asked again, and not lost, also where it is not among those that are asked now. What was done in part is
        // asked again, and kept until there is more.
        for done in earlier {
            if is_done_with(&done) {
                members.retain(|member| member.name != done.name);
            }
            match clusters.iter_mut().find(|cluster| cluster.name == done.name) {
                Some(cluster) => *cluster = done,
                None => clusters.push(done),
            }
        }
        let mut connection = connection.clone();
        if connection.request_timeout.is_zero() || connection.request_timeout > many.cluster_timeout {
            connection.request_timeout = many.cluster_timeout;
        }
        let report = FleetReport {
            verb: verb.to_owned(),
            uid: uid.map(str::to_owned),
            made_at: Timestamp::now(),
            plugin: env!("CARGO_PKG_VERSION").to_owned(),
            clusters,
        };
        let file = many.report.clone().or_else(|| many.resume.clone());
        if let Some(path) = &file {
            // Before anything is done: what is done can be told.
            file::write(path, &report)?;
        }
        Ok(Crew {
            interrupt,
            members,
            cloud,
            connection,
            deadline: many.cluster_timeout,
            concurrency: many.concurrency.into(),
            report: RefCell::new(report),
            file,
        })
    }

    /// Does the job for each of these members. It says in the result how the cluster ended; its error is how the cluster ended as well, and stops no
    /// other. Once somebody asked to stop, no other begins; a job that changes something finishes what it began.
    ///
    /// Returns what the jobs returned, in the order of the members.
    pub(crate) async fn each<'m, T>(
        &self,
        members: impl IntoIterator<Item = &'m Member>,
        job: impl AsyncFn(&'m Member, &mut ClusterResult) -> Result<T, Failure>,
    ) -> Vec<(&'m Member, T)> {
        let members: Vec<_> = members.into_iter().collect();
        let live = &Live::new(members.len());
        let job = &job;
        let work: Vec<_> = members
            .iter()
            .enumerate()
            .map(async |(at, member)| (at, *member, self.one(member, live, job).await))
            .collect();
        let mut ended: Vec<_> = stream::iter(work).buffer_unordered(self.concurrency).collect().await;
        ended.sort_by_key(|(at, ..)| *at);
        ended
            .into_iter()
            .filter_map(|(_, member, done)| Some((member, done?)))
            .collect()
    }

    async fn one<'m, T>(
        &self,
        member: &'m Member,
        live: &Live,
        job: &impl AsyncFn(&'m Member, &mut ClusterResult) -> Result<T, Failure>,
    ) -> Option<T> {
        if self.interrupt.is_requested() {
            return None;
        }
        let mut result = self.result(&member.name)?;
        let earlier = (result.ended == Ended::Done).then(|| result.clone());
        let began = Instant::now();
        let line = live.begin(&member.name);
        let done = job(member, &mut result).await;
        drop(line);
        result.took_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        result.kubeconfigs_issued = member.issued();
        let done = match done {
            Ok(done) => Some(done),
            Err(failure) => {
                result.fail(failure);
                None
            }
        };
        live.end(&result);
        // What an earlier run found of it is more than nothing.
        let partly = earlier.filter(|earlier| !is_done_with(earlier) && result.ended != Ended::Done);
        self.keep(partly.unwrap_or(result));
        done
    }

    /// Connects to a cluster and asks the first question, within the deadline; Ctrl-C ends it.
    ///
    /// # Errors
    /// When there is no answer in time, or it is a refusal.
    pub(crate) async fn first<T>(
        &self,
        member: &Member,
        ask: impl AsyncFnOnce(&Cluster) -> Result<T, Failure>,
    ) -> Result<(Cluster, T), Failure> {
        let asked = async {
            let cluster = member.connect(&self.connection).await?;
            let answer = ask(&cluster).await?;
            Ok((cluster, answer))
        };
        let late = |_| {
            Err(Failure::new(format!(
                "no answer within {:?}. Check the network, and how busy its API server is; --cluster-timeout gives it longer.",
                self.deadline
            ))
            .because(NotCovered::Unreachable))
        };
        let within = async { tokio::time::timeout(self.deadline, asked).await.unwrap_or_else(late) };
        self.interrupt.ends(within).await
    }

    /// How a cluster ended so far.
    fn result(&self, name: &str) -> Option<ClusterResult> {
        let report = self.report.borrow();
        report.clusters.iter().find(|cluster| cluster.name == name).cloned()
    }

    fn keep(&self, result: ClusterResult) {
        let mut report = self.report.borrow_mut();
        if let Some(kept) = report.clusters.iter_mut().find(|cluster| cluster.name == result.name) {
            *kept = result;
        }
        report.made_at = Timestamp::now();
        if let Some(path) = &self.file
            && let Err(failure) = file::write(path, &report)
        {
            output::warn(failure.message);
        }
    }

    /// Changes how a cluster ended without asking it again.
    pub(crate) fn amend(&self, member: &Member, change: impl FnOnce(&mut ClusterResult)) {
        if let Some(mut result) = self.result(&member.name) {
            change(&mut result);
            self.keep(result);
        }
    }

    /// Shows what came of each; `is_whole` unless Ctrl-C came before everything was asked or done.
    ///
    /// # Errors
    /// When it cannot be shown.
    pub(crate) fn finish(self, format: Format, is_whole: bool) -> Outcome {
        let closed = self.close();
        closed.show(format)?;
        Ok(match is_whole {
            true => closed.exit,
            false => Exit::Interrupted,
        })
    }

    /// What came of it, and how it ends: the worst of all clusters; Ctrl-C is worse.
    pub(crate) fn close(self) -> Closed {
        let report = self.report.into_inner();
        let exit = match self.interrupt.is_requested() {
            true => Exit::Interrupted,
            false => report.exit(),
        };
        let file = self.file;
        Closed { report, exit, file }
    }
}

/// What came of it.
pub(crate) struct Closed {
    pub(crate) report: FleetReport,
    pub(crate) exit: Exit,
    file: Option<PathBuf>,
}

impl Closed {
    /// Prints it, and says what standard error should say at the end.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub(crate) fn show(&self, format: Format) -> Result<(), Failure> {
        output::show(format, &self.report)?;
        self.remark();
        Ok(())
    }

    /// Says on standard error which clusters failed or were not covered, and where the report is.
    pub(crate) fn remark(&self) {
        output::note(self.report.remarks());
        let is_whole = self.report.clusters.iter().all(is_done_with);
        if let Some(path) = &self.file {
            let path = path.display();
            output::note(format!("The report is in {path}."));
            if !is_whole {
                output::note(format!(
                    "To ask the other clusters again: the same command, with --resume={path}"
                ));
            }
        }
    }
}

/// Whether nothing of it is to be asked again.
fn is_done_with(cluster: &ClusterResult) -> bool {
    cluster.ended == Ended::Done && !cluster.gaps.contains(&Gap::NotAsked)
}

/// The clusters in which an earlier run did what was asked, or a part of it.
fn done_in(earlier: FleetReport, verb: &str, uid: Option<&str>) -> Result<Vec<ClusterResult>, Failure> {
    if earlier.verb != verb || earlier.uid.as_deref() != uid {
        let about = |uid: Option<&str>| uid.map(|uid| format!(" {uid}")).unwrap_or_default();
        return Err(Failure::usage(format!(
            "the report to resume is of `fleet {}{}`, not of `fleet {verb}{}`.",
            output::clean(&earlier.verb),
            output::clean(&about(earlier.uid.as_deref())),
            about(uid)
        )));
    }
    let done = earlier
        .clusters
        .into_iter()
        .filter(|cluster| cluster.ended == Ended::Done);
    Ok(done.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_not_asked_again_unless_something_was_not_answered() {
        let cluster = |name: &str, ended, gaps| ClusterResult {
            ended,
            gaps,
            ..ClusterResult::waiting(name, None, None)
        };
        let report = || FleetReport {
            verb: "scan".into(),
            uid: None,
            made_at: Timestamp::UNIX_EPOCH,
            plugin: String::new(),
            clusters: vec![
                cluster("whole", Ended::Done, vec![Gap::Truncated]),
                cluster("partly", Ended::Done, vec![Gap::NotAsked]),
                cluster("held", Ended::Held, Vec::new()),
            ],
        };
        let done = done_in(report(), "scan", None).unwrap();
        assert_eq!(
            done.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>(),
            ["whole", "partly"]
        );
        assert_eq!(
            done.iter().map(is_done_with).collect::<Vec<_>>(),
            [true, false],
            "it is asked again"
        );
        assert!(done_in(report(), "plan", None).is_err() && done_in(report(), "scan", Some("1")).is_err());
    }
}
