//! The HTTP clients of the Alibaba Cloud services that the operator calls.
