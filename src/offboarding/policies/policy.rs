//! The chart's admission policies, what was seen of one, and how a refusal of theirs reads.

/// One of the chart's policies. Its ValidatingAdmissionPolicy and its ValidatingAdmissionPolicyBinding have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// What the operator may do to bindings.
    Bindings,
    /// Who may touch backups.
    Backups,
    /// Who may approve.
    Approval,
    /// What the operator may propose: installed with the right to propose, and looked at before each proposal.
    Proposals,
}

impl Policy {
    /// Fixed, as the chart installs it: also the name of its binding.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Bindings => "ack-offboarding-operator",
            Policy::Backups => "ack-offboarding-backups",
            Policy::Approval => "ack-offboarding-approval",
            Policy::Proposals => "ack-offboarding-proposals",
        }
    }

    /// What it is for, as the rest of a sentence.
    pub fn purpose(self) -> &'static str {
        match self {
            Policy::Bindings => "keeps the operator from granting access",
            Policy::Backups => "keeps backups from being forged, changed or deleted",
            Policy::Approval => "keeps those who may not approve from approving",
            Policy::Proposals => {
                "keeps the operator from proposing anything but an offboarding that waits for approval"
            }
        }
    }

    /// What puts a policy back. What somebody added to it would survive an upgrade alone: Helm leaves what others own.
    pub(super) fn restore(self) -> String {
        format!(
            "run `kubectl delete validatingadmissionpolicy,validatingadmissionpolicybinding {} --ignore-not-found`, then `helm upgrade` \
             (without Helm, apply the manifests again)",
            self.name()
        )
    }
}

/// What was seen of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is the one that the operator was built with, and it refuses what it must refuse.
    InForce,
    /// It is missing, is another one, or lets through what it must refuse.
    NotInForce(String),
    /// Nobody can tell: the API server did not answer, or something else refused first.
    Unclear(String),
}

impl Seen {
    /// The worse of two.
    pub(super) fn and(self, other: Seen) -> Seen {
        match (self, other) {
            (not @ Seen::NotInForce(_), _) | (_, not @ Seen::NotInForce(_)) => not,
            (unclear @ Seen::Unclear(_), _) | (_, unclear @ Seen::Unclear(_)) => unclear,
            (Seen::InForce, Seen::InForce) => Seen::InForce,
        }
    }
}

/// Whether a refusal of a change of a binding says that the policy about bindings cost more to evaluate than the API server allows. Its
/// words are those of `k8s.io/apiserver/pkg/cel` and of cel-go.
pub(crate) fn ran_out(refusal: &str) -> bool {
    is_ours(refusal) && (refusal.contains("cost limit exceeded") || refusal.contains("out of cost budget"))
}

/// Whether a change of a binding was refused by the policy about bindings.
pub(crate) fn is_ours(refusal: &str) -> bool {
    refusal.contains(&format!("ValidatingAdmissionPolicy '{}'", Policy::Bindings.name()))
}
