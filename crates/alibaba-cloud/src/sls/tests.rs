use super::*;
use crate::{Cloud, CloudSettings, CredentialsSource, Environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn sls() -> Sls {
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
    Cloud::connect(&settings, Arc::new(())).unwrap().sls
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
    let mut sls = sls();
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

/// Asks for 1, 2, 3, … until it is `enough`; to ask for 7 fails, if that is.
async fn counted(enough: u32) -> Result<Result<u32, Unfinished>, &'static str> {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let ask = || async {
        match asked.fetch_add(1, Relaxed) + 1 {
            7 if enough == 7 => Err("seven"),
            number => Ok(number),
        }
    };
    sls().until_complete(ask, |number| *number == enough).await
}

#[tokio::test(start_paused = true)]
async fn a_request_is_repeated_until_its_answer_is_enough_or_the_pauses_end() {
    for (enough, expected, seconds) in [
        (1, Ok(Ok(1)), 0.0),
        (4, Ok(Ok(4)), 0.7),
        (7, Err("seven"), 6.3),
        (100, Ok(Err(Unfinished { attempts: 9 })), 22.7),
    ] {
        let start = tokio::time::Instant::now();
        assert_eq!(counted(enough).await, expected, "{enough}");
        let took = start.elapsed().as_secs_f64();
        assert!((took - seconds).abs() < 0.1, "{enough}: {took}");
    }
}
