//! What the attacks share: names, and a proxy that lets something happen right before a request of the operator arrives.

use crate::support::TestEnv;
use ack_offboarding_e2e::{
    cluster::BARRIER,
    env::OperatorOptions,
    proxy::{Proxy, Upstream},
};
use futures::future::BoxFuture;
use http::{Method, Uri};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Somebody who keeps everything.
pub(crate) const COLLEAGUE: &str = "204100000000000002";

/// A request of the operator to the API server.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: Method,
    pub path: String,
}

impl Request {
    /// Whether it takes subjects out of a binding, other than the barrier's.
    pub(crate) fn disarms(&self) -> bool {
        self.method == Method::PATCH && self.is_about_a_binding()
    }

    /// Whether it deletes a binding.
    pub(crate) fn deletes(&self) -> bool {
        self.method == Method::DELETE && self.is_about_a_binding()
    }

    fn is_about_a_binding(&self) -> bool {
        self.path.contains("rolebindings/") && !self.path.ends_with(BARRIER)
    }
}

type Step = dyn Fn(&Request) -> Option<BoxFuture<'static, anyhow::Result<()>>> + Send + Sync;

/// A proxy between the operator and the API server.
pub(crate) struct Between {
    proxy: Proxy,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Between {
    /// `step` is called with each request; what it returns is done before the request goes on, and nothing else goes on meanwhile.
    pub(crate) async fn start(
        env: &TestEnv,
        step: impl Fn(&Request) -> Option<BoxFuture<'static, anyhow::Result<()>>> + Send + Sync + 'static,
    ) -> anyhow::Result<Between> {
        let (seen, step): (_, Arc<Step>) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(step));
        let (all, alone) = (seen.clone(), Arc::new(tokio::sync::Mutex::new(())));
        let before = move |method: &Method, uri: &Uri, _: &bytes::Bytes| -> BoxFuture<'static, ()> {
            let request = Request {
                method: method.clone(),
                path: uri.path().to_owned(),
            };
            let (all, alone, step) = (all.clone(), alone.clone(), step.clone());
            Box::pin(async move {
                let _alone = alone.lock().await;
                if let Some(step) = step(&request) {
                    step.await.expect("the step");
                }
                all.lock().expect("the lock").push(request);
            })
        };
        let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await?;
        Ok(Between { proxy, seen })
    }

    /// Starts the operator behind it.
    pub(crate) async fn start_operator(&self, env: &mut TestEnv) -> anyhow::Result<()> {
        let options = OperatorOptions {
            api_server: Some(self.proxy.url()),
            ..OperatorOptions::default()
        };
        env.start_operator(&options).await
    }

    /// What went through so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("the lock").clone()
    }
}

/// True once.
#[derive(Clone, Default)]
pub(crate) struct Once(Arc<AtomicBool>);

impl Once {
    pub(crate) fn first(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
