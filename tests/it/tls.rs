//! TLS on both listeners: what is served, what a changed pair does, and that handshakes cannot be used to hurt.

use crate::support::{Daemon, Receiver, TlsPair, daemon, tls_exchange, until};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GOOD: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

fn post() -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    )
}

fn table(folder: &TempDir) -> String {
    let at = folder.path().display();
    format!("tls = {{ cert = \"{at}/chain.pem\", key = \"{at}/key.pem\" }}\n")
}

fn write(folder: &TempDir, cert: &str, key: &str) {
    fs::write(folder.path().join("chain.pem"), cert).expect("written");
    fs::write(folder.path().join("key.pem"), key).expect("written");
}

async fn errors(daemon: &mut Daemon) -> String {
    daemon.get("/api/v1/status").await.json()["config"]["errors"].to_string()
}

#[tokio::test]
async fn an_event_posted_over_tls_arrives_and_one_posted_without_is_not_answered() {
    let receiver = Receiver::start().await;
    let (folder, pair) = (TempDir::new().expect("a folder"), TlsPair::new());
    write(&folder, &pair.cert, &pair.key);
    let daemon = daemon()
        .config(&table(&folder))
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let answer = tls_exchange(daemon.ingress(), &pair, &post()).await.expect("TLS");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    receiver.wait_for("/acme", 1).await;
    let mut plain = TcpStream::connect(daemon.ingress()).await.expect("connected");
    plain.write_all(post().as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP/"), "{:?}", String::from_utf8_lossy(&bytes));
}

#[tokio::test]
async fn the_command_line_speaks_tls_with_a_daemon_whose_authority_it_is_told() {
    let (folder, pair) = (TempDir::new().expect("a folder"), TlsPair::new());
    write(&folder, &pair.cert, &pair.key);
    let admin = table(&folder).replace("tls = { ", "").replace(", key", "\nkey").replace(" }", "");
    let daemon = daemon()
        .config(&format!("{}[admin.tls]\n{admin}", table(&folder)))
        .endpoint("acme", |e| {
            e.url("http://127.0.0.1:9999/");
        })
        .start()
        .await;
    let run = |trusted: Option<&str>, arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(arguments).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command.envs(trusted.map(|file| ("SSL_CERT_FILE", folder.path().join(file))));
        let output = command.output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let admin = format!("https://localhost:{}", daemon.admin_address().port());
    let (code, said) = run(Some("chain.pem"), &["--admin", &admin, "status"]);
    assert!(code == Some(0) && said.contains("acme"), "{code:?}: {said}");
    let (code, said) = run(None, &["--admin", &admin, "status"]);
    assert!(code == Some(4) && said.contains("certificate"), "{code:?}: {said}");
    let ingress = format!("https://localhost:{}", daemon.ingress().port());
    let event = ["--event", "sent", "--product", "crm"];
    let (code, said) = run(Some("chain.pem"), &[&["send", "--ingress", &*ingress][..], &event].concat());
    assert!(code == Some(0) && said.contains("1 delivery"), "{code:?}: {said}");
}

#[tokio::test]
async fn the_admin_listener_speaks_tls_too() {
    let (folder, pair) = (TempDir::new().expect("a folder"), TlsPair::new());
    write(&folder, &pair.cert, &pair.key);
    let daemon = daemon()
        .config(&format!(
            "[admin.tls]\n{}",
            table(&folder).replace("tls = { ", "").replace(", key", "\nkey").replace(" }", "")
        ))
        .start()
        .await;
    let get = "GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = tls_exchange(daemon.admin_address(), &pair, get).await.expect("TLS");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(tls_exchange(daemon.admin_address(), &TlsPair::new(), get).await.is_err());
}

#[tokio::test]
async fn a_new_pair_is_served_at_once_and_a_bad_one_keeps_the_last_good_and_is_reported() {
    let (folder, old, new) = (TempDir::new().expect("a folder"), TlsPair::new(), TlsPair::new());
    write(&folder, &old.cert, &old.key);
    let mut daemon = daemon().config(&table(&folder)).start().await;
    assert!(tls_exchange(daemon.ingress(), &old, &post()).await.is_ok());
    assert!(tls_exchange(daemon.ingress(), &new, &post()).await.is_err());
    // Another's key: the pair does not fit.
    write(&folder, &old.cert, &new.key);
    until(Duration::from_secs(20), "the pair is reported", async || {
        errors(&mut daemon).await.contains("does not belong to the first certificate")
    })
    .await;
    assert!(tls_exchange(daemon.ingress(), &old, &post()).await.is_ok());
    write(&folder, &new.cert, &new.key);
    let at = daemon.ingress();
    until(Duration::from_secs(20), "the new pair is served", async || {
        tls_exchange(at, &new, &post()).await.is_ok()
    })
    .await;
    until(Duration::from_secs(20), "nothing is reported", async || errors(&mut daemon).await == "[]").await;
}

#[tokio::test]
async fn handshakes_that_stall_are_cut_and_delay_nobody() {
    let (folder, pair) = (TempDir::new().expect("a folder"), TlsPair::new());
    write(&folder, &pair.cert, &pair.key);
    let mut daemon = daemon().config(&table(&folder)).start().await;
    // With what the first request opens once and for all.
    let answer = tls_exchange(daemon.ingress(), &pair, &post()).await;
    assert!(answer.expect("TLS").starts_with("HTTP/1.1 202 "));
    assert_eq!(daemon.ready().await, 200);
    let before = daemon.descriptors();
    let mut stalled = Vec::new();
    // Silent ones, half a record, and a record of a length that never comes.
    for bytes in [b"".as_slice(), b"\x16\x03\x01", b"\x16\x03\x01\x40\x00\x01\x00"].repeat(30) {
        let mut stream = TcpStream::connect(daemon.ingress()).await.expect("connected");
        stream.write_all(bytes).await.expect("sent");
        stalled.push(stream);
    }
    for _ in 0..5 {
        let request = post();
        let exchange = tls_exchange(daemon.ingress(), &pair, &request);
        let answer = tokio::time::timeout(Duration::from_secs(2), exchange).await.expect("at once");
        assert!(answer.expect("TLS").starts_with("HTTP/1.1 202 "));
    }
    for mut stream in stalled {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(13), stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "a stalled handshake is still open");
    }
    until(Duration::from_secs(5), "the descriptors are back", async || daemon.descriptors() <= before + 4)
        .await;
    assert_eq!(daemon.ready().await, 200);
}
