//! Many connections that are slow, silent or greedy: every one is closed by its deadline, the others do not notice,
//! and nothing of them stays.

use crate::support::{Client, Daemon, Scale, daemon, until};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const GOOD: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;
const HEAD: &str = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";

/// A way to be a burden.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Says nothing.
    Silent,
    /// Half the preface of HTTP/2.
    Preface,
    /// Begins a head and stops.
    HalfHead,
    /// Sends a head byte by byte.
    DripHead,
    /// Stops after a head.
    NoBody,
    /// Sends a body byte by byte.
    DripBody,
    /// A chunk of a size that never comes.
    HalfChunk,
    /// Sends request after request and reads no answer.
    NeverReads,
    /// Is served once and stays.
    Idle,
}

use Kind::{DripBody, DripHead, HalfChunk, HalfHead, Idle, NeverReads, NoBody, Preface, Silent};

impl Kind {
    fn first(self) -> String {
        match self {
            Silent => String::new(),
            Preface => "PRI * HTTP/2".to_owned(),
            HalfHead | DripHead => "POST /v1/events HTTP/1.1\r\nhost: a\r\nx: ".to_owned(),
            NoBody | DripBody => format!("{HEAD}content-length: 200000\r\n\r\n"),
            HalfChunk => format!("{HEAD}transfer-encoding: chunked\r\n\r\n1000\r\n{{"),
            NeverReads => format!("{HEAD}content-length: 1\r\n\r\n[").repeat(5000),
            Idle => format!("{HEAD}content-length: {}\r\n\r\n{GOOD}", GOOD.len()),
        }
    }

    /// When it is closed at the latest: the promise, and how late we may be on a busy machine.
    fn deadline(self) -> Duration {
        let promise = match self {
            Silent => 5,
            Preface | HalfHead | DripHead | NoBody | HalfChunk | DripBody => 10,
            NeverReads => 30,
            Idle => 60,
        };
        Duration::from_secs(promise + 3)
    }
}

/// Is a burden from an address of its own, and measures how long it is borne; none: longer than `most`, counted from
/// when it is connected.
async fn burden(kind: Kind, from: IpAddr, to: SocketAddr, most: Duration) -> Option<Duration> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from, 0)).expect("an address of loopback");
    if matches!(kind, NeverReads) {
        // Little fits between the two, so that it is soon the daemon that waits.
        socket.set_recv_buffer_size(4096).expect("set");
    }
    let stream = socket.connect(to).await.expect("connected");
    let start = Instant::now();
    let (mut read, mut write) = stream.into_split();
    let feed = async {
        let _ = write.write_all(kind.first().as_bytes()).await;
        match kind {
            DripHead | DripBody => loop {
                sleep(Duration::from_millis(500)).await;
                if write.write_all(b" ").await.is_err() {
                    break std::future::pending::<()>().await;
                }
            },
            // Until it is closed, which shows in that nothing can be written any more.
            NeverReads => while write.write_all(kind.first().as_bytes()).await.is_ok() {},
            _ => std::future::pending::<()>().await,
        }
    };
    let end = async {
        if matches!(kind, NeverReads) {
            std::future::pending::<()>().await;
        }
        let mut chunk = [0; 4096];
        while !matches!(read.read(&mut chunk).await, Ok(0) | Err(_)) {}
    };
    let either = async {
        tokio::select! {
            () = feed => {}
            () = end => {}
        }
    };
    timeout(most, either).await.ok().map(|()| start.elapsed())
}

