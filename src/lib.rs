//! Offboards RAM users and roles from Alibaba Cloud ACK clusters.
//!
//! ```text
//!            UserOffboarding (api)                         RoleBindings, ClusterRoleBindings
//!                   │ watch                                          │ watch (rbac::watch)
//!                   ▼                                                ▼
//!   operator::controller ── wakes ──▶ offboarding ◀── who is bound? ── rbac::index
//!                                       │   ▲
//!      observe, plan, decide, back up,  │   │ rbac::barrier: is the index current?
//!      remove, verify, purge, confirm,  ▼   │
//!      report                     API server, alibaba_cloud (STS, RAM, IMS, CS, SLS)
//! ```
//!
//! Boundaries: the crate [`alibaba_cloud`] knows no Kubernetes; [`rbac`] and [`api`] know no cloud; only [`offboarding`], and [`doctor`], which checks what
//! it needs before first use, know both.

#![cfg_attr(
    not(feature = "operator"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "the plugin does not use all of it yet"
    )
)]

pub mod api;
pub mod api_message;
mod clock;
mod digest;
#[cfg(feature = "operator")]
pub mod doctor;
#[cfg(feature = "operator")]
mod events;
mod observer;
#[cfg(feature = "operator")]
pub mod offboarding;
#[cfg(feature = "operator")]
pub mod operator;
pub mod rbac;
mod request_id;
pub mod restore;
pub mod scan;
pub(crate) mod sources;
#[cfg(feature = "operator")]
mod status_writer;
mod sync;
#[cfg(test)]
mod testing;
