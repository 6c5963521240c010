//! Where every call goes through: signed, sent, retried where that is safe, and its answer judged.

use std::{fmt, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use http::{Method, Request, header};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, SignRequest};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{
    budget::Budget,
    call::{Call, Repeat, no_json},
    classify::redact,
    credentials::Credentials,
    endpoint::Endpoint,
    error::{ApiError, ErrorKind, Service},
    observer::{CallObserver, Try},
    sign::{acs3::Acs3Signer, sls4::Sls4Signer},
    timeouts::Timeouts,
    transport::{Answer, NoAnswer, Transport},
};

/// The longest wait between tries, but for a service's own hint.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Sends calls. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    shared: Arc<Inner>,
    sls4: Sls4Signer,
}

/// What all regions share.
struct Inner {
    transport: Transport,
    credentials: Credentials,
    timeouts: Timeouts,
    budget: Budget,
    observer: Arc<dyn CallObserver>,
    state: watch::Sender<CredentialsState>,
}

/// Whether the caller's own credentials serve, as far as the calls so far tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CredentialsState {
    /// No call has been made yet.
    #[default]
    Untried,
    /// The latest call that tells was made with credentials that its service accepted.
    Usable,
    /// There were none for the latest call that tells, or they were not accepted: why.
    Unusable(Box<ApiError>),
}

impl Client {
    pub(crate) fn new(
        transport: Transport,
        credentials: Credentials,
        region: &str,
        timeouts: Timeouts,
        budget: Budget,
        observer: Arc<dyn CallObserver>,
    ) -> Self {
        let shared = Inner {
            transport,
            credentials,
            timeouts,
            budget,
            observer,
            state: watch::Sender::default(),
        };
        Client {
            shared: Arc::new(shared),
            sls4: Sls4Signer::new(region),
        }
    }

