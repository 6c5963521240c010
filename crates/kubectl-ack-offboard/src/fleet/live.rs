//! What somebody sees while clusters are asked: on a terminal, a line for each that is being asked and one for all; else a line for each that
//! has ended.

use super::result::{ClusterResult, Ended};
use crate::output::{self, Paint, clean};
use indicatif::{ProgressBar, ProgressStyle};
use std::{cell::RefCell, time::Duration};

const TICK: Duration = Duration::from_millis(120);

/// The lines for one round through the clusters; gone when it is dropped.
pub(crate) struct Live {
    total: Option<ProgressBar>,
    ended: RefCell<Vec<Ended>>,
    of: usize,
}

/// The line of one cluster while it is asked; gone when it is dropped.
pub(crate) struct Line(Option<ProgressBar>);

impl Live {
    pub(crate) fn new(of: usize) -> Self {
        let live = Live {
            total: output::is_live().then(|| output::LINES.add(spinner("{spinner} {wide_msg} {elapsed}"))),
            ended: RefCell::default(),
            of,
        };
        live.count();
        live
    }

    /// A cluster is asked from now on.
    pub(crate) fn begin(&self, name: &str) -> Line {
        let bar = self.total.as_ref().map(|total| {
            let bar = output::LINES.insert_before(total, spinner("  {spinner} {wide_msg} {elapsed}"));
            bar.set_message(clean(name));
            bar
        });
        Line(bar)
    }

    /// A cluster has ended.
    pub(crate) fn end(&self, result: &ClusterResult) {
        let message = result.message.as_deref().map(|message| format!(": {}", clean(message)));
        let seconds = Duration::from_millis(result.took_ms).as_secs_f32();
        output::note(format!(
            "{}: {}{} ({seconds:.1} s)",
            clean(&result.name),
            paint(result.ended).on(result.words()),
            message.unwrap_or_default().trim_end_matches('.'),
        ));
        self.ended.borrow_mut().push(result.ended);
        self.count();
    }

    fn count(&self) {
        if let Some(total) = &self.total {
            total.set_message(format!("{} of {} clusters", self.ended.borrow().len(), self.of));
        }
    }
}

/// The colour of how a cluster ended.
pub(crate) fn paint(ended: Ended) -> Paint {
    match ended {
        Ended::Done => Paint::Good,
        Ended::Held | Ended::NotCovered => Paint::Warning,
        Ended::Failed => Paint::Bad,
    }
}

fn spinner(template: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

impl Drop for Live {
    fn drop(&mut self) {
        clear(self.total.as_ref());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        clear(self.0.as_ref());
    }
}

fn clear(bar: Option<&ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
        output::LINES.remove(bar);
    }
}
