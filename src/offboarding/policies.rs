//! Proves that the admission policies of the chart are in force, before anything is changed.
//!
//! RBAC alone lets the operator do more than it does: `bind` on every role, `delete` on every binding. The policies take that away
//! again, and they are objects that somebody can delete or weaken. So the operator tries what they must refuse, as a dry run, on its
//! own two barrier bindings and a reserved name; and it reads each policy and its binding, and compares them with the ones that it
//! was built with. A refusal by RBAC, by a webhook or by another policy proves nothing.

use super::outcome::{Blocked, Requeue};
use crate::rbac::permit::Leadership;
use crate::{api::Reason, api_message::api_message, rbac::barrier_bindings::BarrierNames};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::ConfigMap,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, PropagationPolicy},
};
use serde_json::{Map, Value, json};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, watch};

/// What the chart renders into [`BUILT_FOR`]; `charts/check --write` makes it.
const BUILT_WITH: &str = include_str!("policies.yaml");
/// The namespace that [`BUILT_WITH`] is rendered for.
const BUILT_FOR: &str = "ack-offboarding-system";
/// The ConfigMap that nobody may create, by the policy of backups.
const PROBE: &str = "offboarding-policy-probe";
/// Whether a value has the form of a setting.
type Form = fn(&str) -> bool;
/// Variables of the approval policy that hold a setting of the chart, and which values they may have.
const SETTINGS: [(&str, Form); 2] = [("minWindowDays", is_number), ("always", is_flag)];

/// How long the operator tries again quickly after it was started: a policy takes a second to come into force.
pub const QUICK_FOR: Duration = Duration::from_secs(30);
const QUICK: Duration = Duration::from_secs(1);
/// How often it is tried again after that.
const AGAIN: Duration = Duration::from_secs(10);
/// How often what was proved is proved again.
const HOURLY: Duration = Duration::from_secs(3600);
/// How old the proof may be when a run begins.
const FRESH: Duration = Duration::from_secs(60);
/// How long a proof lasts when the API server does not answer, or something else refuses the trial.
const LAPSES: Duration = Duration::from_secs(2 * 3600);

/// What puts a policy back. What somebody added to it would survive an upgrade alone: Helm leaves what others own.
fn restore(policy: Policy) -> String {
    format!(
        "run `kubectl delete validatingadmissionpolicy,validatingadmissionpolicybinding {} --ignore-not-found`, then `helm upgrade` \
         (without Helm, apply the manifests again)",
        policy.name()
    )
}

/// One of the chart's policies. Its ValidatingAdmissionPolicy and its ValidatingAdmissionPolicyBinding have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// What the operator may do to bindings.
    Bindings,
    /// Who may touch backups.
    Backups,
    /// Who may approve.
    Approval,
}

impl Policy {
    /// The name of the policy, and of its binding.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Bindings => "ack-offboarding-operator",
            Policy::Backups => "ack-offboarding-backups",
            Policy::Approval => "ack-offboarding-approval",
        }
    }

    /// What it is for, as the rest of a sentence.
    pub fn purpose(self) -> &'static str {
        match self {
            Policy::Bindings => "keeps the operator from granting access",
            Policy::Backups => "keeps backups from being forged, changed or deleted",
            Policy::Approval => "keeps those who may not approve from approving",
        }
    }
}

/// What was seen of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is the one that the operator was built with, and it refuses what it must refuse.
    InForce,
    /// It is missing, is another one, or lets through what it must refuse.
    NotInForce(String),
    /// Nobody can tell: the API server did not answer, or something else refused first.
    Unclear(String),
}

impl Seen {
    /// The worse of two.
    fn and(self, other: Seen) -> Seen {
        match (self, other) {
            (not @ Seen::NotInForce(_), _) | (_, not @ Seen::NotInForce(_)) => not,
            (unclear @ Seen::Unclear(_), _) | (_, unclear @ Seen::Unclear(_)) => unclear,
            (Seen::InForce, Seen::InForce) => Seen::InForce,
        }
    }
}

/// Looks at the policies. It changes nothing.
#[derive(Clone)]
pub struct Policies {
    client: Client,
    barrier: BarrierNames,
    approval: bool,
}

