//! Lists are whole, or an error.

use alibaba_cloud::{ErrorKind, ack::CertState};

use crate::server::{Reply, Server, reply, uid};

fn roles(ids: &[u32], truncated: bool, marker: &str) -> Reply {
    let list: Vec<String> = ids
        .iter()
        .map(|id| format!(r#"{{"RoleId":"{id}","RoleName":"r{id}","Arn":"a"}}"#))
        .collect();
    let marker = if marker.is_empty() {
        String::new()
    } else {
        format!(r#""Marker":"{marker}","#)
    };
    reply(
        200,
        format!(
            r#"{{"IsTruncated":{truncated},{marker}"Roles":{{"Role":[{}]}}}}"#,
            list.join(",")
        ),
    )
}

#[tokio::test]
async fn all_pages_of_roles_are_read() {
    let server = Server::start([
        roles(&[1, 2], true, "m+/=1"),
        roles(&[3], true, "m2"),
        roles(&[], false, ""),
    ])
    .await;
    let all = server.cloud().ram.list_roles().await.unwrap();
    assert_eq!(
        all.iter().map(|role| role.id.as_str()).collect::<Vec<_>>(),
        ["1", "2", "3"]
    );
    let seen = server.take();
    assert_eq!(seen[0].line, "POST /?MaxItems=1000 HTTP/1.1");
    assert_eq!(seen[1].line, "POST /?MaxItems=1000&Marker=m%2B%2F%3D1 HTTP/1.1");
}

#[tokio::test]
async fn a_list_of_roles_that_cannot_be_whole_is_an_error() {
    for (name, script) in [
        (
            "an empty page that is not the last",
            vec![roles(&[1], true, "m"), roles(&[], true, "n")],
        ),
        ("no marker", vec![roles(&[1], true, "")]),
        (
            "a repeated marker",
            vec![roles(&[1], true, "m"), roles(&[2], true, "n"), roles(&[3], true, "m")],
        ),
        (
            "a page that comes twice under another marker",
            vec![
                roles(&[1, 2], true, "m"),
                roles(&[1, 2], true, "n"),
                roles(&[3], false, ""),
            ],
        ),
        ("no IsTruncated", vec![reply(200, r#"{"Roles":{"Role":[]}}"#)]),
        ("no list", vec![reply(200, r#"{"IsTruncated":false}"#)]),
    ] {
        let server = Server::start(script).await;
        let error = server.cloud().ram.list_roles().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{name}: {error}");
    }
}

fn states(total: usize, clusters: std::ops::Range<usize>) -> Reply {
    let list: Vec<String> = clusters
        .map(|n| format!(r#"{{"cluster_id":"c{n}","cluster_name":"n","cert_state":"Removed"}}"#))
        .collect();
    reply(
        200,
        format!(
            r#"{{"page":{{"page_number":1,"total_count":{total}}},"states":[{}]}}"#,
            list.join(",")
        ),
    )
}

#[tokio::test]
async fn all_pages_of_kubeconfig_states_are_read_or_none() {
    let server = Server::start([states(150, 0..100), states(150, 100..150)]).await;
    let all = server.cloud().ack.list_user_kubeconfig_states(uid()).await.unwrap();
    assert_eq!(
        (all.len(), all[149].cluster_id.as_str(), all[0].cert_state),
        (150, "c149", CertState::Removed)
    );
    assert_eq!(
        server.take()[1].line,
        "GET /users/259083957089437690/kubeconfig/states?page_number=2&page_size=100 HTTP/1.1"
    );
    for script in [
        vec![states(150, 0..100), states(150, 0..0)],
        vec![states(250, 0..100), states(250, 0..100)],
        vec![states(150, 0..100), states(149, 100..149)],
        vec![reply(200, "{}")],
    ] {
        let server = Server::start(script).await;
        let error = server.cloud().ack.list_user_kubeconfig_states(uid()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
    }
}

#[tokio::test]
async fn states_that_we_do_not_know_are_unknown() {
    let list = r#"{"page":{"total_count":2},"states":[{"cluster_id":"c1","cert_state":"New"},{"cluster_id":"c2","cert_state":null}]}"#;
    let server = Server::start([
        reply(200, list),
        reply(200, r#"{"page":{"total_count":0},"states":null}"#),
    ])
    .await;
    let ack = server.cloud().ack;
    let all = ack.list_user_kubeconfig_states(uid()).await.unwrap();
    assert!(all.iter().all(|state| state.cert_state == CertState::Unknown));
    assert!(ack.list_user_kubeconfig_states(uid()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_project_is_trimmed() {
    let server = Server::start([
        reply(200, "{\"audit_enabled\":true,\"sls_project_name\":\"k8s-log-c1\\n\"}"),
        reply(200, r#"{"audit_enabled":false,"sls_project_name":""}"#),
        reply(404, r#"{"code":"ErrorClusterNotFound","message":"no","requestId":"R"}"#),
    ])
    .await;
    let ack = server.cloud().ack;
    let audit = ack.get_cluster_audit_project("c1").await.unwrap();
    assert_eq!((audit.enabled, audit.project.as_deref()), (true, Some("k8s-log-c1")));
    assert_eq!(ack.get_cluster_audit_project("c1").await.unwrap().project, None);
    assert_eq!(
        ack.get_cluster_audit_project("c1").await.unwrap_err().kind,
        ErrorKind::ClusterNotFound
    );
    assert_eq!(
        ack.get_cluster_audit_project("..").await.unwrap_err().kind,
        ErrorKind::Rejected
    );
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn without_a_total_the_states_end_with_an_empty_page_only() {
    let state = |cluster: &str| format!(r#"{{"states":[{{"cluster_id":"{cluster}","cert_state":"Unexpired"}}]}}"#);
    let pages = [
        reply(200, state("c1")),
        reply(200, state("c2")),
        reply(200, r#"{"page":{"total_count":null},"states":null}"#),
    ];
    let server = Server::start(pages).await;
    let states = server.cloud().ack.list_user_kubeconfig_states(uid()).await.unwrap();
    assert_eq!((states.len(), server.count()), (2, 3));

    // A service that does not turn the page never comes to an end.
    let server = Server::start([reply(200, state("c1")), reply(200, state("c1"))]).await;
    let error = server.cloud().ack.list_user_kubeconfig_states(uid()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn a_list_of_ram_that_does_not_say_whether_it_goes_on_is_read_by_its_marker() {
    let role = |id: usize| format!(r#"{{"RoleId":"{id}","RoleName":"r","Arn":null}}"#);
    let full: Vec<String> = (0..1000).map(role).collect();
    let whole = |body: String| async move {
        let server = Server::start([reply(200, body)]).await;
        server
            .cloud()
            .ram
            .list_roles()
            .await
            .map(|roles| roles.len())
            .map_err(|error| error.kind)
    };
    assert_eq!(whole(format!(r#"{{"Roles":{{"Role":[{}]}}}}"#, role(1))).await, Ok(1));
    for empty in ["{}", r#"{"Role":null}"#] {
        assert_eq!(
            whole(format!(r#"{{"IsTruncated":false,"Roles":{empty}}}"#)).await,
            Ok(0)
        );
    }
    for nothing in [
        "{}",
        r#"{"IsTruncated":false}"#,
        r#"{"IsTruncated":false,"Roles":null}"#,
    ] {
        assert_eq!(whole(nothing.to_owned()).await, Err(ErrorKind::Malformed), "{nothing}");
    }
    let full = format!(r#"{{"Roles":{{"Role":[{}]}}}}"#, full.join(","));
    assert_eq!(
        whole(full).await,
        Err(ErrorKind::Malformed),
        "whether it is all, nobody can tell"
    );

    let first = format!(r#"{{"Marker":"m","Roles":{{"Role":[{}]}}}}"#, role(1));
    let second = format!(r#"{{"Roles":{{"Role":[{}]}}}}"#, role(2));
    let server = Server::start([reply(200, first), reply(200, second)]).await;
    assert_eq!(server.cloud().ram.list_roles().await.unwrap().len(), 2);
    assert!(server.take()[1].line.contains("Marker=m"));
}
