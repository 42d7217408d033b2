use super::kit::*;
use crate::HttpSinkFactory;
use postrider_sink::{FailureClass, Outcome, SinkFactory, Table, Value, Verdict};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy that answers CONNECT with `answer`, and joins the two sides where that was a 2xx.
async fn proxy(answer: &'static str, to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut tasks = JoinSet::new();
    let into = Arc::clone(&asked);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let into = Arc::clone(&into);
            connections.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                into.lock().unwrap().push(String::from_utf8(head).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.starts_with("HTTP/1.1 2") {
                    let mut onward = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
                }
            });
        }
    });
    (address, asked, tasks)
}

fn proxied(proxy: Value) -> Table {
    let mut settings = settings("http://hooks.example:8080/in");
    settings.insert("proxy".into(), proxy);
    settings
}

async fn through(answer: &'static str) -> (Outcome, Vec<String>, usize) {
    let receiver = Receiver::start(vec![ok()]).await;
    let (address, asked, _tasks) = proxy(answer, receiver.address).await;
    let settings = proxied(text("http://proxy.example:3128"));
    let rig = Rig::of(&HttpSinkFactory::new(), &settings, Way::Tcp(address)).await;
    let outcome = rig.deliver().await;
    let asked = asked.lock().unwrap().clone();
    (outcome, asked, receiver.requests().len())
}

fn assert_failed(outcome: &Outcome, reason: &str) {
    let wanted =
        Verdict::Failed { class: FailureClass::Connect, breaker: true, wait: postrider_sink::Wait::None };
    assert_eq!((outcome.verdict, &*outcome.reason), (wanted, reason));
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_checked_address_and_the_tunnel_is_used_again() {
    let receiver = Receiver::start(vec![ok()]).await;
    let (address, asked, _tasks) = proxy("HTTP/1.1 200 Connected\r\n\r\n", receiver.address).await;
    let basic = Value::Table(table([("username", text("me")), ("password", text("pw"))]));
    let settings = proxied(Value::Table(table([
        ("url", text("http://proxy.example:3128")),
        ("auth", Value::Table(table([("basic", basic)]))),
    ])));
    let rig = Rig::of(&HttpSinkFactory::new(), &settings, Way::Tcp(address)).await;
    for _ in 0..3 {
        assert_eq!(rig.deliver().await.verdict, Verdict::Delivered);
    }
    assert_eq!(rig.connections(), 1);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "CONNECT 192.0.2.7:8080 HTTP/1.1\r\nhost: 192.0.2.7:8080\r\nproxy-authorization: Basic bWU6cHc=\r\n\r\n"
        ]
    );
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[0].contains("\r\nhost: hooks.example:8080\r\n"), "{}", requests[0]);
    assert!(!requests[0].contains("proxy-"), "{}", requests[0]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_failed_connection_and_says_so() {
    for (answer, reason) in [
        (
            "HTTP/1.1 407 Auth\r\ncontent-length: 0\r\n\r\n",
            "the proxy proxy.example wants other credentials (407)",
        ),
        (
            "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n",
            "the proxy proxy.example does not allow 192.0.2.7:8080 (403)",
        ),
        (
            "HTTP/1.1 502 <script>\r\ncontent-length: 0\r\n\r\n",
            "the proxy proxy.example did not connect to 192.0.2.7:8080 (502)",
        ),
        ("HTTP/1.1 302 x\r\n\r\n", "the proxy proxy.example did not connect to 192.0.2.7:8080 (302)"),
        ("SSH-2.0\r\n\r\n", "the proxy proxy.example broke the connection"),
        ("", "the proxy proxy.example broke the connection"),
    ] {
        let (outcome, asked, requests) = through(answer).await;
        assert_failed(&outcome, reason);
        assert_eq!((asked.len(), requests), (1, 0), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_destination_reaches_no_proxy() {
    let settings = proxied(text("http://proxy.example:3128"));
    let way = Way::Fails(postrider_sink::ConnectErrorKind::Blocked);
    let rig = Rig::of(&HttpSinkFactory::new(), &settings, way).await;
    assert_eq!(rig.deliver().await.verdict, Verdict::Blocked);
    assert_eq!(rig.connections(), 0);
}

#[test]
fn proxies_that_cannot_be_used_are_refused_with_a_reason() {
    let errors = |value: Value| HttpSinkFactory::new().check(&proxied(value)).err().unwrap_or_default();
    for url in ["http://proxy.example:3128", "http://10.0.0.1:8080/", "http://[::1]:3128", "http://proxy"] {
        assert_eq!(errors(text(url)), [], "{url}");
    }
    for (url, reason) in [
        ("proxy.example:3128", "a proxy is reached over http, not proxy.example"),
        ("https://proxy.example", "a proxy is reached over http, not https"),
        ("socks5://proxy.example", "a proxy is reached over http, not socks5"),
        ("http://me:pw@proxy.example", "the URL contains a user name or password"),
        ("http://proxy.example/path", "the URL of a proxy has only a host and a port"),
        ("http://proxy.example:25", "port 25 is not allowed"),
    ] {
        let errors = errors(text(url));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].to_string(), format!("proxy: {reason}"), "{url}");
    }
    assert_eq!(errors(Value::Boolean(true)).len(), 1);
    assert_eq!(errors(Value::Table(Table::new())).len(), 1);
}
