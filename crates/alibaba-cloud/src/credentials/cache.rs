//! Keeps credentials until shortly before they expire, and lets concurrent callers share one refresh.

use std::{
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, time::Timestamp};
use tokio::{sync::Mutex, time::Instant};

use super::provider::Provider;
use crate::{
    classify::redact,
    error::{ApiError, ErrorKind, Service},
};

/// Credentials are renewed when so much of their life is left, or a third of it if that is less.
const RENEW_BEFORE: Duration = Duration::from_secs(600);
/// While the old credentials still serve, a failed renewal is not tried again for so long.
const PAUSE: Duration = Duration::from_secs(30);

/// The credentials of one source.
///
/// Guarantees: at most one request to the source at a time, whose outcome, a failure included, goes to all that wait
/// for it; as long as the old credentials serve, nobody waits, and a failed renewal is only logged.
pub(crate) struct Credentials {
    source: Provider,
    context: Context,
    held: RwLock<Option<Held>>,
    renewal: Mutex<Renewal>,
    finished: AtomicU64,
}

#[derive(Clone)]
struct Held {
    credential: Credential,
    /// How long it was valid when it came; none for keys that do not expire.
    life: Option<Duration>,
}

#[derive(Default)]
struct Renewal {
    failure: Option<ApiError>,
    not_before: Option<Instant>,
}

impl Held {
    fn new(credential: Credential) -> Self {
        let life = credential.expires_in.map(left);
        Held { credential, life }
    }

    /// Whether more than `before`, or its share of the credential's life if that is less, is left.
    fn lasts(&self, before: Duration, share: u32) -> bool {
        match (self.credential.expires_in, self.life) {
            (Some(expires), Some(life)) => left(expires) > before.min(life / share),
            _ => true,
        }
    }

    fn is_fresh(&self) -> bool {
        self.lasts(RENEW_BEFORE, 3)
    }

    fn serves(&self) -> bool {
        self.lasts(Duration::from_secs(30), 10)
    }
}

fn left(expires: Timestamp) -> Duration {
    expires
        .as_system_time()
        .duration_since(Timestamp::now().as_system_time())
        .unwrap_or_default()
}

fn same(one: &Credential, other: &Credential) -> bool {
    (&one.access_key_id, &one.access_key_secret, &one.security_token)
        == (&other.access_key_id, &other.access_key_secret, &other.security_token)
}

impl Credentials {
    pub(super) fn new(source: Provider, context: Context) -> Self {
        Credentials {
            source,
            context,
            held: RwLock::default(),
            renewal: Mutex::default(),
            finished: AtomicU64::new(0),
        }
    }

