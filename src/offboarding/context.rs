//! What every step shares: clients, the index, settings, and what is remembered between reconciles.
//!
//! Nothing here is needed for correctness after a restart: the durable record is in the backups and in the status.

use super::{
    activity::{day::Own, recent::RecentAnswers},
    memory::{Creators, Runs, Seen, SettledDays, lock},
    outcome::{self, Blocked, Interrupted, QueryError, Requeue},
    peers::Asked,
    policies::Prover,
    settings::Settings,
    watched::Watched,
};
use crate::{
    api::{Reason, UserOffboarding},
    observer::Observer,
    rbac::{
        BindingKey, LiveBinding,
        barrier::Barrier,
        effects::{self, ReadError},
        permit::{InHand, Leadership, Permit},
        subject::Leaver,
        watch::BindingIndex,
    },
};
use alibaba_cloud::{Cloud, Uid, ram::Role, sts::CallerIdentity};
use futures::Stream;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, ResourceExt, api::ListParams};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::broadcast;

/// How long an answer about the caller, or the list of roles, is good for.
const CACHE_FOR: Duration = Duration::from_secs(60);

/// An object that waits for its turn is woken when it comes. This is for the case that it was not.
const QUEUED_AT_MOST: Duration = Duration::from_secs(60);

/// What every step shares.
pub struct Context {
    /// The client for requests: bounded in time, without retries of its own.
    pub client: Client,
    /// The clients of Alibaba Cloud.
    pub cloud: Cloud,
    /// Who is bound where.
    pub index: Arc<BindingIndex>,
    /// Reads of the index that are known to be current.
    pub barrier: Barrier,
    /// The operator's settings.
    pub settings: Settings,
    /// Is told of what is done.
    pub observer: Arc<dyn Observer>,
    /// Whether this process may change anything.
    pub leadership: Leadership,
    /// Whether the admission policies are in force.
    pub prover: Prover,
    /// Closed days of audit logs, of which all is known.
    pub settled_days: SettledDays,
    /// What the audit log said a moment ago.
    pub recent_answers: RecentAnswers,
    /// What ACK said a while ago of who created the cluster.
    pub creators: Creators,
    caller: Cached<CallerIdentity>,
    /// The operator's own requests, as the audit log has them.
    pub own_requests: tokio::sync::OnceCell<Option<Own>>,
    cluster_known: tokio::sync::OnceCell<()>,
    roles: Cached<Arc<Vec<Role>>>,
    failures: Mutex<HashMap<String, u32>>,
    claims: Arc<Claims>,
    next_polls: Mutex<HashMap<String, Instant>>,
    room: tokio::sync::Semaphore,
    reads: tokio::sync::Semaphore,
    /// When runs began lately; `None` until the first is about to begin.
    pub runs: tokio::sync::Mutex<Option<Runs>>,
    gone: Mutex<HashMap<String, Seen>>,
    /// By object, the hashes of the stored states that this process removed.
    carried_out: Mutex<HashMap<String, Seen>>,
    /// By object, when this process removed something last.
    removed_at: Mutex<HashMap<String, Timestamp>>,
    paces: Mutex<HashMap<String, Pace>>,
}

/// Selects the objects for a UID: the CRD lists it among its selectable fields.
fn of_uid(uid: Uid) -> ListParams {
    ListParams::default().fields(&format!("spec.uid={uid}"))
}

/// For how long a list of the objects for a UID is believed before an effect. The object itself is asked for before each.
const LISTED_LATELY: Duration = Duration::from_millis(500);

/// How many bindings are read at a time, in all.
const READS: usize = 6;

/// How many bytes of bindings may be in memory at a time, as the API server sent them: each stands there a few times while it is
/// stored or changed.
const ROOM: usize = 2 << 20;

/// How often an object may be looked at: so often at once, and then once in this time. Among many that are looked at all the time, each
/// gets its share of the calls that the operator allows itself.
const LOOKS_AT_ONCE: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Calls to the cloud that a look makes, about.
const CALLS_OF_A_LOOK: u32 = 20;
/// Who was looked at in this time counts as one of many.
const BUSY_FOR: Duration = Duration::from_secs(60);

/// When an object was looked at: a bucket of looks, which fills up again with time.
#[derive(Debug)]
struct Pace {
    left: u32,
    since: Instant,
    /// The last look that was one of many.
    pressed: Option<Instant>,
}

