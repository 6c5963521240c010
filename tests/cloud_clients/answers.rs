//! Answers that are not what the API promises.

use std::io::Write;

use ack_offboarding_operator::alibaba::ErrorKind;

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
        let error = server.cloud().ims.get_user(&uid()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{name}: {error}");
        assert_eq!(server.count(), 1, "{name}");
        assert_clean_error(&error);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_broken_connection() {
    let server = Server::start(vec![Reply::Short; 4]).await;
    let error = server.cloud().ims.get_user(&uid()).await.unwrap_err();
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
    assert_eq!(ims.get_user(&uid()).await.unwrap(), None);
    assert_eq!(ims.get_user_in_recycle_bin(&uid()).await.unwrap(), None);
    assert_eq!(ims.get_user(&uid()).await.unwrap_err().kind, ErrorKind::Rejected);
}
