//! Keeps the proof current, and holds what has no proof.

use super::{
    Policies,
    policy::{Policy, Seen},
};
use crate::{
    api::Reason,
    offboarding::outcome::{Blocked, Requeue},
    rbac::permit::Leadership,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, watch};

/// How long the operator tries again quickly after it was started: a policy takes a second to come into force.
pub(crate) const QUICK_FOR: Duration = Duration::from_secs(30);
const QUICK: Duration = Duration::from_secs(1);
/// How often it is tried again after that.
const AGAIN: Duration = Duration::from_secs(10);
/// How often what was proved is proved again.
const HOURLY: Duration = Duration::from_secs(3600);
/// How old the proof may be when a run begins.
const FRESH: Duration = Duration::from_secs(60);
/// How long a proof lasts when the API server does not answer, or something else refuses the trial.
const LAPSES: Duration = Duration::from_secs(2 * 3600);

/// Whether the policies are proved, as a sentence for people if they are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nobody has looked yet.
    Untried,
    /// All of them are in force.
    Proved,
    /// At least one is not, or nobody can tell.
    Failed(Failure),
}

/// The first policy that is not proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of several, one that is not in force before one that nobody can tell of.
    pub policy: Policy,
    /// As the rest of a sentence, without its end.
    pub seen: String,
    /// Nobody can tell: it may be in force all the same.
    pub unclear: bool,
}

/// Without a full stop, and without a capital letter.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.unclear {
            "cannot be verified to be"
        } else {
            "is not"
        };
        write!(
            f,
            "admission policy {} {is} in force: {}",
            self.policy.name(),
            self.seen
        )
    }
}

impl Failure {
    /// What to do about it, as a sentence.
    fn advice(&self) -> String {
        match self.unclear {
            true => "Exempt the operator's ServiceAccount from whatever refuses the request, or check the API server's health."
                .to_owned(),
            false => format!("To restore it, {}.", self.policy.restore()),
        }
    }

    fn of(seen: Vec<(Policy, Seen)>) -> Option<Self> {
        let mut unclear = None;
        for (policy, seen) in seen {
            match seen {
                Seen::InForce => {}
                Seen::NotInForce(seen) => {
                    return Some(Failure {
                        policy,
                        seen,
                        unclear: false,
                    });
                }
                Seen::Unclear(seen) => {
                    unclear.get_or_insert(Failure {
                        policy,
                        seen,
                        unclear: true,
                    });
                }
            }
        }
        unclear
    }
}

/// Keeps the proof current, and tells [`Leadership`]: without it no effect is permitted.
#[derive(Clone)]
pub struct Prover(Arc<Inner>);

struct Inner {
    policies: Policies,
    leadership: Leadership,
    recheck: Duration,
    proof: watch::Sender<Proof>,
    last: Mutex<Last>,
}

/// When it was looked at last, and when all were found in force last.
#[derive(Default)]
struct Last {
    looked: Option<Instant>,
    proved: Option<Instant>,
}

impl Prover {
    /// Has looked at nothing yet. What waits is looked at again in `recheck` at the latest.
    pub fn new(policies: Policies, leadership: Leadership, recheck: Duration) -> Self {
        Prover(Arc::new(Inner {
            policies,
            leadership,
            recheck,
            proof: watch::Sender::new(Proof::Untried),
            last: Mutex::default(),
        }))
    }

    /// What was found last, now and whenever it changes.
    pub fn proof(&self) -> watch::Receiver<Proof> {
        self.0.proof.subscribe()
    }

    /// Looks again and again, for as long as the process runs.
    pub async fn keep_proving(self) {
        let began = Instant::now();
        loop {
            self.look_unless_within(Duration::ZERO).await;
            let clear = self.0.leadership.is_proved() && *self.0.proof.borrow() == Proof::Proved;
            let wait = match clear {
                true => HOURLY,
                false if began.elapsed() < QUICK_FOR => QUICK,
                false => AGAIN.min(self.0.recheck),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Asked before the first effect of a run: looks anew, unless somebody did in the last minute.
    ///
    /// # Errors
    /// The hold, if a policy is not in force.
    pub async fn demand(&self) -> Result<(), Blocked> {
        self.look_unless_within(FRESH.min(self.0.recheck)).await;
        match self.0.leadership.is_proved() {
            true => Ok(()),
            false => Err(self.blocked()),
        }
    }

    /// Looks at the policy about proposals, now: why nothing may be proposed, as a sentence, unless it is in force.
    ///
    /// # Errors
    /// That sentence.
    pub async fn demand_proposals(&self) -> Result<(), String> {
        let seen = self.0.policies.look_at_proposals().await;
        match Failure::of(vec![(Policy::Proposals, seen)]) {
            None => Ok(()),
            Some(failure) if failure.unclear => Err(format!("The {failure}.")),
            Some(failure) => Err(format!(
                "The {failure}. This policy {}. {}",
                failure.policy.purpose(),
                failure.advice()
            )),
        }
    }

    /// The hold for a policy that is not in force.
    pub fn blocked(&self) -> Blocked {
        let message = match &*self.0.proof.borrow() {
            Proof::Failed(failure) => format!(
                "The {failure}. This policy {}, so the operator changes nothing without it. {} The operator checks again within \
                 seconds and then continues automatically.",
                failure.policy.purpose(),
                failure.advice()
            ),
            Proof::Untried | Proof::Proved => {
                "The operator has not verified yet that the admission policies are in force. It changes nothing without them. It \
                 checks again within seconds and then continues automatically."
                    .to_owned()
            }
        };
        let mut blocked = Blocked::recheck(Reason::PoliciesNotInForce, message);
        blocked.again = Requeue::After(AGAIN.min(self.0.recheck));
        blocked
    }

    async fn look_unless_within(&self, age: Duration) {
        let Inner {
            policies,
            leadership,
            proof,
            ..
        } = &*self.0;
        // One at a time: whoever waited has the answer.
        let mut last = self.0.last.lock().await;
        if last.looked.is_some_and(|looked| looked.elapsed() < age) {
            return;
        }
        let seen = policies.look().await;
        let now = Instant::now();
        last.looked = Some(now);
        match Failure::of(seen) {
            None => {
                last.proved = Some(now);
                leadership.proved(true);
                if proof.send_replace(Proof::Proved) != Proof::Proved {
                    tracing::info!("the admission policies are in force");
                }
            }
            // What was proved, and is nowhere seen to be otherwise, stays proved for a while.
            Some(failure)
                if failure.unclear
                    && last.proved.is_some_and(|proved| proved.elapsed() < LAPSES)
                    && leadership.is_proved() =>
            {
                tracing::warn!("{failure}; it was in force at the last check, so the operator continues");
            }
            Some(failure) => {
                leadership.proved(false);
                let failed = Proof::Failed(failure.clone());
                if proof.send_replace(failed.clone()) != failed {
                    tracing::error!(
                        "{failure}. The operator changes nothing until it is. {}",
                        failure.advice()
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_force_comes_before_what_is_unclear() {
        let (not, unclear) = (Seen::NotInForce("a".to_owned()), Seen::Unclear("b".to_owned()));
        assert_eq!(unclear.clone().and(not.clone()), not);
        assert_eq!(Seen::InForce.and(unclear.clone()), unclear);
        let failure = Failure::of(vec![(Policy::Bindings, unclear), (Policy::Approval, not)]).unwrap();
        assert_eq!((failure.policy, failure.unclear), (Policy::Approval, false));
        assert_eq!(Failure::of(vec![(Policy::Bindings, Seen::InForce)]), None);
    }
}