    /// The same, signing for another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Client {
            shared: self.shared.clone(),
            sls4: Sls4Signer::new(region),
        }
    }

    /// Makes the call; its answer has a 2xx status.
    ///
    /// A call that is safe to repeat is repeated, with a new date and nonce, when it may succeed the next time
    /// ([`ApiError::is_retryable`]), after an exponential delay with jitter or the service's hint, whichever is
    /// longer, as long as tries and the overall deadline last; and once with other credentials when those used were
    /// not accepted. Each of these tries is counted against the [`Budget`]; when that is spent, the call waits
    /// for a moment, or fails with [`ErrorKind::Budget`].
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        let timeouts = &self.shared.timeouts;
        let deadline = Instant::now() + timeouts.overall;
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(timeouts.first_delay)
            .with_max_delay(LONGEST_DELAY.max(timeouts.first_delay))
            .with_max_times(timeouts.tries.saturating_sub(1) as usize)
            .with_jitter()
            .build();
        let mut renewed = false;
        loop {
            self.pay(call).await?;
            let error = match self.within(deadline, call, self.shared.credentials.get()).await {
                Err(error) => {
                    self.shared.observer.has_no_credentials();
                    self.tell(CredentialsState::Unusable(Box::new(error.clone())));
                    error
                }
                Ok(credential) => match self.tried(deadline, call, &credential).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) if call.repeat == Repeat::Never => {
                        if is_rejected(&error) {
                            self.shared.credentials.forget(&credential);
                        }
                        return Err(error);
                    }
                    Err(error) if is_rejected(&error) && !renewed => {
                        renewed = true;
                        match self
                            .within(deadline, call, self.shared.credentials.renew(&credential))
                            .await
                        {
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
            tracing::debug!(%error, ?delay, "retrying");
            self.shared.observer.retried(call.service, call.operation);
            sleep(delay).await;
        }
    }

    /// Takes a try of the call out of the budget. The purge and the question who we are are free: the one is never repeated, and the
    /// other tells whether credentials serve.
    async fn pay(&self, call: &Call) -> Result<(), ApiError> {
        if call.repeat == Repeat::Never || call.service == Service::Sts {
            return Ok(());
        }
        match self.shared.budget.take(Instant::now()) {
            Ok(wait) => {
                sleep(wait).await;
                Ok(())
            }
            Err(retry_after) => Err(ApiError {
                retry_after: Some(retry_after),
                ..call.error(ErrorKind::Budget, &self.shared.budget.to_string())
            }),
        }
    }

    async fn tried(&self, deadline: Instant, call: &Call, credential: &Credential) -> Result<Answer, ApiError> {
        let started = Instant::now();
        let outcome = self.within(deadline, call, self.attempt(call, credential)).await;
        self.shared.observer.tried(&Try {
            service: call.service,
            operation: call.operation,
            error: outcome.as_ref().err(),
            took: started.elapsed(),
        });
        match &outcome {
            Err(error) if is_rejected(error) || error.is_about_the_clock() => {
                self.tell(CredentialsState::Unusable(Box::new(error.clone())));
            }
            // What is not even JSON is somebody else's: a proxy's page, say.
            Ok(answer) if no_json(&answer.body).is_none() => self.tell(CredentialsState::Usable),
            // Whoever may not do this, or asks for what is not there, is known to the service all the same.
            Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                self.tell(CredentialsState::Usable);
            }
            _ => {}
        }
        outcome
    }

    fn tell(&self, news: CredentialsState) {
        self.shared.state.send_if_modified(|state| {
            let changes = *state != news;
            *state = news;
            changes
        });
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.shared.timeouts
    }

    pub(crate) fn credentials_state(&self) -> watch::Receiver<CredentialsState> {
        self.shared.state.subscribe()
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
                &format!("no result after {:?}", self.shared.timeouts.overall),
            ))
        };
        timeout_at(deadline, work).await.unwrap_or_else(late)
    }

    /// Whether anything at all answers at an endpoint, and its URL: asked once, unsigned, and within the time for one try.
    ///
    /// # Errors
    /// When there is no answer; one that refuses is one.
    pub(crate) async fn reach(&self, service: Service, endpoint: &Endpoint, host: String) -> Result<String, ApiError> {
        let url = endpoint.url();
        let call = Call::at(service, "endpoint", Method::GET, endpoint, host, "/".to_owned()).on(url.clone());
        let request = Request::from_parts(call.parts()?, Bytes::new());
        match self.shared.transport.send(request, self.shared.timeouts.attempt).await {
            Ok(_) | Err(NoAnswer { status: Some(_), .. }) => Ok(url),
            Err(NoAnswer { kind, message, .. }) => Err(call.error(kind, &message)),
        }
    }

    async fn attempt(&self, call: &Call, credential: &Credential) -> Result<Answer, ApiError> {
        let mut parts = call.parts()?;
        let context = Context::new();
        let signed = if call.service == Service::Sls {
            self.sls4
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
            self.shared.timeouts.purge
        } else {
            self.shared.timeouts.attempt
        };
        let request = Request::from_parts(parts, call.body.clone().unwrap_or_default());
        let started = Instant::now();
        let outcome = self.shared.transport.send(request, timeout).await;
        let elapsed = started.elapsed();
        match outcome {
            Ok(answer) => {
                let (operation, status) = (call.operation, answer.status);
                tracing::debug!(service = %call.service, operation, status, ?elapsed, "called");
                call.check_status(answer, &secrets)
            }
            Err(NoAnswer {
                kind,
                message,
                status,
                request_id,
            }) => Err(ApiError {
                status,
                message: redact(&message, &secrets),
                request_id: request_id.map(|id| redact(&id, &secrets)),
                ..call.error(kind, "")
            }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("credentials", &self.shared.credentials)
            .finish_non_exhaustive()
    }
}

/// Whether the service did not accept the credentials as such, so that others may do.
fn is_rejected(error: &ApiError) -> bool {
    let about_the_request = error.is_about_the_clock() || error.has_code("SignatureNonceUsed");
    error.kind == ErrorKind::Credentials && error.status.is_some() && !about_the_request
}
