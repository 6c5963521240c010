//! Kubeconfig files, and kube clients made from them.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use k8s_openapi::ByteString;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::pki::Identity;

/// How a client proves who it is.
pub(super) enum Credentials<'a> {
    /// A client certificate, as ACK's kubeconfig files hold.
    Certificate(&'a Identity),
    /// A ServiceAccount token.
    Token(&'a str),
}

/// A self-contained kubeconfig, in JSON, which is YAML too.
pub(super) fn kubeconfig(url: &str, ca_pem: &str, credentials: Credentials<'_>) -> Value {
    let data = |pem: &str| ByteString(pem.as_bytes().to_vec());
    let user = match credentials {
        Credentials::Certificate(identity) => json!({
            "client-certificate-data": data(&identity.certificate),
            "client-key-data": data(&identity.key),
        }),
        Credentials::Token(token) => json!({ "token": token }),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": {"server": url, "certificate-authority-data": data(ca_pem)}}],
        "users": [{"name": "e2e", "user": user}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
        "current-context": "e2e",
    })
}

/// Writes it so that this user alone can read it, and nobody ever sees half of it.
pub(super) fn write(path: &Path, kubeconfig: &Value) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| file.write_all(kubeconfig.to_string().as_bytes()))
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {path:?}"))
}

/// A client with these credentials. It belongs to the tokio runtime that it is made in.
pub(super) fn client(url: &str, ca_der: Vec<u8>, kubeconfig: &Value) -> anyhow::Result<kube::Client> {
    install_crypto_provider();
    let mut parsed: Kubeconfig = serde_json::from_value(kubeconfig.clone()).context("cannot read the kubeconfig")?;
    let user = parsed
        .auth_infos
        .pop()
        .and_then(|named| named.auth_info)
        .context("the kubeconfig has no user")?;
    let mut config = kube::Config::new(url.parse().with_context(|| format!("{url} is not a URL"))?);
    config.root_cert = Some(vec![ca_der]);
    config.auth_info = user;
    kube::Client::try_from(config).context("cannot make a client")
}

/// Makes ring the process's TLS crypto provider, unless a provider has been chosen already. Cheap to call again.
pub fn install_crypto_provider() {
    // An error says that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
