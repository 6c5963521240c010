//! How the credential sources reach files and the network.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use percent_encoding::percent_decode_str;
use reqsign_core::{Error, FileRead, HttpSend, Result};
use serde_json::Value;

use crate::{
    answer::{self, Complaint},
    call::no_json,
    classify::{classify, redact},
    endpoint::Endpoint,
    error::{ASSUME_ROLE, ApiError, ErrorKind, Service},
    sign::acs3::nonce,
    transport::{Answer, Transport},
};

/// The largest credentials file that is read.
const FILE_LIMIT: u64 = 1 << 20;

/// Reads small files, anew each time, and names them in errors.
#[derive(Debug)]
pub(super) struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let cannot = |error: std::io::Error| Error::config_invalid(format!("cannot read {path}: {error}"));
        let size = tokio::fs::metadata(path).await.map_err(cannot)?.len();
        if size > FILE_LIMIT {
            return Err(Error::config_invalid(format!(
                "cannot read {path}: it has {size} bytes"
            )));
        }
        let content = tokio::fs::read(path).await.map_err(cannot)?;
        if content.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::config_invalid(format!("cannot use {path}: it is empty")));
        }
        Ok(content)
    }
}

/// Sends the sources' requests over the shared client.
///
/// The OIDC source builds `GET /?…&OIDCToken=<token>`: here the token moves to the form body of a POST, so that no URL
/// holds it (the API takes either). What STS answers is checked here, so that no error can quote it: errors carry an
/// [`ApiError`] as their source.
pub(super) struct Exchange {
    transport: Transport,
    sts: Endpoint,
    timeout: Duration,
}

impl Exchange {
    pub(super) fn new(transport: Transport, sts: Endpoint, timeout: Duration) -> Self {
        Exchange {
            transport,
            sts,
            timeout,
        }
    }

    async fn assume_role(&self, mut request: Request<Bytes>, query: &str) -> Result<Response<Bytes>> {
        let (secret, open): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("OIDCToken="));
        let token = secret.concat();
        let uri = format!("{}/?{}&SignatureNonce={}", self.sts.url(), open.join("&"), nonce()?);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.parse()?;
        *request.body_mut() = Bytes::from(token.clone());

        let token = token.trim_start_matches("OIDCToken=");
        let decoded = percent_decode_str(token).decode_utf8_lossy();
        let failed = |kind, status, said: Complaint, retry_after| {
            let said_message = said.message.unwrap_or_default();
            attach(ApiError {
                service: Service::Sts,
                operation: ASSUME_ROLE,
                target: Box::default(),
                kind,
                status,
                code: said.code.map(|code| redact(&code, &[token, &decoded])),
                message: redact(&said_message, &[token, &decoded]),
                request_id: said.request_id.map(|id| redact(&id, &[])),
                retry_after,
            })
        };
        let answer = self.transport.send(request, self.timeout).await.map_err(|error| {
            let said = Complaint {
                message: Some(error.message),
                request_id: error.request_id,
                code: None,
            };
            failed(error.kind, error.status, said, None)
        })?;
        if answer.status != 200 {
            let said = Complaint::read(&answer.headers, &answer.body);
            let asks_to_wait = answer::retry_after(&answer.headers).is_some();
            let kind = classify(Service::Sts, answer.status, said.code.as_deref(), "", asks_to_wait);
            let hint = answer::retry_hint(&answer.headers).filter(|_| kind == ErrorKind::Throttled);
            return Err(failed(kind, Some(answer.status), said, hint));
        }
        if !has_credentials(&answer.body) {
            let said = Complaint {
                code: None,
                message: Some(no_json(&answer.body).unwrap_or("it contains no credentials").into()),
                request_id: answer::request_id(&answer.headers),
            };
            return Err(failed(ErrorKind::Malformed, Some(200), said, None));
        }
        respond(answer)
    }
}

impl HttpSend for Exchange {
    async fn http_send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        if query.split('&').any(|pair| pair == "Action=AssumeRoleWithOIDC") {
            request
                .headers_mut()
                .insert(header::HOST, self.sts.host_header().parse()?);
            return self.assume_role(request, &query).await;
        }
        let answer = self.transport.send(request, self.timeout).await.map_err(|error| {
            attach(ApiError {
                service: Service::Sts,
                operation: "credentials",
                target: Box::default(),
                kind: error.kind,
                status: error.status,
                code: None,
                message: redact(&error.message, &[]),
                request_id: None,
                retry_after: None,
            })
        })?;
        respond(answer)
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("sts", &self.sts.url())
            .finish_non_exhaustive()
    }
}

fn attach(error: ApiError) -> Error {
    Error::unexpected(error.to_string()).with_source(error)
}

fn respond(answer: Answer) -> Result<Response<Bytes>> {
    let mut response = Response::builder().status(answer.status).body(answer.body)?;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// Whether an answer of AssumeRoleWithOIDC is complete: four non-empty strings, and a time among them.
fn has_credentials(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let part = |name: &str| {
        body.get("Credentials")
            .and_then(|parts| parts.get(name))
            .and_then(Value::as_str)
    };
    ["AccessKeyId", "AccessKeySecret", "SecurityToken"]
        .iter()
        .all(|name| part(name).is_some_and(|text| !text.is_empty()))
        && part("Expiration").is_some_and(|text| text.parse::<reqsign_core::time::Timestamp>().is_ok())
}
