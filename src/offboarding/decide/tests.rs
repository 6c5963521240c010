//! Table tests of the gates.
