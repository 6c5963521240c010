//! A server that answers from a script, and what the tests share.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use alibaba_cloud::{
    ApiError, Cloud, CloudSettings, CredentialsSource, EndpointOverrides, Environment, Network, Timeouts, Uid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) const SECRET: &str = "the-secret-of-the-key";
pub(crate) const TOKEN: &str = "the-security-token/+==";
pub(crate) const OIDC: &str = "eyJhbGciOi.the-oidc-token.c2ln";

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Reply {
    Http {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Closes the connection without an answer.
    Cut,
    /// Promises a longer body than it sends.
    Short,
    /// Never answers.
    Silence,
}

pub(crate) fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Http {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

impl Reply {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Reply::Http { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

/// A request as it was received; header names in lower case.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers from the script, one request a connection; past its end, with a 400 that no test expects.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<VecDeque<Reply>>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), script.clone()));
            }
        });
        Server { url, seen }
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn cloud(&self) -> Cloud {
        connect(&self.settings())
    }

    pub(crate) fn settings(&self) -> CloudSettings {
        let url = || Some(self.url.clone());
        let keys = [
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "testak"),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET),
            ("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN),
        ];
        CloudSettings {
            network: Network::Public,
            endpoints: EndpointOverrides {
                sts: url(),
                ims: url(),
                ram: url(),
                ack: url(),
                sls: url(),
            },
            credentials: CredentialsSource::Env,
            environment: Environment::from_iter(keys),
            timeouts: Timeouts {
                first_delay: Duration::from_millis(1),
                ..Timeouts::default()
            },
            ..CloudSettings::new("cn-hangzhou")
        }
    }
}

pub(crate) fn connect(settings: &CloudSettings) -> Cloud {
    // Fails if another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Cloud::connect(settings, Arc::new(())).unwrap()
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, script: Arc<Mutex<VecDeque<Reply>>>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse::<usize>().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap();
    let next = {
        let mut seen = seen.lock().unwrap();
        seen.push(Seen { line, headers, body });
        script.lock().unwrap().pop_front()
    };
    match next.unwrap_or_else(|| reply(400, r#"{"code":"Simulated.Unscripted"}"#)) {
        Reply::Cut => {}
        Reply::Silence => std::future::pending().await,
        Reply::Short => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"User\":")
                .await;
        }
        Reply::Http { status, headers, body } => {
            let mut head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(b"\r\n").await;
            let _ = stream.write_all(&body).await;
        }
    }
}

pub(crate) fn uid() -> Uid {
    "259083957089437690".parse().unwrap()
}

pub(crate) fn user() -> Reply {
    let body =
        r#"{"RequestId":"R","User":{"UserId":"259083957089437690","UserPrincipalName":"leaver@example.onaliyun.com"}}"#;
    reply(200, body)
}

/// No text that leaves the clients may hold a secret.
pub(crate) fn assert_clean(text: &str) {
    for secret in [
        SECRET,
        TOKEN,
        OIDC,
        "the-security-token",
        "the-oidc-token",
        "Signature=",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

pub(crate) fn assert_clean_error(error: &ApiError) {
    assert_clean(&error.to_string());
    assert_clean(&format!("{error:?}"));
    assert!(error.to_string().len() < 700, "{error}");
    assert!(!error.to_string().contains("http://127"), "{error}");
}
