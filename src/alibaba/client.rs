//! Where every call goes through: built, signed, sent, retried where that is safe, and its answer read.

use std::{fmt, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header, request::Parts};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, SignRequest};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    answer::{self, Complaint},
    credentials::Credentials,
    endpoints::Endpoint,
    error::{ApiError, ErrorKind, Service, classify, clean},
    settings::Timeouts,
    sign::{
        acs3::{self, Acs3Signer},
        percent_encode, sha256_hex,
        sls4::{self, Sls4Signer},
    },
    transport::{Answer, NoAnswer, Transport},
};

/// The longest wait between tries, but for a service's own hint.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Sends calls. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    credentials: Credentials,
    sls4: Sls4Signer,
    timeouts: Timeouts,
}

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
            request_id: answer::request_id(&answer.headers).map(|id| clean(&id, &[])),
            ..self.error(ErrorKind::Malformed, message)
        }
    }

    /// Reads a JSON answer.
    pub(crate) fn json<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ApiError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let start = answer.body.trim_ascii_start();
            let what = match start.first() {
                None => "it is empty".to_owned(),
                Some(b'<') => "it is HTML or XML, where JSON is expected; is this the service's endpoint?".to_owned(),
                Some(_) if error.is_eof() => "it breaks off".to_owned(),
                Some(_) => error.to_string(),
            };
            self.malformed(answer, &what)
        })
    }

    fn parts(&self) -> Result<Parts, ApiError> {
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
        target: clean(target, &[]),
        kind,
        status: None,
        code: None,
        message: clean(message, &[]),
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

/// A path of these segments, each percent-encoded; none for a segment that could not be one (empty, or `.` and `..`, which URLs resolve).
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

impl Client {
    pub(crate) fn new(transport: Transport, credentials: Credentials, region: &str, timeouts: Timeouts) -> Self {
        Client(Arc::new(Inner {
            transport,
            credentials,
            sls4: Sls4Signer::new(region),
            timeouts,
        }))
    }

    /// Makes the call; its answer has a 2xx status.
    ///
    /// A call that is safe to repeat is repeated, with a new date and nonce, when it may succeed the next time ([`ApiError::is_retryable`]), after
    /// an exponential delay with jitter or the service's hint, whichever is longer, as long as tries and the overall deadline last; and
    /// once with other credentials when those used were not accepted.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        let timeouts = &self.0.timeouts;
        let deadline = Instant::now() + timeouts.overall;
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(timeouts.first_delay)
            .with_max_delay(LONGEST_DELAY.max(timeouts.first_delay))
            .with_max_times(timeouts.tries.saturating_sub(1) as usize)
            .with_jitter()
            .build();
        let mut renewed = false;
        loop {
            let error = match self.within(deadline, call, self.0.credentials.get()).await {
                Err(error) => error,
                Ok(credential) => match self.within(deadline, call, self.attempt(call, &credential)).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) if call.repeat == Repeat::Never => {
                        if is_rejected(&error) {
                            self.0.credentials.forget(&credential);
                        }
                        return Err(error);
                    }
                    Err(error) if is_rejected(&error) && !renewed => {
                        renewed = true;
                        match self.within(deadline, call, self.0.credentials.renew(&credential)).await {
                            Ok(Some(_)) => continue,
                            Ok(None) => return Err(error),
                            Err(error) => error,
                        }
                    }
                    Err(error) => error,
                },
            };
            if !error.is_retryable() {
                return Err(error);
            }
            let Some(delay) = delays.next() else { return Err(error) };
            let delay = delay.max(error.retry_after.unwrap_or_default());
            if Instant::now() + delay >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, ?delay, "trying again");
            sleep(delay).await;
        }
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        call: &Call,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let late = |_| {
            Err(call.error(
                ErrorKind::TimedOut,
                &format!("not done after {:?}", self.0.timeouts.overall),
            ))
        };
        timeout_at(deadline, work).await.unwrap_or_else(late)
    }

    async fn attempt(&self, call: &Call, credential: &Credential) -> Result<Answer, ApiError> {
        let mut parts = call.parts()?;
        let context = Context::new();
        let signed = if call.service == Service::Sls {
            self.0
                .sls4
                .sign_request(&context, &mut parts, Some(credential), None)
                .await
        } else {
            Acs3Signer
                .sign_request(&context, &mut parts, Some(credential), None)
                .await
        };
        signed.map_err(|error| {
            let about_credentials = error.kind() == reqsign_core::ErrorKind::CredentialInvalid;
            call.error(
                if about_credentials {
                    ErrorKind::Credentials
                } else {
                    ErrorKind::Rejected
                },
                &error.to_string(),
            )
        })?;
        let authorization = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let signature = authorization
            .and_then(|text| text.rsplit_once("Signature="))
            .map(|(_, text)| text.to_owned());
        let token = credential.security_token.as_deref().unwrap_or_default();
        let secrets = [
            credential.access_key_secret.as_str(),
            token,
            signature.as_deref().unwrap_or_default(),
        ];

        let timeout = if call.repeat == Repeat::Never {
            self.0.timeouts.purge
        } else {
            self.0.timeouts.attempt
        };
        let request = Request::from_parts(parts, call.body.clone().unwrap_or_default());
        let started = Instant::now();
        let outcome = self.0.transport.send(request, timeout).await;
        let elapsed = started.elapsed();
        match outcome {
            Ok(answer) => {
                tracing::debug!(service = %call.service, call.operation, answer.status, ?elapsed, "called");
                judge(call, answer, &secrets)
            }
            Err(NoAnswer {
                kind,
                message,
                status,
                request_id,
            }) => Err(ApiError {
                status,
                message: clean(&message, &secrets),
                request_id: request_id.map(|id| clean(&id, &secrets)),
                ..call.error(kind, "")
            }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}

fn judge(call: &Call, answer: Answer, secrets: &[&str]) -> Result<Answer, ApiError> {
    match answer.status {
        200..=299 => return Ok(answer),
        100..=399 => return Err(call.malformed(&answer, "it leads elsewhere, as no API of the service does")),
        _ => {}
    }
    let said = Complaint::read(&answer.headers, &answer.body);
    let message = said.message.unwrap_or_default();
    let kind = classify(call.service, answer.status, said.code.as_deref(), &message);
    let message = match (&said.code, kind) {
        (None, ErrorKind::Malformed) => clean(
            "it is no error message of the service; is this the service's endpoint?",
            &[],
        ),
        // These quote what was signed, and nothing else of use.
        (Some(code), _) if code.starts_with("Signature") => {
            "the service computes another signature; is the access key's secret right?".into()
        }
        _ => clean(&message, secrets),
    };
    Err(ApiError {
        status: Some(answer.status),
        code: said.code.map(|code| clean(&code, secrets)),
        message,
        request_id: said.request_id.map(|id| clean(&id, secrets)),
        retry_after: answer::retry_hint(&answer.headers)
            .filter(|_| matches!(kind, ErrorKind::Throttled | ErrorKind::Server)),
        ..call.error(kind, "")
    })
}

/// Whether the service did not accept the credentials as such, so that others may do.
fn is_rejected(error: &ApiError) -> bool {
    let clock = |code: &str| {
        code.starts_with("InvalidTimeStamp") || code == "RequestTimeExpired" || code == "SignatureNonceUsed"
    };
    error.kind == ErrorKind::Credentials && error.status.is_some() && !error.code.as_deref().is_some_and(clock)
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
