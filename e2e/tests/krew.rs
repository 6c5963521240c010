//! The plugin's manifest keeps Krew's rules, and Krew installs the release's archives: `e2e/krew`, in Go, as Krew is.

#[test]
fn krew_takes_the_manifest_and_installs_the_archives() {
    ack_offboarding_e2e::go::test("krew");
}
