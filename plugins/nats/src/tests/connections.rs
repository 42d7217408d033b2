use super::kit::{Loopback, Rig, core, ids, stream, table, text};
use super::server::NatsServer;
use async_nats::ConnectOptions;
use postrider_sink::{Secret, Value};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_server_that_is_killed_fails_what_waits_and_is_found_again_and_nothing_is_lost() {
    let mut server = NatsServer::start("");
    let first = stream(&server, ConnectOptions::new()).await;
    drop(first);
    let rig = Rig::of(&table(server.port)).await;
    assert!(rig.deliver("evt_1").await.is_ok());
    server.kill9();
    let wrong = tokio::time::timeout(SOON, rig.deliver("evt_2")).await.expect("soon").unwrap_err();
    assert!(wrong.contains("Connect"), "{wrong}");
    let wrong = rig.deliver("evt_2").await.unwrap_err();
    assert!(wrong.contains("connection refused at nats.example:"), "{wrong}");
    assert!(rig.host.said().last().is_some_and(Result::is_err), "{:?}", rig.host.said());
    server.run();
    let started = tokio::time::Instant::now();
    while let Err(wrong) = rig.deliver("evt_2").await {
        assert!(started.elapsed() < SOON, "{wrong}");
    }
    assert!(rig.host.said().last().is_some_and(Result::is_ok), "{:?}", rig.host.said());
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("EVENTS").await.unwrap();
    assert_eq!(ids(&stream).await, ["evt_1", "evt_2"]);
}

#[tokio::test]
async fn a_connection_that_broke_is_not_made_again_behind_the_guard() {
    let server = NatsServer::start("");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::of(&core(listener.local_addr().unwrap().port())).await;
    let passing = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut behind = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut behind).await.unwrap();
    };
    // Until the delivery is made; then both connections go.
    let through = async {
        tokio::select! {
            () = passing => unreachable!("nobody closes"),
            outcome = rig.deliver("evt_1") => assert!(outcome.is_ok(), "{outcome:?}"),
        }
    };
    tokio::time::timeout(SOON, through).await.unwrap();
    let started = tokio::time::Instant::now();
    while !rig.host.said().last().is_some_and(Result::is_err) {
        assert!(started.elapsed() < SOON, "{:?}", rig.host.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The client tries at once, or never: nobody may come.
    assert!(tokio::time::timeout(Duration::from_millis(500), listener.accept()).await.is_err());
    assert_eq!(rig.connector.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn another_policy_means_another_connection_checked_again() {
    let server = NatsServer::start("");
    let rig = Rig::of(&core(server.port)).await;
    for (epoch, asked) in [(0, 1), (0, 1), (1, 2), (1, 2)] {
        rig.connector.epoch.store(epoch, Ordering::SeqCst);
        assert!(rig.deliver("evt_1").await.is_ok());
        assert_eq!(rig.connector.asked.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn a_server_that_may_not_be_reached_blocks_and_another_one_is_used() {
    let server = NatsServer::start("");
    let blocked = || Loopback { blocked: Some("inner.example"), ..Loopback::default() };
    let mut table = core(server.port);
    let inner = text(&format!("nats://inner.example:{}", server.port));
    table.insert("servers".into(), Value::Array(vec![inner.clone()]));
    let wrong = Rig::over(&table, blocked()).await.deliver("evt_1").await.unwrap_err();
    assert_eq!(wrong, "Blocked: inner.example has a private address");
    let other = text(&format!("nats://nats.example:{}", server.port));
    table.insert("servers".into(), Value::Array(vec![inner, other]));
    assert!(Rig::over(&table, blocked()).await.deliver("evt_1").await.is_ok());
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_although_an_address_is_dialled() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([String::from("nats.example")]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let [cert_file, key_file] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let server = NatsServer::start(&format!("tls {{ cert_file: {cert_file:?}, key_file: {key_file:?} }}"));
    let endpoint = |name: &str, trusted: bool| {
        let mut table = core(server.port);
        let url = text(&format!("tls://{name}:{}", server.port));
        table.insert("servers".into(), Value::Array(vec![url]));
        if trusted {
            let ca = Value::Secret(Secret::new(authority.pem()));
            table.insert("tls".into(), Value::Table([("ca".into(), ca)].into()));
        }
        table
    };
    assert!(Rig::of(&endpoint("nats.example", true)).await.deliver("evt_1").await.is_ok());
    for (table, wanted) in [
        (endpoint("other.example", true), "the certificate is for nats.example, not other.example"),
        (
            endpoint("nats.example", false),
            "the certificate of nats.example is from an authority that is not trusted here",
        ),
    ] {
        let wrong = Rig::of(&table).await.deliver("evt_1").await.unwrap_err();
        assert!(wrong.contains(wanted), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_no_nats_server_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rig = Rig::of(&core(port)).await;
    let answer = async {
        let (mut client, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut client, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    let wrong = tokio::select! { outcome = rig.deliver("evt_1") => outcome.unwrap_err(), () = answer => unreachable!() };
    assert!(wrong.contains("no connection to nats.example") || wrong.contains("does not answer"), "{wrong}");
}
