//! One call of one operation: its request, and how its answer is read.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header, request::Parts};
use serde::de::DeserializeOwned;

use super::{
    answer,
    classify::redact,
    endpoint::Endpoint,
    error::{ApiError, ErrorKind, Service},
    sign::{acs3, percent_encode, sha256_hex, sls4},
    transport::Answer,
};

/// Whether a call may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only reads.
    Safe,
    /// It has an effect: sent once, whatever happens.
    Never,
}

/// One call of one operation.
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: &'static str,
    /// For people, as in `cluster c1`.
    pub(crate) target: String,
    pub(crate) method: Method,
    pub(crate) connect: Endpoint,
    /// The `Host`, which is signed.
    pub(crate) host: String,
    /// Percent-encoded, from [`path`].
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    /// JSON.
    pub(crate) body: Option<Bytes>,
    pub(crate) repeat: Repeat,
}

impl Call {
    /// A call of an RPC-style API: everything is in the query, and the operation's name in a header.
    pub(crate) fn rpc(
        service: Service,
        operation: &'static str,
        connect: &Endpoint,
        query: Vec<(&'static str, String)>,
    ) -> Self {
        Call {
            query,
            ..Call::at(
                service,
                operation,
                Method::POST,
                connect,
                connect.host_header(),
                "/".into(),
            )
        }
    }

    /// A call of a path.
    pub(crate) fn at(
        service: Service,
        operation: &'static str,
        method: Method,
        connect: &Endpoint,
        host: String,
        path: String,
    ) -> Self {
        Call {
            service,
            operation,
            target: String::new(),
            method,
            connect: connect.clone(),
            host,
            path,
            query: Vec::new(),
            body: None,
            repeat: Repeat::Safe,
        }
    }

    pub(crate) fn on(mut self, target: String) -> Self {
        self.target = target;
        self
    }

    /// An error of this call.
    pub(crate) fn error(&self, kind: ErrorKind, message: &str) -> ApiError {
        failure(self.service, self.operation, &self.target, kind, message)
    }

    /// The error of an answer that is not what the API promises.
    pub(crate) fn malformed(&self, answer: &Answer, message: &str) -> ApiError {
        ApiError {
            status: Some(answer.status),
            request_id: answer::request_id(&answer.headers).map(|id| redact(&id, &[])),
            ..self.error(ErrorKind::Malformed, message)
        }
    }

    /// Reads a JSON answer.
    pub(crate) fn json<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ApiError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let what = match no_json(&answer.body) {
                Some(what) => what.to_owned(),
                None if error.is_eof() => "it is cut off".to_owned(),
                None => error.to_string(),
            };
            self.malformed(answer, &what)
        })
    }

    /// The head of the request, complete but for what the signer adds. Made anew for each try.
    pub(crate) fn parts(&self) -> Result<Parts, ApiError> {
        let query: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let uri = format!("{}{}{mark}{}", self.connect.url(), self.path, query.join("&"));
        let hash = sha256_hex(self.body.as_deref().unwrap_or_default());
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, "application/json");
        if self.service == Service::Sls {
            request = request
                .header(sls4::CONTENT_SHA256, hash)
                .header(HeaderName::from_static("x-log-apiversion"), "0.6.0")
                .header(
                    HeaderName::from_static("x-log-bodyrawsize"),
                    self.body.as_ref().map_or(0, Bytes::len),
                );
            if self.body.is_some() {
                request = request.header(header::CONTENT_TYPE, "application/json");
            }
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        } else {
            request = request
                .header(acs3::CONTENT_SHA256, hash)
                .header(HeaderName::from_static("x-acs-action"), self.operation)
                .header(HeaderName::from_static("x-acs-version"), version(self.service));
            if self.body.is_some() {
                request = request.header(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json; charset=utf-8"),
                );
            }
        }
        let request = request
            .body(())
            .map_err(|error| self.error(ErrorKind::Rejected, &error.to_string()))?;
        Ok(request.into_parts().0)
    }
}

/// What a body is that does not even begin as JSON.
pub(crate) fn no_json(body: &[u8]) -> Option<&'static str> {
    match body.trim_ascii_start().first() {
        None => Some("it is empty"),
        Some(b'<') => Some("it is HTML or XML instead of JSON"),
        Some(_) => None,
    }
}

/// An error without an answer.
pub(crate) fn failure(
    service: Service,
    operation: &'static str,
    target: &str,
    kind: ErrorKind,
    message: &str,
) -> ApiError {
    ApiError {
        service,
        operation,
        target: redact(target, &[]),
        kind,
        status: None,
        code: None,
        message: redact(message, &[]),
        request_id: None,
        retry_after: None,
    }
}

fn version(service: Service) -> &'static str {
    match service {
        Service::Sts => "2015-04-01",
        Service::Ims => "2019-08-15",
        Service::Ram => "2015-05-01",
        Service::Ack => "2015-12-15",
        Service::Sls => "0.6.0",
    }
}

/// A path of these segments, each percent-encoded; none for a segment that could not be one (empty, or `.` and `..`,
/// which URLs resolve).
pub(crate) fn path<const N: usize>(segments: [&str; N]) -> Option<String> {
    let bad = |segment: &&str| matches!(*segment, "" | "." | "..");
    if segments.iter().any(bad) {
        return None;
    }
    Some(
        segments
            .iter()
            .map(|segment| format!("/{}", percent_encode(segment)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_and_cannot_climb() {
        assert_eq!(path(["cluster", "c1", "user", "2"]).unwrap(), "/cluster/c1/user/2");
        assert_eq!(path(["a b/c", "~*"]).unwrap(), "/a%20b%2Fc/~%2A");
        for bad in ["", ".", ".."] {
            assert_eq!(path(["clusters", bad, "audit"]), None);
        }
    }
}
