//! The local cluster behaves as the tests that use it assume.
#![allow(missing_docs)]
use ack_offboarding_e2e::cluster::{Cluster, Options};

#[tokio::test]
async fn starts() {
    let t = std::time::Instant::now();
    let cluster = Cluster::start(Options::default()).await.unwrap();
    eprintln!("up in {:?} {}", t.elapsed(), cluster.jwks().await.unwrap());
}
