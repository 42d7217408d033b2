//! A daemon that may open no more descriptors waits for some to come back, and takes part in everything else.

use crate::support::{Daemon, daemon, until};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GOOD: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

fn limit(daemon: &Daemon, descriptors: usize) {
    let pid = daemon.pid().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={descriptors}:")])
        .status()
        .expect("prlimit of util-linux");
    assert!(limited.success());
}

#[tokio::test]
async fn want_of_descriptors_is_waited_out_without_spinning() {
    let mut daemon = daemon().start().await;
    // On connections that are kept.
    assert_eq!(daemon.post(GOOD).await.status, 202);
    assert_eq!(daemon.ready().await, 200);
    limit(&daemon, daemon.descriptors() + 3);
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(TcpStream::connect(daemon.ingress()).await.expect("in the kernel's queue"));
    }
    let said = "cannot accept connections of publishers";
    until(Duration::from_secs(5), "it runs out", async || daemon.said().contains(said)).await;
    let before = daemon.cpu();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = daemon.cpu() - before;
    // Spinning would be all of it; what else a daemon does right after its start is some of it.
    assert!(used < Duration::from_secs(1), "{used:?} of two seconds");
    assert!(daemon.said().matches(said).count() < 20, "{}", daemon.stderr());
    assert_eq!(daemon.post(GOOD).await.status, 202);
    assert_eq!(daemon.ready().await, 200);
    // The ones inside leave, and those behind them come in, by and by.
    drop(waiting);
    let mut late = TcpStream::connect(daemon.ingress()).await.expect("connected");
    late.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), late.read_to_end(&mut answer)).await;
    assert!(read.is_ok() && answer.starts_with(b"HTTP/1.1 404 "), "{:?}", String::from_utf8_lossy(&answer));
}
