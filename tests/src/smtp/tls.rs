//! Transport encryption: a certificate authority of this server alone, and the certificate it presents.

use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// How the server does transport encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    #[default]
    None,
    /// Offers STARTTLS. AUTH is offered before it as well, so that a careless client gives itself away.
    StartTls,
    /// From the first byte.
    Implicit,
    /// As if someone in between had removed STARTTLS from the EHLO reply; the command itself is answered 454.
    StartTlsStripped,
}

/// Which certificate the server presents; all are signed by the authority of `ca_pem()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// For 127.0.0.1 and localhost, valid now.
    #[default]
    Valid,
    /// For another host only.
    OtherHost,
    /// For 127.0.0.1 and localhost, but its time is over.
    Expired,
}

/// The server's side of the handshake and what a client needs to trust it.
pub(super) struct Identity {
    pub(super) ca_pem: String,
    pub(super) acceptor: TlsAcceptor,
}

impl Identity {
    pub(super) fn generate(certificate: Certificate) -> anyhow::Result<Self> {
        let ca = authority()?;
        let key = KeyPair::generate()?;
        let leaf = leaf_params(certificate)?.signed_by(&key, &ca)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .context("certificate of the mail server")?;
        Ok(Self { ca_pem: ca.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

fn authority() -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Gatepost test mail authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf_params(certificate: Certificate) -> anyhow::Result<CertificateParams> {
    let names: &[&str] = match certificate {
        Certificate::Valid | Certificate::Expired => &["127.0.0.1", "localhost"],
        Certificate::OtherHost => &["mail.elsewhere.example"],
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Gatepost test mail server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    if certificate == Certificate::Expired {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    }
    Ok(params)
}
