//! Follows each kind: lists, then watches from where the list ended, with a wait after each failure.

use super::{binding_index::BindingIndex, full_list::list_kind};
use crate::rbac::{binding::BindingKind, list, slim::SlimBinding, subject::RBAC_GROUP};
use futures::AsyncBufReadExt;
use kube::{Client, core::Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the API server is asked to keep a watch: less than the five minutes after which proxies like to cut it.
const WATCH_SECONDS: u64 = 290;
/// How long nothing at all may come: the server should have ended the watch by then.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS + 10);
/// A watch that ends sooner than this, and delivered nothing, failed.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// The wait after the first failure in a row, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(30));
/// An event's buffer is kept for the next one up to this size.
const LARGEST_KEPT: usize = 64 << 10;

impl BindingIndex {
    /// Keeps the index current until it is dropped. Errors of the watch are logged and tried again with backoff.
    pub async fn run(self: Arc<Self>, client: Client) {
        tokio::join!(
            self.follow(BindingKind::ClusterRoleBinding, client.clone()),
            self.follow(BindingKind::RoleBinding, client)
        );
    }

    async fn follow(&self, kind: BindingKind, client: Client) {
        let mut failures = Failures::default();
        loop {
            match list_kind(&client, kind, self.watched(kind).barrier.as_ref()).await {
                Ok(listed) => {
                    let mut version = listed.resource_version;
                    self.take_in(kind, listed.value);
                    self.follow_from(kind, &client, &mut version, &mut failures).await;
                }
                Err(error) => {
                    tracing::warn!(kind = kind.as_str(), %error, "listing the bindings failed; the operator retries automatically");
                    failures.wait().await;
                }
            }
        }
    }

    /// Watches from `version` on, again and again, until that version is too old.
    async fn follow_from(&self, kind: BindingKind, client: &Client, version: &mut String, failures: &mut Failures) {
        loop {
            let began = Instant::now();
            let before = version.clone();
            let ended = self.watch(kind, client, version).await;
            if *version != before || began.elapsed() >= SHORTEST_WATCH && ended.is_ok() {
                failures.reset();
            }
            match ended {
                Ok(()) if failures.are_none() && began.elapsed() >= SHORTEST_WATCH => continue,
                Ok(()) => tracing::debug!(kind = kind.as_str(), "the watch of bindings ended immediately"),
                Err(error) => {
                    tracing::warn!(kind = kind.as_str(), %error, "the watch of bindings failed; the operator retries \
                     automatically");
                    if matches!(&error, kube::Error::Api(status) if status.code == 410) {
                        failures.wait().await;
                        return;
                    }
                }
            }
            failures.wait().await;
        }
    }

    /// One watch, until the API server ends it. `version` is that of the last event.
    async fn watch(&self, kind: BindingKind, client: &Client, version: &mut String) -> Result<(), kube::Error> {
        let path = format!(
            "/apis/{RBAC_GROUP}/v1/{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}",
            kind.plural()
        );
        // Newer API servers compress each event on its own, which the client's decoder does not understand.
        let request = http::Request::get(path).header(http::header::ACCEPT_ENCODING, "identity");
        let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
        let body = client.request_stream(request).await?;
        let mut body = std::pin::pin!(body);
        let (mut scan, mut text) = (list::Value::default(), Vec::new());
        loop {
            let chunk = match list::chunk(&mut body, WATCH_SILENCE).await {
                Ok(chunk) => chunk,
                // What was read is in the index, and the next watch goes on there.
                Err(error) => return Err(kube::Error::ReadEvents(error)),
            };
            if chunk.is_empty() {
                return Ok(());
            }
            let mut rest = chunk;
            while let Some(first) = rest.first() {
                if text.is_empty() && first.is_ascii_whitespace() {
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
                let (length, ended) = scan.take(rest);
                let (taken, behind) = rest.split_at(length);
                text.extend_from_slice(taken);
                rest = behind;
                if ended {
                    self.event(kind, &text, version)?;
                    scan = list::Value::default();
                    text.clear();
                    text.shrink_to(LARGEST_KEPT);
                }
            }
            let length = chunk.len();
            body.consume_unpin(length);
        }
    }

    pub(super) fn event(&self, kind: BindingKind, text: &[u8], version: &mut String) -> Result<(), kube::Error> {
        let event: Event<'_> = serde_json::from_slice(text).map_err(kube::Error::SerdeError)?;
        if event.type_ == "ERROR" {
            let status: Status = serde_json::from_str(event.object.get()).map_err(kube::Error::SerdeError)?;
            return Err(kube::Error::Api(status.boxed()));
        }
        let binding: SlimBinding = serde_json::from_str(event.object.get()).map_err(kube::Error::SerdeError)?;
        match &*event.type_ {
            "ADDED" | "MODIFIED" => self.apply(kind, &binding),
            "DELETED" => self.delete(kind, &binding),
            // BOOKMARK: only its version counts.
            _ => {}
        }
        if let Some(newer) = binding.resource_version {
            *version = newer;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    type_: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Failures in a row, and the wait after each.
#[derive(Debug, Default)]
struct Failures(u32);

impl Failures {
    fn reset(&mut self) {
        self.0 = 0;
    }

    fn are_none(&self) -> bool {
        self.0 == 0
    }

    async fn wait(&mut self) {
        let (first, longest) = BACKOFF;
        let wait = first.saturating_mul(1 << self.0.min(10)).min(longest);
        self.0 = self.0.saturating_add(1);
        tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
    }
}
