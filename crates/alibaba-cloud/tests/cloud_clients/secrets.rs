//! No secret leaves the clients, and nothing leaves the machine in the clear.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use alibaba_cloud::{Cloud, ErrorKind, Service};
use tokio::net::TcpListener;

use crate::credentials::{FAR, assumed, caller, rrsa, token_file};
use crate::server::{OIDC, Reply, SECRET, Server, TOKEN, assert_clean, assert_clean_error, connect, reply, uid, user};

#[tokio::test]
async fn no_secret_reaches_an_error_or_a_debug_output() {
    let echo = format!("server string to sign is:POST x-acs-security-token:{TOKEN} and {SECRET}");
    for (status, code) in [
        (400, "SignatureDoesNotMatch"),
        (400, "Simulated.Echo"),
        (500, "InternalError"),
    ] {
        let body = format!(r#"{{"Code":"{code}","Message":"{echo}","RequestId":"{SECRET}"}}"#);
        let server = Server::start(vec![reply(status, body); 4]).await;
        let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
        assert_eq!((error.service, error.has_code(code)), (Service::Ims, true));
        assert_clean_error(&error);
    }
    let server = Server::start([user()]).await;
    let (settings, cloud) = (server.settings(), server.cloud());
    cloud.ims.get_user(uid()).await.unwrap();
    assert_clean(&format!("{settings:?} {cloud:?} {cloud:#?}"));
    assert!(format!("{settings:?}").contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET"));
}

#[tokio::test]
async fn plain_http_leaves_no_loopback_host() {
    let server = Server::start([]).await;
    let mut settings = server.settings();
    settings.endpoints.ram = Some("http://ram.example.com".into());
    let error = Cloud::connect(&settings, std::sync::Arc::new(()))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(r#"RAM endpoint "http://ram.example.com" cannot be used: http is allowed for loopback"#),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error_without_an_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        url: format!("http://{}", listener.local_addr().unwrap()),
        seen: Arc::default(),
    };
    drop(listener);
    let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connection);
    assert!(error.to_string().contains("refused"), "{error}");
    assert_clean_error(&error);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_reaches_a_log_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: a subscriber of one thread can miss what other tests' threads were first to log. So this
    // sees their logs too, which must be as clean.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    // Each service repeats all that it was told, and all that it could know.
    let echo = |words: &str| format!(r#"{{"Code":"Throttling","Message":"{words}"}}"#);
    let server = Server::start([
        Reply::Cut,
        reply(503, echo(OIDC)),
        assumed("k", FAR),
        reply(400, echo(&format!("{TOKEN}k {SECRET}"))),
        Reply::Cut,
        caller(),
    ])
    .await;
    let file = token_file(OIDC);
    let mut settings = rrsa(&server, file.path());
    settings.timeouts.tries = 9;
    connect(&settings).sts.get_caller_identity().await.unwrap();
    // A person's sources too: a session that is exchanged, and a program that talks.
    crate::person::speak_of_nothing().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("retrying") && text.contains("called"), "{text}");
    assert_clean(&text);
}
