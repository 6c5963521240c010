//! The CRD against a real API server: what it refuses and in which words, what it accepts and fills in, how it is presented.
//!
//! One binary, so that all of these tests share one pool of clusters.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accepted;
mod presented;
mod refused;
mod scans;

use ack_offboarding_e2e::cluster::{
    Cluster, OPERATOR_NAMESPACE, Options,
    pool::{self, Lease},
};
use kube::{Client, client::Body};
use serde_json::{Value, json};

const COLLECTION: &str = "/apis/ack-offboarding.io/v1alpha1/useroffboardings";
const UID: &str = "259083957089437690";
const JSON: &str = "application/json";

/// A cluster that serves the CRD.
async fn cluster() -> Lease {
    let cluster = pool::acquire(Options::default()).await.unwrap();
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    cluster
}

/// An answer of the API server.
#[derive(Debug)]
struct Answer {
    code: u16,
    warnings: Vec<String>,
    body: Value,
}

impl Answer {
    /// The text in which a request was refused.
    fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// Sends JSON as it stands: no typed object in between could put it right.
async fn send(client: &Client, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(Body::from(body.to_string().into_bytes()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings
        .map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned())
        .collect();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect_bytes().await.unwrap();
    Answer {
        code,
        warnings,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// Creates a UserOffboarding with this spec, with the field validation that kubectl asks for.
async fn create(cluster: &Cluster, name: &str, spec: &Value) -> Answer {
    create_manifest(cluster, &manifest(name, spec)).await
}

async fn create_manifest(cluster: &Cluster, manifest: &Value) -> Answer {
    let path = format!("{COLLECTION}?fieldValidation=Strict");
    send(&cluster.admin(), "POST", &path, JSON, manifest).await
}

fn manifest(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "ack-offboarding.io/v1alpha1",
        "kind": "UserOffboarding",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// `sha256:` and 64 digits.
fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}
