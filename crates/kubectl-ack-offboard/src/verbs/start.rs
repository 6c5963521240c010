//! `start`: shows the plan, asks, creates the offboarding, and follows it.

use crate::{
    ask,
    change::FIELD_MANAGER,
    cli::StartArgs,
    cluster::{Cluster, Role},
    dry_run::{self, Who},
    exit::{Exit, Failure, Outcome},
    follow::{self, Patience, Seen, Tells, is_held},
    interrupt::Interrupt,
    offboarding::{self, State},
    output::{self, Shown},
    plan::ShownPlan,
};
use ack_offboarding_operator::api::{API_VERSION, Ends, Reason, UserOffboarding};
use kube::{ResourceExt, api::PostParams};
use serde_json::{Value, json};

/// Starts it.
///
/// # Errors
/// When it may not be created, or no operator answers.
pub(crate) async fn run(cluster: &Cluster, args: &StartArgs, interrupt: &Interrupt) -> Outcome {
    let who = Who {
        uid: &args.who.uid,
        name: args.who.name.as_deref(),
        is_role: args.who.role,
    };
    if args.print && !args.approve {
        let name = object_name(args.object.as_deref(), &who, None);
        return output::finish(
            &yaml(&manifest(&name, &who, args.reason.as_deref(), args.manual, None))?,
            Exit::Done,
        );
    }
    if let Some(object) = interrupt.ends(dry_run::existing(cluster, who.uid)).await? {
        let name = object.name_any();
        return Err(Failure::found(format!(
            "UserOffboarding {name} deals with UID {} already, so nothing was created. See what it does: kubectl ack-offboard explain {name}",
            who.uid
        )));
    }
    let shown = dry_run::plan(cluster, &who, interrupt).await?;
    output::note(shown.text(false));
    output::note("");
    let digest = shown.digest().filter(|_| args.approve);
    if args.approve && digest.is_none() {
        return Err(Failure::new(
            "there is no plan to approve: what holds it is said above. Start it without --approve, or correct what is wrong first.",
        ));
    }
    let name = object_name(args.object.as_deref(), &who, shown.name.as_deref());
    let manifest = manifest(&name, &who, args.reason.as_deref(), args.manual, digest);
    if args.print {
        return output::finish(&yaml(&manifest)?, Exit::Done);
    }
    if !interrupt.ends(ask::confirm(question(&who, &shown), args.yes)).await? {
        output::note("Nothing was changed.");
        return Ok(Exit::Found);
    }
    // Not cut short by Ctrl-C: whether it was created is told.
    let (created, demanded) = create(cluster, manifest).await?;
    if demanded {
        output::warn(
            "Every offboarding needs an approval in this cluster, so this one was created with approval: Manual.",
        );
    }
    output::note(format!("Created UserOffboarding {name}."));
    let outcome = interrupt.ends(until_told(cluster, &created, args.wait)).await;
    if outcome.as_ref().is_err_and(|failure| failure.exit == Exit::Interrupted) {
        output::note(format!(
            "The offboarding goes on in the cluster. To follow it: kubectl ack-offboard wait {name}. To stop it: kubectl ack-offboard suspend \
             {name}"
        ));
    }
    outcome
}

fn question(who: &Who<'_>, shown: &ShownPlan) -> String {
    let name = shown.name.as_ref().map(|name| format!(" ({})", output::clean(name)));
    format!(
        "Offboard UID {}{} from this cluster?",
        who.uid,
        name.unwrap_or_default()
    )
}

/// Follows it until it has begun or is held; if `to_the_end`, until its end or until it is held.
///
/// # Errors
/// When it cannot be followed, or not for so long.
pub(crate) async fn told(
    cluster: &Cluster,
    created: &UserOffboarding,
    to_the_end: bool,
    patience: Patience,
) -> Result<UserOffboarding, Failure> {
    follow::follow(cluster, &created.name_any(), patience, |object| {
        let state = State::of(object);
        // Whoever does not wait is told how it begins.
        let has_begun = !to_the_end && state.ends() == Some(Ends::Operator);
        let is_enough = is_held(&state) || state.ends() == Some(Ends::Reached) || has_begun;
        Ok(match offboarding::is_current(object) && is_enough {
            true => Seen::Enough,
            false => Seen::GoOn,
        })
    })
    .await
}

