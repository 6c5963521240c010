//! Two objects for one UID take turns.

use super::outcome::{Blocked, Requeue};
use crate::{
    api::{Reason, UserOffboarding},
    sync::lock,
};
use alibaba_cloud::Uid;
use futures::Stream;
use kube::ResourceExt;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::broadcast;

/// An object that waits for its turn is woken when it comes. This is for the case that it was not.
const QUEUED_AT_MOST: Duration = Duration::from_secs(60);

/// The UIDs that objects work on.
#[derive(Debug)]
pub struct Claims {
    held: Mutex<HashMap<Uid, Held>>,
    turns: broadcast::Sender<String>,
}

#[derive(Debug)]
struct Held {
    by: String,
    waiting: BTreeSet<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Claims {
            held: Mutex::default(),
            turns: broadcast::Sender::new(1024),
        }
    }
}

/// A UID that one object works on; ends when it is dropped.
#[derive(Debug)]
pub struct Claim {
    uid: Uid,
    claims: Arc<Claims>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let held = lock(&self.claims.held).remove(&self.uid);
        for name in held.into_iter().flat_map(|held| held.waiting) {
            // Nobody listens while the operator starts or stops.
            let _ = self.claims.turns.send(name);
        }
    }
}

impl Claims {
    /// Claims a UID for the object.
    ///
    /// # Errors
    /// The hold, if another object has it. The object is in [`Claims::turns`] when that one is done.
    pub fn claim(self: &Arc<Self>, uid: Uid, object: &UserOffboarding) -> Result<Claim, Blocked> {
        let mut held = lock(&self.held);
        if let Some(claim) = held.get_mut(&uid) {
            claim.waiting.insert(object.name_any());
            let message = format!(
                "UserOffboarding {:?} is working on the same UID. This one continues when that one is done.",
                claim.by
            );
            return Err(Blocked::new(Reason::Queued, Requeue::After(QUEUED_AT_MOST), message));
        }
        let by = object.name_any();
        held.insert(
            uid,
            Held {
                by,
                waiting: BTreeSet::new(),
            },
        );
        Ok(Claim {
            uid,
            claims: self.clone(),
        })
    }

    /// The names of the objects that waited for a UID, from now on, each when it can have its turn.
    pub fn turns(&self) -> impl Stream<Item = String> + use<> {
        let receiver = self.turns.subscribe();
        futures::stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(name) => return Some((name, receiver)),
                    // They look again by themselves, a little later.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }
}
