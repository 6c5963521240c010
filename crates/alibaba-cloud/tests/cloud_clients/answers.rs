//! Answers that are not what the API promises.

use std::io::Write;

use alibaba_cloud::ErrorKind;

use crate::server::{Reply, Server, assert_clean_error, reply, uid};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_answer_of_another_shape_is_malformed_and_says_nothing_about_the_user() {
    let whole = r#"{"User":{"UserId":"259083957089437690","UserName":"leaver"}}"#;
    let other = r#"{"User":{"UserId":"1","UserName":"other"}}"#;
    for (name, bad) in [
        ("HTML", reply(200, "<html><body>Sign in</body></html>")),
        ("HTML 404", reply(404, "<html><body>Not found</body></html>")),
        ("empty", reply(200, "")),
        ("empty 404", reply(404, "")),
        ("truncated", reply(200, &whole[..20])),
        ("another shape", reply(200, "[]")),
        ("another user", reply(200, other)),
        ("redirect", reply(302, "").with("location", "http://127.0.0.1:1/")),
        ("too large", reply(200, vec![b' '; (8 << 20) + 1])),
        (
            "gzip bomb",
            reply(200, gzip(&vec![b' '; (16 << 20) + 1])).with("content-encoding", "gzip"),
        ),
        (
            "broken gzip",
            reply(200, &gzip(whole.as_bytes())[..20]).with("content-encoding", "gzip"),
        ),
    ] {
        let server = Server::start([bad]).await;
        let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{name}: {error}");
        assert_eq!(server.count(), 1, "{name}");
        assert_clean_error(&error);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_broken_connection() {
    let server = Server::start(vec![Reply::Short; 4]).await;
    let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
    assert_eq!((error.kind, server.count()), (ErrorKind::Connection, 4));
}

#[tokio::test]
async fn a_user_who_is_not_there_is_no_error() {
    let server = Server::start([
        reply(404, r#"{"Code":"EntityNotExist.User","Message":"no such user"}"#),
        reply(404, r#"{"Code":"EntityNotExist.RecycleBinUser"}"#),
        reply(404, r#"{"Code":"InvalidAction.NotFound"}"#),
    ])
    .await;
    let ims = server.cloud().ims;
    assert_eq!(ims.get_user(uid()).await.unwrap(), None);
    assert_eq!(ims.get_user_in_recycle_bin(uid()).await.unwrap(), None);
    assert_eq!(ims.get_user(uid()).await.unwrap_err().kind, ErrorKind::Rejected);
}

/// 1 MB, or control characters, in the place of a name: cut and spelled out where they come in.
#[tokio::test]
async fn text_of_any_length_is_bounded_where_it_comes_in() {
    let long = "x".repeat(1 << 20);
    let uid_text = uid().to_string();
    let user = serde_json::json!({"User": {"UserId": uid_text, "UserName": long, "UserPrincipalName": long, "DisplayName": long}});
    let recycled = serde_json::json!({"User": {"UserId": uid_text, "UserPrincipalName": long, "RecycleDate": long}});
    let roles = serde_json::json!({"IsTruncated": false, "Roles": {"Role": [{"RoleId": long, "RoleName": "a\u{1b}b", "Arn": long}]}});
    let users = serde_json::json!({"IsTruncated": false, "Users": {"User": [{"UserId": "1", "UserName": long, "DisplayName": long}]}});
    let audit = serde_json::json!({"audit_enabled": true, "sls_project_name": long});
    let states = serde_json::json!({"page": {"total_count": 1}, "states": [{
        "cluster_id": long, "cluster_name": long, "cert_state": long, "cert_expire_time": long}]});
    let answers = [user, recycled, roles, users, audit, states];
    let server = Server::start(answers.map(|answer| reply(200, answer.to_string()))).await;
    let cloud = server.cloud();
    let mut seen = Vec::new();
    seen.push(format!("{:?}", cloud.ims.get_user(uid()).await.unwrap()));
    seen.push(format!("{:?}", cloud.ims.get_user_in_recycle_bin(uid()).await.unwrap()));
    let roles = cloud.ram.list_roles().await.unwrap();
    assert_eq!(roles[0].name, "a\\u{1b}b");
    seen.push(format!("{roles:?}"));
    seen.push(format!("{:?}", cloud.ram.list_users().await.unwrap()));
    let audit = cloud.ack.get_cluster_audit_project("c1").await.unwrap();
    let refused = cloud
        .sls
        .get_logstore(audit.project.as_deref().unwrap(), "l")
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Rejected, "what was cut is no project's name");
    seen.push(format!("{audit:?} {refused}"));
    seen.push(format!(
        "{:?}",
        cloud.ack.list_user_kubeconfig_states(uid()).await.unwrap()
    ));
    for text in seen {
        assert!(text.len() < 1500, "{} characters: {}", text.len(), &text[..200]);
    }
}

#[tokio::test]
async fn calls_beyond_the_clients_own_limit_wait_and_then_are_not_sent() {
    let user = format!(r#"{{"User":{{"UserId":"{}"}}}}"#, uid());
    let server = Server::start(vec![reply(200, user); 100]).await;
    let mut settings = server.settings();
    settings.calls_per_minute = 60;
    let cloud = alibaba_cloud::Cloud::connect(&settings, std::sync::Arc::new(())).unwrap();
    for _ in 0..60 {
        cloud.ims.get_user(uid()).await.unwrap();
    }
    // Five more wait for their turns, a second apart; the next would wait for longer.
    let all = (0..10).map(|_| {
        let ims = cloud.ims.clone();
        async move { ims.get_user(uid()).await }
    });
    let outcomes = futures::future::join_all(all).await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!((4..=5).contains(&refused.len()), "{refused:?}");
    for error in refused {
        assert_eq!(error.kind, ErrorKind::Budget);
        assert!(error.to_string().contains("limit of 60 calls a minute"), "{error}");
        assert!(error.retry_after.is_some_and(|wait| wait.as_secs() >= 5));
        assert_clean_error(&error);
    }
    assert!((65..=66).contains(&server.count()));
    // Whose credentials these are is asked all the same.
    assert_ne!(
        cloud.sts.get_caller_identity().await.unwrap_err().kind,
        ErrorKind::Budget
    );
}

#[tokio::test]
async fn what_an_answer_leaves_out_or_sets_to_null_is_no_dead_end_where_that_is_safe() {
    let server = Server::start([
        reply(200, r#"{"sls_project_name":"k8s-log-c1"}"#),
        reply(200, r#"{"audit_enabled":null,"sls_project_name":"k8s-log-c1"}"#),
        reply(200, r#"{"audit_enabled":false,"sls_project_name":null}"#),
        reply(200, "{}"),
        reply(200, r#"[{"resource_id":"c1","resource_type":null,"role_type":"admin","role_name":null,"is_owner":null},{"resource_id":null,"role_type":"admin"}]"#),
    ])
    .await;
    let ack = server.cloud().ack;
    for _ in 0..2 {
        let audit = ack.get_cluster_audit_project("c1").await.unwrap();
        assert_eq!((audit.enabled, audit.project.as_deref()), (true, Some("k8s-log-c1")));
    }
    let audit = ack.get_cluster_audit_project("c1").await.unwrap();
    assert_eq!((audit.enabled, audit.project), (false, None));
    let error = ack.get_cluster_audit_project("c1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed, "it says nothing at all");
    let grants = ack.describe_user_permission(uid()).await.unwrap();
    let administers: Vec<bool> = grants.iter().map(|grant| grant.is_administrator_of("c1")).collect();
    assert_eq!(administers, [true, false]);
}
