//! What came of a restore, or would, as it is shown.

use crate::{
    cluster::Cluster,
    offboarding,
    output::{self, Cell, Paint, Shown, clean},
    stored::Loaded,
    values::BindingArg,
};
use ack_offboarding_operator::{
    api::UserOffboarding,
    restore::{self, Chosen, Outcome as Came, Restored, undo},
};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// So many bindings, in words.
pub(super) fn count(bindings: usize) -> String {
    match bindings {
        1 => "1 binding".to_owned(),
        many => format!("{many} bindings"),
    }
}

/// What came of it; before the question, what would.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offboarding: Option<String>,
    pub(super) uid: String,
    pub(super) dry_run: bool,
    pub(super) results: Vec<Line>,
    /// Backups that are not what they say.
    pub(super) refused: Vec<Refused>,
    /// What will happen to restored bindings.
    pub(super) warnings: Vec<String>,
    /// Until when ACK's console can restore the kubeconfig, which is in no backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kubeconfig_restorable_until: Option<String>,
    #[serde(skip)]
    pub(super) restorable_until: Option<Timestamp>,
}

#[derive(Serialize)]
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) problem: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    role_ref: String,
    subjects: Vec<String>,
    outcome: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    config_map: String,
    stored_at: String,
    /// The ConfigMaps with older states of it, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    older: Vec<String>,
    #[serde(skip)]
    shown: String,
    #[serde(skip)]
    came: Came,
}

impl Report {
    pub(super) fn of(dry_run: bool, backups: &[Loaded], object: Option<&UserOffboarding>) -> Self {
        let verified = backups.iter().find_map(|backup| backup.content.as_ref().ok());
        let kubeconfig = object.map(offboarding::status);
        let until = kubeconfig
            .and_then(|status| status.kubeconfig.as_ref()?.restorable_until.as_ref())
            .map(|time| time.0);
        let refused = backups.iter().filter_map(|backup| {
            Some(Refused {
                name: backup.name.clone(),
                problem: backup.content.as_ref().err()?.clone(),
            })
        });
        Report {
            offboarding: verified.map(|backup| backup.part.object_name.clone()),
            uid: String::new(),
            dry_run,
            results: Vec::new(),
            refused: refused.collect(),
            warnings: Vec::new(),
            kubeconfig_restorable_until: until.map(|time| time.to_string()),
            restorable_until: until,
        }
    }

    /// Says, before the question, what would take it away again.
    pub(super) async fn warn_of_undoing(&mut self, cluster: &Cluster, uid: restore::Uid) {
        match cluster.all_offboardings().await {
            Ok(all) => {
                for undo in undo(&all, uid) {
                    match undo.is_removal() {
                        true => output::warn(undo.message()),
                        false => output::note(undo.message()),
                    }
                    self.warnings.push(undo.message());
                }
            }
            Err(failure) => {
                let message = format!(
                    "It is not known whether a UserOffboarding would remove it again: {}",
                    failure.message
                );
                output::warn(&message);
                self.warnings.push(message);
            }
        }
    }

    pub(super) fn fill(&mut self, chosen: &[Chosen], results: &[Restored], dry_run: bool) {
        self.dry_run = dry_run;
        let results = chosen.iter().zip(results).map(|(one, result)| {
            let wanted = &one.wanted;
            // Of a binding that is left as it is, it does not matter how it would come back.
            let notes = match result.outcome.is_change() {
                true => wanted.notes.iter().map(|note| clean(note)).collect(),
                false => Vec::new(),
            };
            Line {
                kind: wanted.key.kind.as_str(),
                namespace: wanted.key.namespace.clone(),
                name: wanted.key.name.clone(),
                role_ref: wanted.role_ref.clone(),
                subjects: wanted.subjects.iter().map(|subject| subject.name.clone()).collect(),
                outcome: result.outcome.as_str(),
                message: clean(&result.message),
                notes,
                config_map: wanted.config_map.clone(),
                stored_at: wanted.stored.to_string(),
                older: one.older.clone(),
                shown: BindingArg::name(&wanted.key),
                came: result.outcome,
            }
        });
        self.results = results.collect();
    }

    /// How it went, and what is not in a backup.
    pub(super) fn summary(&self, restored: usize, all: usize) -> String {
        let verb = if self.dry_run { "would be restored" } else { "restored" };
        let kubeconfig = match self.restorable_until {
            Some(until) if until > Timestamp::now() => format!(
                "The kubeconfig is in no backup. Only ACK's console can restore it, until {until}: a binding is of use only to somebody who can sign in."
            ),
            Some(until) => format!(
                "The kubeconfig is in no backup, and ACK's console could restore it until {until} only: issue a new one, whose user name differs."
            ),
            None => "The kubeconfig is in no backup. Where it was purged, ACK's console can restore it for 30 days."
                .to_owned(),
        };
        format!("{restored} of {} {verb}. {kubeconfig}", count(all))
    }

    fn row(result: &Line, wide: bool) -> Vec<Cell> {
        let paint = match result.came {
            Came::Created | Came::Merged | Came::AlreadyThere => Paint::Good,
            _ => Paint::Bad,
        };
        let mut row = vec![
            result.shown.as_str().into(),
            result.role_ref.as_str().into(),
            Cell::painted(result.outcome, paint),
        ];
        if wide {
            row.extend([
                result.subjects.join(",").into(),
                result.config_map.as_str().into(),
                result.older.join(",").into(),
            ]);
        }
        let said = std::iter::once(&result.message).chain(&result.notes);
        row.push(said.map(String::as_str).collect::<Vec<_>>().join(" ").into());
        row
    }
}

impl Shown for Report {
    const KIND: &'static str = "Restore";

    fn text(&self, wide: bool) -> String {
        let mut header = vec!["BINDING", "ROLE", if self.dry_run { "WOULD BE" } else { "RESULT" }];
        if wide {
            header.extend(["SUBJECTS", "CONFIGMAP", "OLDER"]);
        }
        header.push("MESSAGE");
        output::table(header, self.results.iter().map(|result| Report::row(result, wide)))
    }

    fn names(&self) -> Vec<String> {
        let key = |result: &Line| {
            let kind = result.kind.to_lowercase();
            let namespace = result
                .namespace
                .iter()
                .map(|namespace| format!("{namespace}/"))
                .collect::<String>();
            format!("{kind}.rbac.authorization.k8s.io/{namespace}{}", result.name)
        };
        self.results
            .iter()
            .filter(|result| result.came.is_restored())
            .map(key)
            .collect()
    }
}
