//! Permission for an effect: whether this process may change anything at this moment.
//!
//! Asked immediately before every effect. It is an instant, not a flag: a process that was stopped for a while (SIGSTOP, a
//! frozen node) reads the clock before it reads anything else, and finds that its time is over.

use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Whether this process leads, and whether it was told to stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Leadership(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    stopping: bool,
    proved: bool,
    in_hand: usize,
}

impl State {
    fn may_act(&self) -> bool {
        !self.stopping && self.until.is_some_and(|until| Instant::now() < until)
    }

    fn may_change_access(&self) -> bool {
        self.proved && self.may_act()
    }
}

impl Leadership {
    /// Without others: leads until it is told to stop.
    pub fn alone(&self) {
        self.lead_until(Instant::now() + Duration::from_secs(u64::from(u32::MAX)));
    }

    /// Leads until then, and not a moment longer unless this is called again.
    pub fn lead_until(&self, until: Instant) {
        self.0.send_modify(|state| state.until = Some(until));
    }

    /// Leads no longer.
    pub fn lost(&self) {
        self.0.send_modify(|state| state.until = None);
    }

    /// Starts no effect from now on.
    pub fn stop(&self) {
        self.0.send_modify(|state| state.stopping = true);
    }

    pub fn is_stopping(&self) -> bool {
        self.0.borrow().stopping
    }

    pub async fn stopping(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|state| state.stopping).await;
    }

    /// Until when this process leads, if it does.
    pub fn until(&self) -> Option<Instant> {
        self.0.borrow().until.filter(|until| Instant::now() < *until)
    }

    /// Says whether the admission policies are proved to be in force.
    pub fn proved(&self, proved: bool) {
        self.0.send_modify(|state| state.proved = proved);
    }

    pub fn is_proved(&self) -> bool {
        self.0.borrow().proved
    }

    /// Permission for one effect, which ends when it is dropped. None if this process does not lead, is to stop, or has no proof that
    /// the admission policies are in force.
    pub fn permit(&self) -> Option<Permit> {
        self.take(State::may_change_access).map(Permit)
    }

    /// Permission to write one status, which needs no proof: it is how people learn that there is none.
    pub fn permit_report(&self) -> Option<InHand> {
        self.take(State::may_act)
    }

    fn take(&self, may: fn(&State) -> bool) -> Option<InHand> {
        let mut given = false;
        self.0.send_modify(|state| {
            given = may(state);
            state.in_hand += usize::from(given);
        });
        given.then(|| InHand(self.clone()))
    }

    /// Resolves when no effect is permitted any more and none is in hand: what still runs can be dropped then.
    pub async fn ended(&self) {
        let mut receiver = self.0.subscribe();
        loop {
            let (until, may_act, in_hand) = {
                let state = receiver.borrow_and_update();
                (state.until, state.may_act(), state.in_hand)
            };
            let changed = receiver.changed();
            match until.filter(|_| may_act) {
                Some(until) => drop(tokio::time::timeout_at(until, changed).await),
                None if in_hand == 0 => return,
                None => drop(changed.await),
            }
        }
    }
}

/// Permission for one effect. A process that is told to stop waits for it.
#[must_use = "the effect is in hand for as long as this lives"]
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "kept until the effect has ended")] InHand);

/// A write that this process has begun, and finishes before it stops.
#[must_use = "the write is in hand for as long as this lives"]
#[derive(Debug)]
pub struct InHand(Leadership);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.in_hand -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn an_effect_is_permitted_while_it_leads_and_is_not_told_to_stop() {
        let leadership = Leadership::default();
        leadership.proved(true);
        assert!(leadership.permit().is_none(), "nobody has said that it leads");
        leadership.lead_until(Instant::now() + Duration::from_secs(10));
        assert!(leadership.permit().is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(leadership.permit().is_none(), "its time is over, though nobody said so");
        leadership.alone();
        assert!(leadership.permit().is_some());
        leadership.stop();
        assert!(leadership.permit().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_proof_it_reports_and_does_nothing_else() {
        let leadership = Leadership::default();
        leadership.alone();
        assert!(leadership.permit().is_none(), "nothing is proved yet");
        assert!(leadership.permit_report().is_some());
        leadership.proved(true);
        assert!(leadership.permit().is_some());
        leadership.proved(false);
        assert!(leadership.permit().is_none());
        let mut ended = Box::pin(leadership.ended());
        assert_eq!(ended.as_mut().now_or_never(), None, "it leads, and reports");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_the_effect_in_hand_and_for_nothing_else() {
        let leadership = Leadership::default();
        leadership.lead_until(Instant::now() + Duration::from_secs(10));
        leadership.proved(true);
        let permit = leadership.permit();
        assert!(permit.is_some());
        let mut ended = Box::pin(leadership.ended());
        assert_eq!(ended.as_mut().now_or_never(), None);
        leadership.stop();
        assert_eq!(ended.as_mut().now_or_never(), None, "an effect is in hand");
        drop(permit);
        ended.await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_by_itself_when_the_time_is_over() {
        let leadership = Leadership::default();
        let began = Instant::now();
        leadership.lead_until(began + Duration::from_secs(10));
        leadership.ended().await;
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}
