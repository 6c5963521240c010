//! What an offboarding would do, as a diff; shown by `plan`, and before `start` and `approve` ask.

mod words;

use self::words::{Hold, activity, holds, identity, kubeconfig, warnings};
use crate::{
    cluster::Cluster,
    offboarding::{self, State},
    output::{self, Cell, Paint, Shown},
};
use ack_offboarding_operator::{
    api::{BindingAction, PlannedBinding, Reason, UserOffboarding},
    rbac::{BindingKey, BindingKind},
};
use k8s_openapi::{api::rbac::v1::Subject, apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};
use serde::{Deserialize, Serialize};

/// How many bindings are read to say who keeps access.
const LOOKED_AT: usize = 20;
/// How many of those who keep access are named.
const NAMED: usize = 5;

/// What would happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownPlan {
    uid: String,
    /// Who it is, in words.
    identity: String,
    /// Whether it is in use, in words.
    activity: String,
    bindings: Vec<ShownBinding>,
    /// How many bindings the plan has; the first 100 are shown.
    total: u32,
    /// What becomes of the kubeconfig, in words.
    kubeconfig: String,
    purges_kubeconfig: bool,
    /// What would hold it, and why; empty if it would go ahead at once.
    held_by: Vec<Hold>,
    /// What somebody should know before saying yes.
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Whether it was carried out already.
    is_done: bool,
    /// Whether the operator knows both the bindings and the kubeconfig.
    #[serde(skip)]
    is_known: bool,
    /// The command to run next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// The name that RAM has, or had, for the UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The object that the plan was read from, if it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownBinding {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    role: String,
    action: BindingAction,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
    /// Who keeps access by it; `None` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_access: Option<Vec<String>>,
}

impl ShownPlan {
    /// The plan in an object's status. Reads the shared bindings, where that is allowed, to say who keeps access.
    pub(crate) async fn of(cluster: &Cluster, object: &UserOffboarding) -> Self {
        let mut shown = ShownPlan::from_status(object, Timestamp::now());
        let mut left = LOOKED_AT;
        for binding in &mut shown.bindings {
            if binding.action == BindingAction::RemoveSubject && left > 0 {
                left -= 1;
                binding.keep_access = keep_access(cluster, binding, &object.spec.uid).await;
            }
        }
        shown
    }

    /// The plan in an object's status; pure.
    fn from_status(object: &UserOffboarding, now: Timestamp) -> Self {
        let status = offboarding::status(object);
        let plan = status.plan.as_ref();
        let state = status.kubeconfig.as_ref().map(|kubeconfig| kubeconfig.state);
        let (kubeconfig, purges_kubeconfig) = kubeconfig(object.spec.kubeconfig, state);
        ShownPlan {
            uid: object.spec.uid.clone(),
            identity: identity(object),
            activity: activity(object, now),
            bindings: plan
                .iter()
                .flat_map(|plan| &plan.bindings)
                .map(ShownBinding::of)
                .collect(),
            total: plan.map_or(0, |plan| plan.total),
            kubeconfig,
            purges_kubeconfig,
            held_by: holds(object),
            warnings: warnings(object),
            digest: plan.map(|plan| plan.digest.clone()),
            is_done: State::of(object) == State::Known(Reason::Offboarded),
            is_known: plan.is_some() && state.is_some(),
            next: None,
            name: offboarding::identity_name(object),
            object: None,
        }
    }

    /// Whether it would change something.
    pub(crate) fn has_changes(&self) -> bool {
        !self.is_done && (self.total > 0 || self.purges_kubeconfig)
    }

    /// Whether it is certain that it would change nothing.
    pub(crate) fn changes_nothing(&self) -> bool {
        (self.is_known || self.is_done) && !self.has_changes()
    }

    /// What it would do and wait for, in two sentences.
    pub(crate) fn in_short(&self) -> String {
        let waits = self
            .held_by
            .iter()
            .map(|hold| format!(" It would wait: {}.", hold.reason));
        format!("{}{}", self.outcome(), waits.collect::<String>())
    }

    /// Without the hold that an approval ends: shown to whoever approves.
    pub(crate) fn for_approval(mut self) -> Self {
        self.held_by
            .retain(|hold| hold.reason != Reason::AwaitingApproval.as_str());
        self
    }

    /// Its digest, once there is one.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl ShownBinding {
    fn of(planned: &PlannedBinding) -> Self {
        ShownBinding {
            kind: planned.kind.clone(),
            namespace: planned.namespace.clone(),
            name: planned.name.clone(),
            role: planned.role_ref.clone(),
            action: planned.action,
            managed_by: planned.managed_by.clone(),
            keep_access: None,
        }
    }

    fn row(&self) -> [Cell; 4] {
        let what = match self.action {
            BindingAction::Delete => Cell::painted("- delete", Paint::Bad),
            BindingAction::RemoveSubject => Cell::painted("~ remove from", Paint::Warning),
        };
        let place = match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        };
        let mut remarks = Vec::new();
        if let Some(owner) = &self.managed_by {
            remarks.push(format!("owned by {owner}, which may bring it back"));
        }
        match (&self.keep_access, self.action) {
            (Some(others), _) => remarks.push(format!("keep access: {}", some_of(others))),
            (None, BindingAction::RemoveSubject) => remarks.push("others keep access by it".to_owned()),
            (None, BindingAction::Delete) => {}
        }
        [what, place.into(), self.role.as_str().into(), remarks.join("; ").into()]
    }
}