impl Policies {
    /// For the operator whose barrier bindings these are; `approval`: whether the approval policy must be in force.
    pub fn new(client: Client, barrier: BarrierNames, approval: bool) -> Self {
        Policies {
            client,
            barrier,
            approval,
        }
    }

    /// Looks at each policy that must be in force.
    pub async fn look(&self) -> Vec<(Policy, Seen)> {
        let approval = async {
            match self.approval {
                true => Some(self.compare(Policy::Approval).await),
                false => None,
            }
        };
        let (bindings, tried, backups, probed, approval) = tokio::join!(
            self.compare(Policy::Bindings),
            self.try_bindings(),
            self.compare(Policy::Backups),
            self.try_backups(),
            approval
        );
        let mut seen = vec![
            (Policy::Bindings, bindings.and(tried)),
            (Policy::Backups, backups.and(probed)),
        ];
        seen.extend(approval.map(|approval| (Policy::Approval, approval)));
        seen
    }

    /// Compares the policy and its binding with those that the operator was built with.
    async fn compare(&self, policy: Policy) -> Seen {
        let built = match built_with(&self.barrier.namespace) {
            Ok(built) => built,
            Err(error) => {
                return Seen::Unclear(format!(
                    "cannot read the policies that the operator was built with: {error}"
                ));
            }
        };
        let kinds = [
            ApiResource::erase::<ValidatingAdmissionPolicy>(&()),
            ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&()),
        ];
        let mut seen = Seen::InForce;
        for resource in kinds {
            let (kind, name) = (&resource.kind, policy.name());
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let is_it = |built: &&DynamicObject| {
                built.types.as_ref().is_some_and(|types| types.kind == *kind)
                    && built.metadata.name.as_deref() == Some(name)
            };
            let Some(built) = built.iter().find(is_it) else {
                return Seen::Unclear(format!("the operator was built without {kind} {name}"));
            };
            seen = seen.and(match api.get(name).await {
                Ok(live) => {
                    let differences = differences(&built.data["spec"], &live.data["spec"]);
                    match differences.is_empty() {
                        true => Seen::InForce,
                        false => Seen::NotInForce(format!(
                            "{kind} {name} differs from the one built into this operator: {}",
                            differences.join(", ")
                        )),
                    }
                }
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    Seen::NotInForce(format!("{kind} {name} is missing"))
                }
                Err(error) => Seen::Unclear(format!("cannot read {kind} {name}: {}", api_message(&error))),
            });
        }
        seen
    }

    /// Tries to label and to delete the operator's two barrier bindings, as dry runs. One that is missing cannot be tried: bindings
    /// are listed in its place then, and the comparison alone must do.
    async fn try_bindings(&self) -> Seen {
        let cluster: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let own: Api<RoleBinding> = Api::namespaced(self.client.clone(), &self.barrier.namespace);
        let label = Patch::Merge(json!({"metadata": {"labels": {"ack-offboarding.io/policy-probe": "refused"}}}));
        let update = PatchParams::default().dry_run();
        let delete = DeleteParams {
            dry_run: true,
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        let (cluster_name, own_name) = (&self.barrier.cluster_role_binding, &self.barrier.role_binding);
        let (updated, deleted, own_updated, own_deleted) = tokio::join!(
            cluster.patch(cluster_name, &update, &label),
            cluster.delete(cluster_name, &delete),
            own.patch(own_name, &update, &label),
            own.delete(own_name, &delete)
        );
        let (cluster_name, own_name) = (
            format!("ClusterRoleBinding {cluster_name}"),
            format!("RoleBinding {}/{own_name}", self.barrier.namespace),
        );
        let tried = |what: &str, which: &str, refusal: Option<kube::Error>| match refusal {
            Some(kube::Error::Api(status)) if status.is_not_found() => Seen::InForce,
            refusal => refused(Policy::Bindings, &format!("{what} {which}"), refusal),
        };
        tried("labelling", &cluster_name, updated.err())
            .and(tried("deleting", &cluster_name, deleted.err()))
            .and(tried("labelling", &own_name, own_updated.err()))
            .and(tried("deleting", &own_name, own_deleted.err()))
    }

    /// Tries to create the ConfigMap that nobody may create, as a dry run.
    async fn try_backups(&self) -> Seen {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.barrier.namespace);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(PROBE.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let what = format!("creating ConfigMap {}/{PROBE}", self.barrier.namespace);
        refused(Policy::Backups, &what, api.create(&dry, &map).await.err())
    }
}

