//! The `spec` of a `UserOffboarding`.
//!
//! Doc comments of fields are what `kubectl explain` prints.

// The derive macro repeats the struct in a scope of its own, where `pub` reaches nobody.
#![allow(unreachable_pub)]
// Each printer column has a type of its own; the lint takes them for one attribute written several times.
#![allow(clippy::duplicated_attributes)]

use super::{PLAN_LABEL, status::UserOffboardingStatus};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Whose access to end, and which checks to pass first.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ack-offboarding.io",
    version = "v1alpha1",
    kind = "UserOffboarding",
    plural = "useroffboardings",
    singular = "useroffboarding",
    shortname = "uo",
    category = "ack",
    status = "UserOffboardingStatus",
    derive = "PartialEq",
    doc = "Ends the access of one RAM user or RAM role to this ACK cluster: its RBAC bindings are backed up and removed, its kubeconfig is purged by ACK, and the result is verified.",
    selectable = ".spec.uid",
    printcolumn(
        name = "UID",
        type_ = "string",
        json_path = ".spec.uid",
        description = "The RAM user's UID or the RAM role's ID"
    ),
    printcolumn(
        name = "IDENTITY",
        type_ = "string",
        json_path = ".status.identity.name",
        description = "The name found for the UID"
    ),
    printcolumn(
        name = "STATE",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The state of the offboarding, or what blocks it"
    ),
    printcolumn(
        name = "REMOVED",
        type_ = "integer",
        json_path = ".status.removed.total",
        description = "How many bindings no longer name the UID"
    ),
    printcolumn(
        name = "LAST SEEN",
        type_ = "string",
        json_path = ".status.activity.lastSeen",
        description = "The latest request found in the audit log's window"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".spec.reason",
        priority = 1,
        description = "Why it was asked for"
    ),
    printcolumn(
        name = "REQUESTED BY",
        type_ = "string",
        json_path = ".status.requestedBy.user",
        priority = 1,
        description = "Who created it, as the audit log tells"
    ),
    printcolumn(
        name = "APPROVED BY",
        type_ = "string",
        json_path = ".status.approvedBy.user",
        priority = 1,
        description = "Who approved its plan, as the audit log tells"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct UserOffboardingSpec {
    /// The RAM user's UID or the RAM role's ID: a decimal number written as a string, in quotes.
    /// It cannot be changed: create another UserOffboarding for another UID.
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,19}$')").message("uid must be the RAM UID: 1 to 20 decimal digits, without a leading zero"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("uid is immutable: create another UserOffboarding for another UID"))]
    pub uid: String,

    /// The RAM user name (the part of the logon name before "@") or RAM role name that the UID must belong to, as
    /// long as RAM still knows it. A guard against a mistyped UID: on a mismatch the operator changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("!self.contains('@')").message("expectedName is the name alone: leave out the '@' and what follows it"))]
    pub expected_name: Option<String>,

    /// What the UID belongs to. RamRole must be set explicitly: everyone who assumes a RAM role is the same Kubernetes
    /// user, including all CloudSSO users of an access configuration.
    #[serde(default)]
    pub identity_type: IdentityType,

    /// Execute carries out the offboarding. DryRun makes the plan and changes nothing.
    #[serde(default)]
    pub mode: Mode,

    /// Automatic needs no approval. Manual waits until the plan's digest is in approvals.
    #[serde(default)]
    pub approval: Approval,

    /// The approved plans, each with the whole digest from status.plan.digest ("sha256:" and 64 hexadecimal digits). It
    /// is a list because one manifest may go to many clusters, and each cluster's plan has its own digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["digest"]))]
    pub approvals: Vec<PlanApproval>,

    /// What to do about user names that begin with the UID and a dash, and do not end in digits alone. The names in ACK's
    /// own certificates end in digits; for all others, a person must decide. Each entry is a whole name.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,

    /// Stops before the next change. What was already done stays done.
    #[serde(default)]
    pub suspend: bool,

    /// How the audit log decides whether the identity is still in use.
    #[serde(default)]
    pub activity_check: ActivityCheck,

    /// Purge makes ACK revoke the kubeconfig. Keep leaves it and removes only the bindings.
    #[serde(default)]
    pub kubeconfig: KubeconfigPolicy,

    /// Once reports access that returns later. Continuous removes it again, after the same checks.
    #[serde(default)]
    pub enforcement: Enforcement,

    /// Why the offboarding is asked for, for later readers: a ticket, say. It is shown in the status, in events and in the backups, and
    /// decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// A person's approval of one plan.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanApproval {
    /// The plan's whole digest.
    #[schemars(length(max = 71))]
    #[x_kube(validation = Rule::new("self.matches('^sha256:[0-9a-f]{64}$')").message("approvals takes whole digests as in status.plan.digest: 'sha256:' and 64 hexadecimal digits in lower case"))]
    pub digest: String,

    /// Why the plan was approved, for later readers: a ticket, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// Decisions about user names that begin with the UID and do not end in digits alone.
#[derive(schemars::JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Names {
    /// Names that belong to the identity: the operator removes their bindings as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub include: Vec<String>,

    /// Names that belong to someone else: their bindings stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub ignore: Vec<String>,
}

