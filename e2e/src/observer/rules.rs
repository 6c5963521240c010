//! The invariants, as they can be read from outside.

use super::{
    history::{Act, Binding, BindingState, Doing, History, Offboarding, OffboardingState, text},
    invariant::{Breach, Invariant},
    watched::{Asked, Question, Watched},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What was decided right before an effect may come too late for it: the operator looks, then acts.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(2);
/// Within which I10 counts.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// ConfigMaps for one UID, and their bytes, in a window. Each large binding has a ConfigMap of its own.
const MAPS: usize = 310;
const BYTES: usize = 210 << 20;
/// Writes of one object's status in a window: progress is written every few seconds, and each edit is answered.
const STATUS_WRITES: usize = 240;
/// Changes of one binding in a window.
const CHANGES: usize = 60;
/// Questions to the cloud in a window.
const QUESTIONS: usize = 1_500;

pub(super) fn check(history: &History, asked: &[Asked], watched: &Watched) -> Vec<Breach> {
    let rules = Rules {
        history,
        asked,
        watched,
        leavers: leavers(history),
        found: Vec::new(),
    };
    rules.check()
}

/// The UIDs that somebody asked to offboard, each with the further names that were said to be theirs.
fn leavers(history: &History) -> BTreeMap<String, BTreeSet<String>> {
    let mut leavers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in history.offboardings.values() {
        let names = leavers.entry(object.uid.clone()).or_default();
        for state in &object.states {
            let include = state.spec.pointer("/names/include").and_then(Value::as_array);
            names.extend(
                include
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned),
            );
        }
    }
    leavers
}

struct Rules<'a> {
    history: &'a History,
    asked: &'a [Asked],
    watched: &'a Watched,
    leavers: BTreeMap<String, BTreeSet<String>>,
    found: Vec<Breach>,
}

/// A change of a binding by the operator, with what it was before.
struct Seen<'a> {
    act: &'a Act,
    binding: &'a Binding,
    before: Option<&'a BindingState>,
    after: Option<&'a BindingState>,
}

