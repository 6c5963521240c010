//! Starts the operator.

use crate::{
    cluster,
    env::{OperatorOptions, OwnEnv},
    screen::Screen,
};
use std::time::Duration;

/// Starts the operator as Kubernetes would: with its own ServiceAccount's token. It looks again each second instead of each hour.
pub(super) async fn start_operator(env: &mut OwnEnv, screen: &Screen) -> anyhow::Result<()> {
    let step = screen.step("Starting the operator", "a second");
    env.start_operator(&OperatorOptions::default()).await?;
    let up = cluster::eventually("the operator's index", Duration::from_secs(60), async || {
        let ended = env.operator()?.try_wait()?;
        anyhow::ensure!(ended.is_none(), "the operator ended: {}", env.operator_log());
        Ok(env.operator_log().contains("the index is complete").then_some(()))
    });
    up.await?;
    step.done(screen, "its index of all bindings is complete");
    Ok(())
}
