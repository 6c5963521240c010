//! What the chart does not let the operator's real token do: each is tried, and refused by the real API server.

use ack_offboarding_e2e::refusals;

use super::{LEAVER, bind_view, cluster_with_operator};

#[tokio::test]
async fn everything_else_is_refused() {
    let (cluster, operator) = cluster_with_operator().await;
    bind_view(&cluster, refusals::SHARED, &["stays", LEAVER]).await;
    let outcomes = refusals::try_all(&operator, LEAVER).await;
    assert!(outcomes.len() >= 25);
    for outcome in outcomes {
        outcome
            .refused
            .unwrap_or_else(|error| panic!("{}: {error}", outcome.what));
    }
    let shared = super::people::role_binding(&cluster, "team-a", refusals::SHARED).await;
    assert_eq!(
        shared.subjects.map(|subjects| subjects.len()),
        Some(2),
        "nothing came of it"
    );
}