impl Rules<'_> {
    fn check(mut self) -> Vec<Breach> {
        let history = self.history;
        for (invariant, what) in &history.strange {
            self.breach(*invariant, what.clone());
        }
        let mut first_removals: BTreeMap<String, Timestamp> = BTreeMap::new();
        for act in &history.steps {
            let Some(binding) = history.bindings.get(&act.binding) else {
                continue;
            };
            let seen = Seen {
                act,
                binding,
                before: binding.before(act.pinned, act.after),
                after: binding.states.iter().find(|state| state.version == act.after),
            };
            let Some(lost) = self.stored(&seen) else { continue };
            let uid = self.only_a_leaver(&seen, &lost);
            self.deletes_nothing_else(act);
            if let Some(uid) = uid {
                self.may_be_touched(act, &uid);
                self.was_wanted(act, &uid);
                first_removals.entry(uid).or_insert(act.received);
            }
        }
        for purge in self.asked.iter().filter(|asked| asked.what == Question::Purge) {
            if purge.succeeded {
                if self.watched.protected.contains(&purge.about) {
                    self.breach(
                        Invariant::I4,
                        format!("ACK was asked to purge {}, which is protected", purge.about),
                    );
                }
                first_removals.entry(purge.about.clone()).or_insert(purge.at);
            }
        }
        for (uid, at) in first_removals {
            self.was_searched(&uid, at);
        }
        self.nothing_was_collected();
        self.ends();
        self.bounds();
        self.found
    }

    fn breach(&mut self, invariant: Invariant, what: String) {
        self.found.push(Breach { invariant, what });
    }

    /// I1. Returns the subjects that the binding lost; `None` if it lost none and is there still.
    fn stored(&mut self, seen: &Seen<'_>) -> Option<Vec<String>> {
        let Seen {
            act,
            binding,
            before,
            after,
            ..
        } = seen;
        let none = Vec::new();
        let had = before.map_or(&none, |state| &state.subjects);
        let lost: Vec<String> = match (act.what, after) {
            (Doing::Change, Some(after)) => {
                let same = before.map_or(!act.of_subjects, |before| before.subjects == after.subjects);
                if same {
                    return None;
                }
                had.iter().filter(|s| !after.subjects.contains(s)).cloned().collect()
            }
            // A change without a version of its own changed nothing.
            (Doing::Change, None) => return None,
            (Doing::Delete, _) => had.clone(),
        };
        let needed = match before {
            // A shell: what it was when it last named somebody.
            Some(before) if act.what == Doing::Delete && before.subjects.is_empty() => binding
                .states
                .iter()
                .rfind(|state| state.version < before.version && !state.subjects.is_empty())
                .map(|state| state.version),
            Some(before) => Some(before.version),
            // A change whose client was killed has no answer in the log: what a delete returns shows that there was nobody left.
            None if act.what == Doing::Delete && after.as_ref().is_some_and(|after| after.subjects.is_empty()) => {
                binding
                    .states
                    .iter()
                    .rfind(|state| act.pinned.is_none_or(|pinned| state.version < pinned) && !state.subjects.is_empty())
                    .map(|state| state.version)
            }
            None => act.pinned,
        };
        let Some(version) = needed else {
            let why = "was never seen with a subject, so nothing of it can be stored";
            self.breach(Invariant::I1, format!("{}: the binding {why}", act.about));
            return Some(lost);
        };
        let key = (act.binding.clone(), version);
        let in_time = self.history.backups.iter().filter(|backup| {
            backup.done <= act.received && backup.gone.is_none_or(|gone| gone + AT_ONCE > act.received)
        });
        let mut originals = in_time.filter_map(|backup| backup.entries.get(&key));
        let state = binding.states.iter().find(|state| state.version == version);
        let is_stored = originals.any(|subjects| state.is_none_or(|state| state.subjects == *subjects));
        if !is_stored {
            self.breach(
                Invariant::I1,
                format!(
                    "{}: no backup existed of uid {} in resourceVersion {version}",
                    act.about, act.binding
                ),
            );
        }
        Some(lost)
    }

    /// I2. Returns whose subjects were removed.
    fn only_a_leaver(&mut self, seen: &Seen<'_>, lost: &[String]) -> Option<String> {
        let about = &seen.act.about;
        if let (Some(before), Some(after)) = (seen.before, seen.after) {
            let kept: Vec<_> = before.subjects.iter().filter(|s| !lost.contains(s)).collect();
            if act_changes(seen)
                && (kept != after.subjects.iter().collect::<Vec<_>>() || before.role_ref != after.role_ref)
            {
                self.breach(
                    Invariant::I2,
                    format!("{about}: the other subjects or the role are not as they were"),
                );
            }
        }
        let mut whose = BTreeSet::new();
        for subject in lost {
            let owner = self.owner(subject);
            if owner.is_none() {
                self.breach(Invariant::I2, format!("{about}: took access from {subject}"));
            }
            whose.extend(owner);
        }
        if whose.len() > 1 {
            self.breach(Invariant::I2, format!("{about}: took access from several: {whose:?}"));
        }
        if lost.is_empty() {
            // A shell: whose it was is in its last state with subjects.
            let full = seen.binding.states.iter().rfind(|state| !state.subjects.is_empty());
            whose.extend(
                full.iter()
                    .flat_map(|state| &state.subjects)
                    .find_map(|s| self.owner(s)),
            );
        }
        whose.into_iter().next()
    }

    /// The UID that somebody asked to offboard and that this subject, in JSON, belongs to.
    fn owner(&self, subject: &str) -> Option<String> {
        let subject: Value = serde_json::from_str(subject).ok()?;
        let is_user = subject["kind"] == "User" && subject["apiGroup"] == "rbac.authorization.k8s.io";
        let name = subject["name"].as_str().filter(|_| is_user)?;
        let belongs = |(uid, names): &(&String, &BTreeSet<String>)| is_name_of(name, uid) || names.contains(name);
        self.leavers.iter().find(belongs).map(|(uid, _)| uid.clone())
    }

    /// I4.
    fn may_be_touched(&mut self, act: &Act, uid: &str) {
        if self.watched.protected.contains(uid) {
            self.breach(Invariant::I4, format!("{}: {uid} is protected", act.about));
        }
    }

    /// I8, the request itself.
    fn deletes_nothing_else(&mut self, act: &Act) {
        if act.what == Doing::Delete && !act.orphans {
            self.breach(
                Invariant::I8,
                format!("{}: the request does not orphan what depends on the binding", act.about),
            );
        }
    }

    /// I8, what came of it.
    fn nothing_was_collected(&mut self) {
        let history = self.history;
        let deleted: BTreeSet<&String> = history
            .steps
            .iter()
            .filter(|act| act.what == Doing::Delete)
            .map(|act| &act.binding)
            .collect();
        for (what, owners) in &history.collected {
            if owners.iter().any(|owner| deleted.contains(owner)) {
                self.breach(
                    Invariant::I8,
                    format!("{what}: the garbage collector took it along with a binding that the operator deleted"),
                );
            }
        }
    }

    /// I9: somebody wanted it, nobody forbade it, and who approved may.
    fn was_wanted(&mut self, act: &Act, uid: &str) {
        let history = self.history;
        let of_uid = history.offboardings.values().filter(|object| object.uid == uid);
        let alive: Vec<_> = of_uid
            .filter(|object| object.gone.is_none_or(|gone| gone + AT_ONCE > act.received))
            .filter(|object| object.states.first().is_some_and(|first| first.done <= act.received))
            .collect();
        if alive.is_empty() {
            self.breach(Invariant::I9, format!("{}: no UserOffboarding asked for it", act.about));
        }
        // One that was deleted a moment ago may still be why something is done; it forbids nothing any more.
        let first = alive
            .iter()
            .filter_map(|object| Some(object.states.first()?.done))
            .min();
        let not_gone = |object: &&&Offboarding| object.gone.is_none_or(|gone| gone > act.received);
        for object in alive.iter().filter(not_gone) {
            // Of one that was made while another was carried out, the operator learns by asking before each change.
            let from_the_start = object.states.first().map(|state| state.done) == first;
            if let Some(why) = forbids(object, from_the_start, act.received, self.watched) {
                self.breach(
                    Invariant::I9,
                    format!("{}: UserOffboarding {} {why}", act.about, object.name),
                );
            }
        }
    }

    /// I3: the operator looked for activity before the first effect, unless it need not.
    fn was_searched(&mut self, uid: &str, at: Timestamp) {
        let history = self.history;
        let objects = || history.offboardings.values().filter(|object| object.uid == uid);
        let proceeds = objects().any(|object| {
            object.states.iter().any(|state| {
                let check = &state.spec["activityCheck"];
                check.to_string().contains("\"Proceed\"") || !check["waitAtMostDays"].is_null()
            })
        });
        let created = objects()
            .filter_map(|object| object.states.first())
            .map(|s| s.done)
            .min();
        let searched = self.asked.iter().any(|asked| {
            let in_time = asked.at <= at && created.is_none_or(|created| asked.at + AT_ONCE >= created);
            asked.what == Question::Search && asked.succeeded && in_time && asked.about.contains(uid)
        });
        if !proceeds && !searched {
            self.breach(
                Invariant::I3,
                format!("{uid} was offboarded at {at} without a search of the audit log for it"),
            );
        }
    }

    /// I5 and I6: what holds when an object says Offboarded=True.
    fn ends(&mut self) {
        let history = self.history;
        for object in history.offboardings.values() {
            let mut was = false;
            for state in object.states.iter().filter(|state| state.of_status) {
                let is = condition(&state.status, "Offboarded") == "True";
                if is && !was {
                    self.is_gone(object, state);
                }
                was = is;
            }
            if was && object.gone.is_none() {
                self.no_shell_is_left(object);
            }
        }
    }

    fn is_gone(&mut self, object: &Offboarding, state: &OffboardingState) {
        let history = self.history;
        // The read that proves it is the barrier's, or a list.
        let reads = history.barriers.iter().chain(&history.lists);
        let Some(read) = reads.filter(|read| **read <= state.done).max().copied() else {
            let why = "says Offboarded=True without a current read of the bindings";
            self.breach(Invariant::I5, format!("{} {why}", object.name));
            return;
        };
        // Two patches, or pages, belong together.
        let read = read - AT_ONCE;
        for binding in history.bindings.values() {
            let named = |state: &BindingState| {
                let names = |subject: &String| self.owner(subject).as_deref() == Some(&object.uid);
                state.subjects.iter().any(names)
            };
            let last = binding.states.iter().rfind(|s| s.done <= state.done);
            let there = binding.gone.is_none_or(|gone| gone > state.done);
            if there && last.is_some_and(|last| last.done <= read && named(last)) {
                let (name, kind, namespace) = (&binding.name, &binding.kind, &binding.namespace);
                self.found.push(Breach {
                    invariant: Invariant::I5,
                    what: format!(
                        "{} says Offboarded=True at {}, and {kind} {namespace}/{name:?} names {}",
                        object.name, state.done, object.uid
                    ),
                });
            }
        }
        let keeps = state.spec["kubeconfig"] == "Keep";
        let asked = self
            .asked
            .iter()
            .any(|asked| asked.what == Question::KubeconfigState && asked.succeeded && asked.at <= state.done);
        if !keeps && !asked {
            let why = "says Offboarded=True, and never asked ACK about the kubeconfig";
            self.breach(Invariant::I5, format!("{} {why}", object.name));
        }
    }

    /// I6: whatever interrupted the operator, a binding that it has emptied is deleted in the end, unless that was refused.
    fn no_shell_is_left(&mut self, object: &Offboarding) {
        let history = self.history;
        for act in history.steps.iter().filter(|act| act.what == Doing::Change) {
            let Some(binding) = history.bindings.get(&act.binding) else {
                continue;
            };
            let emptied = |state: &BindingState| state.version == act.after && state.subjects.is_empty();
            let before = binding.before(act.pinned, act.after);
            let took_the_last = before.is_some_and(|before| !before.subjects.is_empty());
            let last = binding.states.last();
            let of_this =
                before.is_some_and(|b| b.subjects.iter().any(|s| self.owner(s).as_deref() == Some(&object.uid)));
            if of_this
                && took_the_last
                && binding.gone.is_none()
                && last.is_some_and(|last| emptied(last) && !last.terminating)
                && !history
                    .refused
                    .contains(&(binding.namespace.clone(), binding.name.clone()))
            {
                self.breach(
                    Invariant::I6,
                    format!("{}: the emptied binding was never deleted", act.about),
                );
            }
        }
    }

    /// I10.
    fn bounds(&mut self) {
        let history = self.history;
        let made = group(history.made.iter().map(|(at, bytes, uid)| (uid.clone(), *at, *bytes)));
        for (uid, made) in made {
            let (maps, bytes) = busiest(&made);
            if maps > MAPS || bytes > BYTES {
                self.breach(
                    Invariant::I10,
                    format!("{maps} ConfigMaps of {bytes} bytes for UID {uid} within {WINDOW:#}"),
                );
            }
        }
        let writes = group(history.status_writes.iter().map(|(at, name)| (name.clone(), *at, 0)));
        let changes = group(history.steps.iter().filter_map(|act| {
            let barrier = self.watched.is_barrier(&act.namespace, &act.name);
            (!barrier).then(|| (act.binding.clone(), act.received, 0))
        }));
        let asked = group(self.asked.iter().map(|asked| (String::new(), asked.at, 0)));
        for (what, counts, limit) in [
            ("status writes of", writes, STATUS_WRITES),
            ("changes of binding", changes, CHANGES),
            ("questions to the cloud", asked, QUESTIONS),
        ] {
            for (of, times) in counts {
                let (count, _) = busiest(&times);
                if count > limit {
                    self.breach(Invariant::I10, format!("{count} {what} {of} within {WINDOW:#}"));
                }
            }
        }
    }
}

