//! Which operator answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The operator that wrote the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorStatus {
    /// The operator's namespace: backups are there.
    pub namespace: String,
    /// The operator's version.
    pub version: String,
}
