//! `status`: a table of all offboardings, or one with its conditions.

use crate::{
    cli::StatusArgs,
    cluster::Cluster,
    exit::{Exit, Outcome},
    offboarding::{self, State, condition},
    output::{self, Cell, Format, Paint, Shown, age},
};
use ack_offboarding_operator::api::{ApproverStatus, AuthorStatus, ConditionType, UserOffboarding};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::ResourceExt;
use serde::Serialize;

/// Prints it.
///
/// # Errors
/// When there is no such object, or they may not be read.
pub(crate) async fn run(cluster: &Cluster, args: &StatusArgs) -> Outcome {
    let now = Timestamp::now();
    let objects = match &args.name {
        Some(name) => vec![cluster.offboarding(name).await?],
        None => {
            let all = cluster.all_offboardings().await?;
            // Those that were made only to show a plan are nobody's offboarding.
            all.into_iter().filter(|object| !object.is_plan()).collect()
        }
    };
    let items: Vec<_> = objects.iter().map(|object| Item::of(object, now)).collect();
    let is_one = args.name.is_some();
    if items.is_empty() && matches!(args.output.output, Format::Table | Format::Wide) {
        output::note("There are no UserOffboardings in this cluster.");
    }
    output::show(args.output.output, &Offboardings { items, is_one })?;
    if let Some(unanswered) = objects.iter().find(|object| offboarding::nobody_answers(object, now)) {
        output::warn(offboarding::no_operator(&unanswered.name_any()));
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Offboardings {
    items: Vec<Item>,
    /// Shown with its conditions.
    #[serde(skip)]
    is_one: bool,
}

/// One offboarding, for people and for scripts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    name: String,
    uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    /// The reason of the condition Ready; empty before the operator's first word.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Whether the access was verified as gone.
    offboarded: bool,
    /// Whether a person must change something.
    stalled: bool,
    mode: String,
    approval: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who created it, as the audit log tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by: Option<AuthorStatus>,
    /// Who approved its plan, as the audit log tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<ApproverStatus>,
    /// How many bindings the plan has.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<u32>,
    removed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Time>,
    conditions: Vec<ShownCondition>,
    #[serde(skip)]
    known: State,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    reason: String,
    since: Time,
    message: String,
}

impl Item {
    /// What the object says.
    pub(crate) fn of(object: &UserOffboarding, now: Timestamp) -> Self {
        let status = offboarding::status(object);
        let is_true = |type_| condition(object, type_).is_some_and(|condition| condition.status == "True");
        let known = State::of(object);
        let conditions = status.conditions.iter().map(|condition| ShownCondition {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            since: condition.last_transition_time.clone(),
            message: condition.message.clone(),
        });
        Item {
            name: object.name_any(),
            uid: object.spec.uid.clone(),
            identity: offboarding::identity_name(object),
            state: known.word().to_owned(),
            message: condition(object, ConditionType::Ready).map(|ready| ready.message.clone()),
            offboarded: is_true(ConditionType::Offboarded),
            stalled: is_true(ConditionType::Stalled),
            mode: format!("{:?}", object.spec.mode),
            approval: format!("{:?}", object.spec.approval),
            reason: object.spec.reason.clone(),
            requested_by: status.requested_by.clone(),
            approved_by: status.approved_by.clone(),
            planned: status.plan.as_ref().map(|plan| plan.total),
            removed: status.removed.unwrap_or_default().total,
            kubeconfig: status
                .kubeconfig
                .as_ref()
                .map(|kubeconfig| format!("{:?}", kubeconfig.state)),
            last_seen: status.activity.as_ref().and_then(|activity| activity.last_seen.clone()),
            digest: status.plan.as_ref().map(|plan| plan.digest.clone()),
            created_at: object.creation_timestamp(),
            conditions: conditions.collect(),
            known,
            now,
        }
    }

    fn ago(&self, time: Option<&Time>) -> Cell {
        time.map(|time| age(time.0, self.now)).into()
    }

    fn row(&self, wide: bool) -> Vec<Cell> {
        let mut row = vec![
            self.name.as_str().into(),
            self.uid.as_str().into(),
            self.identity.clone().into(),
            self.known.cell(),
            self.removed.to_string().into(),
            self.ago(self.last_seen.as_ref()),
            self.ago(self.created_at.as_ref()),
        ];
        if wide {
            row.extend([
                self.mode.as_str().into(),
                self.approval.as_str().into(),
                self.planned.map(|planned| planned.to_string()).into(),
                self.kubeconfig.clone().into(),
                self.reason.clone().into(),
                self.requested_by.as_ref().map(|by| by.user.clone()).into(),
                self.approved_by.as_ref().and_then(|by| by.user.clone()).into(),
                self.message.clone().into(),
            ]);
        }
        row
    }

    fn conditions(&self) -> String {
        let rows = self.conditions.iter().map(|condition| {
            let status = match condition.status.as_str() {
                "True" => Paint::Strong,
                _ => Paint::Faint,
            };
            [
                condition.type_.as_str().into(),
                Cell::painted(&condition.status, status),
                condition.reason.as_str().into(),
                self.ago(Some(&condition.since)),
                condition.message.as_str().into(),
            ]
        });
        output::table(["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], rows)
    }
}

impl Shown for Offboardings {
    const KIND: &'static str = "OffboardingList";

    fn text(&self, wide: bool) -> String {
        let mut header = vec!["NAME", "UID", "IDENTITY", "STATE", "REMOVED", "LAST SEEN", "AGE"];
        if wide {
            header.extend([
                "MODE",
                "APPROVAL",
                "PLANNED",
                "KUBECONFIG",
                "REASON",
                "REQUESTED BY",
                "APPROVED BY",
                "MESSAGE",
            ]);
        }
        if self.items.is_empty() {
            return String::new();
        }
        let table = output::table(header, self.items.iter().map(|item| item.row(wide)));
        match self
            .items
            .first()
            .filter(|item| self.is_one && !item.conditions.is_empty())
        {
            Some(item) => format!("{table}\n\n{}", item.conditions()),
            None => table,
        }
    }

    fn names(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|item| offboarding::qualified(&item.name))
            .collect()
    }
}
