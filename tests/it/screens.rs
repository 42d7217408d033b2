//! With ten thousand endpoints and a million rows of history, every screen's first answer comes at once.

use crate::support::{EndpointFile, Scale, daemon};
use http::Method;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Rows posted at once.
const BATCH: u64 = 1000;

/// A subscriber's server that keeps nothing: 500 for paths that begin with `/dead`, 200 for all others.
async fn receiver() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream));
        }
    });
    (at, server)
}

async fn answer(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            let all = end + 4 + length.unwrap_or(0);
            if bytes.len() < all {
                break;
            }
            let status = if head.starts_with("post /dead") { "500 No" } else { "200 OK" };
            let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            bytes.drain(..all);
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

fn event(product: &str, n: u64) -> Value {
    let names = ["sent", "delivered", "read", "failed"];
    let name = names[usize::try_from(n % 4).expect("small")];
    json!({ "event": name, "product": product, "data": { "message_id": format!("wamid.{}", n / 4), "status": name } })
}

#[tokio::test]
async fn every_screens_first_answer_comes_at_once_however_much_there_is() {
    let scale = Scale::of(20_000, 1_000_000);
    let endpoints = scale.count.div_ceil(100).max(1000);
    let (at, _server) = receiver().await;
    let mut setup = daemon().config("[limits]\nattempts = 256\n[spool]\nhistory_bytes = \"8 GiB\"");
    let url = format!("http://{at}/in");
    for n in 0..endpoints {
        setup = setup.endpoint(&format!("customer-{n:05}"), |e: &mut EndpointFile| {
            e.url(url.clone()).products(&["automation"]);
        });
    }
    let mut daemon = setup
        .endpoint("busy", |e| {
            e.url(format!("http://{at}/busy")).products(&["crm"]);
        })
        .endpoint("dead", |e| {
            e.url(format!("http://{at}/dead")).products(&["campaigns"]).retry(&["1ms"]).no_breaker();
        })
        .start()
        .await;

    // Each endpoint has had something to do; one has a long history, and one many dead letters.
    let answer = daemon.post(event("automation", 0).to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let mut posted = 0;
    while posted < scale.count {
        let product = |n: u64| if n.is_multiple_of(100) { "campaigns" } else { "crm" };
        let batch: Vec<Value> = (posted..posted + BATCH).map(|n| event(product(n), n)).collect();
        let answer = daemon.post(Value::from(batch).to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        posted += BATCH;
    }
    let patience = Duration::from_secs(60 + scale.count / 2000);
    let ended = async || daemon.metrics().await.sum("postrider_deliveries_pending", &[]) < 1.0;
    crate::support::until(patience, "everything has ended", ended).await;

    let bound = Duration::from_millis(if scale.long { 200 } else { 1000 });
    let last = format!("/endpoints/customer-{:05}", endpoints - 1);
    let oldest = "wamid.1";
    let screens = [
        "/".to_owned(),
        "/?q=customer-00&state=active".to_owned(),
        "/?page=19".to_owned(),
        last,
        "/endpoints/busy".to_owned(),
        "/new".to_owned(),
        "/deliveries".to_owned(),
        "/deliveries?endpoint=busy&since=1h&state=delivered".to_owned(),
        format!("/deliveries?message_id={oldest}"),
        "/deliveries?endpoint=customer-00000".to_owned(),
        "/deliveries?state=parked".to_owned(),
        "/dead-letters".to_owned(),
        "/dead-letters?endpoint=dead&reason=exhausted".to_owned(),
        "/reload-status".to_owned(),
        "/api/v1/status".to_owned(),
        "/api/v1/endpoints?limit=100".to_owned(),
    ];
    let mut took = Map::new();
    let mut slow = Vec::new();
    for path in screens {
        let start = Instant::now();
        let answer = daemon.admin(Method::GET, &path, "").await;
        let elapsed = start.elapsed();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        if path.starts_with("/deliveries?message_id") {
            assert!(answer.text().contains(oldest), "{path} finds it");
        }
        let kilobytes = answer.body.len() / 1000;
        assert!(path.starts_with("/api") || kilobytes < 150, "{path} weighs {kilobytes} KB");
        if elapsed > bound {
            slow.push(format!("{path}: {elapsed:?}"));
        }
        took.insert(path, json!({ "ms": elapsed.as_secs_f64() * 1000.0, "kb": kilobytes }));
    }
    scale.report("screens", &json!({ "endpoints": endpoints, "rows": scale.count, "screens": took }));
    assert!(slow.is_empty(), "slower than {bound:?}:\n{}", slow.join("\n"));
}
