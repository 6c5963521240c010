//! Simple Log Service: its host, its signature, what it says.

use ack_offboarding_operator::alibaba::{
    ErrorKind,
    sign::sls4::Sls4Signer,
    sls::{LogQuery, Progress},
};
use reqsign_core::{Context, SignRequest};

use crate::{
    answers::gzip,
    server::{SECRET, Server, TOKEN, reply},
};

fn query() -> LogQuery {
    LogQuery {
        from: 1,
        to: 2,
        query: "user.username: 1".into(),
        line: 100,
        offset: 0,
        reverse: true,
    }
}

#[tokio::test]
async fn sls_is_signed_for_the_projects_host_wherever_it_connects() {
    let logs = r#"{"meta":{"count":1,"progress":"Complete"},"data":[{"__time__":"7","verb":"get","n":1}]}"#;
    let server = Server::start([reply(200, gzip(logs.as_bytes())).with("x-log-compresstype", "gzip")]).await;
    let found = server
        .cloud()
        .sls
        .get_logs("k8s-log-c1", "audit-c1", &query())
        .await
        .unwrap();
    assert!(found.complete);
    assert_eq!(
        (found.rows[0]["verb"].as_str(), found.rows[0]["n"].as_i64()),
        (Some("get"), Some(1)),
        "a value stays what it is"
    );
    let seen = server.take();
    let headers = &seen[0].headers;
    assert_eq!(seen[0].line, "POST /logstores/audit-c1/logs HTTP/1.1");
    assert_eq!(headers["host"], "k8s-log-c1.cn-hangzhou.log.aliyuncs.com");
    assert_eq!(headers["accept-encoding"], "gzip");
    assert_eq!(headers["x-log-bodyrawsize"], seen[0].body.len().to_string());
    assert!(headers["authorization"].contains("/cn-hangzhou/sls/aliyun_v4_request,Signature="));
    assert_eq!(
        seen[0].body,
        r#"{"from":1,"to":2,"query":"user.username: 1","line":100,"offset":0,"reverse":true}"#
    );

    // The signature is that of this host: the same head, signed here, has it too.
    let mut request = http::Request::post("https://anywhere.invalid/logstores/audit-c1/logs");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "authorization") {
        request = request.header(name, value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let credential = reqsign_aliyun_oss::Credential {
        access_key_id: "testak".into(),
        access_key_secret: SECRET.into(),
        security_token: Some(TOKEN.into()),
        expires_in: None,
    };
    Sls4Signer::new("cn-hangzhou")
        .sign_request(&Context::new(), &mut parts, Some(&credential), None)
        .await
        .unwrap();
    assert_eq!(parts.headers["authorization"], headers["authorization"].as_str());
}

#[tokio::test]
async fn what_sls_says_is_read() {
    let server = Server::start([
        reply(200, r#"{"logstoreName":"l","ttl":30,"createTime":1700000000}"#),
        reply(200, r#"{"ttl":7,"lastModifyTime":1700000001,"line":{"token":[]},"keys":{"user.username":{"type":"text"}}}"#),
        reply(404, r#"{"errorCode":"IndexConfigNotExist","errorMessage":"index config doesn't exist"}"#),
        reply(200, r#"[{"from":1,"to":2,"count":3,"progress":"Complete"}]"#).with("x-log-progress", "Complete"),
        reply(200, r#"[{"from":1,"to":2,"count":3,"progress":"Incomplete"}]"#).with("x-log-progress", "Complete"),
        reply(200, r#"{"meta":{"count":0,"progress":"Incomplete"},"data":[]}"#),
        reply(200, r#"{"meta":{"count":0,"progress":"Complete"},"data":null}"#),
        reply(200, r#"{"meta":{"count":50,"progress":"Complete"},"data":[{"__time__":"1"}]}"#),
        reply(200, r#"{"meta":{"count":0},"data":[]}"#),
        reply(404, r#"{"errorCode":"LogStoreNotExist","errorMessage":"no"}"#).with("x-log-requestid", "R"),
        reply(400, r#"{"errorCode":"ParameterInvalid","errorMessage":"key (user.username) is not config as key value config"}"#),
        reply(401, r#"{"errorCode":"Unauthorized","errorMessage":"denied by sts or ram, action: log:GetLogStoreLogs"}"#),
    ])
    .await;
    let sls = server.cloud().sls;
    let logstore = sls.get_logstore("p", "l").await.unwrap();
    assert_eq!((logstore.ttl_days, logstore.created_at), (30, 1_700_000_000));
    let index = sls.get_index("p", "l").await.unwrap().unwrap();
    assert!(index.full_text && index.keys.contains("user.username"));
    assert_eq!(index.changed_at, Some(1_700_000_001));
    assert_eq!(sls.get_index("p", "l").await.unwrap(), None);
    assert_eq!(
        sls.get_histograms("p", "l", 1, 2, "*").await.unwrap().progress,
        Progress::Complete
    );
    assert_eq!(
        sls.get_histograms("p", "l", 1, 2, "").await.unwrap().progress,
        Progress::Incomplete
    );
    assert!(!sls.get_logs("p", "l", &query()).await.unwrap().complete);
    assert!(sls.get_logs("p", "l", &query()).await.unwrap().rows.is_empty());
    assert_eq!(
        sls.get_logs("p", "l", &query()).await.unwrap_err().kind,
        ErrorKind::Malformed
    );
    assert_eq!(
        sls.get_logs("p", "l", &query()).await.unwrap_err().kind,
        ErrorKind::Malformed
    );
    let missing = sls.get_logs("p", "l", &query()).await.unwrap_err();
    assert_eq!(
        (missing.kind, missing.request_id.as_deref()),
        (ErrorKind::NotFound, Some("R"))
    );
    assert!(sls.get_logs("p", "l", &query()).await.unwrap_err().is_unindexed_field());
    assert_eq!(
        sls.get_logs("p", "l", &query()).await.unwrap_err().kind,
        ErrorKind::Forbidden
    );
    assert_eq!(
        server.take()[3].line,
        "GET /logstores/l?type=histogram&from=1&to=2&query=%2A HTTP/1.1"
    );
}

#[tokio::test]
async fn a_field_can_be_searched_for_a_name_only_if_its_index_is_of_type_text() {
    let index = |body: &'static str| async move {
        let server = Server::start([reply(200, body)]).await;
        server.cloud().sls.get_index("p", "l").await.unwrap().unwrap()
    };
    let long =
        index(r#"{"line":{"token":[]},"keys":{"user.username":{"type":"long"},"verb":{"type":"text"},"x":{}}}"#).await;
    assert_eq!(long.keys.iter().collect::<Vec<_>>(), ["verb"]);
    assert_eq!(long.other_types["user.username"], "long");
    assert_eq!(long.other_types["x"], "unknown");
    assert!(long.full_text);
    let nested =
        index(r#"{"keys":{"user":{"type":"json","json_keys":{"username":{"type":"text"},"n":{"type":"long"}}}}}"#)
            .await;
    assert_eq!(nested.keys.iter().collect::<Vec<_>>(), ["user.username"]);
    assert_eq!(nested.other_types["user.n"], "long");
    for narrowed in [
        r#"{"line":{"token":[],"exclude_keys":["user.username"]}}"#,
        r#"{"line":{"token":[],"include_keys":["verb"]}}"#,
        r#"{"line":null}"#,
    ] {
        assert!(!index(narrowed).await.full_text, "{narrowed}");
    }
    assert!(index(r#"{"line":{"token":[],"exclude_keys":[]}}"#).await.full_text);
}

#[tokio::test]
async fn a_project_that_is_no_host_label_is_never_asked() {
    let server = Server::start([]).await;
    for project in ["", "a.b", "evil.invalid/", "a@b", "-a", "A"] {
        let error = server.cloud().sls.get_logstore(project, "l").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{project}");
    }
    assert_eq!(server.count(), 0);
}
