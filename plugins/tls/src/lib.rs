//! What sinks share about TLS: the authorities that are trusted, `tls = { ca, client_cert, client_key }` of an endpoint,
//! and why a handshake failed, for people.

mod named;
mod settings;

pub use settings::{TlsSettings, read};

use named::Named;
use postrider_sink::BuildError;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, OtherError, RootCertStore, WantsVerifier};
use rustls_pki_types::ServerName;
use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

/// Which certificate authorities are trusted, and the configuration made of them: once, when first needed.
pub struct Roots {
    given: Option<Arc<RootCertStore>>,
    alpn: &'static [&'static [u8]],
    system: OnceLock<Arc<RootCertStore>>,
    shared: OnceLock<Result<Arc<ClientConfig>, BuildError>>,
}

impl Roots {
    /// Those of this machine, or Mozilla's where it has none. `alpn`: the protocols to offer.
    #[must_use]
    pub const fn system(alpn: &'static [&'static [u8]]) -> Self {
        Self { given: None, alpn, system: OnceLock::new(), shared: OnceLock::new() }
    }

    /// These and no others.
    #[must_use]
    pub fn given(roots: RootCertStore, alpn: &'static [&'static [u8]]) -> Self {
        Self { given: Some(Arc::new(roots)), ..Self::system(alpn) }
    }

    /// The configuration of an endpoint: every connection shares one, but for those whose endpoint has settings of
    /// its own.
    ///
    /// # Errors
    /// The authorities cannot be read, or TLS is not to be had.
    pub async fn config(self: &Arc<Self>, own: &TlsSettings) -> Result<Arc<ClientConfig>, BuildError> {
        if own.is_empty() {
            if let Some(made) = self.shared.get() {
                return made.clone();
            }
            let roots = self.trusted().await?;
            return self.shared.get_or_init(|| self.make(roots, None).map(Arc::new)).clone();
        }
        let roots = self.of(own).await?;
        self.make(roots, own.client.clone()).map(Arc::new)
    }

    /// The configuration for a client that dials an address and knows no name: whatever it says that it connects to, the
    /// certificate must be for `name`. Such a handshake names no server.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub async fn config_for(
        self: &Arc<Self>,
        own: &TlsSettings,
        name: ServerName<'static>,
    ) -> Result<ClientConfig, BuildError> {
        let roots = self.of(own).await?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::new(default_provider()))
            .build()
            .map_err(|error| BuildError(format!("no certificate authority is trusted here: {error}")))?;
        let verifier = Arc::new(Named::new(name, verifier));
        let builder = builder()?.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match own.client.clone() {
            Some(client) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn();
        Ok(config)
    }

    async fn of(self: &Arc<Self>, own: &TlsSettings) -> Result<Arc<RootCertStore>, BuildError> {
        match &own.roots {
            Some(roots) => Ok(Arc::clone(roots)),
            None => self.trusted().await,
        }
    }

    async fn trusted(self: &Arc<Self>) -> Result<Arc<RootCertStore>, BuildError> {
        if let Some(roots) = self.given.as_ref().or(self.system.get()) {
            return Ok(Arc::clone(roots));
        }
        let roots = Arc::clone(self);
        // Reading the system's store opens hundreds of files.
        let made =
            tokio::task::spawn_blocking(move || Arc::clone(roots.system.get_or_init(|| Arc::new(system()))));
        made.await.map_err(|_| BuildError(String::from("the certificate authorities could not be read")))
    }

    fn make(
        &self,
        roots: Arc<RootCertStore>,
        client: Option<Arc<CertifiedKey>>,
    ) -> Result<ClientConfig, BuildError> {
        let builder = builder()?.with_root_certificates(roots);
        let mut config = match client {
            Some(client) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn();
        Ok(config)
    }

    fn alpn(&self) -> Vec<Vec<u8>> {
        self.alpn.iter().map(|protocol| protocol.to_vec()).collect()
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, BuildError> {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError(format!("TLS is not available: {error}")))
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate authority of the system cannot be read");
    }
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "certificate authorities of the system");
    if added == 0 {
        tracing::info!("the system has no certificate authorities; Mozilla's are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Why a handshake failed, for people.
#[must_use]
pub fn reason(host: &str, error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(problem)) => certificate(host, problem),
        Some(rustls::Error::InvalidMessage(_)) => format!("{host} does not answer with TLS on this port"),
        Some(rustls::Error::AlertReceived(alert)) => format!("{host} ended the TLS handshake: {alert:?}"),
        Some(rustls::Error::NoApplicationProtocol) => format!("{host} does not offer HTTP/1.1"),
        Some(other) => format!("TLS with {host} failed: {other}"),
        None => format!("{host} closed the connection during the TLS handshake"),
    }
}

fn certificate(host: &str, problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {host} has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet")
        }
        CertificateError::NotValidForName => format!("the certificate is not for {host}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the certificate is for {}, not {host}", names(presented))
        }
        // A bad signature: an authority of the same name, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("the certificate of {host} is from an authority that is not trusted here")
        }
        CertificateError::Revoked => format!("the certificate of {host} has been revoked"),
        CertificateError::Other(OtherError(other)) if is_authority(&**other) => {
            format!(
                "the certificate of {host} is an authority's own, as self-signed ones are: no server may show it"
            )
        }
        other => format!("the certificate of {host} is not acceptable: {other}"),
    }
}

fn is_authority(problem: &(dyn Error + 'static)) -> bool {
    matches!(problem.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// The first few names of a certificate, which the other side chose: bounded and printable.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 3;
    if presented.is_empty() {
        return String::from("no name at all");
    }
    let clean = |name: &String| -> String {
        let inner = name.strip_prefix("DnsName(\"").and_then(|rest| rest.strip_suffix("\")")).unwrap_or(name);
        inner.chars().filter(char::is_ascii_graphic).take(80).collect()
    };
    let mut text = presented.iter().take(SHOWN).map(clean).collect::<Vec<_>>().join(", ");
    if presented.len() > SHOWN {
        text.push_str(" and others");
    }
    text
}
