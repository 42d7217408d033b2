//! Certificates with one flaw each, and an authority that makes them.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io;
use std::sync::Arc;

/// What is wrong with a certificate, or with the server that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for 127.0.0.1.
    None,
    /// It was valid until 2020.
    Expired,
    /// It will be valid.
    NotYetValid,
    /// It is for another address.
    WrongAddress,
    /// It is for a name, where an address was asked for.
    NameOnly,
    /// It holds no name at all.
    Nameless,
    /// It signed itself.
    SelfSigned,
    /// An authority that nobody trusts signed it.
    UnknownAuthority,
    /// It is for callers, not for servers.
    WrongUsage,
    /// It is one of an authority.
    Authority,
    /// The certificate between it and the authority is not sent.
    MissingIntermediate,
    /// The one between is not one of an authority.
    IntermediateIsNone,
    /// Its authority has expired.
    ExpiredIntermediate,
    /// The server speaks HTTP/2 only.
    OnlyHttp2,
}

/// A trusted authority, and one that is not.
pub struct Authority {
    trusted: CertifiedIssuer<'static, KeyPair>,
    stranger: CertifiedIssuer<'static, KeyPair>,
}

type Made = Result<(Vec<CertificateDer<'static>>, KeyPair), rcgen::Error>;

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// No keys can be made.
    pub fn new() -> io::Result<Self> {
        let make = || CertifiedIssuer::self_signed(authority(), KeyPair::generate()?);
        let (trusted, stranger) = (make().map_err(io::Error::other)?, make().map_err(io::Error::other)?);
        Ok(Self { trusted, stranger })
    }

    /// The certificate to trust, in PEM form.
    #[must_use]
    pub fn pem(&self) -> String {
        self.trusted.pem()
    }

    pub(crate) fn server(&self, flaw: Flaw) -> io::Result<Arc<ServerConfig>> {
        let (chain, key) = self.make(flaw).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        if flaw == Flaw::OnlyHttp2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Ok(Arc::new(config))
    }

    fn make(&self, flaw: Flaw) -> Made {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([String::from("127.0.0.1")])?;
        match flaw {
            Flaw::None | Flaw::OnlyHttp2 => {}
            Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(3000, 1, 1),
            Flaw::WrongAddress => params = CertificateParams::new([String::from("127.0.0.2")])?,
            Flaw::NameOnly => params = CertificateParams::new([String::from("hooks.example")])?,
            Flaw::Nameless => params = CertificateParams::new(Vec::new())?,
            Flaw::WrongUsage => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Flaw::Authority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Flaw::SelfSigned => return Ok((vec![params.self_signed(&key)?.der().clone()], key)),
            Flaw::UnknownAuthority => {
                return Ok((vec![params.signed_by(&key, &self.stranger)?.der().clone()], key));
            }
            Flaw::MissingIntermediate | Flaw::IntermediateIsNone | Flaw::ExpiredIntermediate => {
                return self.through_another(&params, key, flaw);
            }
        }
        Ok((vec![params.signed_by(&key, &self.trusted)?.der().clone()], key))
    }

    fn through_another(&self, params: &CertificateParams, key: KeyPair, flaw: Flaw) -> Made {
        let mut between = authority();
        match flaw {
            Flaw::IntermediateIsNone => between.is_ca = IsCa::ExplicitNoCa,
            Flaw::ExpiredIntermediate => between.not_after = date_time_ymd(2020, 1, 1),
            _ => {}
        }
        let between_key = KeyPair::generate()?;
        let between_cert = between.signed_by(&between_key, &self.trusted)?;
        let issuer = Issuer::new(between, between_key);
        let mut chain = vec![params.signed_by(&key, &issuer)?.der().clone()];
        if flaw != Flaw::MissingIntermediate {
            chain.push(between_cert.der().clone());
        }
        Ok((chain, key))
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}
