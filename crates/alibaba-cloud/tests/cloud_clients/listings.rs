//! Lists of users, and of a cluster's kubeconfigs.

use alibaba_cloud::{
    ApiError, ErrorKind,
    ack::{AccountState, AccountType, CertState},
    ims::UserStatus,
};

use crate::server::{Reply, Server, reply};

/// A page of IMS's users or of its recycle bin.
fn users(uids: &[u32], truncated: bool, marker: &str) -> Reply {
    let list: Vec<String> = uids
        .iter()
        .map(|uid| {
            format!(r#"{{"UserId":"{uid}","UserPrincipalName":"u{uid}@example.onaliyun.com","DisplayName":null}}"#)
        })
        .collect();
    reply(
        200,
        format!(
            r#"{{"IsTruncated":{truncated},"Marker":"{marker}","Users":{{"User":[{}]}}}}"#,
            list.join(",")
        ),
    )
}

#[tokio::test]
async fn users_of_each_status_and_of_the_recycle_bin_are_listed_to_the_end() {
    let pages = || [users(&[1, 2], true, "m+/=1"), users(&[3], false, "")];
    let server = Server::start(pages().into_iter().chain(pages()).chain(pages())).await;
    let ims = server.cloud().ims;
    let mut found = Vec::new();
    for status in [UserStatus::Active, UserStatus::Frozen] {
        let all = ims.list_users(status).await.unwrap();
        assert!(
            all.iter()
                .all(|user| user.status == status && user.display_name.is_empty())
        );
        found.push(
            all.into_iter()
                .map(|user| (user.uid.to_string(), user.name))
                .collect::<Vec<_>>(),
        );
    }
    let recycled = ims.list_users_in_recycle_bin().await.unwrap();
    found.push(
        recycled
            .iter()
            .map(|user| (user.uid.to_string(), user.name().to_owned()))
            .collect(),
    );
    let expected = ["1", "2", "3"].map(|uid| (uid.to_owned(), format!("u{uid}")));
    assert_eq!(found, [expected.clone(), expected.clone(), expected]);
    let lines: Vec<_> = server.take().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            "POST /?Status=active&MaxItems=1000 HTTP/1.1",
            "POST /?Status=active&MaxItems=1000&Marker=m%2B%2F%3D1 HTTP/1.1",
            "POST /?Status=freeze&MaxItems=1000 HTTP/1.1",
            "POST /?Status=freeze&MaxItems=1000&Marker=m%2B%2F%3D1 HTTP/1.1",
            "POST /?MaxItems=100 HTTP/1.1",
            "POST /?MaxItems=100&Marker=m%2B%2F%3D1 HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn a_list_of_users_that_cannot_be_whole_is_an_error() {
    let faults = [
        (
            "an empty page that is not the last",
            vec![users(&[1], true, "m"), users(&[], true, "n")],
        ),
        ("no marker", vec![users(&[1], true, "")]),
        (
            "a repeated marker",
            vec![users(&[1], true, "m"), users(&[2], true, "m")],
        ),
        (
            "a page that comes twice",
            vec![users(&[1, 2], true, "m"), users(&[1, 2], true, "n")],
        ),
        ("no IsTruncated", vec![reply(200, r#"{"Users":{"User":[]}}"#)]),
        ("no list", vec![reply(200, r#"{"IsTruncated":false}"#)]),
        (
            "a UID that is none",
            vec![reply(
                200,
                r#"{"IsTruncated":false,"Users":{"User":[{"UserId":"07"}]}}"#,
            )],
        ),
        (
            "no UID",
            vec![reply(
                200,
                r#"{"IsTruncated":false,"Users":{"User":[{"UserName":"x"}]}}"#,
            )],
        ),
    ];
    for (name, script) in faults {
        let server = Server::start(script.iter().cloned().chain(script.clone())).await;
        let ims = server.cloud().ims;
        let errors = [
            ims.list_users(UserStatus::Active).await.unwrap_err(),
            ims.list_users_in_recycle_bin().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, ErrorKind::Malformed, "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn what_a_list_says_of_a_users_status_counts() {
    let user = |(n, status): (usize, &str)| format!(r#"{{"UserId":"1{n}","UserPrincipalName":"u","Status":{status}}}"#);
    let statuses = ["null", r#""freeze""#, r#""active""#, r#""something new""#];
    let list: Vec<String> = statuses.into_iter().enumerate().map(user).collect();
    let body = format!(r#"{{"IsTruncated":false,"Users":{{"User":[{}]}}}}"#, list.join(","));
    let server = Server::start([reply(200, body)]).await;
    let all = server.cloud().ims.list_users(UserStatus::Active).await.unwrap();
    use UserStatus::{Active, Frozen};
    assert_eq!(
        all.iter().map(|user| user.status).collect::<Vec<_>>(),
        [Active, Frozen, Active, Active]
    );
}

fn account_states(total: Option<usize>, accounts: std::ops::Range<usize>) -> Reply {
    let list: Vec<String> = accounts
        .map(|n| {
            format!(
                r#"{{"account_id":"{n}","account_name":"n{n}","account_type":"RamUser","account_state":"Deleted","cert_state":"Unexpired","cert_expire_time":"2029-01-01T00:00:00Z","revokable":true}}"#
            )
        })
        .collect();
    let total = total.map_or("null".to_owned(), |total| total.to_string());
    let list = list.join(",");
    reply(
        200,
        format!(r#"{{"page":{{"total_count":{total}}},"states":[{list}]}}"#),
    )
}

#[tokio::test]
async fn all_kubeconfigs_of_a_cluster_are_listed_or_none() {
    let server = Server::start([account_states(Some(70), 1..51), account_states(Some(70), 51..71)]).await;
    let all = server.cloud().ack.list_cluster_kubeconfig_states("c1").await.unwrap();
    let last = all.last().unwrap();
    assert_eq!(
        (all.len(), last.account_id.as_str(), last.account_name.as_str()),
        (70, "70", "n70")
    );
    assert_eq!(
        (last.account_type, last.account_state),
        (AccountType::RamUser, AccountState::Deleted)
    );
    assert_eq!((last.cert_state, last.revokable), (CertState::Unexpired, true));
    assert_eq!(last.expires_at.as_deref(), Some("2029-01-01T00:00:00Z"));
    let lines: Vec<_> = server.take().into_iter().map(|seen| seen.line).collect();
    let line = |number: usize| {
        format!(
            "GET /clusters/c1/kubeconfig/states?cloudServiceKubeConfig=false&pageNumber={number}&pageSize=50 HTTP/1.1"
        )
    };
    assert_eq!(lines, [line(1), line(2)]);

    let whole = |script: Vec<Reply>| async move {
        let server = Server::start(script).await;
        let ack = server.cloud().ack;
        let read: Result<_, ApiError> = ack.list_cluster_kubeconfig_states("c1").await;
        read.map(|all| all.len()).map_err(|error| error.kind)
    };
    for (name, script) in [
        (
            "an empty page",
            vec![account_states(Some(70), 1..51), account_states(Some(70), 0..0)],
        ),
        (
            "a page twice",
            vec![account_states(Some(120), 1..51), account_states(Some(120), 1..51)],
        ),
        (
            "a page twice, another between",
            vec![
                account_states(Some(150), 1..51),
                account_states(Some(150), 51..101),
                account_states(Some(150), 1..51),
            ],
        ),
        (
            "pages that overlap",
            vec![account_states(Some(70), 1..51), account_states(Some(70), 50..70)],
        ),
        (
            "a total that changes",
            vec![account_states(Some(70), 1..51), account_states(Some(69), 51..70)],
        ),
        (
            "a total that goes away",
            vec![account_states(Some(70), 1..51), account_states(None, 51..71)],
        ),
        ("no list", vec![reply(200, "{}")]),
        (
            "an account without an ID",
            vec![reply(
                200,
                r#"{"page":{"total_count":1},"states":[{"account_name":"n"}]}"#,
            )],
        ),
    ] {
        assert_eq!(whole(script).await, Err(ErrorKind::Malformed), "{name}");
    }
    let open_end = vec![
        account_states(None, 1..51),
        account_states(None, 51..71),
        account_states(None, 0..0),
    ];
    assert_eq!(
        whole(open_end).await,
        Ok(70),
        "without a total, an empty page is the end"
    );
    assert_eq!(whole(vec![account_states(Some(0), 0..0)]).await, Ok(0));
}

#[tokio::test]
async fn nobody_is_called_deleted_by_a_state_that_we_do_not_know() {
    let state = |n: usize, state: &str| format!(r#"{{"account_id":"{n}","account_state":{state}}}"#);
    let states = [
        r#""Active""#,
        r#""InActive""#,
        r#""Deleted""#,
        r#""deleted""#,
        r#""Gone""#,
        "null",
    ];
    let list: Vec<String> = states.iter().enumerate().map(|(n, text)| state(n, text)).collect();
    let server = Server::start([reply(
        200,
        format!(r#"{{"page":{{"total_count":6}},"states":[{}]}}"#, list.join(",")),
    )])
    .await;
    let all = server.cloud().ack.list_cluster_kubeconfig_states("c1").await.unwrap();
    use AccountState::{Active, Deleted, InActive, Unknown};
    assert_eq!(
        all.iter().map(|state| state.account_state).collect::<Vec<_>>(),
        [Active, InActive, Deleted, Unknown, Unknown, Unknown]
    );
    let other = |state: &alibaba_cloud::ack::ClusterKubeconfigState| {
        (state.account_type, state.cert_state, state.revokable) == (AccountType::Unknown, CertState::Unknown, false)
    };
    assert!(all.iter().all(other));
}
