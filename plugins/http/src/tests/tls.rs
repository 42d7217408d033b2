use super::kit::*;
use crate::{HttpSinkFactory, RootCertStore};
use postrider_sink::{FailureClass, Outcome, Verdict};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
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
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
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
