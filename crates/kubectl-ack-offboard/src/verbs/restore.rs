//! `restore`: gives back what an offboarding took, binding by binding, with the rights of whoever runs it.

use crate::{
    ask,
    cli::RestoreArgs,
    cluster::{Cluster, Role},
    exit::{Exit, Failure, Outcome},
    interrupt::Interrupt,
    offboarding,
    output::{self, Cell, Format, Paint, Shown, clean},
    stored::{self, Loaded},
    values::BindingArg,
};
use ack_offboarding_operator::{
    api::UserOffboarding,
    rbac::{
        BindingKey,
        backup::{StoredAction, object_label, uid_label},
    },
    restore::{self, Chosen, Outcome as Came, Restored, Restorer, undo},
};
use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

/// How many bindings are looked at at once. They are written one after the other.
const AT_ONCE: usize = 8;

/// Shows, asks, restores.
///
/// # Errors
/// When there is no such backup, it may not be read, or the answer is no.
pub(crate) async fn run(cluster: &Cluster, args: &RestoreArgs, interrupt: &Interrupt) -> Outcome {
    let found = interrupt.ends(find(cluster, &args.name)).await?;
    let mut report = Report::of(args, &found);
    for refused in &report.refused {
        output::warn(format_args!("backup {} is refused: {}.", refused.name, refused.problem));
    }
    let verified: Vec<_> = found
        .backups
        .into_iter()
        .filter_map(|backup| backup.content.ok())
        .collect();
    let Some(uid) = verified.first().map(|backup| backup.uid) else {
        return Err(Failure::new(format!(
            "no backup of {} can be used, so nothing is restored. `kubectl ack-offboard backups -o wide` says more.",
            args.name
        )));
    };
    report.uid = uid.to_string();
    let chosen = choose(restore::newest(verified), args)?;
    if chosen.is_empty() {
        output::note(format_args!("The backups of {} hold nothing to restore.", args.name));
        return Ok(if report.refused.is_empty() {
            Exit::Done
        } else {
            Exit::Failed
        });
    }
    interrupt
        .ends(async {
            report.warn_of_undoing(cluster, uid).await;
            Ok(())
        })
        .await?;

    let restorer = Restorer::new(cluster.client.clone());
    let mut results = Vec::new();
    if args.dry_run || !args.yes {
        results = interrupt.ends(async { Ok(look(&restorer, &chosen).await) }).await?;
    }
    let would_change = results.iter().any(|result: &Restored| result.outcome.is_change());
    let mut is_interrupted = false;
    if !args.dry_run && (args.yes || would_change) {
        if !args.yes {
            report.fill(&chosen, &results, true);
            output::note(report.text(false));
            let changes = results.iter().filter(|result| result.outcome.is_change()).count();
            let question = format!("Restore {}?", count(changes));
            if !interrupt.ends(ask::confirm(question, false)).await? {
                output::note("Nothing was changed.");
                return Ok(Exit::Found);
            }
        }
        // A new one: what it knows of namespaces may have changed while a person thought.
        let restorer = Restorer::new(cluster.client.clone());
        results.clear();
        for one in &chosen {
            // Between two bindings, so that each is as it was or as it should be, and is reported.
            is_interrupted = interrupt.requested().now_or_never().is_some();
            if is_interrupted {
                break;
            }
            results.push(restorer.restore(&one.wanted).await);
        }
    }
    report.fill(&chosen, &results, args.dry_run);
    output::show(args.output.output, &report)?;
    let restored = results.iter().filter(|result| result.outcome.is_restored()).count();
    if matches!(args.output.output, Format::Table | Format::Wide) {
        output::note(report.summary(restored, chosen.len()));
    }
    Ok(match (is_interrupted, restored) {
        (true, _) => Exit::Interrupted,
        (_, 0) => Exit::Failed,
        (_, some) if some < chosen.len() || !report.refused.is_empty() => Exit::Found,
        _ => Exit::Done,
    })
}

/// What a name stands for.
struct Found {
    /// All of them of one UserOffboarding.
    backups: Vec<Loaded>,
    /// That object, if it still exists.
    object: Option<UserOffboarding>,
}

/// The backups of the UserOffboarding of this name, also if it is gone; or the one ConfigMap of this name.
async fn find(cluster: &Cluster, name: &str) -> Result<Found, Failure> {
    let namespace = stored::namespace(cluster).await?;
    let object = cluster.offboardings().get_opt(name).await;
    let object =
        object.map_err(|error| cluster.refused(&error, &format!("read UserOffboarding {name}"), Role::Viewer))?;
    if let Some(object_uid) = object.as_ref().and_then(ResourceExt::uid) {
        let backups = stored::load(cluster, &namespace, &format!("{}={object_uid}", object_label())).await?;
        if !backups.is_empty() {
            tell_of_earlier(cluster, &namespace, &backups, &object_uid).await;
            return Ok(Found { backups, object });
        }
    }
    if let Some(one) = stored::load_one(cluster, &namespace, name).await? {
        let all = cluster.all_offboardings().await.unwrap_or_default();
        let object = all
            .into_iter()
            .find(|object| object.uid().as_deref() == Some(&one.object_uid));
        return Ok(Found {
            backups: vec![one],
            object,
        });
    }
    // The object is gone: its backups know its name.
    let is_of_name = |one: &&Loaded| {
        one.content
            .as_ref()
            .is_ok_and(|content| content.part.object_name == name)
    };
    let all = stored::load(cluster, &namespace, &object_label()).await?;
    let Some(newest) = all.iter().find(is_of_name).map(|one| one.object_uid.clone()) else {
        return Err(Failure::new(format!(
            "there is no backup of a UserOffboarding {name}, and no backup of that name, in namespace {namespace}. `kubectl ack-offboard \
             backups` lists what there is."
        )));
    };
    let (backups, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.object_uid == newest);
    let earlier: Vec<_> = others.iter().filter(is_of_name).map(|one| one.name.as_str()).collect();
    if !earlier.is_empty() {
        output::note(format_args!(
            "An earlier UserOffboarding {name} has backups too, which are left alone: {}. To restore one, give its name.",
            earlier.join(", ")
        ));
    }
    Ok(Found { backups, object })
}

