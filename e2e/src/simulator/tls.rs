//! The simulator's own certificate authority, which makes a certificate for any name that a client asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::lock;

/// A certificate authority of one run.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// The names of a certificate for clients that send none because they connect to an IP address.
    fallback: Vec<String>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one. `names` are further host names or IP addresses besides the loopback ones.
    pub(crate) fn new(names: &[String]) -> anyhow::Result<Arc<Self>> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Alibaba Cloud simulator");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let fallback = ["localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .into_iter()
            .chain(names.to_vec())
            .collect();
        Ok(Arc::new(Self {
            issuer: Issuer::new(params, key),
            pem,
            fallback,
            made: Mutex::default(),
        }))
    }

    /// The authority's certificate, for `SSL_CERT_FILE`.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// How to serve https with it.
    pub(crate) fn server_config(self: Arc<Self>) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn make(&self, names: Vec<String>) -> anyhow::Result<CertifiedKey> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "simulated endpoint");
        params.insert_extended_key_usage(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let der = PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = rustls::crypto::ring::sign::any_ecdsa_type(&der.into())?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("").to_owned();
        let mut made = lock(&self.made);
        if let Some(known) = made.get(&name) {
            return Some(Arc::clone(known));
        }
        let names = if name.is_empty() {
            self.fallback.clone()
        } else {
            vec![name.clone()]
        };
        let key = Arc::new(
            self.make(names)
                .inspect_err(|error| tracing::warn!("no certificate for {name}: {error}"))
                .ok()?,
        );
        made.insert(name, Arc::clone(&key));
        Some(key)
    }
}