    /// Credentials that will serve for the next call.
    pub(crate) async fn get(&self) -> Result<Credential, ApiError> {
        let arrived = self.finished.load(Ordering::Acquire);
        if let Some(held) = self.held().filter(Held::serves) {
            if held.is_fresh() {
                return Ok(held.credential);
            }
            let Ok(mut renewal) = self.renewal.try_lock() else {
                return Ok(held.credential);
            };
            if renewal.not_before.is_some_and(|time| Instant::now() < time) {
                return Ok(held.credential);
            }
            return Ok(self.load(&mut renewal).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot renew the credentials; the current ones are still valid");
                renewal.not_before = Some(Instant::now() + PAUSE);
                held.credential
            }));
        }
        let mut renewal = self.renewal.lock().await;
        if let Some(held) = self.held().filter(Held::serves) {
            return Ok(held.credential);
        }
        match &renewal.failure {
            Some(failure) if self.finished.load(Ordering::Acquire) > arrived => Err(failure.clone()),
            _ => self.load(&mut renewal).await,
        }
    }

    /// Other credentials than those that a service did not accept: none if the source has only the same again.
    pub(crate) async fn renew(&self, rejected: &Credential) -> Result<Option<Credential>, ApiError> {
        let mut renewal = self.renewal.lock().await;
        if let Some(held) = self
            .held()
            .filter(|held| held.serves() && !same(&held.credential, rejected))
        {
            return Ok(Some(held.credential));
        }
        let credential = self.load(&mut renewal).await?;
        Ok((!same(&credential, rejected)).then_some(credential))
    }

    /// Drops credentials that a service did not accept, so that the next call gets others.
    pub(crate) fn forget(&self, rejected: &Credential) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| same(&held.credential, rejected)) {
            *held = None;
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn load(&self, renewal: &mut Renewal) -> Result<Credential, ApiError> {
        let outcome = match self.source.provider.provide_credential_dyn(&self.context).await {
            Ok(Some(credential)) => self.check(credential),
            Ok(None) => {
                let why = self.source.why_nothing(&self.context).await;
                Err(self.failure(ErrorKind::Credentials, &why))
            }
            Err(error) => Err(self.explain(&error)),
        };
        renewal.failure = outcome.as_ref().err().cloned();
        if let Ok(credential) = &outcome {
            renewal.not_before = None;
            *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Held::new(credential.clone()));
        }
        self.finished.fetch_add(1, Ordering::Release);
        outcome
    }

    fn check(&self, credential: Credential) -> Result<Credential, ApiError> {
        let empty = |text: &str| text.trim().is_empty();
        if empty(&credential.access_key_id) || empty(&credential.access_key_secret) {
            return Err(self.failure(ErrorKind::Credentials, "the access key is empty"));
        }
        if self.source.temporary && credential.security_token.as_deref().is_none_or(empty) {
            return Err(self.failure(
                ErrorKind::Credentials,
                "the temporary credentials have no security token",
            ));
        }
        if credential.expires_in.is_some_and(|expires| left(expires).is_zero()) {
            return Err(self.failure(
                ErrorKind::Credentials,
                "the credentials had already expired when they were received; is the clock correct?",
            ));
        }
        Ok(credential)
    }

    fn failure(&self, kind: ErrorKind, message: &str) -> ApiError {
        ApiError {
            service: Service::Sts,
            operation: self.source.operation,
            target: redact(&self.source.target, &[]),
            kind,
            status: None,
            code: None,
            message: redact(message, &[]),
            request_id: None,
            retry_after: None,
        }
    }

    /// What an error of the source means: passing troubles and refusals stay what they are, everything else is about
    /// credentials.
    fn explain(&self, error: &reqsign_core::Error) -> ApiError {
        let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
        while let Some(source) = next {
            if let Some(known) = source.downcast_ref::<ApiError>() {
                let own = known.is_retryable() || matches!(known.kind, ErrorKind::Malformed | ErrorKind::Forbidden);
                let kind = if own { known.kind } else { ErrorKind::Credentials };
                return ApiError {
                    kind,
                    target: redact(&self.source.target, &[]),
                    ..known.clone()
                };
            }
            next = source.source();
        }
        self.failure(ErrorKind::Credentials, &error.to_string())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("source", &self.source.target)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use reqsign_core::ProvideCredential;

    use super::{super::provider::Nothing, *};

    /// Counts how often it is asked, and gives numbered credentials that last an hour; or none.
    #[derive(Clone, Debug, Default)]
    struct Source {
        asked: Arc<AtomicUsize>,
        broken: bool,
    }

    impl ProvideCredential for Source {
        type Credential = Credential;

        async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credential>> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            Ok((!self.broken).then(|| credential(&format!("new{number}"), 3600)))
        }
    }

    fn credential(key: &str, seconds: u64) -> Credential {
        Credential {
            access_key_id: key.into(),
            access_key_secret: "secret".into(),
            security_token: Some("token".into()),
            expires_in: Some(Timestamp::now() + Duration::from_secs(seconds)),
        }
    }

    fn holding(source: &Source, seconds_left: u64) -> Credentials {
        let provider = Provider {
            operation: "credentials",
            target: "test".into(),
            nothing: Nothing::Known("nothing there"),
            temporary: true,
            provider: Box::new(source.clone()),
        };
        let credentials = Credentials::new(provider, Context::new());
        let life = Some(Duration::from_secs(3600));
        *credentials.held.write().unwrap() = Some(Held {
            credential: credential("old", seconds_left),
            life,
        });
        credentials
    }

    #[tokio::test]
    async fn credentials_are_renewed_ten_minutes_before_they_expire() {
        for (left, key, asked) in [
            (3000, "old", 0),
            (610, "old", 0),
            (590, "new1", 1),
            (20, "new1", 1),
            (0, "new1", 1),
        ] {
            let source = Source::default();
            let credentials = holding(&source, left);
            assert_eq!(credentials.get().await.unwrap().access_key_id, key, "{left} s left");
            assert_eq!(credentials.get().await.unwrap().access_key_id, key, "{left} s left");
            assert_eq!(source.asked.load(Ordering::SeqCst), asked, "{left} s left");
        }
    }

    #[tokio::test]
    async fn old_credentials_serve_while_the_source_fails() {
        let source = Source {
            broken: true,
            ..Source::default()
        };
        let credentials = holding(&source, 590);
        for _ in 0..5 {
            assert_eq!(credentials.get().await.unwrap().access_key_id, "old");
        }
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        let error = holding(&source, 20).get().await.unwrap_err();
        assert_eq!((error.kind, &*error.message), (ErrorKind::Credentials, "nothing there"));
    }

    #[tokio::test]
    async fn rejected_credentials_are_replaced_once_for_all() {
        let source = Source::default();
        let credentials = holding(&source, 3000);
        let old = credentials.get().await.unwrap();
        let all = futures::future::join_all((0..4).map(|_| credentials.renew(&old))).await;
        assert!(all.into_iter().all(|one| one.unwrap().unwrap().access_key_id == "new1"));
        credentials.forget(&old);
        assert_eq!(credentials.get().await.unwrap().access_key_id, "new1");
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    }
}
