//! `restore`: gives back what an offboarding took, binding by binding, with the rights of whoever runs it.

use super::restore_report::{Report, count};
use crate::{
    ask,
    cli::RestoreArgs,
    cluster::{Cluster, Role},
    exit::{Exit, Failure, Outcome},
    interrupt::Interrupt,
    output::{self, Format, Shown},
    stored::{self, Loaded},
    values::BindingArg,
};
use ack_offboarding_operator::{
    api::UserOffboarding,
    rbac::backup::{StoredAction, object_label, uid_label},
    restore::{self, Chosen, Restored, Restorer},
};
use futures::{FutureExt, StreamExt};
use kube::ResourceExt;

/// How many bindings are looked at at once. They are written one after the other.
const AT_ONCE: usize = 8;

/// Shows, asks, restores.
///
/// # Errors
/// When there is no such backup, it may not be read, or the answer is no.
pub(crate) async fn run(cluster: &Cluster, args: &RestoreArgs, interrupt: &Interrupt) -> Outcome {
    let found = interrupt.ends(find(cluster, &args.name)).await?;
    let mut report = Report::of(args.dry_run, &found.backups, found.object.as_ref());
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
