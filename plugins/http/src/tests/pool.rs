use super::kit::*;
use postrider_sink::Verdict;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn deliveries_one_after_another_share_a_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 500 Error\r\ncontent-length: 2\r\n\r\nno",
    ] {
        let receiver = Receiver::start(vec![reply(answer, Then::Keep)]).await;
        let rig = Rig::new(Way::Tcp(receiver.address)).await;
        for _ in 0..20 {
            rig.deliver().await;
        }
        assert_eq!((rig.connections(), receiver.requests().len()), (1, 20), "{answer:?}");
    }
}

#[tokio::test]
async fn deliveries_at_once_each_have_a_connection_and_no_more_than_the_concurrency_are_kept() {
    let receiver = Receiver::start(vec![ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    let delivery = delivery();
    let attempts = tokio::join!(
        rig.deliver_this(&delivery),
        rig.deliver_this(&delivery),
        rig.deliver_this(&delivery),
        rig.deliver_this(&delivery),
    );
    assert_eq!(attempts.0.verdict, Verdict::Delivered);
    assert!(rig.connections() <= 4);
    let before = rig.connections();
    rig.deliver().await;
    assert_eq!(rig.connections(), before);
}

#[tokio::test]
async fn an_answer_that_says_close_is_the_last_of_its_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    ] {
        let receiver = Receiver::start(vec![reply(answer, Then::Close)]).await;
        let rig = Rig::new(Way::Tcp(receiver.address)).await;
        for _ in 0..3 {
            assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
        }
        assert_eq!(rig.connections(), 3, "{answer:?}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_receiver_closed_costs_no_attempt() {
    let silent = reply("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Close);
    let mut receiver = Receiver::start(vec![silent, ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    receiver.closed.recv().await.unwrap();
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    assert_eq!(rig.connections(), 2);
}

/// A rig whose other side is the test itself.
async fn in_memory() -> (Rig, mpsc::UnboundedReceiver<DuplexStream>) {
    let (sender, streams) = mpsc::unbounded_channel();
    (Rig::new(Way::Memory(sender)).await, streams)
}

/// Both sides at once, in a bounded time.
async fn both<A, B>(client: impl Future<Output = A>, server: impl Future<Output = B>) -> (A, B) {
    let both = async { tokio::join!(client, server) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("both sides to end")
}

/// Answers one request on a connection.
async fn answer(stream: &mut DuplexStream, bytes: &[u8]) {
    read_request(stream).await.expect("a request");
    stream.write_all(bytes).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_closes_on_the_request_fails_the_attempt_and_the_next_is_on_a_fresh_one() {
    let (rig, mut streams) = in_memory().await;
    let server = async {
        let mut first = streams.recv().await.unwrap();
        answer(&mut first, OK).await;
        read_request(&mut first).await.unwrap();
        drop(first);
        let mut second = streams.recv().await.unwrap();
        answer(&mut second, OK).await;
        second
    };
    let client = async { (rig.deliver().await, rig.deliver().await, rig.deliver().await) };
    let ((first, second, third), _stream) = both(client, server).await;
    assert_eq!((first.verdict, third.verdict), (Verdict::Delivered, Verdict::Delivered));
    assert!(
        matches!(second.verdict, Verdict::Failed { .. }),
        "it was written, so it may have been taken: {second:?}"
    );
    assert_eq!(rig.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_answered_in_part_or_closed_on_a_fresh_connection_is_not_repeated() {
    let (rig, mut streams) = in_memory().await;
    let server = async {
        let mut first = streams.recv().await.unwrap();
        answer(&mut first, OK).await;
        answer(&mut first, b"HTTP/1.1 2").await;
        drop(first);
        let mut second = streams.recv().await.unwrap();
        read_request(&mut second).await.unwrap();
    };
    let client = async { [rig.deliver().await, rig.deliver().await, rig.deliver().await] };
    let (outcomes, ()) = both(client, server).await;
    let failed: Vec<_> =
        outcomes.iter().map(|outcome| matches!(outcome.verdict, Verdict::Failed { .. })).collect();
    assert_eq!(failed, [false, true, true], "{outcomes:?}");
    assert_eq!(rig.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_once_the_late_end_of_its_answer_is_there() {
    let (rig, mut streams) = in_memory().await;
    let head = &OK[..OK.len() - 1];
    let ((), outcome) = both(
        async {
            let mut stream = streams.recv().await.unwrap();
            answer(&mut stream, head).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            stream.write_all(b"k").await.unwrap();
            answer(&mut stream, OK).await;
        },
        async {
            let before = tokio::time::Instant::now();
            let outcome = rig.deliver().await;
            assert!(before.elapsed() < Duration::from_millis(100), "the outcome does not wait");
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
            outcome
        },
    )
    .await;
    assert_eq!(outcome.verdict, Verdict::Delivered);
    assert_eq!(rig.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_in_time_ends_its_connection_without_another_delivery() {
    let (rig, mut streams) = in_memory().await;
    let server = async {
        let mut stream = streams.recv().await.unwrap();
        answer(&mut stream, &OK[..OK.len() - 1]).await;
        let before = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        before.elapsed()
    };
    let (_, waited) = both(rig.deliver(), server).await;
    assert!(waited < Duration::from_secs(4), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_closed_after_half_a_minute() {
    let (rig, mut streams) = in_memory().await;
    let server = async {
        let mut stream = streams.recv().await.unwrap();
        answer(&mut stream, OK).await;
        let before = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        before.elapsed()
    };
    let (_, waited) = both(rig.deliver(), server).await;
    assert!((30..33).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test]
async fn another_policy_ends_kept_connections() {
    let receiver = Receiver::start(vec![ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    rig.deliver().await;
    rig.connector.epoch.store(1, Ordering::SeqCst);
    for _ in 0..2 {
        rig.deliver().await;
        assert_eq!(rig.connections(), 2);
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_a_kept_connection() {
    let smuggled =
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(vec![reply(smuggled, Then::Keep), ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered, "never the answer to another request");
    assert_eq!(rig.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_went_bad_is_written_nothing_and_the_next_one_is_used() {
    for late in [None, Some(&b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"[..])] {
        let (rig, mut streams) = in_memory().await;
        let delivery = delivery();
        let (kept, is_kept) = tokio::sync::oneshot::channel();
        let first = async {
            rig.deliver_this(&delivery).await;
            kept.send(()).unwrap();
        };
        let at_once = async { tokio::join!(first, rig.deliver_this(&delivery)) };
        let answered = async {
            let (mut older, mut newer) = (streams.recv().await.unwrap(), streams.recv().await.unwrap());
            answer(&mut older, OK).await;
            is_kept.await.unwrap();
            answer(&mut newer, OK).await;
            (older, newer)
        };
        let (_, (mut older, mut newer)) = both(at_once, answered).await;
        match late {
            Some(bytes) => newer.write_all(bytes).await.unwrap(),
            None => newer.shutdown().await.unwrap(),
        }
        let (outcome, ()) = both(rig.deliver(), answer(&mut older, OK)).await;
        assert_eq!((outcome.verdict, rig.connections()), (Verdict::Delivered, 2), "{late:?}");
        let mut written = Vec::new();
        newer.read_to_end(&mut written).await.unwrap();
        assert_eq!(written, b"", "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_attempt_closes_its_connection() {
    let (rig, mut streams) = in_memory().await;
    let delivery = delivery();
    let attempt = tokio::time::timeout(Duration::from_secs(1), rig.sink.deliver(&delivery));
    assert!(attempt.await.is_err());
    let mut stream = streams.recv().await.unwrap();
    let mut sent = Vec::new();
    stream.read_to_end(&mut sent).await.unwrap();
    assert!(sent.starts_with(b"POST /in?key=1 HTTP/1.1\r\n"));
}
