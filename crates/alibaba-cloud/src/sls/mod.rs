//! Simple Log Service: searches a logstore, and says what makes an absence of hits believable.
//!
//! Every project has a host of its own, which is signed: `<project>.<host of the region>`. Inside a VPC the service has two names, of which one is missing in
//! some places: where the first gives no connection, the other is tried.

mod histograms;
mod index;
mod logs;
mod logstore;
mod patience;

pub use histograms::{Bucket, Histograms};
pub use index::Index;
pub use logs::{LogQuery, Logs, Row};
pub use logstore::Logstore;
pub use patience::Unfinished;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use http::Method;

use super::{
    call::{Call, failure, path},
    client::Client,
    endpoints::SlsEndpoint,
    error::{ApiError, ErrorKind, Service},
    transport::Answer,
};

/// Client of Simple Log Service; see [`Cloud::sls`](crate::Cloud::sls). Clones share what was learnt of the region's service.
#[derive(Clone, Debug)]
pub struct Sls {
    client: Client,
    endpoint: SlsEndpoint,
    learnt: Arc<Learnt>,
}

/// What the first calls have shown of this region's service.
#[derive(Debug, Default)]
struct Learnt {
    /// Only the other name of the service answers.
    other_name: AtomicBool,
    /// Histograms are served at the documented path only.
    documented_path: AtomicBool,
}

/// Whether an answer covers all that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// All of it.
    Complete,
    /// Some of it: what is there is real, what is missing proves nothing.
    Incomplete,
}

impl Progress {
    fn read(text: &str) -> Self {
        if text == "Complete" {
            Progress::Complete
        } else {
            Progress::Incomplete
        }
    }
}

impl Sls {
    pub(crate) fn new(client: Client, endpoint: SlsEndpoint) -> Self {
        Sls {
            client,
            endpoint,
            learnt: Arc::default(),
        }
    }

    /// Whether the endpoint of a project answers at all, under either of its names, and its URL; unsigned, so that the credentials are no
    /// matter.
    ///
    /// # Errors
    /// When nothing answers, or the project's name makes no host name.
    pub async fn reach(&self, project: &str) -> Result<String, ApiError> {
        let first = self.reach_at(&self.endpoint, project).await;
        match (first, self.endpoint.other()) {
            (Err(error), Some(other)) => self.reach_at(&other, project).await.map_err(|_| error),
            (first, _) => first,
        }
    }

    async fn reach_at(&self, endpoint: &SlsEndpoint, project: &str) -> Result<String, ApiError> {
        let connect = endpoint.connect(project).map_err(|error| {
            failure(
                Service::Sls,
                "endpoint",
                project,
                ErrorKind::Rejected,
                &error.to_string(),
            )
        })?;
        let host = endpoint.project_host(project);
        self.client.reach(Service::Sls, &connect, host).await
    }

    /// Sends a call, which only reads; where there is no connection, again to the other name of the service, if it has one. The name that
    /// answers is kept.
    async fn send(&self, call: &mut Call, project: &str) -> Result<Answer, ApiError> {
        let Some(other) = self.endpoint.other() else {
            return self.client.send(call).await;
        };
        let knows_other = self.learnt.other_name.load(Relaxed);
        let (first, second) = if knows_other {
            (&other, &self.endpoint)
        } else {
            (&self.endpoint, &other)
        };
        let failed = match self.send_to(first, call, project).await {
            Err(error) if error.kind == ErrorKind::Connection && error.status.is_none() => error,
            answer => return answer,
        };
        match self.send_to(second, call, project).await {
            Err(error) if error.status.is_none() => Err(failed),
            answer => {
                self.learnt.other_name.store(!knows_other, Relaxed);
                answer
            }
        }
    }

    async fn send_to(&self, endpoint: &SlsEndpoint, call: &mut Call, project: &str) -> Result<Answer, ApiError> {
        let connect = endpoint.connect(project);
        call.connect = connect.map_err(|error| call.error(ErrorKind::Rejected, &error.to_string()))?;
        call.host = endpoint.project_host(project);
        self.client.send(call).await
    }

    fn call<const N: usize>(
        &self,
        operation: &'static str,
        method: Method,
        project: &str,
        logstore: &str,
        segments: [&str; N],
    ) -> Result<Call, ApiError> {
        let target = format!("logstore {logstore} of project {project}");
        let rejected = |message: &str| failure(Service::Sls, operation, &target, ErrorKind::Rejected, message);
        // The project becomes part of a host name: nothing but a label may.
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edge = project.starts_with('-') || project.ends_with('-');
        if project.is_empty() || project.len() > 63 || edge || !project.bytes().all(named) {
            return Err(rejected("this is not the name of an SLS project"));
        }
        let path = path(segments).ok_or_else(|| rejected("this is not the name of a logstore"))?;
        let connect = self
            .endpoint
            .connect(project)
            .map_err(|error| rejected(&error.to_string()))?;
        let host = self.endpoint.project_host(project);
        Ok(Call::at(Service::Sls, operation, method, &connect, host, path).on(target.clone()))
    }
}

#[cfg(test)]
mod tests;