/// What the answer to a dry run shows that the policy must refuse.
fn refused(policy: Policy, what: &str, refusal: Option<kube::Error>) -> Seen {
    let name = policy.name();
    match refusal {
        None => Seen::NotInForce(format!("the API server did not refuse {what} (dry run)")),
        // The API server's words for a denial by a policy: "ValidatingAdmissionPolicy 'NAME' with binding 'NAME' denied request".
        Some(kube::Error::Api(status)) if status.message.contains(&format!("ValidatingAdmissionPolicy '{name}'")) => {
            Seen::InForce
        }
        Some(error) => Seen::Unclear(format!(
            "{what} (dry run) failed for another reason than the policy, which proves nothing: {}",
            api_message(&error)
        )),
    }
}

/// Whether a refusal of a change of a binding says that the policy about bindings cost more to evaluate than the API server allows. Its
/// words are those of `k8s.io/apiserver/pkg/cel` and of cel-go.
pub fn ran_out(refusal: &str) -> bool {
    is_ours(refusal) && (refusal.contains("cost limit exceeded") || refusal.contains("out of cost budget"))
}

/// Whether a change of a binding was refused by the policy about bindings.
pub fn is_ours(refusal: &str) -> bool {
    refusal.contains(&format!("ValidatingAdmissionPolicy '{}'", Policy::Bindings.name()))
}

/// The policies and bindings that the operator was built with, as the chart renders them for this namespace.
fn built_with(namespace: &str) -> Result<Vec<DynamicObject>, serde_saphyr::Error> {
    let documents: Vec<Option<DynamicObject>> = serde_saphyr::from_multiple(&BUILT_WITH.replace(BUILT_FOR, namespace))?;
    Ok(documents.into_iter().flatten().collect())
}

/// The fields of the spec that differ, by name. What the API server fills in counts as said; the chart's settings, which are
/// variables of the approval policy, may have any value of their form.
fn differences(built: &Value, live: &Value) -> Vec<String> {
    let (built, live) = (complete(built), complete(live));
    let keys = built.keys().chain(live.keys().filter(|key| !built.contains_key(*key)));
    keys.filter(|key| built.get(*key) != live.get(*key))
        .map(|key| match live.get(key) {
            Some(Value::String(value)) => format!("{key} ({value})"),
            Some(Value::Array(values)) if !values.is_empty() && values.iter().all(Value::is_string) => {
                let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                format!("{key} ({})", values.join(", "))
            }
            _ => key.clone(),
        })
        .collect()
}

/// The spec with what the API server fills in.
fn complete(spec: &Value) -> Map<String, Value> {
    let mut spec = spec.clone();
    if spec.get("validations").is_some() {
        fill(&mut spec, "failurePolicy", json!("Fail"));
    }
    for matched in ["matchConstraints", "matchResources"] {
        let Some(matched) = spec.get_mut(matched) else { continue };
        fill(matched, "matchPolicy", json!("Equivalent"));
        fill(matched, "namespaceSelector", json!({}));
        fill(matched, "objectSelector", json!({}));
        for rules in ["resourceRules", "excludeResourceRules"] {
            for rule in matched
                .get_mut(rules)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                fill(rule, "scope", json!("*"));
            }
        }
    }
    for variable in spec
        .get_mut("variables")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let setting = SETTINGS.iter().find(|(name, _)| variable["name"] == *name);
        let fits = setting.is_some_and(|(_, fits)| variable["expression"].as_str().is_some_and(fits));
        if fits {
            variable["expression"] = json!("a setting of the chart");
        }
    }
    match spec {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn fill(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(key).or_insert(value);
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_flag(text: &str) -> bool {
    matches!(text, "true" | "false")
}

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
    /// Which policy.
    pub policy: Policy,
    /// What was seen of it.
    pub seen: String,
    /// Whether nobody can tell.
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
            false => format!("To restore it, {}.", restore(self.policy)),
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
mod tests;
