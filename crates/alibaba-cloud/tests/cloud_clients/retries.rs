//! What is repeated, when, and what never is.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use alibaba_cloud::ErrorKind;

use crate::server::{Reply, Server, assert_clean_error, connect, reply, uid, user};

#[tokio::test]
async fn a_failed_read_is_repeated_with_a_new_nonce() {
    let server = Server::start([
        reply(503, r#"{"Code":"ServiceUnavailable"}"#),
        Reply::Cut,
        reply(502, ""),
        user(),
    ])
    .await;
    let found = server.cloud().ims.get_user(uid()).await.unwrap().unwrap();
    assert_eq!(found.name, "leaver");
    let seen = server.take();
    assert_eq!(seen.len(), 4);
    let nonces: HashSet<&String> = seen
        .iter()
        .map(|request| &request.headers["x-acs-signature-nonce"])
        .collect();
    assert_eq!(nonces.len(), 4);
}

#[tokio::test]
async fn tries_are_limited() {
    let server = Server::start(vec![reply(503, ""); 10]).await;
    let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.status, server.count()),
        (ErrorKind::Server, Some(503), 4)
    );
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_the_service_says() {
    let throttled = reply(400, r#"{"Code":"Throttling.User","Message":"slow down"}"#);
    let server = Server::start([throttled.with("x-ratelimit-user-api", "Remain:0,TimeLeft:150"), user()]).await;
    let start = Instant::now();
    assert!(server.cloud().ims.get_user(uid()).await.unwrap().is_some());
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_hint_past_the_deadline_is_reported_not_waited_for() {
    let server = Server::start([reply(429, r#"{"Code":"Throttling"}"#).with("retry-after", "50")]).await;
    let mut settings = server.settings();
    settings.timeouts.overall = Duration::from_secs(20);
    let error = connect(&settings).ims.get_user(uid()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry_after),
        (ErrorKind::Throttled, Some(Duration::from_secs(50)))
    );
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let server = Server::start([reply(
        403,
        r#"{"Code":"NoPermission","Message":"no","RequestId":"R-1"}"#,
    )])
    .await;
    let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.request_id.as_deref(), server.count()),
        (ErrorKind::Forbidden, Some("R-1"), 1)
    );
    assert_eq!(
        error.to_string(),
        "IMS GetUser (user 259083957089437690): forbidden: NoPermission: no (HTTP 403, request R-1)"
    );
}

#[tokio::test]
async fn silence_ends_in_time() {
    let server = Server::start(vec![Reply::Silence; 4]).await;
    let mut settings = server.settings();
    settings.timeouts.attempt = Duration::from_millis(500);
    settings.timeouts.tries = 2;
    let error = connect(&settings).ims.get_user(uid()).await.unwrap_err();
    assert_eq!((error.kind, server.count()), (ErrorKind::TimedOut, 2));
    assert_clean_error(&error);
}

#[tokio::test]
async fn the_purge_is_sent_once_whatever_happens() {
    let throttled = reply(429, r#"{"code":"Throttling"}"#).with("retry-after", "1");
    let expired = reply(400, r#"{"code":"InvalidSecurityToken.Expired"}"#);
    for (bad, kind) in [
        (reply(503, r#"{"code":"ServiceUnavailable"}"#), ErrorKind::Server),
        (Reply::Cut, ErrorKind::Connection),
        (Reply::Silence, ErrorKind::TimedOut),
        (throttled, ErrorKind::Throttled),
        (expired, ErrorKind::Credentials),
        (reply(200, "<html>"), ErrorKind::Malformed),
        (
            reply(400, r#"{"code":"Simulated.Active","message":"active"}"#),
            ErrorKind::Rejected,
        ),
    ] {
        let server = Server::start([bad]).await;
        let mut settings = server.settings();
        if kind == ErrorKind::TimedOut {
            settings.timeouts.purge = Duration::from_millis(500);
        }
        let error = connect(&settings)
            .ack
            .clean_cluster_user_permissions("c1", uid(), false)
            .await
            .unwrap_err();
        assert_eq!((error.kind, server.count()), (kind, 1), "{error}");
    }
}

#[tokio::test]
async fn the_purge_is_done_with_any_empty_answer() {
    for body in ["", "{}", "\n"] {
        let server = Server::start([reply(200, body)]).await;
        server
            .cloud()
            .ack
            .clean_cluster_user_permissions("c1", uid(), true)
            .await
            .unwrap();
        let seen = server.take();
        assert_eq!(
            seen[0].line,
            "DELETE /cluster/c1/user/259083957089437690/permissions?Force=true HTTP/1.1"
        );
        assert_eq!(seen[0].headers["x-acs-action"], "CleanClusterUserPermissions");
    }
}

#[tokio::test]
async fn any_error_that_says_when_to_come_back_is_throttling() {
    for refusal in [
        reply(403, r#"{"Code":"NoPermission","Message":"no"}"#),
        reply(400, r#"{"Code":"NobodyKnowsThis"}"#),
        reply(404, r#"{"Code":"EntityNotExist.User"}"#),
        reply(409, "<html>"),
    ] {
        let throttled = refusal.clone().with("x-acs-retry-after", "20");
        let server = Server::start([throttled, user()]).await;
        let start = Instant::now();
        assert!(server.cloud().ims.get_user(uid()).await.unwrap().is_some());
        assert!(start.elapsed() >= Duration::from_millis(20));

        // Nothing, and less than nothing, asks for nothing.
        for nothing in ["0", "-5", "soon"] {
            let server = Server::start([refusal.clone().with("x-acs-retry-after", nothing)]).await;
            let kind = server.cloud().ims.get_user(uid()).await.map_err(|error| error.kind);
            assert_ne!(kind.err(), Some(ErrorKind::Throttled));
            assert_eq!(server.count(), 1);
        }
    }
}

#[tokio::test]
async fn the_purge_reports_when_to_come_back_and_no_later_than_in_a_minute() {
    for (header, wait) in [("1500", 1500), ("3600000", 60_000)] {
        let refused = reply(400, r#"{"code":"NobodyKnowsThis"}"#).with("x-acs-retry-after", header);
        let server = Server::start([refused]).await;
        let purge = server.cloud().ack;
        let error = purge
            .clean_cluster_user_permissions("c1", uid(), false)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.retry_after, server.count()),
            (ErrorKind::Throttled, Some(Duration::from_millis(wait)), 1)
        );
    }
}

#[tokio::test]
async fn the_purge_tells_what_is_known_of_acks_codes_from_what_is_not() {
    for (status, code, kind, is_known) in [
        (400, "ErrAuthorizationConflict", ErrorKind::Conflict, true),
        (400, "ErrorCheckAcl", ErrorKind::Forbidden, true),
        (400, "ErrorQueryCluster", ErrorKind::Server, true),
        (400, "Throttling.User", ErrorKind::Throttled, true),
        (404, "ErrorClusterNotFound", ErrorKind::ClusterNotFound, true),
        (403, "StatusForbidden", ErrorKind::Forbidden, true),
        (403, "NobodyKnowsThis", ErrorKind::Forbidden, false),
        (400, "NobodyKnowsThis", ErrorKind::Rejected, false),
    ] {
        let server = Server::start([reply(status, format!(r#"{{"code":"{code}","message":"why"}}"#))]).await;
        let purge = server.cloud().ack;
        let error = purge
            .clean_cluster_user_permissions("c1", uid(), false)
            .await
            .unwrap_err();
        assert_eq!((error.kind, error.known().is_some()), (kind, is_known), "{code}");
        assert!(
            error.has_code(code) && &*error.message == "why" && server.count() == 1,
            "{error}"
        );
    }
}
