//! Proves that the admission policies of the chart are in force, before anything is changed.
//!
//! RBAC alone lets the operator do more than it does: `bind` on every role, `delete` on every binding. The policies take that away
//! again, and they are objects that somebody can delete or weaken. So the operator tries what they must refuse, as a dry run, on its
//! own two barrier bindings and a reserved name; and it reads each policy and its binding, and compares them with the ones that it
//! was built with. A refusal by RBAC, by a webhook or by another policy proves nothing.

mod built_in;
mod policy;
mod probes;
mod prover;

pub(crate) use policy::{Policy, Seen, is_ours, ran_out};
pub(crate) use prover::{Failure, Proof, Prover, QUICK_FOR};

use self::{
    built_in::compare,
    probes::{try_backups, try_bindings},
};
use crate::rbac::barrier_bindings::BarrierNames;
use kube::Client;

/// Looks at the policies. It changes nothing.
#[derive(Clone)]
pub struct Policies {
    client: Client,
    barrier: BarrierNames,
    approval: bool,
}

impl Policies {
    /// For the operator whose barrier bindings these are; `approval`: whether the approval policy must be in force.
    pub fn new(client: Client, barrier: BarrierNames, approval: bool) -> Self {
        Policies {
            client,
            barrier,
            approval,
        }
    }

    /// Looks at the policy that must be in force before anything is proposed: nobody but the operator is held by it.
    pub async fn look_at_proposals(&self) -> Seen {
        compare(&self.client, &self.barrier.namespace, Policy::Proposals).await
    }

    /// Looks at each policy that must be in force before anything is removed.
    pub async fn look(&self) -> Vec<(Policy, Seen)> {
        let (client, namespace) = (&self.client, self.barrier.namespace.as_str());
        let approval = async {
            match self.approval {
                true => Some(compare(client, namespace, Policy::Approval).await),
                false => None,
            }
        };
        let (bindings, tried, backups, probed, approval) = tokio::join!(
            compare(client, namespace, Policy::Bindings),
            try_bindings(client, &self.barrier),
            compare(client, namespace, Policy::Backups),
            try_backups(client, namespace),
            approval
        );
        let mut seen = vec![
            (Policy::Bindings, bindings.and(tried)),
            (Policy::Backups, backups.and(probed)),
        ];
        seen.extend(approval.map(|approval| (Policy::Approval, approval)));
        seen
    }
}
