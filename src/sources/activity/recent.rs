//! What the audit log said a moment ago: an object that is edited many times a second is no reason to ask as often.

use super::answer::{Activity, Answer};
use crate::api::{IdentityStatus, Names};
use alibaba_cloud::Uid;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is used again.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// Answers by which an identity waits, `Active` and `Unknown`, each for two seconds. `Inactive`, by which a removal begins, is
/// never used again.
#[derive(Debug, Default)]
pub(crate) struct RecentAnswers(Mutex<HashMap<Uid, Recent>>);

#[derive(Debug)]
struct Recent {
    at: Instant,
    question: AskedFor,
    answer: Answer,
}

/// What an answer depends on, besides the UID.
#[derive(Debug, PartialEq)]
pub(super) struct AskedFor {
    pub(super) window_days: u16,
    pub(super) names: Names,
    pub(super) identity: Option<IdentityStatus>,
}

impl RecentAnswers {
    /// The answer to the same question, if it is recent.
    pub(super) fn get(&self, uid: Uid, question: &AskedFor) -> Option<Answer> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.get(&uid)?;
        (known.at.elapsed() < GOOD_FOR && known.question == *question).then(|| known.answer.clone())
    }

    /// Keeps an answer, unless something may begin by it. Older ones are forgotten.
    pub(super) fn keep(&self, uid: Uid, question: AskedFor, answer: &Answer) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, known| known.at.elapsed() < GOOD_FOR);
        if !matches!(answer.activity, Activity::Inactive) {
            let known = Recent {
                at: Instant::now(),
                question,
                answer: answer.clone(),
            };
            recent.insert(uid, known);
        }
    }
}