fn some_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match more {
        0 => shown,
        _ => format!("{shown} and {more} more"),
    }
}

/// What is read of a binding.
#[derive(Deserialize)]
struct Read {
    metadata: ObjectMeta,
    subjects: Option<Vec<Subject>>,
}

/// Who keeps access by a binding that others share; `None` where it may not be read, or is gone.
async fn keep_access(cluster: &Cluster, binding: &ShownBinding, uid: &str) -> Option<Vec<String>> {
    let key = BindingKey {
        kind: BindingKind::parse(&binding.kind)?,
        namespace: binding.namespace.clone(),
        name: binding.name.clone(),
    };
    // By the path, which escapes the name, as no `Api` does: `team#x` must not be read as `team`.
    let request = http::Request::get(key.path()).body(Vec::new()).ok()?;
    let read: Read = cluster.client.request(request).await.ok()?;
    let is_it = read.metadata.name.as_ref() == Some(&key.name) && read.metadata.namespace == key.namespace;
    let subjects = is_it.then_some(read.subjects)?;
    let is_leaver = |subject: &Subject| {
        let rest = subject.name.strip_prefix(uid);
        let is_own = |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(is_digits);
        subject.kind == "User" && rest.is_some_and(is_own)
    };
    let others = subjects
        .unwrap_or_default()
        .into_iter()
        .filter(|subject| !is_leaver(subject));
    Some(
        others
            .map(|other| format!("{} {}", other.kind, output::clean(&other.name)))
            .collect(),
    )
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Shown for ShownPlan {
    const KIND: &'static str = "Plan";

    fn text(&self, _wide: bool) -> String {
        let mut lines = vec![
            format!("Plan for UID {}", Paint::Strong.on(&self.uid)),
            String::new(),
            format!("  Identity    {}", self.identity),
            format!("  Activity    {}", self.activity),
            format!("  Kubeconfig  {}", self.kubeconfig),
            String::new(),
        ];
        if self.bindings.is_empty() && !self.is_known && !self.is_done {
            lines.push("  Which bindings name it is not known.".to_owned());
        } else if self.bindings.is_empty() {
            lines.push("  No binding names it.".to_owned());
        } else {
            let table = output::table(
                ["", "BINDING", "ROLE", "REMARKS"],
                self.bindings.iter().map(ShownBinding::row),
            );
            lines.extend(table.lines().map(|line| format!("  {line}")));
        }
        let hidden = (self.total as usize).saturating_sub(self.bindings.len());
        if hidden > 0 {
            lines.push(format!("  … and {hidden} more"));
        }
        lines.push(String::new());
        lines.push(self.outcome());
        for hold in &self.held_by {
            lines.push(format!(
                "{} {}: {}",
                Paint::Warning.on("It would wait:"),
                hold.reason,
                hold.message
            ));
        }
        for warning in &self.warnings {
            lines.push(format!("{} {warning}", Paint::Warning.on("Note:")));
        }
        if let Some(digest) = &self.digest {
            lines.push(format!("Digest: {digest}"));
        }
        if let Some(next) = &self.next {
            lines.extend([String::new(), Paint::Strong.on("Next:"), format!("  {next}")]);
        }
        lines.join("\n")
    }

    fn names(&self) -> Vec<String> {
        let place = |binding: &ShownBinding| match &binding.namespace {
            Some(namespace) => format!(
                "{}.rbac.authorization.k8s.io/{namespace}/{}",
                binding.kind.to_lowercase(),
                binding.name
            ),
            None => format!(
                "{}.rbac.authorization.k8s.io/{}",
                binding.kind.to_lowercase(),
                binding.name
            ),
        };
        self.bindings.iter().map(place).collect()
    }
}

impl ShownPlan {
    fn outcome(&self) -> String {
        match (self.has_changes(), self.purges_kubeconfig) {
            (false, _) if self.is_done => "This was carried out already.".to_owned(),
            (false, _) if !self.is_known => {
                "What would change is not known: the operator has not come that far.".to_owned()
            }
            (false, _) => "Nothing would change.".to_owned(),
            (true, purges) => self.summary(purges),
        }
    }

    fn summary(&self, purges: bool) -> String {
        let deleted = self
            .bindings
            .iter()
            .filter(|binding| binding.action == BindingAction::Delete)
            .count();
        let reduced = self.bindings.len() - deleted;
        let mut parts = Vec::new();
        if self.total as usize > self.bindings.len() {
            parts.push(format!("delete or change {} bindings", self.total));
        } else {
            if deleted > 0 {
                parts.push(format!("delete {}", many(deleted, "binding")));
            }
            if reduced > 0 {
                parts.push(format!(
                    "take the UID out of {} that others share",
                    many(reduced, "binding")
                ));
            }
        }
        if purges {
            parts.push("have ACK purge the kubeconfig".to_owned());
        }
        let last = parts.pop().unwrap_or_default();
        let all = match parts.is_empty() {
            true => last,
            false => format!("{} and {last}", parts.join(", ")),
        };
        format!("It would {all}. What is removed is backed up first.")
    }
}

fn many(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}
