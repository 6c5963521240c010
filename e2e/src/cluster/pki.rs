//! The cluster's certificate authority, and what it signs: certificates of servers and of people.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate and its private key, both as PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A certificate authority, made anew for each cluster, that signs both the API server's certificate and clients' certificates.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a key pair (ECDSA P-256, which is instant, unlike RSA) and a self-signed certificate.
    pub(super) fn new() -> anyhow::Result<Authority> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
            .context("cannot make the cluster's certificate authority")?;
        Ok(Authority { issuer })
    }

    /// The authority's certificate as PEM.
    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's certificate as DER.
    pub(super) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// The authority's private key as PEM, for the controller that signs CertificateSigningRequests.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The certificate of a server that is reached by any of these DNS names and IP addresses.
    pub(super) fn server(&self, names: &[&str]) -> anyhow::Result<Identity> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// The certificate of a client that the API server authenticates as the user `name` in `groups` (two at most).
    pub(super) fn client(&self, name: &str, groups: &[&str]) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        // Kubernetes reads each O as a group. rcgen keeps one value for each type of attribute; giving the same object
        // identifier as a custom type makes room for one more.
        let kinds = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
        anyhow::ensure!(
            groups.len() <= kinds.len(),
            "a client certificate made here names two groups at most, not {groups:?}"
        );
        for (kind, &group) in kinds.into_iter().zip(groups) {
            params.distinguished_name.push(kind, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> anyhow::Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("cannot sign a certificate")?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A key pair, both halves as PEM.
pub(super) struct SigningKey {
    pub(super) private: String,
    pub(super) public: String,
}

/// The key pair that ServiceAccount tokens are signed and verified with.
pub(super) fn signing_key() -> anyhow::Result<SigningKey> {
    let key = KeyPair::generate().context("cannot make the key for ServiceAccount tokens")?;
    Ok(SigningKey {
        private: key.serialize_pem(),
        public: key.public_key_pem(),
    })
}
