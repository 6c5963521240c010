//! Prints `docs/situations.md`: `cargo situations > docs/situations.md`.

fn main() -> anyhow::Result<()> {
    print!("{}", ack_offboarding_e2e::situations::page()?);
    Ok(())
}
