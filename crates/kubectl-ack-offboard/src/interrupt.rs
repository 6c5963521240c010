//! Ctrl-C, and the signal by which others end a process.

use crate::exit::{Exit, Failure};
use tokio::sync::watch;

/// Tells whether somebody asked to stop. A second Ctrl-C ends the process on the spot.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        let (asked, receiver) = watch::channel(false);
        tokio::spawn(async move {
            signal().await;
            let _ = asked.send(true);
            signal().await;
            std::process::exit(Exit::Interrupted as i32);
        });
        Interrupt(receiver)
    }

    /// Returns once somebody asked to stop.
    pub(crate) async fn requested(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|asked| *asked).await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether somebody asked to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Does `work` until somebody asks to stop. For work that may stop anywhere: what it changes, it changes by one request, which the API
    /// server carries out as a whole or not at all.
    pub(crate) async fn ends<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.requested() => Err(Failure::interrupted()),
            done = work => done,
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
