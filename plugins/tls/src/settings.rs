//! `tls`: authorities of an endpoint's own, and the certificate that it shows.

use postrider_sink::{KeyPath, Reader, Secret, SettingError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};
use std::sync::Arc;

/// What an endpoint's file says about TLS; nothing, by default.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// Trusted in the place of the system's.
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// Shown to a server that asks.
    pub(crate) client: Option<Arc<CertifiedKey>>,
    given: Vec<Secret>,
}

impl TlsSettings {
    /// Whether it says nothing, so that the configuration that endpoints share will do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.roots.is_none() && self.client.is_none()
    }

    /// What changes with any part of it.
    pub fn digests(&self) -> impl Iterator<Item = u64> + '_ {
        self.given.iter().map(Secret::digest)
    }
}

const PEM: &str =
    "Name a file in PEM form, lines between -----BEGIN …----- and -----END …-----, as { file = \"…\" }.";

/// Reads `tls = { ca, client_cert, client_key }`.
pub fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> TlsSettings {
    let mut settings = TlsSettings::default();
    let Some(mut table) = reader.table("tls") else { return settings };
    let [ca, cert, key] = ["ca", "client_cert", "client_key"].map(|name| table.secret(name));
    settings.roots = ca.as_ref().and_then(|ca| keep(errors, authorities(ca, &table.path("ca"))));
    settings.client = match (&cert, &key) {
        (Some(cert), Some(key)) => keep(errors, identity(cert, key, &table)),
        (None, None) => None,
        (cert, _) => {
            let (here, missing) =
                if cert.is_some() { ("client_cert", "client_key") } else { ("client_key", "client_cert") };
            let help =
                "Name both, each a file in PEM form: the certificate with its chain, and its private key.";
            errors.push(
                SettingError::value(table.path(here), format!("{missing} is missing beside it")).help(help),
            );
            None
        }
    };
    settings.given =
        [ca, cert, key].map(|given| given.unwrap_or_else(|| Secret::new(String::new()))).to_vec();
    errors.extend(table.finish());
    settings
}

fn keep<T>(errors: &mut Vec<SettingError>, result: Result<T, SettingError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn certificates(pem: &Secret, path: &KeyPath) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(SettingError::value(path.clone(), "no certificate can be read from it").help(PEM)),
    }
}

fn authorities(pem: &Secret, path: &KeyPath) -> Result<Arc<RootCertStore>, SettingError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots.add(certificate).map_err(|_| {
            SettingError::value(path.clone(), "it holds a certificate that is not one of an authority")
        })?;
    }
    Ok(Arc::new(roots))
}

fn identity(cert: &Secret, key: &Secret, table: &Reader<'_>) -> Result<Arc<CertifiedKey>, SettingError> {
    let chain = certificates(cert, &table.path("client_cert"))?;
    let at = table.path("client_key");
    let wrong = |message: &str, help: &str| SettingError::value(at.clone(), message).help(help);
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| wrong("no private key can be read from it", PEM))?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(certified) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(_)) => Err(wrong(
            "it is not the key of client_cert",
            "Name the private key that the certificate was made for.",
        )),
        Err(Error::InvalidCertificate(_)) => {
            let message = "the first certificate in it cannot be read";
            Err(SettingError::value(table.path("client_cert"), message).help(PEM))
        }
        Err(_) => Err(wrong(
            "it is not a key that can be used",
            "Use an RSA key of at least 2048 bits, an ECDSA key on P-256 or P-384, or an Ed25519 key, not encrypted.",
        )),
    }
}
