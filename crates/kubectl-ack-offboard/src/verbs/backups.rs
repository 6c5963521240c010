//! `backups`: what was stored, and whether it can be trusted.

use crate::{
    cli::BackupsArgs,
    cluster::Cluster,
    exit::{Exit, Outcome},
    output::{self, Cell, Format, Paint, Shown, age},
    stored::{self, Loaded},
};
use ack_offboarding_operator::rbac::backup::{StoredAction, object_label, uid_label};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// Prints it.
///
/// # Errors
/// When backups may not be read.
pub(crate) async fn run(cluster: &Cluster, args: &BackupsArgs) -> Outcome {
    let namespace = stored::namespace(cluster).await?;
    let labels = match &args.uid {
        Some(uid) => format!("{}={uid},{}", uid_label(), object_label()),
        None => object_label(),
    };
    let now = Timestamp::now();
    let loaded = stored::load(cluster, &namespace, &labels).await?;
    let items: Vec<_> = loaded.iter().map(|one| Item::of(one, &namespace, now)).collect();
    let is_for_people = matches!(args.output.output, Format::Table | Format::Wide);
    if items.is_empty() && is_for_people {
        output::note(format_args!("There are no such backups in namespace {namespace}."));
    }
    let refused = items.iter().filter(|item| !item.verified).count();
    output::show(args.output.output, &BackupList { items })?;
    if refused > 0 {
        output::warn(format_args!(
            "{refused} of {} cannot be used as a backup; -o wide says why. Somebody may have changed them: the operator never does.",
            loaded.len()
        ));
        return Ok(Exit::Found);
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct BackupList {
    items: Vec<Item>,
}

/// One ConfigMap.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
    namespace: String,
    uid: String,
    /// The name of the UserOffboarding, which may be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    offboarding: Option<String>,
    #[serde(rename = "objectUID")]
    object_uid: String,
    #[serde(rename = "clusterID", skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    #[serde(rename = "runID", skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// The `spec.reason` that the offboarding had.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether its checksums, its lists and its index agree.
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    bindings: Vec<Binding>,
    #[serde(skip)]
    age: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    role_ref: String,
    action: StoredAction,
    /// The names of the subjects that `restore` brings back.
    subjects: Vec<String>,
}

impl Item {
    fn of(loaded: &Loaded, namespace: &str, now: Timestamp) -> Self {
        let content = loaded.content.as_ref().ok();
        let states = content.into_iter().flat_map(|content| &content.states);
        let bindings = states.map(|state| Binding {
            kind: state.key.kind.as_str(),
            namespace: state.key.namespace.clone(),
            name: state.key.name.clone(),
            role_ref: state.role_ref.clone(),
            action: state.action,
            subjects: state.subjects.iter().map(|subject| subject.name.clone()).collect(),
        });
        Item {
            name: loaded.name.clone(),
            namespace: namespace.to_owned(),
            uid: loaded.uid.clone(),
            offboarding: content.map(|content| content.part.object_name.clone()),
            object_uid: loaded.object_uid.clone(),
            cluster_id: content.map(|content| content.part.cluster_id.clone()),
            run_id: content.map(|content| content.part.run_id.clone()),
            created_at: loaded
                .created
                .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            reason: loaded.reason.clone(),
            verified: content.is_some(),
            problem: loaded.content.as_ref().err().cloned(),
            bindings: bindings.collect(),
            age: loaded.created.map(|time| age(time, now)),
        }
    }

    fn row(&self, wide: bool) -> Vec<Cell> {
        let of = |action| self.bindings.iter().filter(|binding| binding.action == action).count();
        let known = |text: String| self.verified.then_some(text);
        let mut row = vec![
            self.name.as_str().into(),
            self.uid.as_str().into(),
            self.offboarding.clone().into(),
            known(self.bindings.len().to_string()).into(),
            match self.verified {
                true => Cell::painted("holds", Paint::Good),
                false => Cell::painted("refused", Paint::Bad),
            },
            self.age.clone().into(),
        ];
        if wide {
            row.extend([
                known(of(StoredAction::Delete).to_string()).into(),
                known(of(StoredAction::RemoveSubject).to_string()).into(),
                known(of(StoredAction::Keep).to_string()).into(),
                self.run_id.clone().into(),
                self.created_at.clone().into(),
                self.cluster_id.clone().into(),
                self.reason.clone().into(),
                self.problem.clone().into(),
            ]);
        }
        row
    }
}

impl Shown for BackupList {
    const KIND: &'static str = "BackupList";

    fn text(&self, wide: bool) -> String {
        let mut header = vec!["CONFIGMAP", "UID", "OFFBOARDING", "BINDINGS", "CHECKSUM", "AGE"];
        if wide {
            header.extend([
                "DELETED", "SHRUNK", "KEPT", "RUN", "CREATED", "CLUSTER", "REASON", "PROBLEM",
            ]);
        }
        match self.items.as_slice() {
            [] => String::new(),
            items => output::table(header, items.iter().map(|item| item.row(wide))),
        }
    }

    fn names(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|item| format!("configmap/{}", item.name))
            .collect()
    }
}
