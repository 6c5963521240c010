//! What the scenarios share.

use ack_offboarding_e2e::{
    cluster::{Options, pool},
    stage::{OperatorOptions, Stage},
};

/// A stage on a cluster of the pool.
pub(crate) type TestStage = Stage<pool::Lease>;

/// A stage without the operator.
pub(crate) async fn stage() -> TestStage {
    let cluster = pool::acquire(Options::default()).await.expect("a cluster");
    Stage::set(cluster).await.expect("a stage")
}

/// A stage with the operator running.
pub(crate) async fn running() -> TestStage {
    let mut stage = stage().await;
    stage.start_operator(&OperatorOptions::default()).await.expect("the operator");
    stage
}
