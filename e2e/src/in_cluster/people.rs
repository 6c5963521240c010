//! Client certificates, signed by the cluster itself, as any cluster does for whoever may approve a request.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::{
    ByteString,
    api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
};
use kube::{Api, Client, api::PostParams, config::AuthInfo};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

use super::target::Target;
use crate::cluster::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// A client with a certificate of the user `name`.
pub(super) async fn client(target: &Target, admin: &Client, name: &str) -> anyhow::Result<Client> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let request = params.serialize_request(&key)?.pem()?;
    let requests: Api<CertificateSigningRequest> = Api::all(admin.clone());
    let object: CertificateSigningRequest = serde_json::from_value(json!({
        "metadata": {"generateName": "e2e-"},
        "spec": {
            "request": ByteString(request.into_bytes()),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "expirationSeconds": 86400,
        },
    }))?;
    let mut object = requests.create(&PostParams::default(), &object).await?;
    let id = object.metadata.name.clone().unwrap_or_default();
    let approved: CertificateSigningRequestCondition = serde_json::from_value(json!({
        "type": "Approved", "status": "True", "reason": "EndToEndTest", "message": "for a leaver",
    }))?;
    object.status.get_or_insert_default().conditions = Some(vec![approved]);
    requests
        .replace_subresource("approval", &id, &PostParams::default(), &object)
        .await
        .with_context(|| format!("cannot approve the CertificateSigningRequest {id}"))?;
    let certificate = eventually("a signed certificate", DEADLINE, async || {
        let status = requests.get(&id).await?.status;
        Ok(status.and_then(|status| status.certificate))
    })
    .await?;
    let credentials: AuthInfo = serde_json::from_value(json!({
        "client-certificate-data": certificate,
        "client-key-data": ByteString(key.serialize_pem().into_bytes()),
    }))?;
    target.client(credentials).await
}
