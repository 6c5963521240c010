use super::*;
use crate::{Cloud, CloudSettings, CredentialsSource, Environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[test]
fn a_field_is_a_column_unless_the_index_keeps_it_without_analytics() {
    let raw = serde_json::json!({
        "line": {"token": [","]},
        "keys": {
            "on": {"type": "text", "doc_value": true},
            "off": {"type": "text", "doc_value": false},
            "unsaid": {"type": "text"},
            "number": {"type": "long", "doc_value": true},
            "user": {"type": "json", "json_keys": {
                "username": {"type": "text", "doc_value": true}, "uid": {"type": "text", "doc_value": false},
            }},
        },
    });
    let index = read_index(&serde_json::from_value(raw).unwrap());
    for (field, expected) in [
        ("on", true),
        ("off", false),
        ("unsaid", true),
        ("number", false),
        ("user.username", true),
        ("user.uid", false),
        ("full text only", false),
    ] {
        assert_eq!(index.analyses_text(field), expected, "{field}");
    }
    assert!(index.finds_text("off"), "it is searched all the same");
}

/// Answers as SLS does to whoever asks for the host `serves`, and cuts the connection of everybody else. Who was asked for, in order.
async fn hosts_asked(serves: &'static str, other: Option<&str>) -> (Vec<Result<(), ErrorKind>>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let host = head
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap_or_default();
            log.lock().unwrap().push(host.to_owned());
            if host == format!("p.{serves}") {
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{\"ttl\":1}";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut settings = CloudSettings {
        credentials: CredentialsSource::Env,
        environment: Environment::from_iter([
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ak"),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret"),
        ]),
        ..CloudSettings::new("cn-hangzhou")
    };
    settings.timeouts.tries = 1;
    let mut sls = Cloud::connect(&settings, std::sync::Arc::new(())).unwrap().sls;
    sls.endpoint = SlsEndpoint::of("first", other, &url);
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(sls.get_logstore("p", "l").await.map(drop).map_err(|error| error.kind));
    }
    let asked = asked.lock().unwrap().clone();
    (outcomes, asked)
}

#[tokio::test]
async fn where_one_name_of_the_service_gives_no_connection_the_other_is_asked_and_kept() {
    let lost = Err(ErrorKind::Connection);
    for (serves, other, outcomes, asked) in [
        ("first", Some("second"), [Ok(()); 2], vec!["p.first", "p.first"]),
        (
            "second",
            Some("second"),
            [Ok(()); 2],
            vec!["p.first", "p.second", "p.second"],
        ),
        (
            "neither",
            Some("second"),
            [lost; 2],
            vec!["p.first", "p.second", "p.first", "p.second"],
        ),
        ("second", None, [lost; 2], vec!["p.first", "p.first"]),
    ] {
        let found = hosts_asked(serves, other).await;
        assert_eq!(found.0, outcomes, "{serves} {other:?}");
        assert_eq!(found.1, asked, "{serves} {other:?}");
    }
}
