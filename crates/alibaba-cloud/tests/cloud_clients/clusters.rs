//! The clusters of an account, and kubeconfigs for the caller.

use alibaba_cloud::{ErrorKind, ack::SHORTEST_MINUTES};

use crate::server::{Reply, Server, assert_clean_error, reply};

const KEY: &str = "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt";

fn clusters(total: usize, numbers: std::ops::Range<usize>) -> Reply {
    let list: Vec<String> = numbers
        .map(|n| {
            format!(r#"{{"cluster_id":"c{n}","name":"prod","region_id":"cn-beijing","state":"running","cluster_type":"ManagedKubernetes"}}"#)
        })
        .collect();
    let info = format!(r#""page_info":{{"page_number":1,"page_size":50,"total_count":{total}}}"#);
    reply(200, format!(r#"{{"clusters":[{}],{info}}}"#, list.join(",")))
}

#[tokio::test]
async fn all_pages_of_clusters_are_read_or_none() {
    let server = Server::start([clusters(60, 0..50), clusters(60, 50..60)]).await;
    let all = server.cloud().ack.describe_clusters().await.unwrap();
    let last = &all[59];
    assert_eq!(
        (all.len(), last.id.as_str(), last.region.as_str(), last.state.as_str()),
        (60, "c59", "cn-beijing", "running")
    );
    let lines: Vec<_> = server.take().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/clusters?page_number=1&page_size=50 HTTP/1.1",
            "GET /api/v1/clusters?page_number=2&page_size=50 HTTP/1.1",
        ]
    );
    let moved = r#"{"clusters":[{"cluster_id":"c0","state":"deleting"}],"page_info":{"total_count":51}}"#;
    for (name, script) in [
        ("an empty page", vec![clusters(60, 0..50), clusters(60, 0..0)]),
        ("a page twice", vec![clusters(100, 0..50), clusters(100, 0..50)]),
        ("a cluster twice", vec![clusters(51, 0..50), reply(200, moved)]),
        ("another total", vec![clusters(60, 0..50), clusters(59, 50..59)]),
        ("no list", vec![reply(200, "{}")]),
    ] {
        let server = Server::start(script).await;
        let error = server.cloud().ack.describe_clusters().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{name}: {error}");
    }
}

/// A service that holds fewer on a page than it is asked for is asked for more pages.
#[tokio::test]
async fn a_smaller_page_is_not_the_end() {
    let server = Server::start([clusters(3, 0..2), clusters(3, 2..3)]).await;
    assert_eq!(server.cloud().ack.describe_clusters().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_kubeconfig_is_asked_for_once_and_never_shown() {
    let body = format!(r#"{{"config":"users: {KEY}","expiration":"2026-01-01T00:15:00Z"}}"#);
    let server = Server::start([reply(200, body)]).await;
    let ack = server.cloud().ack;
    let issued = ack
        .describe_cluster_user_kubeconfig("c1", SHORTEST_MINUTES, true)
        .await
        .unwrap();
    assert_eq!(
        (issued.expose(), issued.expires_at.as_deref()),
        (format!("users: {KEY}").as_str(), Some("2026-01-01T00:15:00Z"))
    );
    assert!(!format!("{issued:?} {issued:#?}").contains(KEY));
    assert_eq!(
        server.take()[0].line,
        "GET /k8s/c1/user_config?PrivateIpAddress=true&TemporaryDurationMinutes=15 HTTP/1.1"
    );
    for body in [
        format!(r#"{{"config":{{"key":"{KEY}"}}}}"#),
        format!(r#"{{"config":"","note":"{KEY}"}}"#),
        format!(r#""{KEY}""#),
    ] {
        let server = Server::start([reply(200, body)]).await;
        let ack = server.cloud().ack;
        let error = ack
            .describe_cluster_user_kubeconfig("c1", SHORTEST_MINUTES, false)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
        assert_clean_error(&error);
    }
    // Each that is issued counts, so none is asked for twice.
    let server = Server::start(vec![
        reply(503, r#"{"code":"ServiceUnavailable","message":"later"}"#);
        3
    ])
    .await;
    let ack = server.cloud().ack;
    let failed = ack
        .describe_cluster_user_kubeconfig("c1", SHORTEST_MINUTES, false)
        .await;
    assert_eq!((failed.unwrap_err().kind, server.count()), (ErrorKind::Server, 1));
}
