//! Who still has access: one whole listing of each source, put together by UID.
//!
//! ```text
//! gather ─▶ listings (whole, or nobody is called deleted) ─▶ classify ─▶ findings ─▶ confirm ─▶ report ─▶ proposals
//! asks      pure                                              pure        pure        asks       pure      pure
//! ```
//!
//! Nothing here changes anything but [`propose`], which creates UserOffboardings that wait for approval.

mod ack_opinion;
mod classify;
mod confirm;
pub mod direct;
mod findings;
mod gather;
mod holdings;
mod identity;
mod known;
mod last_seen;
mod listings;
pub(crate) mod proposals;
pub(crate) mod propose;
pub(crate) mod report;
mod result;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trouble;
pub(crate) mod watched;

pub(crate) use gather::Sources;
pub(crate) use result::ScanResult;
pub(crate) use trouble::Trouble;

use crate::api::PermissionScanSpec;
use k8s_openapi::jiff::Timestamp;

/// Looks at everything once. What it costs: one barrier read, one listing of each kind, and two look-ups for each deleted identity that
/// is shown.
///
/// # Errors
/// When a source does not answer, or a listing is not whole: nothing is known then, and least of all who is deleted.
pub(crate) async fn scan(
    sources: Sources<'_>,
    spec: &PermissionScanSpec,
    now: Timestamp,
) -> Result<ScanResult, Trouble> {
    let seen = gather::gather(sources, now, spec.dormant_days).await?;
    let mut result = result::assemble(&seen, spec.include, spec.dormant_days, now);
    confirm::confirm(sources.account, &mut result).await?;
    Ok(result)
}
