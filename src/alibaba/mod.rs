//! Thin clients of the Alibaba Cloud APIs that the operator calls. Knows no Kubernetes.

pub mod sign;
