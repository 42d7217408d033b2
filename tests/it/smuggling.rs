//! Requests that could be read in two ways: the daemon by itself, and behind proxies that read them first.

mod proxy;
mod vectors;

use crate::support::{Daemon, daemon};
use proxy::Proxy;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use vectors::{Fate, last, vectors};

/// Everything that is answered until the other side closes. Longer than any deadline of a proxy here.
async fn answers(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("connected");
    // The other side may have closed already; what it said is still there to read.
    let _ = stream.write_all(bytes).await;
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    String::from_utf8_lossy(&said).into_owned()
}

/// The statuses of what was answered.
fn statuses(said: &str) -> Vec<&str> {
    let status = |(at, _)| said.get(at + 9..at + 12).filter(|text: &&str| text.parse::<u16>().is_ok());
    said.match_indices("HTTP/1.").filter_map(status).collect()
}

/// How many events were taken.
async fn accepted(daemon: &mut Daemon) -> usize {
    let metrics = daemon.metrics().await;
    let count = metrics.sum("postrider_events_received_total", &[("result", "accepted")]);
    format!("{count}").parse().expect("a whole number")
}

#[tokio::test]
async fn each_of_many_ambiguous_requests_is_refused_once_and_ends_its_connection() {
    let mut daemon = daemon().start().await;
    let (mut taken, all) = (0, vectors());
    assert!(all.len() >= 150, "{}", all.len());
    for vector in all {
        let shown = String::from_utf8_lossy(&vector.bytes).into_owned();
        let bytes = [vector.bytes.as_slice(), last().as_bytes()].concat();
        let said = answers(daemon.ingress(), &bytes).await;
        match vector.fate {
            Fate::Refused => {
                assert_eq!(statuses(&said), ["400"], "{shown:?}: {said}");
                assert!(said.contains("connection: close"), "{shown:?}: {said}");
            }
            Fate::Taken => {
                assert_eq!(statuses(&said), ["202", "202"], "{shown:?}: {said}");
                taken += 2;
            }
        }
        assert_eq!(accepted(&mut daemon).await, taken, "{shown:?}: {said}");
    }
}

#[tokio::test]
async fn behind_nginx_as_many_events_are_taken_as_their_senders_were_told() {
    as_many_are_taken_as_told(Proxy::nginx).await;
}

#[tokio::test]
async fn behind_haproxy_as_many_events_are_taken_as_their_senders_were_told() {
    as_many_are_taken_as_told(Proxy::haproxy).await;
}

async fn as_many_are_taken_as_told(start: impl AsyncFn(SocketAddr) -> Proxy) {
    let mut daemon = daemon().start().await;
    let proxy = start(daemon.ingress()).await;
    let at = proxy.address();
    let mut sending = JoinSet::new();
    let mut told = 0;
    let mut count = |said: &str| told += statuses(said).iter().filter(|status| **status == "202").count();
    for vector in vectors() {
        let bytes = [vector.bytes.as_slice(), last().as_bytes()].concat();
        sending.spawn(async move { answers(at, &bytes).await });
        if sending.len() >= 64 {
            count(&sending.join_next().await.expect("one").expect("no panic"));
        }
    }
    while let Some(said) = sending.join_next().await {
        count(&said.expect("no panic"));
    }
    // What is left over on a connection between the two would answer one of these.
    for _ in 0..20 {
        let said = answers(at, last().as_bytes()).await;
        assert_eq!(statuses(&said), ["202"], "{said}");
        count(&said);
    }
    assert!(told > 20, "nothing was passed on");
    assert_eq!(accepted(&mut daemon).await, told);
}
