//! Who still has access, among all these bindings: by `scan --direct`, by the operator's PermissionScan, and by ack-ram-tool where it is given.
//!
//! ```text
//! people   who exists, of those that bindings name    program  runs a program to its end, and asks the kernel what it took
//! direct   the plugin, beside a bare client           warm     the operator, by the API server's audit log
//! ram_tool ack-ram-tool on the same cluster
//! ```

mod direct;
pub(super) mod people;
mod program;
mod ram_tool;
mod warm;

pub(super) use direct::{Direct, measure as direct};
pub(super) use ram_tool::{RamTool, measure as ram_tool};
pub(super) use warm::{Warm, measure as warm};