fn act_changes(seen: &Seen<'_>) -> bool {
    seen.act.what == Doing::Change
}

/// What in a UserOffboarding forbade a removal at this time, for long enough that the operator could know.
fn forbids(object: &Offboarding, from_the_start: bool, at: Timestamp, watched: &Watched) -> Option<String> {
    let known: Vec<_> = object.states.iter().filter(|state| state.done <= at).collect();
    // Since its creation, or for long enough.
    let holds = |is: &dyn Fn(&Value) -> bool| {
        let since = known.iter().rposition(|state| !is(&state.spec)).map(|last| last + 1);
        let since = since.or((!from_the_start).then_some(0));
        since.is_none_or(|first| known.get(first).is_some_and(|state| state.done + AT_ONCE <= at))
    };
    if holds(&|spec| spec["suspend"] == true) {
        return Some("is suspended".to_owned());
    }
    if holds(&|spec| spec["mode"] == "DryRun") {
        return Some("is a dry run".to_owned());
    }
    if !holds(&|spec| spec["approval"] == "Manual") {
        return None;
    }
    let proposed: BTreeSet<String> = known
        .iter()
        .filter(|state| state.by == watched.operator)
        .map(|state| text(&state.status, "/plan/digest"))
        .collect();
    let yes = known
        .iter()
        .find(|state| digests(&state.spec).any(|d| proposed.contains(d)));
    match yes {
        None => Some("demands an approval, and nobody approved a plan that the operator had proposed".to_owned()),
        Some(state) if state.by == watched.operator || is_name_of(&state.by, &object.uid) => {
            Some(format!("was approved by {}", state.by))
        }
        Some(_) => None,
    }
}