/// Follows it, and says how it began or ended.
async fn until_told(cluster: &Cluster, created: &UserOffboarding, to_the_end: bool) -> Outcome {
    let name = created.name_any();
    let patience = Patience {
        deadline: None,
        needs_operator: true,
        tells: Tells::Changes,
    };
    let object = told(cluster, created, to_the_end, patience).await?;
    let state = State::of(&object);
    let line = format!("{}: {}", offboarding::qualified(&name), state.word());
    if is_held(&state) {
        output::note(format!(
            "It is held. What changes that: kubectl ack-offboard explain {name}"
        ));
        return output::finish(&line, Exit::Found);
    }
    if state.ends() == Some(Ends::Operator) {
        output::note(format!(
            "It goes on in the cluster. To follow it: kubectl ack-offboard wait {name}"
        ));
    }
    if state == State::Known(Reason::Offboarded) {
        output::note(format!(
            "The access has ended. What was removed is backed up; to see what could be given back: kubectl ack-offboard restore {name} --dry-run"
        ));
    }
    output::finish(&line, Exit::Done)
}

/// Creates it; with `approval: Manual` where the cluster's policy demands that, which is told.
///
/// # Errors
/// When the API server does not create it.
pub(crate) async fn create(cluster: &Cluster, manifest: Value) -> Result<(UserOffboarding, bool), Failure> {
    let object = |manifest: &Value| {
        serde_json::from_value::<UserOffboarding>(manifest.clone())
            .map_err(|error| Failure::new(format!("cannot write the object: {error}")))
    };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let name = manifest["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let doing = format!("create UserOffboarding {name}");
    match cluster.offboardings().create(&params, &object(&manifest)?).await {
        Ok(created) => Ok((created, false)),
        Err(kube::Error::Api(status))
            if status
                .message
                .contains("approval: Manual is demanded of every UserOffboarding") =>
        {
            let mut manual = manifest;
            manual["spec"]["approval"] = "Manual".into();
            let created = cluster.offboardings().create(&params, &object(&manual)?).await;
            let created = created.map_err(|error| cluster.refused(&error, &doing, Role::Requester))?;
            Ok((created, true))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Err(Failure::new(format!(
            "there is a UserOffboarding {name} already, for another UID. Choose another name for the object: --object=NAME"
        ))),
        Err(error) => Err(cluster.refused(&error, &doing, Role::Requester)),
    }
}

/// What is created, or printed: `manual` has it wait for an approval; with a digest, the plan of that digest alone is approved.
pub(crate) fn manifest(name: &str, who: &Who<'_>, reason: Option<&str>, manual: bool, digest: Option<&str>) -> Value {
    let mut spec = who.spec();
    if let Some(reason) = reason {
        spec["reason"] = reason.into();
    }
    if manual {
        spec["approval"] = "Manual".into();
    }
    if let Some(digest) = digest {
        let mut approval = json!({"digest": digest});
        if let Some(reason) = reason {
            approval["reason"] = reason.into();
        }
        spec["approval"] = "Manual".into();
        spec["approvals"] = json!([approval]);
    }
    json!({"apiVersion": API_VERSION, "kind": "UserOffboarding", "metadata": {"name": name}, "spec": spec})
}

fn yaml(manifest: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(manifest).map_err(|error| Failure::new(format!("cannot write the manifest: {error}")))
}

/// The object's name: what `--object` says, else made of the identity's name, else of the UID.
pub(crate) fn object_name(object: Option<&str>, who: &Who<'_>, known: Option<&str>) -> String {
    if let Some(object) = object {
        return object.to_owned();
    }
    let name = who.name.or(known).unwrap_or_default();
    let made: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    match made.trim_matches('-') {
        "" => format!("uid-{}", who.uid),
        made => made.to_owned(),
    }
}
