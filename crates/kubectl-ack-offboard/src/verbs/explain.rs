//! `explain`: what happened, since when it waits and for what, what changes that, and the exact next command.

use crate::{
    cli::ExplainArgs,
    cluster::Cluster,
    exit::{Exit, Outcome},
    offboarding::{self, State, condition},
    output::{self, Paint, Shown, age},
    reasons::{Meaning, Next, meaning},
};
use ack_offboarding_operator::api::{ConditionType, Ends, Enforcement, Reason, UserOffboarding};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::ResourceExt;
use serde::Serialize;

/// Explains it.
///
/// # Errors
/// When there is no such object, or it may not be read.
pub(crate) async fn run(cluster: &Cluster, args: &ExplainArgs) -> Outcome {
    let now = Timestamp::now();
    let object = cluster.offboarding(&args.name).await?;
    let explanation = explain(&object, now);
    output::show(args.output.output, &explanation)?;
    Ok(match explanation.is_over {
        true => Exit::Done,
        false => Exit::Found,
    })
}

/// An offboarding in plain words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    name: String,
    uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    state: String,
    /// Since when it is not where its spec wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
    /// What the state means.
    what: String,
    /// The operator's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What else is known: the identity, its activity, what was done.
    facts: Vec<String>,
    /// What ends the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<String>,
    /// What to run next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip)]
    is_over: bool,
    #[serde(skip)]
    known: State,
    #[serde(skip)]
    now: Timestamp,
}

/// Why somebody suspended it, as `suspend --reason` notes it.
pub(crate) const SUSPENDED_BECAUSE: &str = "ack-offboarding.io/suspended-because";

/// What there is to say about an object.
pub(crate) fn explain(object: &UserOffboarding, now: Timestamp) -> Explanation {
    let (name, uid) = (object.name_any(), object.spec.uid.clone());
    let known = State::of(object);
    let status = offboarding::status(object);
    let ready = condition(object, ConditionType::Ready);
    let Meaning { what, changes, next } = match &known {
        State::Known(reason) => meaning(*reason),
        State::Unvisited if offboarding::nobody_answers(object, now) => Meaning {
            what: "No operator answers: it has no status, though an operator gives one within seconds.",
            changes: "Whoever runs ack-offboarding-operator starts it in this cluster, or finds out why it does not reach the API server.",
            next: Next::Doctor,
        },
        State::Unvisited => meaning(Reason::Pending),
        State::Other(_) => Meaning {
            what: "The operator is newer than this plugin, which does not know the state. The operator's own words say what it is.",
            changes: "See the operator's words; a plugin of the operator's version explains the rest.",
            next: Next::Status,
        },
    };
    let is_over = known.ends() == Some(Ends::Reached);
    let since = status.waiting_since.clone().or(status.unfinished_since.clone());
    let since = since.or(ready.map(|ready| ready.last_transition_time.clone()));
    let since = since.or(object.creation_timestamp());
    let mut facts: Vec<_> = [
        ConditionType::IdentityResolved,
        ConditionType::Inactive,
        ConditionType::BackedUp,
        ConditionType::BindingsRemoved,
        ConditionType::KubeconfigPurged,
        ConditionType::AccessReturned,
    ]
    .into_iter()
    .filter_map(|type_| fact(object, type_, &known))
    .collect();
    let because = object.annotations().get(SUSPENDED_BECAUSE);
    if let Some(because) = because.filter(|_| object.spec.suspend) {
        facts.push(format!("Suspended because: {}", output::clean(because)));
    }
    if let Some(reason) = &object.spec.reason {
        facts.push(format!("Asked for because: {}", output::clean(reason)));
    }
    facts.extend(authors(object));
    if object.spec.enforcement == Enforcement::Continuous {
        facts.push(format!(
            "It is enforcement: Continuous: access that returns is removed again, after the same checks. To have it reported only: {}",
            Next::Patch("{\"enforcement\":\"Once\"}").command(&name, &uid).unwrap_or_default()
        ));
    }
    if !offboarding::is_current(object) && known != State::Unvisited {
        facts.push("The spec was changed since; the operator has not looked at it yet.".to_owned());
    }
    Explanation {
        next: next.command(&name, &uid),
        identity: offboarding::identity_name(object),
        state: known.word().to_owned(),
        since: since.filter(|_| !is_over),
        what: what.to_owned(),
        message: ready.map(|ready| output::clean(&ready.message)),
        facts,
        changes: Some(changes.to_owned()).filter(|changes| !changes.is_empty()),
        name,
        uid,
        is_over,
        known,
        now,
    }
}

/// Who asked for it and who approved it, as far as the audit log told the operator.
fn authors(object: &UserOffboarding) -> Vec<String> {
    let status = offboarding::status(object);
    let by = |user: &str, through: &Option<String>| match through {
        Some(through) => format!("{} (through {})", output::clean(user), output::clean(through)),
        None => output::clean(user),
    };
    let requested = status
        .requested_by
        .as_ref()
        .map(|author| format!("Asked for by {}.", by(&author.user, &author.through)));
    let approved = status.approved_by.as_ref().and_then(|approval| {
        let user = approval.user.as_ref()?;
        Some(format!("Approved by {}.", by(user, &approval.through)))
    });
    requested.into_iter().chain(approved).collect()
}