/// The approved digests, as they are written now or were before.
fn digests(spec: &Value) -> impl Iterator<Item = &str> {
    let list = |field: &str| spec[field].as_array().into_iter().flatten();
    let old = list("approvedPlans").filter_map(Value::as_str);
    list("approvals")
        .filter_map(|approval| approval["digest"].as_str())
        .chain(old)
}

fn condition(status: &Value, type_: &str) -> String {
    let all = status["conditions"].as_array().into_iter().flatten();
    let mut of_type = all.filter(|condition| condition["type"] == type_);
    of_type
        .next()
        .map(|condition| text(condition, "/status"))
        .unwrap_or_default()
}

/// Whether a user name is the UID, or the UID with the suffix of a certificate.
fn is_name_of(name: &str, uid: &str) -> bool {
    let Some(rest) = name.strip_prefix(uid) else {
        return false;
    };
    let suffix = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || rest.strip_prefix('-').is_some_and(suffix)
}

fn group(counted: impl Iterator<Item = (String, Timestamp, usize)>) -> BTreeMap<String, Vec<(Timestamp, usize)>> {
    let mut groups: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (of, at, amount) in counted {
        groups.entry(of).or_default().push((at, amount));
    }
    groups.values_mut().for_each(|times| times.sort());
    groups
}

/// The largest number, and the largest sum, within a window.
fn busiest(times: &[(Timestamp, usize)]) -> (usize, usize) {
    let (mut start, mut sum, mut most) = (0, 0, (0, 0));
    for (end, (at, amount)) in times.iter().enumerate() {
        sum += amount;
        while let Some((first, amount)) = times.get(start).filter(|(first, _)| *first + WINDOW < *at) {
            debug_assert!(first <= at);
            sum -= amount;
            start += 1;
        }
        most = (most.0.max(end + 1 - start), most.1.max(sum));
    }
    most
}
