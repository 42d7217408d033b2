use super::kit::*;
use postrider_sink::{ConnectErrorKind, FailureClass, Outcome, Trail, Verdict, Wait};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const NO_WAIT: Wait = Wait::None;

fn http(breaker: bool, wait: Wait) -> Verdict {
    Verdict::Failed { class: FailureClass::HttpError, breaker, wait }
}

fn class(outcome: &Outcome) -> FailureClass {
    match outcome.verdict {
        Verdict::Failed { class, breaker: true, wait: Wait::None } => class,
        other => panic!("{other:?}"),
    }
}

async fn answered(bytes: &str) -> Outcome {
    let receiver = Receiver::start(vec![reply(bytes, Then::Close)]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    let outcome = rig.deliver().await;
    assert_eq!(receiver.requests().len(), 1, "nothing is repeated or followed");
    outcome
}

async fn status(line: &str, headers: &str) -> Outcome {
    answered(&format!("HTTP/1.1 {line}\r\n{headers}content-length: 0\r\n\r\n")).await
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    for line in ["200 OK", "201 Created", "202 Accepted", "206 Partial Content", "299 Odd"] {
        assert_eq!(status(line, "").await.verdict, Verdict::Delivered, "{line}");
    }
    assert_eq!(answered("HTTP/1.1 204 No Content\r\n\r\n").await.verdict, Verdict::Delivered);
    assert_eq!(status("410 Gone", "").await.verdict, Verdict::Suspend);
    for line in ["400 Bad Request", "413 Content Too Large", "415 Unsupported", "422 Unprocessable"] {
        assert_eq!(status(line, "").await.verdict, http(false, NO_WAIT), "{line}");
    }
    for line in [
        "300 Multiple Choices",
        "301 Moved",
        "302 Found",
        "304 Not Modified",
        "307 Temporary",
        "308 Permanent",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "408 Timeout",
        "425 Early",
        "429 Too Many",
        "451 Legal",
        "500 Error",
        "501 Not Implemented",
        "502 Bad Gateway",
        "503 Unavailable",
        "504 Gateway Timeout",
        "599 Odd",
        "799 Odder",
    ] {
        assert_eq!(status(line, "").await.verdict, http(true, NO_WAIT), "{line}");
    }
}

#[tokio::test]
async fn only_four_statuses_may_ask_the_endpoint_to_wait() {
    for line in ["429 Too Many", "502 Bad Gateway", "503 Unavailable", "504 Gateway Timeout"] {
        let wait = Wait::Endpoint(Duration::from_secs(120));
        assert_eq!(status(line, "retry-after: 120\r\n").await.verdict, http(false, wait), "{line}");
    }
    for line in ["500 Error", "301 Moved", "408 Timeout"] {
        assert_eq!(status(line, "retry-after: 120\r\n").await.verdict, http(true, NO_WAIT), "{line}");
    }
}

#[tokio::test]
async fn a_wait_is_seconds_or_a_date_and_anything_else_is_absent() {
    for (value, seconds) in [
        ("120", 120),
        ("0", 0),
        ("3600", 3600),
        ("  7  ", 7),
        ("007", 7),
        ("Mon, 23 Nov 2026 05:02:00 GMT", 120),
        ("Monday, 23-Nov-26 05:02:00 GMT", 120),
        ("Mon Nov 23 05:02:00 2026", 120),
    ] {
        let verdict = status("503 Unavailable", &format!("retry-after: {value}\r\n")).await.verdict;
        assert_eq!(verdict, http(false, Wait::Endpoint(Duration::from_secs(seconds))), "{value}");
    }
    for value in [
        "",
        "-1",
        "+5",
        "1.5",
        "inf",
        "NaN",
        "1e3",
        "1e30",
        "0x10",
        "3601",
        "99999999999999999999",
        "１２０",
        "120, 120",
        "120 s",
        "soon",
        "Mon, 23 Nov 2026 05:00:00 GMT",
        "Mon, 23 Nov 2026 04:59:00 GMT",
        "Mon, 23 Nov 2026 06:00:01 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Mon, 23 Nov 1926 05:02:00 GMT",
        "2026-11-23T05:02:00Z",
    ] {
        let verdict = status("503 Unavailable", &format!("retry-after: {value}\r\n")).await.verdict;
        assert_eq!(verdict, http(true, NO_WAIT), "{value}");
    }
    let twice = status("503 Unavailable", "retry-after: 1\r\nretry-after: 1\r\n").await;
    assert_eq!(twice.verdict, http(true, NO_WAIT));
}

#[tokio::test]
async fn a_redirect_names_the_host_and_nothing_else_of_where_it_leads() {
    let outcome = status("301 Moved", "location: https://user:pw@www.acme.test/in?token=s3cret\r\n").await;
    assert_eq!(outcome.reason, "301 to www.acme.test; redirects are not followed");
    let outcome = status("302 Found", "location: /login\r\n").await;
    assert_eq!(outcome.reason, "302 Found; redirects are not followed");
}

#[tokio::test]
async fn reasons_are_for_people() {
    assert_eq!(status("200 Fine", "").await.reason, "200 OK");
    assert_eq!(status("503 whatever", "").await.reason, "503 Service Unavailable");
    let outcome = status("429 whatever", "retry-after: 30\r\n").await;
    assert_eq!(outcome.reason, "429 Too Many Requests; asks to wait 30 s");
    assert_eq!(status("599 <script>", "").await.reason, "599");
}

#[tokio::test]
async fn switching_protocols_is_a_failure_and_ends_the_connection() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: evil\r\n\r\n";
    let receiver = Receiver::start(vec![reply(answer, Then::Keep), ok()]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    let outcome = rig.deliver().await;
    assert!(matches!(outcome.verdict, Verdict::Failed { breaker: true, .. }), "{outcome:?}");
    assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    assert_eq!(rig.connections(), 2);
}

#[tokio::test]
async fn early_hints_before_the_answer_are_passed_over() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20);
    let outcome = answered(&format!("{hints}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    assert_eq!(outcome.verdict, Verdict::Delivered);
}

#[tokio::test]
async fn endless_early_hints_break_off_long_before_the_deadline() {
    let flood = Then::Flood(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    let receiver = Receiver::start(vec![reply("", flood)]).await;
    let rig = Rig::new(Way::Tcp(receiver.address)).await;
    let outcome = tokio::time::timeout(Duration::from_secs(10), rig.deliver()).await.expect("in time");
    assert_eq!(class(&outcome), FailureClass::Connect);
    assert_eq!(outcome.reason, "the head of the answer is too large");
}

#[tokio::test]
async fn an_answer_that_breaks_is_a_broken_connection() {
    for bytes in [
        "",
        "H",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{2}\u{1}\0",
    ] {
        let outcome = answered(bytes).await;
        assert_eq!(class(&outcome), FailureClass::Connect, "{bytes:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_enormous_head_is_refused() {
    for (line, times) in [("x-pad: 0123456789012345678901234567890123456789\r\n", 101), ("x: y\r\n", 20_000)]
    {
        let outcome = answered(&format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(times))).await;
        assert_eq!(class(&outcome), FailureClass::Connect, "{outcome:?}");
    }
    let receiver =
        Receiver::start(vec![reply("HTTP/1.1 200 OK\r\nx: ", Then::Flood(b"aaaaaaaaaaaaaaaa"))]).await;
    let outcome = Rig::new(Way::Tcp(receiver.address)).await.deliver().await;
    assert_eq!(outcome.reason, "the head of the answer is too large");
}

#[tokio::test]
async fn a_body_without_end_changes_nothing_but_the_connection() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let flood = Then::Flood(b"400\r\n");
    let chunk: &'static [u8] = [b"400\r\n".as_slice(), &[b'x'; 1024], b"\r\n"].concat().leak();
    for (head, then) in [
        (head, Then::Flood(chunk)),
        (head, flood),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", Then::Flood(chunk)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab", Then::Hold),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab", Then::Close),
        ("HTTP/1.1 200 OK\r\n\r\n", Then::Flood(chunk)),
    ] {
        let receiver = Receiver::start(vec![reply(head, then), ok()]).await;
        let rig = Rig::new(Way::Tcp(receiver.address)).await;
        let first = tokio::time::timeout(Duration::from_secs(1), rig.deliver());
        assert_eq!(first.await.expect("at once").verdict, Verdict::Delivered, "{head}");
        assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
        assert_eq!(rig.connections(), 2, "{head}");
    }
}

#[tokio::test]
async fn of_an_answer_that_announces_more_than_is_read_the_beginning_is_kept_where_it_is_wanted() {
    let said = "no such table";
    let long = said.to_owned() + &" ".repeat(2000);
    for (body, then, length) in
        [(long.as_str(), Then::Hold, 1024), (said, Then::Hold, 13), (said, Then::Close, 13)]
    {
        let answer = format!("HTTP/1.1 500 Error\r\ncontent-length: 99999\r\n\r\n{body}");
        let receiver = Receiver::start(vec![reply(&answer, then), ok()]).await;
        let rig = Rig::new(Way::Tcp(receiver.address)).await;
        let mut delivery = delivery();
        delivery.trail = Arc::new(Trail::keeping(1024));
        assert_eq!(rig.deliver_this(&delivery).await.verdict, http(true, NO_WAIT));
        let kept = delivery.trail.answer().expect("something is kept");
        assert!(kept.starts_with(said.as_bytes()), "{kept:?}");
        assert_eq!(kept.len(), length);
        assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
        assert_eq!(rig.connections(), 2, "that connection is not used again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_hangs_is_left_at_the_connect_timeout() {
    let rig = Rig::new(Way::Hangs).await;
    let before = tokio::time::Instant::now();
    let outcome = rig.deliver().await;
    assert_eq!(class(&outcome), FailureClass::Timeout);
    assert_eq!(outcome.reason, "no connection to hooks.example port 80 within 5 s");
    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_failed_connect_keeps_its_step() {
    for (kind, wanted) in [
        (ConnectErrorKind::Dns, FailureClass::Dns),
        (ConnectErrorKind::Connect, FailureClass::Connect),
        (ConnectErrorKind::Timeout, FailureClass::Timeout),
    ] {
        let outcome = Rig::new(Way::Fails(kind)).await.deliver().await;
        assert_eq!(class(&outcome), wanted);
        assert_eq!(outcome.reason, "no way to hooks.example");
    }
    let blocked = Rig::new(Way::Fails(ConnectErrorKind::Blocked)).await.deliver().await;
    assert_eq!(blocked.verdict, Verdict::Blocked);
}

#[tokio::test]
async fn an_answer_that_comes_while_a_large_body_is_still_being_sent_counts() {
    let answer = "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for closes in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks: JoinSet<()> = JoinSet::new();
        tasks.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 20]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if !closes {
                std::future::pending::<()>().await;
            }
        });
        let rig = Rig::new(Way::Tcp(address)).await;
        let mut delivery = delivery();
        delivery.body = vec![b'x'; 16 << 20].into();
        let outcome = rig.deliver_this(&delivery).await;
        // Where the receiver closes with our bytes unread, the system may drop its answer: the connection broke.
        let broke = closes && outcome.verdict == Outcome::failed(FailureClass::Connect, "").verdict;
        assert!(broke || outcome.verdict == http(false, NO_WAIT), "{closes}: {outcome:?}");
    }
}
