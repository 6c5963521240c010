//! Offboards RAM users and roles from Alibaba Cloud ACK clusters.
pub mod alibaba;
pub mod api;
pub mod rbac;
pub mod uid;