/// How many looks an object has at once, and in what time it gets one more, when so many objects are looked at all the time.
fn share(busy: usize, calls_per_minute: u32) -> (u32, Duration) {
    let busy = u32::try_from(busy).unwrap_or(u32::MAX).max(1);
    let looks_a_minute = (calls_per_minute / CALLS_OF_A_LOOK).max(1);
    let every = BUSY_FOR.saturating_mul(busy) / looks_a_minute;
    // Nor may few use up at once what all have in a minute.
    let at_once = LOOKS_AT_ONCE.min(looks_a_minute / 3) / busy;
    (at_once.max(3), every.max(LOOK_EVERY))
}

impl Context {
    /// A context that remembers nothing yet.
    pub fn new(
        client: Client,
        cloud: Cloud,
        index: Arc<BindingIndex>,
        settings: Settings,
        leadership: Leadership,
        prover: Prover,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let barrier = Barrier::new(
            client.clone(),
            index.clone(),
            settings.barrier.clone(),
            observer.clone(),
        );
        Context {
            client,
            cloud,
            index,
            barrier,
            settings,
            leadership,
            prover,
            observer,
            settled_days: SettledDays::default(),
            recent_answers: RecentAnswers::default(),
            creators: Creators::default(),
            caller: Cached::default(),
            own_requests: tokio::sync::OnceCell::new(),
            cluster_known: tokio::sync::OnceCell::new(),
            roles: Cached::default(),
            failures: Mutex::default(),
            claims: Arc::default(),
            next_polls: Mutex::default(),
            room: tokio::sync::Semaphore::new(ROOM),
            reads: tokio::sync::Semaphore::new(READS),
            runs: tokio::sync::Mutex::default(),
            gone: Mutex::default(),
            carried_out: Mutex::default(),
            removed_at: Mutex::default(),
            paces: Mutex::default(),
        }
    }

    /// Room in memory for bindings of so many bytes, until it is dropped; one that is larger than all of it waits to be alone.
    pub async fn room_for(&self, bytes: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let bytes = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.room.acquire_many(bytes).await.ok()
    }

    /// Notes that a binding of the object's record is gone: its uid never comes back.
    pub fn note_gone(&self, object_uid: &str, binding_uid: &str) {
        lock(&self.gone)
            .entry(object_uid.to_owned())
            .or_default()
            .note(state_hash(binding_uid, ""));
    }

    /// Whether a binding of the object's record is known to be gone.
    pub fn is_gone(&self, object_uid: &str, binding_uid: &str) -> bool {
        lock(&self.gone)
            .get(object_uid)
            .is_some_and(|gone| gone.has(state_hash(binding_uid, "")))
    }

    /// Notes that exactly this state of a binding was removed for the object.
    pub fn note_carried_out(&self, object_uid: &str, binding_uid: &str, resource_version: &str) {
        lock(&self.carried_out)
            .entry(object_uid.to_owned())
            .or_default()
            .note(state_hash(binding_uid, resource_version));
        lock(&self.removed_at).insert(object_uid.to_owned(), Timestamp::now());
    }

    /// Whether this process is known to have removed exactly this state of a binding for the object.
    pub fn was_carried_out(&self, object_uid: &str, binding_uid: &str, resource_version: &str) -> bool {
        lock(&self.carried_out)
            .get(object_uid)
            .is_some_and(|known| known.has(state_hash(binding_uid, resource_version)))
    }

    /// How long to wait before the object may be looked at again; `None` if it may be now. Whoever edits a binding of it
    /// many times a second does not decide how much is asked of the API server and of the cloud.
    pub fn pace(&self, object_uid: &str) -> Option<Duration> {
        let mut paces = lock(&self.paces);
        let now = Instant::now();
        let is_pressed = |pace: &Pace| pace.pressed.is_some_and(|at| now.duration_since(at) < BUSY_FOR);
        let busy = paces
            .iter()
            .filter(|(of, pace)| *of != object_uid && is_pressed(pace))
            .count();
        let (at_once, every) = share(busy + 1, self.settings.cloud_calls_per_minute);
        let pace = paces.entry(object_uid.to_owned()).or_insert(Pace {
            left: at_once,
            since: now,
            pressed: None,
        });
        let filled = u32::try_from(now.duration_since(pace.since).as_millis() / every.as_millis()).unwrap_or(u32::MAX);
        if filled > 0 {
            pace.left = pace.left.saturating_add(filled);
            pace.since = now;
        }
        pace.left = pace.left.min(at_once);
        if pace.left == 0 {
            return Some(every.saturating_sub(now.duration_since(pace.since)));
        }
        pace.left -= 1;
        // An object that takes its looks as fast as it gets them.
        if pace.left < at_once / 2 {
            pace.pressed = Some(now);
        }
        None
    }

