//! Plans of many clusters, shown together, and one question about all of them.

use crate::{
    ask,
    exit::{Exit, Failure},
    fleet::{crew::Crew, member::Member, result::Ended, table::clusters},
    output::{self, Paint, Shown, clean},
    plan::ShownPlan,
};

/// How many clusters a question names.
const NAMED: usize = 8;

/// Refuses to begin where nobody could be asked later.
///
/// # Errors
/// When there is no terminal, and the answer is not given already.
pub(super) fn can_be_asked(yes: bool) -> Result<(), Failure> {
    match yes || output::can_ask() {
        true => Ok(()),
        false => Err(Failure::usage(
            "nobody can be asked, as this is no terminal. Add --yes to answer yes; nothing was changed.",
        )),
    }
}

/// The plan of a cluster, under its name.
pub(super) fn titled(member: &Member, plan: &ShownPlan) -> String {
    format!(
        "{}\n{}\n",
        Paint::Strong.on(format_args!("== {} ==", clean(&member.name))),
        plan.text(false)
    )
}

/// Shows the plans, asks once, and has `then` done if the answer is yes; if it is no, each of these clusters is held, `declined`. Returns whether there was an
/// answer, or nothing to ask; not after Ctrl-C at the question, when what the results say holds.
///
/// # Errors
/// When it cannot be asked.
pub(super) async fn decide(
    crew: &Crew<'_>,
    what: &str,
    plans: &[(&Member, &ShownPlan)],
    yes: bool,
    declined: &str,
    then: impl AsyncFnOnce(),
) -> Result<bool, Failure> {
    if plans.is_empty() || crew.interrupt.is_requested() {
        return Ok(true);
    }
    match crew.interrupt.ends(ask(what, plans.iter().copied(), yes)).await {
        Ok(true) => then().await,
        Ok(false) => {
            for (member, _) in plans {
                crew.amend(member, |result| result.end(Ended::Held, declined));
            }
        }
        Err(failure) if failure.exit == Exit::Interrupted => return Ok(false),
        Err(failure) => return Err(failure),
    }
    Ok(true)
}

/// Shows the plans, and asks once.
///
/// # Errors
/// When the answer is Ctrl-C.
async fn ask<'a>(
    what: &str,
    plans: impl IntoIterator<Item = (&'a Member, &'a ShownPlan)>,
    yes: bool,
) -> Result<bool, Failure> {
    let mut names = Vec::new();
    for (member, plan) in plans {
        output::note(titled(member, plan));
        names.push(clean(&member.name));
    }
    let more = names.len().saturating_sub(NAMED);
    let mut named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    ask::confirm(format!("{what} in {}: {named}?", clusters(names.len())), yes).await
}