impl Names {
    /// Whether nothing is decided.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.ignore.is_empty()
    }
}

/// How the audit log decides whether the identity is still in use.
#[derive(schemars::JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActivityCheck {
    /// How many days without a request count as inactive.
    #[schemars(range(min = 1, max = 180))]
    pub window_days: u16,

    /// What to do if the identity made requests in the window: Wait until a window has none, or Proceed.
    pub when_active: OnUncertainty,

    /// What to do if the audit log cannot prove either: Wait until it can, or Proceed.
    pub when_unknown: OnUncertainty,

    /// Proceed after so many days of waiting, counted from status.waitingSince, whatever the audit log says. Without
    /// it, someone who makes one request a week is never offboarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub wait_at_most_days: Option<u16>,
}

impl Default for ActivityCheck {
    fn default() -> Self {
        ActivityCheck {
            window_days: 7,
            when_active: OnUncertainty::Wait,
            when_unknown: OnUncertainty::Wait,
            wait_at_most_days: None,
        }
    }
}

/// Defines an enum whose variants are what the manifest says, the first being the default.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident $(, $(#[$other_doc:meta])* $other:ident)* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name {
            $(#[$first_doc])* #[default] $first,
            $($(#[$other_doc])* $other,)*
        }
    };
}

choice!(
    /// What a UID belongs to.
    IdentityType {
        /// A RAM user.
        RamUser,
        /// A RAM role.
        RamRole,
    }
);
choice!(
    /// Whether to carry out the offboarding.
    Mode {
        /// Carry it out.
        Execute,
        /// Stop after the plan.
        DryRun,
    }
);
choice!(
    /// Who approves the plan.
    Approval {
        /// Nobody.
        Automatic,
        /// A person, by listing the plan's digest.
        Manual,
    }
);
choice!(
    /// What to do while the identity is active, or while its activity is unknown.
    OnUncertainty {
        /// Check again later.
        Wait,
        /// Proceed anyway.
        Proceed,
    }
);
choice!(
    /// What happens to the kubeconfig that ACK issued.
    KubeconfigPolicy {
        /// ACK revokes it.
        Purge,
        /// It stays.
        Keep,
    }
);
choice!(
    /// What happens when access returns after the offboarding is complete.
    Enforcement {
        /// The operator reports it.
        Once,
        /// The operator removes it again.
        Continuous,
    }
);

impl UserOffboarding {
    /// Whether it was made only to show a plan: by `kubectl ack-offboard plan`, which labels it. One that is no dry run is none, nor one that
    /// somebody suspended: it holds up others for its UID, whatever its labels.
    pub fn is_plan(&self) -> bool {
        let labels = self.metadata.labels.as_ref();
        self.spec.mode == Mode::DryRun
            && !self.spec.suspend
            && labels.is_some_and(|labels| labels.contains_key(PLAN_LABEL))
    }
}
