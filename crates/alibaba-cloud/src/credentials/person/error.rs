//! The error of whoever looks for a person's credentials.

use std::path::PathBuf;

use super::{described::Described, problem::Problem};
use crate::answer::legible;

/// A person has no credentials that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// No source exists.
    #[error(
        "no Alibaba Cloud credentials: none in the environment, and there is no {}; run `aliyun configure`, or name a file with --profile-file",
        files(looked)
    )]
    None {
        /// The files that were looked for.
        looked: Vec<PathBuf>,
    },
    /// A source exists and cannot be used. No other is tried.
    #[error("cannot use {described}: {problem}")]
    Unusable {
        /// Which one.
        described: Box<Described>,
        /// Why.
        problem: Problem,
    },
}

fn files(looked: &[PathBuf]) -> String {
    if looked.is_empty() {
        return "home directory to look in".to_owned();
    }
    let names: Vec<_> = looked
        .iter()
        .map(|path| legible(&path.to_string_lossy(), 200))
        .collect();
    names.join(" and no ")
}
