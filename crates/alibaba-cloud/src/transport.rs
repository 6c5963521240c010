//! Sends one HTTP request and reads its whole answer, bounded in time and size. No retries, no redirects, no URLs in
//! errors.

use std::{error::Error, time::Duration};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::{
    answer::{self, DecodeError, WIRE_LIMIT},
    endpoint::is_loopback,
    error::ErrorKind,
    invalid::SettingsError,
};

/// The shared HTTP clients.
#[derive(Clone)]
pub(crate) struct Transport {
    /// Follows the process's proxy settings.
    outside: reqwest::Client,
    /// For loopback hosts and the metadata service, which no proxy can reach for us.
    direct: reqwest::Client,
}

/// An answer of whatever status, decompressed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// There is no whole answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<String>,
}

impl Transport {
    pub(crate) fn new(user_agent: &str, connect_timeout: Duration) -> Result<Self, SettingsError> {
        // reqwest panics without one.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SettingsError::NoTlsProvider);
        }
        let builder = || {
            reqwest::Client::builder()
                .user_agent(user_agent)
                .connect_timeout(connect_timeout)
                .pool_idle_timeout(Duration::from_secs(30))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                // What may be repeated is decided in one place, and that is not here.
                .retry(reqwest::retry::never())
        };
        let failed = |error: reqwest::Error| SettingsError::HttpClient(chain(&error.without_url()));
        Ok(Transport {
            outside: builder().build().map_err(failed)?,
            direct: builder().no_proxy().build().map_err(failed)?,
        })
    }

    /// Sends `request`, whose URI says where to connect and whose `Host` may say otherwise.
    ///
    /// `timeout` covers everything from the connection to the last byte of the body.
    pub(crate) async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<Answer, NoAnswer> {
        let plain = request.uri().scheme_str() == Some("http");
        let direct = plain || request.uri().host().is_some_and(is_loopback);
        let mut request = reqwest::Request::try_from(request).map_err(no_answer)?;
        *request.timeout_mut() = Some(timeout);
        let client = if direct { &self.direct } else { &self.outside };
        let mut response = client.execute(request).await.map_err(no_answer)?;

        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let seen = |mut error: NoAnswer| {
            error.status = Some(status);
            error.request_id = answer::request_id(&headers);
            error
        };
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| seen(no_answer(error)))? {
            if body.len() + chunk.len() > WIRE_LIMIT {
                return Err(seen(undecodable(&DecodeError::TooLarge)));
            }
            body.extend_from_slice(&chunk);
        }
        let body = answer::decompress(&headers, body.freeze()).map_err(|error| seen(undecodable(&error)))?;
        Ok(Answer { status, headers, body })
    }
}

fn no_answer(error: reqwest::Error) -> NoAnswer {
    let kind = match () {
        () if error.is_timeout() => ErrorKind::TimedOut,
        () if error.is_builder() => ErrorKind::Rejected,
        () => ErrorKind::Connection,
    };
    NoAnswer {
        kind,
        message: chain(&error.without_url()),
        status: None,
        request_id: None,
    }
}

fn undecodable(error: &DecodeError) -> NoAnswer {
    NoAnswer {
        kind: ErrorKind::Malformed,
        message: error.to_string(),
        status: None,
        request_id: None,
    }
}

/// An error and its sources, joined by colons, each said once; without those that only say that there is one.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    let says_nothing = |text: &str| text == "error sending request" || text == "client error (SendRequest)";
    while let Some(next) = source.filter(|_| says_nothing(&text)) {
        text = next.to_string();
        source = next.source();
    }
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
