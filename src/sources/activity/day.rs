//! What is known of a day of the log.

use super::{audit_event::USERNAME, window::DAY};

/// A stretch without a single matching record, in unix seconds: from (included) to (excluded).
pub(super) type Gap = (i64, i64);

/// What is known of a day of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// Where no request is found by user name.
    pub(super) silences: Vec<Gap>,
    /// Whether a request of the control plane is.
    pub(super) control: bool,
    /// Whether one of the operator itself is, from the day after its installation on.
    pub(super) own: bool,
}

/// The operator's own requests, of which the log must hold some as well: it asks the API server all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// The search that finds them: an exact name, as that of the identity is.
    pub(super) query: String,
    /// The start of the day after the operator's installation. Of before, the log need not have any.
    pub(super) since: i64,
}

impl Own {
    /// Of a ServiceAccount that was installed at this second. Nobody else's requests are known to come all the time.
    pub(super) fn of(user: &str, installed_at: i64) -> Option<Self> {
        user.starts_with("system:serviceaccount:").then(|| Own {
            query: format!("{USERNAME}: \"{user}\""),
            since: (installed_at.div_euclid(DAY) + 1) * DAY,
        })
    }

    /// Whether the log of the day that begins at `start` must hold some.
    pub(super) fn owes(&self, start: i64) -> bool {
        start >= self.since
    }
}
