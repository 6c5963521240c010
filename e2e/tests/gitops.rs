//! Flux, Helm and Argo CD read the states as they should: `e2e/gitops`, in Go, as kstatus is, and the interpreter that Argo CD has.

#[test]
fn gitops_tools_read_the_states_as_they_should() {
    ack_offboarding_e2e::go::test("gitops");
}
