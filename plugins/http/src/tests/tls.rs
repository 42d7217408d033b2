use super::kit::*;
use crate::{HttpSinkFactory, RootCertStore};
use postrider_sink::{FailureClass, Outcome, Secret, SinkFactory, Table, Value, Verdict};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn trusting(authority: &CertifiedIssuer<'static, KeyPair>) -> HttpSinkFactory {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    HttpSinkFactory::with_roots(roots)
}

/// A receiver with a certificate for `name`.
async fn receiver(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    until: i32,
) -> (SocketAddr, JoinSet<()>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        server().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    serve(config).await
}

/// A receiver that asks for certificates of the same authority.
async fn receiver_of_callers(authority: &CertifiedIssuer<'static, KeyPair>) -> (SocketAddr, JoinSet<()>) {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([String::from("hooks.example")]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = server().with_client_cert_verifier(verifier);
    serve(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()).await
}

fn server() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

async fn serve(config: ServerConfig) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks: JoinSet<()> = JoinSet::new();
    tasks.spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                }
            });
        }
    });
    (address, tasks)
}

async fn deliver(factory: &HttpSinkFactory, address: SocketAddr) -> Outcome {
    let rig = Rig::of(factory, &settings("https://hooks.example/in"), Way::Tcp(address)).await;
    rig.deliver().await
}

fn assert_tls(outcome: &Outcome, reason: &str) {
    assert!(matches!(outcome.verdict, Verdict::Failed { class: FailureClass::Tls, .. }), "{outcome:?}");
    assert_eq!(outcome.reason, reason);
}

#[tokio::test]
async fn a_trusted_certificate_carries_deliveries_over_one_connection() {
    let authority = authority();
    let (address, _tasks) = receiver(&authority, "hooks.example", 4000).await;
    let rig = Rig::of(&trusting(&authority), &settings("https://hooks.example/in"), Way::Tcp(address)).await;
    let delivery = delivery();
    for _ in 0..3 {
        assert_eq!(rig.deliver_this(&delivery).await.verdict, Verdict::Delivered);
    }
    assert_eq!(rig.connections(), 1);
    assert!(delivery.trail.read().tls.is_some());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = authority();
    let (address, _tasks) = receiver(&authority, "other.example", 4000).await;
    let outcome = deliver(&trusting(&authority), address).await;
    assert_tls(&outcome, "the certificate is for other.example, not hooks.example");
}

#[tokio::test]
async fn a_self_signed_certificate_as_tools_make_it_is_refused_in_words() {
    let mut params = CertificateParams::new([String::from("hooks.example")]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.key().serialize_der()));
    let config = server().with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap();
    let (address, _tasks) = serve(config).await;
    let wanted = "the certificate of hooks.example is an authority's own, as self-signed ones are: no server may \
                  show it";
    assert_tls(&deliver(&trusting(&authority()), address).await, wanted);
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = authority();
    let (address, _tasks) = receiver(&authority, "hooks.example", 2020).await;
    let outcome = deliver(&trusting(&authority), address).await;
    assert_tls(&outcome, "the certificate of hooks.example has expired");
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused() {
    let (address, _tasks) = receiver(&authority(), "hooks.example", 4000).await;
    let wanted = "the certificate of hooks.example is from an authority that is not trusted here";
    assert_tls(&deliver(&trusting(&authority()), address).await, wanted);
    assert_tls(&deliver(&HttpSinkFactory::new(), address).await, wanted);
}

#[tokio::test]
async fn a_receiver_without_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks: JoinSet<()> = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let outcome = deliver(&HttpSinkFactory::new(), address).await;
    assert_tls(&outcome, "hooks.example does not answer with TLS on this port");
}

/// An endpoint over TLS, with these PEM texts under `tls`.
fn over_tls<const N: usize>(files: [(&str, &str); N]) -> Table {
    let mut settings = settings("https://hooks.example/in");
    let files = files.map(|(key, pem)| (key, Value::Secret(Secret::new(pem.to_owned()))));
    settings.insert("tls".into(), Value::Table(table(files)));
    settings
}

/// A certificate for a caller and its key, in PEM form.
fn caller(authority: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn an_authority_of_the_endpoints_own_is_trusted_in_the_place_of_all_others() {
    let (own, other) = (authority(), authority());
    let (address, _tasks) = receiver(&own, "hooks.example", 4000).await;
    // The factory's authorities would do for the one and not for the other.
    for (trusted, ca, good) in [(&other, &own, true), (&own, &other, false)] {
        let settings = over_tls([("ca", &ca.pem())]);
        let rig = Rig::of(&trusting(trusted), &settings, Way::Tcp(address)).await;
        let outcome = rig.deliver().await;
        assert_eq!(outcome.verdict == Verdict::Delivered, good, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (authority, stranger) = (authority(), authority());
    let (address, _tasks) = receiver_of_callers(&authority).await;
    let ca = authority.pem();
    let (cert, key) = caller(&authority);
    let settings = over_tls([("ca", &ca), ("client_cert", &cert), ("client_key", &key)]);
    let rig = Rig::of(&HttpSinkFactory::new(), &settings, Way::Tcp(address)).await;
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    let (cert, key) = caller(&stranger);
    let strange = over_tls([("ca", &ca), ("client_cert", &cert), ("client_key", &key)]);
    for settings in [over_tls([("ca", &ca)]), strange] {
        let outcome = Rig::of(&HttpSinkFactory::new(), &settings, Way::Tcp(address)).await.deliver().await;
        assert!(matches!(outcome.verdict, Verdict::Failed { class: FailureClass::Tls, .. }), "{outcome:?}");
        assert!(outcome.reason.starts_with("hooks.example ended the TLS handshake: "), "{outcome:?}");
    }
}

#[test]
fn files_that_cannot_be_used_for_tls_are_refused_without_being_shown() {
    let authority = authority();
    let ((cert, key), (_, other)) = (caller(&authority), caller(&authority));
    let check = |settings: &Table| HttpSinkFactory::new().check(settings).err().unwrap_or_default();
    assert_eq!(check(&over_tls([("client_cert", &cert), ("client_key", &key)])), []);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cut = cert.replacen('A', "B", 5);
    for (files, reason) in [
        ([("ca", "canary"), ("ca", "canary")], "tls.ca: no certificate can be read from it"),
        ([("ca", &key), ("ca", &key)], "tls.ca: no certificate can be read from it"),
        (
            [("client_cert", &cert), ("client_key", &other)],
            "tls.client_key: it is not the key of client_cert",
        ),
        (
            [("client_cert", &cert), ("client_key", &cert)],
            "tls.client_key: no private key can be read from it",
        ),
        (
            [("client_cert", &cert), ("client_key", &encrypted)],
            "tls.client_key: no private key can be read from it",
        ),
        (
            [("client_cert", &key), ("client_key", &key)],
            "tls.client_cert: no certificate can be read from it",
        ),
        (
            [("client_cert", &cert), ("client_cert", &cert)],
            "tls.client_cert: client_key is missing beside it",
        ),
        ([("client_key", &key), ("client_key", &key)], "tls.client_key: client_cert is missing beside it"),
    ] {
        let errors = check(&over_tls(files));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].to_string(), reason);
        assert!(!format!("{errors:?}").contains("canary") && !format!("{errors:?}").contains(&key[40..60]));
    }
    assert_eq!(check(&over_tls([("client_cert", &cut), ("client_key", &key)])).len(), 1);
    let mut plain = over_tls([("ca", &authority.pem())]);
    plain.insert("url".into(), text("http://hooks.example/"));
    assert_eq!(check(&plain)[0].to_string(), "tls: the URL is not https");
}