    /// All objects for this UID, read now: what a watch tells may be old.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn objects_for(&self, uid: Uid) -> Result<Vec<Watched>, Interrupted> {
        let api: Api<Watched> = Api::all(self.client.clone());
        let listed = api.list(&of_uid(uid)).await;
        Ok(listed
            .map_err(|e| outcome::api_server(&e, "Cannot list the UserOffboardings of the UID"))?
            .items)
    }

    /// Reads a binding, without its text. At most six are read at a time, whoever made them as large as they are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn fetch(&self, key: &BindingKey, leaver: &Leaver) -> Result<Option<LiveBinding>, ReadError> {
        // The semaphore is never closed.
        let _turn = self.reads.acquire().await.ok();
        Ok(effects::fetch(&self.client, key, leaver)
            .await?
            .map(|(binding, _)| binding))
    }

    /// Whose credentials the operator uses; asked at most once a minute.
    ///
    /// # Errors
    /// When STS does not answer.
    pub async fn caller(&self) -> Result<CallerIdentity, QueryError> {
        Ok(self.caller.get(|| self.cloud.sts.get_caller_identity()).await?)
    }

    /// Asks ACK, until it has said so once, whether it knows the operator's cluster ID.
    ///
    /// # Errors
    /// When ACK does not answer, or does not know it.
    pub async fn cluster_exists(&self) -> Result<(), QueryError> {
        let known = self.cluster_known.get_or_try_init(|| async {
            self.cloud
                .ack
                .get_cluster_audit_project(&self.settings.cluster_id)
                .await
                .map(drop)
        });
        Ok(known.await.copied()?)
    }

    /// The name of the role with this ID, if there is one; the roles are listed at most once a minute.
    ///
    /// # Errors
    /// When RAM does not answer.
    pub async fn role_name(&self, id: Uid) -> Result<Option<String>, QueryError> {
        let list = || async { self.cloud.ram.list_roles().await.map(Arc::new) };
        let roles = self.roles.get(list).await?;
        Ok(roles
            .iter()
            .find(|role| role.id.parse() == Ok(id))
            .map(|role| role.name.clone()))
    }

    /// Asked immediately before each effect: is the object still as it was observed, and does this process still lead? And are the
    /// others for its UID the same? A list of them may be half a second old. The permit is kept until the effect has ended.
    ///
    /// # Errors
    /// [`Interrupted::Superseded`] if one of them was edited, deleted, or made since, or if another process may lead.
    pub async fn still_wanted(&self, asked: &Asked) -> Result<Permit, Interrupted> {
        let api: Api<UserOffboarding> = Api::all(self.client.clone());
        self.has_no_other(&api, asked).await?;
        let own = api.get_metadata_opt(&asked.name).await?;
        // That may have taken a while.
        self.has_no_other(&api, asked).await?;
        // Last, when the answer is in: this is what must be true at the moment of the effect.
        match own.is_some_and(|own| asked.has(&own.metadata)) {
            true => self.permit(),
            false => Err(Interrupted::Superseded),
        }
    }

    /// Lists the objects for the UID again, once for all that need it at the moment. A current list takes the API server up to a tenth
    /// of a second, whatever it holds: its cache asks etcd for its progress ten times a second.
    async fn has_no_other(&self, api: &Api<UserOffboarding>, asked: &Asked) -> Result<(), Interrupted> {
        let mut listed = asked.listed.lock().await;
        if listed.elapsed() < LISTED_LATELY {
            return Ok(());
        }
        let began = Instant::now();
        let live = api.list_metadata(&of_uid(asked.uid)).await?;
        if !asked.is_by(live.iter().map(|object| &object.metadata)) {
            return Err(Interrupted::Superseded);
        }
        *listed = began;
        Ok(())
    }

    /// Permission for one effect, at this moment.
    ///
    /// # Errors
    /// [`Interrupted::Superseded`] if another process may lead, or this one is to stop; the hold if the admission policies are not proved to be
    /// in force.
    pub fn permit(&self) -> Result<Permit, Interrupted> {
        match self.leadership.permit() {
            Some(permit) => Ok(permit),
            None if self.leadership.is_proved() => Err(Interrupted::Superseded),
            None => Err(self.prover.blocked().into()),
        }
    }

    /// Permission to change something that is not an effect on the cluster's access: the status.
    ///
    /// # Errors
    /// [`Interrupted::Superseded`] if another process may lead, or this one is to stop.
    pub fn permit_report(&self) -> Result<InHand, Interrupted> {
        self.leadership.permit_report().ok_or(Interrupted::Superseded)
    }

    /// Claims a UID for the object: two objects for one UID take turns.
    ///
    /// # Errors
    /// The hold, if another object has it. The object is in [`Context::turns`] when that one is done.
    pub fn claim(&self, uid: Uid, object: &UserOffboarding) -> Result<Claim, Blocked> {
        let mut held = lock(&self.claims.held);
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
            claims: self.claims.clone(),
        })
    }

    /// The names of the objects that waited for a UID, from now on, each when it can have its turn.
    pub fn turns(&self) -> impl Stream<Item = String> + use<> {
        let receiver = self.claims.turns.subscribe();
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

    /// Counts a failure of the object, and says how long to wait: a second, doubling up to the longest backoff.
    pub fn backoff(&self, object_uid: &str) -> Duration {
        let mut failures = lock(&self.failures);
        let count = failures.entry(object_uid.to_owned()).or_default();
        let wait = self.settings.backoff_first.saturating_mul(1 << (*count).min(20));
        *count = count.saturating_add(1);
        wait.min(self.settings.backoff_longest)
            .mul_f64(fastrand::f64().mul_add(0.2, 0.9))
    }

    /// Forgets the failures of the object.
    pub fn recovered(&self, object_uid: &str) {
        lock(&self.failures).remove(object_uid);
    }

    /// When the object is to be polled next; `first` is for one that is not known yet.
    pub fn next_poll(&self, object_uid: &str, first: impl FnOnce() -> Duration) -> Instant {
        *lock(&self.next_polls)
            .entry(object_uid.to_owned())
            .or_insert_with(|| Instant::now() + first())
    }

    /// Starts the time to the object's next poll anew.
    pub fn polled(&self, object_uid: &str) {
        lock(&self.next_polls).insert(object_uid.to_owned(), Instant::now() + self.settings.poll_interval);
    }

    /// Forgets all objects but these, by `metadata.uid`: the deletion of one need not be seen.
    pub fn forget_all_but(&self, alive: &HashSet<String>) {
        fn keep<T>(map: &Mutex<HashMap<String, T>>, alive: &HashSet<String>) {
            lock(map).retain(|uid, _| alive.contains(uid));
        }
        keep(&self.failures, alive);
        keep(&self.next_polls, alive);
        keep(&self.gone, alive);
        keep(&self.carried_out, alive);
        keep(&self.removed_at, alive);
        keep(&self.paces, alive);
    }

    /// When this process removed something for the object last.
    pub fn removed_at(&self, object_uid: &str) -> Option<Timestamp> {
        lock(&self.removed_at).get(object_uid).copied()
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object_uid: &str) {
        lock(&self.failures).remove(object_uid);
        lock(&self.next_polls).remove(object_uid);
        lock(&self.gone).remove(object_uid);
        lock(&self.carried_out).remove(object_uid);
        lock(&self.removed_at).remove(object_uid);
        lock(&self.paces).remove(object_uid);
    }
}

/// Eight bytes for one state of a binding: there may be thousands.
fn state_hash(binding_uid: &str, resource_version: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (binding_uid, resource_version).hash(&mut hasher);
    hasher.finish()
}

/// The UIDs that objects work on.
#[derive(Debug)]
struct Claims {
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

/// An answer that is good for a while. Errors are not kept.
struct Cached<T>(tokio::sync::Mutex<Option<(Instant, T)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Cached(tokio::sync::Mutex::new(None))
    }
}

impl<T: Clone> Cached<T> {
    async fn get<E>(&self, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut kept = self.0.lock().await;
        if let Some((when, value)) = &*kept
            && when.elapsed() < CACHE_FOR
        {
            return Ok(value.clone());
        }
        let value = ask().await?;
        *kept = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
