//! A proxy in front of the API server or of the cloud. It can kill the operator right after the upstream carried a
//! request out, and before the operator hears of it: the worst moment there is. And it can let something happen right before a
//! request arrives, between two requests of the operator.

use crate::cluster::Cluster;
use anyhow::Context;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

/// Where the proxy passes requests on to.
#[derive(Clone)]
pub enum Upstream {
    /// Plain HTTP.
    Http(SocketAddr),
    /// TLS, verified by this certificate authority (PEM).
    Https(SocketAddr, String),
}

impl Upstream {
    /// The cluster's API server.
    ///
    /// # Errors
    /// When its URL is not an address.
    pub fn api_server(cluster: &Cluster) -> anyhow::Result<Upstream> {
        let url: Uri = cluster.url().parse()?;
        let address = url.authority().context("the API server's URL has no address")?;
        Ok(Upstream::Https(address.as_str().parse()?, cluster.ca_pem()))
    }
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is passed on.
    Relay,
    /// The connection is cut instead.
    Swallow,
    /// In its place comes what an API server says whose history does not go back so far: 410.
    Expire,
}

/// Asked about each answer before it is passed on.
pub type Judge = Arc<dyn Fn(&Method, &Uri, StatusCode) -> Verdict + Send + Sync>;

/// Done before a request is passed on, which waits for it.
pub type Before = Arc<dyn Fn(&Method, &Uri, &Bytes) -> BoxFuture<'static, ()> + Send + Sync>;

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one on a free loopback port.
    ///
    /// # Errors
    /// When there is no port, or the certificate authority cannot be read.
    pub async fn start(upstream: Upstream, judge: Judge) -> anyhow::Result<Proxy> {
        Proxy::begin(upstream, Arc::new(|_, _, _| Box::pin(async {})), judge).await
    }

    /// Starts one that relays every answer, and does something before each request.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn stepping_in(upstream: Upstream, before: Before) -> anyhow::Result<Proxy> {
        Proxy::begin(upstream, before, Arc::new(|_, _, _| Verdict::Relay)).await
    }

    async fn begin(upstream: Upstream, before: Before, judge: Judge) -> anyhow::Result<Proxy> {
        let tls = match &upstream {
            Upstream::Http(_) => None,
            Upstream::Https(_, ca) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
                    roots.add(certificate?)?;
                }
                let config = ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Some(TlsConnector::from(Arc::new(config)))
            }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, tls) = (upstream.clone(), tls.clone());
                let (before, judge) = (before.clone(), judge.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (upstream, tls) = (upstream.clone(), tls.clone());
                        let (before, judge) = (before.clone(), judge.clone());
                        async move { pass_on(request, &upstream, tls.as_ref(), &before, &judge).await }
                    });
                    // An error is what a swallowed answer looks like from here.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Proxy { address, task })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(
    request: Request<Incoming>,
    upstream: &Upstream,
    tls: Option<&TlsConnector>,
    before: &Before,
    judge: &Judge,
) -> anyhow::Result<Response<BoxBody<Bytes, hyper::Error>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (method, uri) = (head.method.clone(), head.uri.clone());
    before(&method, &uri, &body).await;
    // The Host header stays: it is signed.
    let request = Request::from_parts(head, Full::new(body));
    let response = match (upstream, tls) {
        (Upstream::Https(address, _), Some(tls)) => {
            let name = ServerName::IpAddress(address.ip().into());
            send(tls.connect(name, TcpStream::connect(address).await?).await?, request).await
        }
        (Upstream::Http(address) | Upstream::Https(address, _), _) => {
            send(TcpStream::connect(address).await?, request).await
        }
    }
    .with_context(|| format!("{method} {uri}"))?;
    match judge(&method, &uri, response.status()) {
        Verdict::Relay => Ok(response.map(|body| body.boxed())),
        Verdict::Expire => {
            let status = serde_json::json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                "message": "too old resource version",
            });
            let body = Full::from(status.to_string()).map_err(|never| match never {}).boxed();
            let answer = Response::builder().status(StatusCode::GONE);
            Ok(answer.header("content-type", "application/json").body(body)?)
        }
        Verdict::Swallow => anyhow::bail!("the answer to {method} {uri} is swallowed"),
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
