//! Plans of many clusters, shown together, and one question about all of them.

use crate::{
    ask,
    exit::Failure,
    fleet::{member::Member, table::clusters},
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

/// Shows the plans, and asks once.
///
/// # Errors
/// When the answer is Ctrl-C.
pub(super) async fn ask<'a>(
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
