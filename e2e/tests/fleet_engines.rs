//! Argo CD, Open Cluster Management and Karmada take the manifests of `docs/fleet`, and read the states as its page says: `e2e/fleet`, in Go,
//! with their own code.

#[test]
fn fleet_engines_read_the_states_as_they_should() {
    ack_offboarding_e2e::go::test_unvetted("fleet");
}