/// What a condition adds to the state.
fn fact(object: &UserOffboarding, type_: ConditionType, state: &State) -> Option<String> {
    let condition = condition(object, type_)?;
    let reason = Reason::parse(&condition.reason)?;
    let says_nothing = matches!(reason, Reason::Pending | Reason::None) || *state == State::Known(reason);
    (!says_nothing).then(|| meaning(reason).what.to_owned())
}

impl Shown for Explanation {
    const KIND: &'static str = "Explanation";

    fn text(&self, _wide: bool) -> String {
        let who = self
            .identity
            .as_ref()
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        let paint = self.known.ends().map_or(Paint::Strong, offboarding::paint);
        let state = match self.state.as_str() {
            "" => String::new(),
            state => format!(": {}", paint.on(state)),
        };
        let mut lines = vec![
            format!("{}, UID {}{}{state}", self.name, self.uid, output::clean(&who)),
            String::new(),
        ];
        lines.push(self.what.clone());
        if let Some(since) = &self.since {
            lines.push(format!("Since {} ({} ago).", since.0, age(since.0, self.now)));
        }
        if let Some(message) = &self.message {
            lines.extend([
                String::new(),
                Paint::Strong.on("The operator says:"),
                format!("  {message}"),
            ]);
        }
        if !self.facts.is_empty() {
            lines.extend([String::new(), Paint::Strong.on("Also known:")]);
            lines.extend(self.facts.iter().map(|fact| format!("  {fact}")));
        }
        if let Some(changes) = &self.changes {
            lines.extend([
                String::new(),
                Paint::Strong.on("What changes it:"),
                format!("  {changes}"),
            ]);
        }
        if let Some(next) = &self.next {
            lines.extend([String::new(), Paint::Strong.on("Next:")]);
            lines.extend(next.lines().map(|command| format!("  {command}")));
        }
        lines.join("\n")
    }

    fn names(&self) -> Vec<String> {
        vec![offboarding::qualified(&self.name)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(reason: &str) -> UserOffboarding {
        serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
            "metadata": {"name": "left", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"uid": "42"},
            "status": {"observedGeneration": 1, "conditions": [{
                "type": "Ready", "status": "False", "reason": reason, "message": "What was seen.",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T03:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_state_is_explained_with_the_operators_words_and_the_next_command() {
        for reason in Reason::ALL.iter().filter(|reason| reason.ends().is_some()) {
            let explanation = explain(&object(reason.as_str()), now());
            let text = anstream::adapter::strip_str(&explanation.text(false)).to_string();
            assert!(text.starts_with(&format!("left, UID 42: {reason}\n")), "{text}");
            assert!(text.contains("What was seen."), "{text}");
            assert!(text.contains("What changes it:"), "{text}");
            let over = matches!(reason, Reason::Offboarded | Reason::NothingToRemove);
            assert_eq!(text.contains("Next:\n  kubectl "), !over, "{text}");
        }
    }

    #[test]
    fn the_words_for_one_that_waits_for_approval() {
        let text = explain(&object("AwaitingApproval"), now()).text(false);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "\
left, UID 42: AwaitingApproval

The plan is ready, and waits for a person to approve it. Nothing of it was carried out.
Since 2026-01-01T00:00:00Z (3h ago).

The operator says:
  What was seen.

What changes it:
  Somebody with the ClusterRole ack-offboarding-approver approves the plan.

Next:
  kubectl ack-offboard approve left"
        );
    }

    #[test]
    fn who_asked_and_who_approved() {
        let mut approved = object("Offboarded");
        let status = json!({
            "conditions": approved.status.as_ref().unwrap().conditions,
            "requestedBy": {"user": "alice", "time": "2026-01-01T00:00:00Z"},
            "approvedBy": {"digest": "d", "since": "2026-01-01T00:00:00Z", "user": "bob", "through": "kubernetes-admin", "time": "2026-01-01T00:00:00Z"},
        });
        approved.status = Some(serde_json::from_value(status).unwrap());
        let facts = explain(&approved, now()).facts;
        let expected = ["Asked for by alice.", "Approved by bob (through kubernetes-admin)."];
        assert!(
            expected.iter().all(|line| facts.iter().any(|fact| fact == line)),
            "{facts:?}"
        );
        approved.status.as_mut().unwrap().approved_by.as_mut().unwrap().user = None;
        assert!(
            !explain(&approved, now())
                .facts
                .iter()
                .any(|fact| fact.contains("Approved by"))
        );
    }

    #[test]
    fn an_operator_that_never_spoke_and_one_that_is_newer() {
        let mut unvisited = object("Pending");
        unvisited.status = None;
        assert!(explain(&unvisited, now()).what.starts_with("No operator answers"));
        let newer = explain(&object("SomethingNew"), now());
        assert!(newer.what.starts_with("The operator is newer"));
        assert_eq!(newer.state, "SomethingNew");
    }
}
