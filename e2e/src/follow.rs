//! A watch of all UserOffboardings, with the time at which each event arrived.

use std::time::Duration;

use ack_offboarding_operator::api::UserOffboarding;
use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api,
    runtime::watcher::{self, Event, watcher},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// One object, as the watch delivered it.
pub(crate) struct Update {
    /// The object.
    pub(crate) object: UserOffboarding,
    /// When the event arrived.
    pub(crate) at: Timestamp,
}

/// The events of a watch that has begun. They are read as they come, so that the times are right, however late they are asked for.
pub(crate) struct Updates {
    events: UnboundedReceiver<Result<Update, watcher::Error>>,
    reader: JoinHandle<()>,
}

impl Updates {
    /// Begins to watch: what is there already is not reported, all that comes later is.
    pub(crate) async fn begin(api: Api<UserOffboarding>) -> anyhow::Result<Self> {
        let mut stream = watcher(api, watcher::Config::default()).boxed();
        let until_listed = async {
            while let Some(event) = stream.try_next().await? {
                if matches!(event, Event::InitDone) {
                    return Ok(());
                }
            }
            anyhow::bail!("it ended")
        };
        let listed = tokio::time::timeout(DEADLINE, until_listed).await;
        listed
            .context("no full list in time")
            .flatten()
            .context("cannot watch the UserOffboardings")?;
        let (sender, events) = unbounded_channel();
        let reader = tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let update = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => Ok(Update {
                        object,
                        at: Timestamp::now(),
                    }),
                    Ok(_) => continue,
                    Err(error) => Err(error),
                };
                if sender.send(update).is_err() {
                    break;
                }
            }
        });
        Ok(Updates { events, reader })
    }

    /// The next change of an object.
    ///
    /// # Errors
    /// When the watch broke off.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Update> {
        let next = self
            .events
            .recv()
            .await
            .context("the watch of the UserOffboardings ended")?;
        next.context("the watch of the UserOffboardings broke off")
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