/// Names the backups of the same identity that another object made, under this name or another: what they hold is not restored by this one's.
async fn tell_of_earlier(cluster: &Cluster, namespace: &str, backups: &[Loaded], object_uid: &str) {
    let Some(uid) = backups.first().map(|one| one.uid.clone()) else {
        return;
    };
    let labels = format!(
        "{}={uid},{}!={object_uid},{}",
        uid_label(),
        object_label(),
        object_label()
    );
    match stored::names(cluster, namespace, &labels).await {
        Ok(earlier) if earlier.is_empty() => {}
        Ok(earlier) => output::note(format_args!(
            "Other UserOffboardings of UID {uid} have backups too, which are left alone: {}. To restore one, give its name.",
            earlier.join(", ")
        )),
        Err(failure) => output::warn(format_args!(
            "it is not known whether other UserOffboardings of UID {uid} have backups: {}",
            failure.message
        )),
    }
}

/// What was asked for, of what there is.
fn choose(all: Vec<Chosen>, args: &RestoreArgs) -> Result<Vec<Chosen>, Failure> {
    if args.binding.is_empty() {
        let (kept, chosen): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|one| one.wanted.action == StoredAction::Keep && !args.kept);
        if !kept.is_empty() {
            output::note(format_args!(
                "{} more in the backup: the operator kept them, but ACK's purge may have taken them. --kept restores those that are gone.",
                count(kept.len())
            ));
        }
        return Ok(chosen);
    }
    let is_there = |asked: &&BindingArg| all.iter().any(|one| asked.is(&one.wanted.key));
    if let Some(missing) = args.binding.iter().find(|asked| !is_there(asked)) {
        let known: Vec<_> = all
            .iter()
            .take(20)
            .map(|one| BindingArg::name(&one.wanted.key))
            .collect();
        return Err(Failure::usage(format!(
            "the backup has no {missing}. It has: {}{}",
            known.join(", "),
            if all.len() > 20 { ", …" } else { "" }
        )));
    }
    let is_asked = |one: &Chosen| args.binding.iter().any(|asked| asked.is(&one.wanted.key));
    Ok(all.into_iter().filter(is_asked).collect())
}

async fn look(restorer: &Restorer, chosen: &[Chosen]) -> Vec<Restored> {
    let looks = chosen.iter().map(|one| restorer.dry_run(&one.wanted));
    futures::stream::iter(looks).buffered(AT_ONCE).collect().await
}

fn count(bindings: usize) -> String {
    match bindings {
        1 => "1 binding".to_owned(),
        many => format!("{many} bindings"),
    }
}

/// What came of it; before the question, what would.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    offboarding: Option<String>,
    uid: String,
    dry_run: bool,
    results: Vec<Line>,
    /// Backups that are not what they say.
    refused: Vec<Refused>,
    /// What will happen to restored bindings.
    warnings: Vec<String>,
    /// Until when ACK's console can restore the kubeconfig, which is in no backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    kubeconfig_restorable_until: Option<String>,
    #[serde(skip)]
    restorable_until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Refused {
    name: String,
    problem: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
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
    fn of(args: &RestoreArgs, found: &Found) -> Self {
        let verified = found.backups.iter().find_map(|backup| backup.content.as_ref().ok());
        let kubeconfig = found.object.as_ref().map(offboarding::status);
        let until = kubeconfig
            .and_then(|status| status.kubeconfig.as_ref()?.restorable_until.as_ref())
            .map(|time| time.0);
        let refused = found.backups.iter().filter_map(|backup| {
            Some(Refused {
                name: backup.name.clone(),
                problem: backup.content.as_ref().err()?.clone(),
            })
        });
        Report {
            offboarding: verified.map(|backup| backup.part.object_name.clone()),
            uid: String::new(),
            dry_run: args.dry_run,
            results: Vec::new(),
            refused: refused.collect(),
            warnings: Vec::new(),
            kubeconfig_restorable_until: until.map(|time| time.to_string()),
            restorable_until: until,
        }
    }

    /// Says, before the question, what would take it away again.
    async fn warn_of_undoing(&mut self, cluster: &Cluster, uid: restore::Uid) {
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

    fn fill(&mut self, chosen: &[Chosen], results: &[Restored], dry_run: bool) {
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
    fn summary(&self, restored: usize, all: usize) -> String {
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

impl BindingArg {
    fn is(&self, key: &BindingKey) -> bool {
        self.kind == key.kind && self.namespace == key.namespace && self.name == key.name
    }

    /// How `--binding` names it.
    fn name(key: &BindingKey) -> String {
        let namespace = key
            .namespace
            .iter()
            .map(|namespace| format!("{namespace}/"))
            .collect::<String>();
        clean(&format!("{}/{namespace}{}", key.kind.as_str(), key.name))
    }
}
