//! Takes a ConfigMap out of etcd, past the API server: no policy can refuse that.

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;

use super::Cluster;

impl Cluster {
    /// Loses a ConfigMap, as a cluster that was set back to an older state has: it is deleted in etcd. The chart's policy lets
    /// nobody delete a backup, so this is how one goes in a test. It is no error if there is none.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub async fn lose_config_map(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let key = BASE64_STANDARD.encode(format!("/registry/configmaps/{namespace}/{name}"));
        self.ask_etcd("deleterange", &json!({ "key": key })).await
    }

    /// Puts a ClusterRoleBinding into etcd as it stands, with what the API server fills in otherwise: when it was made, say.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub async fn put_cluster_role_binding(&self, name: &str, object: &serde_json::Value) -> anyhow::Result<()> {
        let key = BASE64_STANDARD.encode(format!("/registry/clusterrolebindings/{name}"));
        let value = BASE64_STANDARD.encode(object.to_string());
        self.ask_etcd("put", &json!({ "key": key, "value": value })).await
    }

    async fn ask_etcd(&self, what: &str, question: &serde_json::Value) -> anyhow::Result<()> {
        let stream = UnixStream::connect(self.dir().join("etcd.sock"))
            .await
            .context("cannot connect to etcd")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(format!("/v3/kv/{what}"))
            .header(header::HOST, "etcd")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(question.to_string())))?;
        let answer = sender.send_request(request).await.context("etcd does not answer")?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        anyhow::ensure!(
            status.is_success(),
            "etcd refuses {what}: {status} {}",
            String::from_utf8_lossy(&text)
        );
        Ok(())
    }
}
