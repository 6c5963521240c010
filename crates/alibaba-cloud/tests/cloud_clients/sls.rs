//! Simple Log Service: its host, its signature, what it says.

use alibaba_cloud::{
    ErrorKind,
    sign::Sls4Signer,
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
    assert_eq!(
        (logstore.ttl_days, logstore.created_at),
        (Some(30), Some(1_700_000_000))
    );
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
async fn every_form_of_an_index_on_a_field_is_read() {
    let index = |body: &'static str| async move {
        let server = Server::start([reply(200, body)]).await;
        server.cloud().sls.get_index("p", "l").await.unwrap().unwrap()
    };
    for (body, finds) in [
        (r#"{"keys":{"user.username":{"type":"text"}}}"#, true),
        (
            r#"{"keys":{"user":{"type":"json","json_keys":{"username":{"type":"text"}}}}}"#,
            true,
        ),
        (
            r#"{"keys":{"user":{"type":"json","index_all":true,"max_depth":-1}}}"#,
            true,
        ),
        (
            r#"{"keys":{"user":{"type":"json","index_all":true,"max_depth":1,"json_keys":{}}}}"#,
            true,
        ),
        (r#"{"line":{"token":[],"auto_text_keys":["user.username"]}}"#, true),
        // What is left out, or is not text, finds nothing.
        (
            r#"{"keys":{"user":{"type":"json","index_all":true,"max_depth":0}}}"#,
            false,
        ),
        (r#"{"keys":{"user":{"type":"json","index_all":true}}}"#, false),
        (
            r#"{"keys":{"user":{"type":"json","index_all":false,"max_depth":-1}}}"#,
            false,
        ),
        (
            r#"{"keys":{"use":{"type":"json","index_all":true,"max_depth":-1}}}"#,
            false,
        ),
        (
            r#"{"keys":{"user":{"type":"json","index_all":true,"max_depth":-1,"json_keys":{"username":{"type":"long"}}}}}"#,
            false,
        ),
        (
            r#"{"line":{"auto_text_keys":["user.username"]},"keys":{"user.username":{"type":"long"}}}"#,
            false,
        ),
        (r#"{"line":{"token":[],"auto_key_detect":true}}"#, false),
        (r#"{"line":null,"keys":null}"#, false),
    ] {
        assert_eq!(index(body).await.finds_text("user.username"), finds, "{body}");
    }
    let deep = index(r#"{"keys":{"a":{"type":"json","index_all":true,"max_depth":2}}}"#).await;
    assert_eq!(
        ["a", "a.b", "a.b.c", "a.b.c.d"].map(|field| deep.finds_text(field)),
        [false, true, true, false]
    );
}

#[tokio::test]
async fn histograms_are_asked_at_the_documented_path_where_the_usual_one_is_not_served() {
    let buckets = || reply(200, r#"[{"from":1,"to":2,"count":3,"progress":"Complete"}]"#);
    for unserved in [
        reply(404, r#"{"errorCode":"NoSuchPath","errorMessage":"no"}"#),
        reply(405, r#"{"errorCode":"MethodNotAllowed","errorMessage":"no"}"#),
        reply(404, "<html>"),
    ] {
        let server = Server::start([unserved, buckets(), buckets()]).await;
        let sls = server.cloud().sls;
        for _ in 0..2 {
            let found = sls.get_histograms("p", "l", 1, 2, "*").await.unwrap();
            assert_eq!(found.buckets[0].count, 3);
        }
        let lines: Vec<String> = server.take().into_iter().map(|request| request.line).collect();
        let query = "type=histogram&from=1&to=2&query=%2A HTTP/1.1";
        let documented = format!("GET /logstores/l/index?{query}");
        assert_eq!(
            lines,
            [format!("GET /logstores/l?{query}"), documented.clone(), documented]
        );
    }
}

#[tokio::test]
async fn an_answer_about_the_logstore_is_no_reason_to_ask_elsewhere() {
    for (answer, kind) in [
        (reply(404, r#"{"errorCode":"LogStoreNotExist"}"#), ErrorKind::NotFound),
        (reply(400, r#"{"errorCode":"ParameterInvalid"}"#), ErrorKind::Rejected),
        (
            reply(
                401,
                r#"{"errorCode":"Unauthorized","errorMessage":"denied by sts or ram"}"#,
            ),
            ErrorKind::Forbidden,
        ),
        (reply(200, "{}"), ErrorKind::Malformed),
    ] {
        let server = Server::start([answer]).await;
        let error = server
            .cloud()
            .sls
            .get_histograms("p", "l", 1, 2, "*")
            .await
            .unwrap_err();
        assert_eq!((error.kind, server.count()), (kind, 1));
    }
}

#[tokio::test]
async fn a_logstore_that_does_not_say_its_age_is_read() {
    for (body, expected) in [
        (
            r#"{"logstoreName":"l","ttl":30,"shardCount":2}"#,
            Some((Some(30), None)),
        ),
        (
            r#"{"logstoreName":"l","ttl":null,"createTime":null}"#,
            Some((None, None)),
        ),
        (
            r#"{"logstoreName":"l","ttl":30,"createTime":7}"#,
            Some((Some(30), Some(7))),
        ),
        ("{}", None),
    ] {
        let server = Server::start([reply(200, body)]).await;
        let read = server.cloud().sls.get_logstore("p", "l").await;
        let read = read.ok().map(|logstore| (logstore.ttl_days, logstore.created_at));
        assert_eq!(read, expected, "{body}");
    }
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
