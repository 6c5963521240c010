//! HTTP and HTTPS on loopback.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming as Body};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::dispatch::{Outcome, State};
use super::message::{Incoming, Reply, decode_query};

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulator cuts the connection")]
struct Cut;

/// Takes an address, which must be on loopback unless it is said otherwise: nothing here is meant for a network.
pub(crate) fn bind(address: SocketAddr, beyond_loopback: bool) -> anyhow::Result<TcpListener> {
    ensure!(
        beyond_loopback || address.ip().is_loopback(),
        "the simulator listens on loopback only, not on {address}"
    );
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            match tls {
                None => connection(stream, state).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => connection(stream, state).await,
                    Err(error) => tracing::debug!("TLS: {error}"),
                },
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move {
            match state.handle(read(request).await.map_err(|_| Cut)?).await {
                Outcome::Answer(reply) => Ok(whole(reply)),
                Outcome::Truncated(reply) => Ok(half(reply)),
                Outcome::Cut => Err(Cut),
            }
        }
    });
    if let Err(error) = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!("connection: {error}");
    }
}

async fn read(request: Request<Body>) -> Result<Incoming, hyper::Error> {
    let (head, body) = request.into_parts();
    let mut incoming = Incoming {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: decode_query(head.uri.query().unwrap_or("")),
        ..Incoming::default()
    };
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let entry = incoming.headers.entry(name.as_str().to_owned()).or_default();
        *entry = if entry.is_empty() {
            value.into_owned()
        } else {
            format!("{entry},{value}")
        };
    }
    incoming.body = body.collect().await?.to_bytes().to_vec();
    Ok(incoming)
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

fn whole(reply: Reply) -> Answer {
    let body = Full::new(Bytes::from(reply.body.clone()))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    answer(&reply, body)
}

/// Announces the whole length, sends half of it, and fails.
fn half(reply: Reply) -> Answer {
    let half = Bytes::copy_from_slice(&reply.body[..reply.body.len() / 2]);
    let cut = async {
        // hyper sends what it has when it has to wait for more; without a pause the client would not even get the head.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Err(io::Error::other("truncated on purpose"))
    };
    let frames = stream::once(async { Ok(Frame::data(half)) }).chain(stream::once(cut));
    let mut response = answer(&reply, StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, reply.body.len().into());
    response
}

fn answer(reply: &Reply, body: UnsyncBoxBody<Bytes, io::Error>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &reply.headers {
        // A value that HTTP cannot carry is left out; the simulator makes none.
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}