/// The 99th percentile of the answers to one request after another, for so long.
async fn p99(to: SocketAddr, time: Duration) -> Duration {
    let mut client = Client::new(to);
    let (start, mut took) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let sent = Instant::now();
        assert_eq!(client.post(GOOD).await.expect("an answer").status, 202);
        took.push(sent.elapsed());
        sleep(Duration::from_millis(2)).await;
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

async fn settled(daemon: &Daemon, descriptors: usize) {
    until(Duration::from_secs(10), "the descriptors are back", async || {
        daemon.descriptors() <= descriptors + 4
    })
    .await;
}

#[tokio::test]
async fn slow_and_silent_connections_are_cut_in_time_and_nobody_notices() {
    let scale = Scale::of(30, 1000);
    let kinds: &[Kind] = if scale.long {
        &[Silent, Preface, HalfHead, DripHead, NoBody, DripBody, HalfChunk, Idle]
    } else {
        &[Silent, Preface, HalfHead, DripHead, NoBody, DripBody, HalfChunk]
    };
    let mut daemon = daemon().start().await;
    let at = daemon.ingress();
    let before = p99(at, Duration::from_secs(2)).await;
    let (descriptors, memory) = (daemon.descriptors(), daemon.memory_mib());
    // All kinds at once when there are few of each; else one after another, below the cap of all connections.
    let rounds: Vec<&[Kind]> = if scale.long { kinds.chunks(1).collect() } else { vec![kinds] };
    for round in rounds {
        let mut burdens = JoinSet::new();
        for (number, kind) in (2_u8..).zip(round.iter().copied()) {
            let from = IpAddr::from([127, 0, 0, number]);
            for _ in 0..scale.count {
                burdens.spawn(async move { (kind, burden(kind, from, at, kind.deadline()).await) });
            }
        }
        let during = p99(at, Duration::from_secs(4)).await;
        let mut longest = Duration::ZERO;
        while let Some(ended) = burdens.join_next().await {
            let (kind, borne) = ended.expect("no panic");
            let borne =
                borne.unwrap_or_else(|| panic!("{kind:?} is borne longer than {:?}", kind.deadline()));
            longest = longest.max(borne);
        }
        let ms = |time: Duration| u64::try_from(time.as_millis()).expect("short");
        let counts = json!({"kinds": format!("{round:?}"), "p99_before_ms": ms(before), "p99_during_ms": ms(during),
            "longest_ms": ms(longest), "memory_mib": daemon.memory_mib()});
        scale.report("abuse", &counts);
        // A busy machine of two cores moves the tail by tens of milliseconds all by itself.
        let most = (before * 2).max(Duration::from_millis(if scale.long { 25 } else { 100 }));
        assert!(during < most, "p99 {during:?} beside {round:?}, {before:?} without");
    }
    settled(&daemon, descriptors).await;
    let grown = daemon.memory_mib().saturating_sub(memory);
    assert!(grown < 32, "{grown} MiB stay");
    assert_eq!(daemon.ready().await, 200);
}

#[tokio::test]
async fn who_never_reads_answers_leaves_nothing() {
    let mut daemon = daemon().start().await;
    let (descriptors, memory) = (daemon.descriptors(), daemon.memory_mib());
    let at = daemon.ingress();
    let mut burdens = JoinSet::new();
    for _ in 0..20 {
        // They go away before they are sent away.
        burdens.spawn(burden(NeverReads, IpAddr::from([127, 0, 0, 9]), at, Duration::from_secs(4)));
    }
    while burdens.join_next().await.is_some() {}
    settled(&daemon, descriptors).await;
    let grown = daemon.memory_mib().saturating_sub(memory);
    assert!(grown < 32, "{grown} MiB stay");
    assert_eq!(daemon.post(GOOD).await.status, 202);
}

/// Bodies that are announced and do not come, more than there is room for, keep nobody out.
#[tokio::test]
async fn what_is_only_announced_takes_no_room() {
    let mut daemon = daemon().start().await;
    let mut announced = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(daemon.ingress()).await.expect("connected");
        stream.write_all(HalfChunk.first().as_bytes()).await.expect("sent");
        announced.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(daemon.post(GOOD).await.status, 202);
    }
    drop(announced);
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing() {
    let scale = Scale::of(1000, 100_000);
    let daemon = daemon().start().await;
    let (descriptors, memory) = (daemon.descriptors(), daemon.memory_mib());
    for turn in 0..scale.count {
        let mut stream = TcpStream::connect(daemon.ingress()).await.expect("connected");
        if turn % 2 == 0 {
            stream.write_all(b"POST /v1/ev").await.expect("sent");
        }
        // With what was sent unread it is a reset, and so it is where it is set so.
        if turn % 3 == 0 {
            stream.set_zero_linger().expect("set");
        }
    }
    settled(&daemon, descriptors).await;
    assert!(daemon.memory_mib().saturating_sub(memory) < 32);
}
