//! What a component asks for and does not get: an attempt that says so.

use super::kit::{Receiver, Way, doing, outcome, sink, text};
use postrider_sink::testkit::delivery;
use postrider_sink::{FailureClass, Outcome, Value, Verdict};
use std::sync::Arc;

fn refused(outcome: &Outcome, wanted: &str) {
    let failed =
        matches!(outcome.verdict, Verdict::Failed { class: FailureClass::SinkError, breaker: true, .. });
    assert!(failed && outcome.reason.contains(wanted), "{wanted}: {outcome:?}");
}

#[tokio::test]
async fn files_the_environment_and_sockets_are_refused_by_name() {
    for (way, wanted) in [
        ("files", "wasi:filesystem/preopens get-directories was refused: a component has no files"),
        ("environment", "wasi:cli/environment get-environment was refused: a component has no environment"),
        ("sockets", "wasi:sockets/instance-network instance-network was refused"),
    ] {
        refused(&outcome(way).await, wanted);
    }
}

#[tokio::test]
async fn an_undeclared_host_is_refused_and_nothing_is_looked_up() {
    let outcome = outcome("undeclared").await;
    refused(&outcome, "elsewhere.example:443 is not among the declared hosts (declared: hooks.example)");
    assert!(outcome.reason.contains("it did not work"), "{outcome:?}");
}

#[tokio::test]
async fn a_private_address_holds_the_endpoint() {
    let sink = sink(&doing("send", &[]), |context| context.connector = Arc::new(Way::Blocked)).await;
    let outcome = sink.deliver(&delivery("evt_1")).await;
    assert_eq!(outcome.verdict, Verdict::Blocked, "{outcome:?}");
    assert_eq!(&*outcome.reason, "hooks.example has the private address 10.0.0.1");
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    for (url, wanted) in [
        ("ftp://hooks.example/", "the scheme ftp"),
        ("http://u:p@hooks.example/", "user name or password"),
        ("http://hooks.example:25/", "port 25 may not be used"),
        ("not a url", "not a URL"),
        ("http://hooks.example.evil.test/", "not among the declared hosts"),
    ] {
        let sink = sink(&doing("send", &[("url", text(url))]), |_| {}).await;
        refused(&sink.deliver(&delivery("evt_1")).await, wanted);
    }
}

#[tokio::test]
async fn an_answer_too_large_or_none_at_all_is_a_failure_that_says_so() {
    const LARGE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n";
    for (answer, wanted) in [
        ("HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n", "answered 302"),
        ("HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno", "answered 500: no"),
        ("delivered it!\n\n", "the answer of hooks.example is not HTTP/1.1"),
        (LARGE, "the answer of hooks.example is larger than 1024 KiB"),
    ] {
        let receiver = Receiver::start(answer).await;
        let to = receiver.address;
        let sink = sink(&doing("send", &[]), |context| context.connector = Arc::new(Way::To(to))).await;
        let outcome = sink.deliver(&delivery("evt_1")).await;
        assert!(outcome.reason.contains(wanted), "{wanted}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let receiver = Receiver::start("HTTP/1.1 204 No\r\n\r\n").await;
    let (to, settings) = (receiver.address, doing("send", &[("first", Value::Boolean(false))]));
    let sink = sink(&settings, |context| context.connector = Arc::new(Way::To(to))).await;
    let timed = [delivery("evt_1"), delivery("evt_2"), delivery("evt_3")];
    for one in &timed {
        assert_eq!(sink.deliver(one).await.verdict, Verdict::Delivered);
    }
    assert_eq!(receiver.arrived().len(), 3);
    assert_eq!(receiver.connections(), 1);
}
