//! What the ingress refuses, and that refusing harms nothing.

use crate::support::{Client, Receiver, daemon, until};
use http::Method;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GOOD: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

fn not_events() -> Vec<String> {
    let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    [
        "[]",
        "42",
        "null",
        r#"{"product":"crm","data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":"sent","data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":"sent","product":"crm"}"#,
        r#"{"event":"unheard-of","product":"crm","data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":"sent","product":"unheard-of","data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":7,"product":"crm","data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":"sent","product":"crm","data":{"status":"sent"}}"#,
        r#"{"event":"sent","product":"crm","data":{"message_id":"","status":"sent"}}"#,
        r#"{"event":"sent","product":"crm","data":{"message_id":42,"status":"sent"}}"#,
        r#"{"event":"sent","product":"crm","data":{"message_id":"m"}}"#,
        r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":[]}}"#,
        r#"{"event":"sent","product":"crm","data":[]}"#,
        r#"{"event":"sent","product":"crm","unknown":1,"data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":"sent","event":"read","product":"crm","data":{"message_id":"m","status":"sent"}}"#,
        r#"{"event":"sent","product":"crm","data":{"message_id":"m","message_id":"n","status":"sent"}}"#,
        r#"{"event":"sent","product":"crm","timestamp":"yesterday","data":{"message_id":"m","status":"sent"}}"#,
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!(
            r#"{{"event":"sent","product":"crm","data":{{"message_id":"{}","status":"sent"}}}}"#,
            "m".repeat(513)
        ),
        format!(
            r#"{{"event":"sent","product":"crm","data":{{"message_id":"m","status":"sent","details":{{"x":{nested}}}}}}}"#
        ),
    ])
    .collect()
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_a_problem_document() {
    let mut daemon = daemon().start().await;
    for body in not_events() {
        let answer = daemon.post(body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
        assert!(answer.json()["status"] == 422, "{body}: {}", answer.text());
    }
    assert_eq!(daemon.post(GOOD).await.status, 202);
}

#[tokio::test]
async fn requests_are_refused_with_the_documented_status() {
    let daemon = daemon().config("max_body = \"4 KiB\"\nmax_batch = 3").start().await;
    let mut client = Client::new(daemon.ingress());
    let json = ("content-type", "application/json");
    let large = format!("\"{}\"", "x".repeat(5000));
    let zipped = ("content-encoding", "gzip");
    let mut expect = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str, status: u16| {
        let answer = client
            .request(method.clone(), path, headers, body.to_owned().into_bytes().into())
            .await
            .unwrap_or_else(|error| panic!("{method} {path} {body:.40}: {error}"));
        assert_eq!(answer.status, status, "{method} {path} {headers:?} {body:.40}: {}", answer.text());
    };
    expect(Method::POST, "/v1/unheard-of", &[json], GOOD, 404).await;
    expect(Method::GET, "/v1/events", &[], "", 405).await;
    expect(Method::POST, "/v1/events", &[("content-type", "text/plain")], GOOD, 415).await;
    expect(Method::POST, "/v1/events", &[json, zipped], GOOD, 415).await;
    expect(Method::POST, "/v1/events", &[json], &large, 413).await;
    expect(Method::POST, "/v1/events", &[json], "{", 400).await;
    expect(Method::POST, "/v1/events", &[json], "", 400).await;
    expect(Method::POST, "/v1/events", &[json], GOOD, 202).await;
    let answer = client.post(format!("[{GOOD},{GOOD},{GOOD},{GOOD}]")).await.expect("an answer");
    assert!([413, 422].contains(&answer.status), "{}", answer.text());
}

#[tokio::test]
async fn one_bad_event_refuses_its_whole_array() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let answer = daemon.post(format!("[{GOOD},{{}},{GOOD}]")).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["index"], 1, "{}", answer.text());
    let answer = daemon.post(GOOD).await;
    let arrived = receiver.wait_for("/acme", 1).await;
    assert_eq!(arrived[0].header("webhook-id"), answer.id());
    daemon.wait_until("nothing is pending", |m| m.sum("postrider_deliveries_pending", &[]) == 0.0).await;
    assert_eq!(receiver.requests("/acme").len(), 1);
}

#[tokio::test]
async fn only_a_known_publisher_may_post() {
    let publisher = "[[ingress.publisher]]\nname = \"platform\"\nbasic = { username = \"platform\", password = \"s3cret\" }\n";
    let daemon = daemon().config(publisher).start().await;
    let mut client = Client::new(daemon.ingress());
    assert_eq!(client.post(GOOD).await.expect("an answer").status, 401);
    // platform:s3cret and platform:guess
    for (credentials, status) in [("cGxhdGZvcm06czNjcmV0", 202), ("cGxhdGZvcm06Z3Vlc3M=", 401), ("%%%", 401)]
    {
        let headers =
            [("content-type", "application/json"), ("authorization", &format!("Basic {credentials}"))];
        let answer =
            client.request(Method::POST, "/v1/events", &headers, GOOD.into()).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test]
async fn odd_bytes_are_answered_or_cut_off_and_nobody_else_notices() {
    let mut daemon = daemon().start().await;
    let requests: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT example.test:443 HTTP/1.1\r\nhost: example.test\r\n\r\n",
        b"POST /v1/events HTTP/9.9\r\nhost: a\r\n\r\n",
    ];
    for request in requests {
        let mut stream = TcpStream::connect(daemon.ingress()).await.expect("connected");
        stream.write_all(request).await.expect("sent");
        stream.shutdown().await.expect("half closed");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        // A reset is as good as an end.
        assert!(read.is_ok(), "neither answered nor closed: {:?}", String::from_utf8_lossy(request));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{:?}: {answer}", String::from_utf8_lossy(request));
    }
    assert_eq!(daemon.post(GOOD).await.status, 202);
}

#[tokio::test]
async fn half_a_request_is_cut_off_in_time() {
    let mut daemon = daemon().start().await;
    let mut idle = Vec::new();
    for start in [
        "",
        "POST /v1/ev",
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\ncontent-type: application/json\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(daemon.ingress()).await.expect("connected");
        stream.write_all(start.as_bytes()).await.expect("sent");
        idle.push(stream);
    }
    assert_eq!(daemon.post(GOOD).await.status, 202);
    for mut stream in idle {
        until(Duration::from_secs(75), "the connection is closed", async || {
            let mut chunk = [0; 1024];
            let read = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut chunk)).await;
            matches!(read, Ok(Ok(0) | Err(_)))
        })
        .await;
    }
}
