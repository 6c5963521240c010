//! Who leads: one process, elected by a Lease, with the semantics of client-go's `leaderelection`.
//!
//! - Clocks are never compared: a candidate takes the Lease over when it has not *seen it change* for the time that its holder
//!   asked for, on its own monotonic clock. What times the Lease says is for people.
//! - Every write carries the resourceVersion: of two candidates one gets a conflict.
//! - The leader counts from the start of its last successful renewal, and steps down by itself after two thirds of that time,
//!   whether or not it can still reach anybody: before another may start.
//!
//! - One that is not fit to work (its credentials are rejected) lets the others go first: it takes a Lease that is free only when nobody else
//!   has done so for the Lease's duration.
//!
//! The Lease keeps two processes from working against each other. That nothing is lost if they do all the same rests on the
//! preconditions of each effect, not on the Lease.

use crate::rbac::permit::Leadership;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::time::Duration;
use tokio::time::Instant;

/// A candidate for the leadership.
pub(super) struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    leadership: Leadership,
    is_fit: Box<dyn Fn() -> bool + Send + Sync>,
    observed: Option<(LeaseSpec, Instant)>,
}

/// What came of one try to get or to renew the Lease.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Held,
    /// By another process, at least until then if it does nothing.
    HeldBy(String, Instant),
    /// By nobody; one that is fit may take it until then.
    Yielded(Instant),
    /// Someone wrote to it between our read and our write.
    Raced,
}

impl Elector {
    /// A candidate for the Lease `name`, under an identity that no other process has. `api` repeats nothing by itself; `is_fit` says
    /// whether this process could work now.
    pub(super) fn new(
        api: Api<Lease>,
        name: &str,
        duration: Duration,
        leadership: Leadership,
        is_fit: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "ack-offboarding-operator".to_owned());
        Elector {
            api,
            name: name.to_owned(),
            identity: format!("{host}_{:016x}", fastrand::u64(..)),
            duration,
            leadership,
            is_fit: Box::new(is_fit),
            observed: None,
        }
    }

    /// The time after which a leader that could not renew steps down: as with client-go's 15 s and 10 s.
    fn renew_deadline(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// The time between two tries: as with client-go's 15 s and 2 s, up to a fifth longer.
    fn pause(&self) -> Duration {
        (self.duration * 2 / 15).mul_f64(1.0 + fastrand::f64() * 0.2)
    }

    /// Resolves when this process leads.
    pub(super) async fn acquire(&mut self) {
        let mut told = None;
        let mut yielded = false;
        loop {
            let began = Instant::now();
            let mut next = began + self.pause();
            match self.attempt().await {
                Ok(Attempt::Held) => {
                    tracing::info!(
                        lease = self.name,
                        identity = self.identity,
                        "this process is the leader"
                    );
                    self.leadership.lead_until(began + self.renew_deadline());
                    return;
                }
                Ok(Attempt::HeldBy(other, until)) => {
                    next = next.min(until);
                    if told.as_ref() != Some(&other) {
                        tracing::info!(
                            lease = self.name,
                            leader = other,
                            "another process is the leader; this one is on standby"
                        );
                        told = Some(other);
                    }
                }
                Ok(Attempt::Yielded(until)) => {
                    next = next.min(until);
                    if !std::mem::replace(&mut yielded, true) {
                        tracing::warn!(
                            lease = self.name,
                            "this process has no usable Alibaba Cloud credentials; it lets other processes lead"
                        );
                    }
                }
                Ok(Attempt::Raced) => {}
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "cannot read or update the Lease; the operator retries \
                     automatically")
                }
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Renews for as long as it can; resolves when this process leads no longer.
    pub(super) async fn keep(&mut self) {
        while let Some(until) = self.leadership.until() {
            tokio::time::sleep_until((Instant::now() + self.pause()).min(until)).await;
            let began = Instant::now();
            match tokio::time::timeout_at(until, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => self.leadership.lead_until(began + self.renew_deadline()),
                Ok(Ok(Attempt::HeldBy(other, _))) => {
                    tracing::warn!(lease = self.name, leader = other, "another process took the Lease");
                    return self.leadership.lost();
                }
                Ok(Ok(Attempt::Raced | Attempt::Yielded(_))) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "cannot renew the Lease; the operator retries automatically")
                }
            }
        }
        self.leadership.lost();
    }

    /// Gives the Lease back, so that the next one need not wait for its end. Only when nothing is in hand any more.
    pub(super) async fn release(&mut self) {
        self.leadership.lost();
        match self.try_release().await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(lease = self.name, %error, "cannot release the Lease; the next leader waits until it expires")
            }
        }
    }

    async fn try_release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
        else {
            return Ok(());
        };
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        tracing::info!(lease = self.name, "released the Lease");
        Ok(())
    }

    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        let found = self.api.get_opt(&self.name).await?;
        let now = Instant::now();
        let was = found.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        if self.observed.as_ref().is_none_or(|(seen, _)| *seen != was) {
            self.observed = Some((was.clone(), now));
        }
        let holder = was.holder_identity.clone().unwrap_or_default();
        let valid_until = self.valid_until(&was, now);
        if !holder.is_empty() && holder != self.identity && now < valid_until {
            return Ok(Attempt::HeldBy(holder, valid_until));
        }
        if holder != self.identity && !(self.is_fit)() {
            let free_since = if holder.is_empty() {
                self.since(now)
            } else {
                valid_until
            };
            let turn = free_since + self.duration;
            if now < turn {
                return Ok(Attempt::Yielded(turn));
            }
        }
        let spec = self.renewed(&was);
        let params = PostParams::default();
        let written = match found {
            None => {
                let metadata = ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                };
                self.api
                    .create(
                        &params,
                        &Lease {
                            metadata,
                            spec: Some(spec),
                        },
                    )
                    .await
            }
            // With the resourceVersion that was read.
            Some(lease) => {
                self.api
                    .replace(
                        &self.name,
                        &params,
                        &Lease {
                            spec: Some(spec),
                            ..lease
                        },
                    )
                    .await
            }
        };
        match written {
            Ok(_) => Ok(Attempt::Held),
            Err(kube::Error::Api(status))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                Ok(Attempt::Raced)
            }
            Err(error) => Err(error),
        }
    }

    /// When a Lease that stays as it is may be taken over: the time that its holder asked for, from when it was first seen so.
    fn valid_until(&self, spec: &LeaseSpec, now: Instant) -> Instant {
        let since = self.since(now);
        let asked = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok())
            .filter(|s| *s > 0);
        since + asked.map_or(self.duration, Duration::from_secs)
    }

    /// When the Lease was first seen as it is.
    fn since(&self, now: Instant) -> Instant {
        self.observed.as_ref().map_or(now, |(_, since)| *since)
    }

    fn renewed(&self, was: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mine = was.holder_identity.as_deref() == Some(&self.identity);
        let transitions = was.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            acquire_time: was.acquire_time.clone().filter(|_| mine).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if mine {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }
}
