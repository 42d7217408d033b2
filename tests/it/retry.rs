//! What follows from an answer.

use crate::support::{EndpointFile, Metrics, Receiver, Reply, Request, Way, daemon};
use std::time::Duration;

fn event(message: &str, status: &str) -> String {
    format!(
        r#"{{"event":"{status}","product":"crm","data":{{"message_id":"{message}","status":"{status}","details":{{}}}}}}"#
    )
}

fn attempts(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.header("postrider-attempt")).collect()
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_with_the_same_id_until_it_succeeds() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500), Reply::Close, Reply::status(302), Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["50ms", "50ms", "50ms", "50ms"]);
        })
        .start()
        .await;
    let id = daemon.post(event("m", "sent")).await.id();
    let requests = receiver.wait_for("/acme", 4).await;
    assert_eq!(attempts(&requests), ["1", "2", "3", "4"]);
    assert!(requests.iter().all(|request| request.header("webhook-id") == id));
    assert!(requests.windows(2).all(|pair| pair[0].body == pair[1].body));
    daemon
        .wait_until("it is delivered", |m| {
            m.sum("postrider_deliveries_finished_total", &[("endpoint", "acme"), ("result", "delivered")])
                == 1.0
        })
        .await;
    assert_eq!(receiver.requests("/acme").len(), 4);
}

#[tokio::test]
async fn after_the_last_attempt_a_delivery_is_a_dead_letter() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["20ms", "20ms"]);
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await.id();
    daemon
        .wait_until("it is dead", |m| {
            m.sum("postrider_deliveries_finished_total", &[("endpoint", "acme"), ("result", "exhausted")])
                == 1.0
                && m.sum("postrider_dead_letters", &[("endpoint", "acme")]) == 1.0
        })
        .await;
    assert_eq!(attempts(&receiver.requests("/acme")), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_retry_survives_a_kill_with_its_count_of_attempts() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500), Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["2s", "1s"]);
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await.id();
    daemon
        .wait_until("it is parked", |m| {
            m.sum("postrider_deliveries_pending", &[("endpoint", "acme"), ("state", "parked")]) == 1.0
        })
        .await;
    // A later event forces the retry state to disk with its own commit.
    daemon.post(event("other", "sent")).await.id();
    receiver.wait_for("/acme", 2).await;
    daemon.restart().await;
    // The later event may be repeated too: it was in flight, or settled a moment ago.
    crate::support::until(Duration::from_secs(30), "the second attempt is made", async || {
        attempts(&receiver.requests("/acme")).contains(&"2")
    })
    .await;
}

#[tokio::test]
async fn a_410_suspends_the_endpoint_across_restarts_until_its_destination_changes() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(410), Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    daemon.post(event("first", "sent")).await.id();
    let gone =
        |m: &Metrics| m.sum("postrider_endpoint_state", &[("endpoint", "acme"), ("state", "gone")]) == 1.0;
    daemon.wait_until("the endpoint is gone", gone).await;
    daemon.wait_until("the delivery is dead", |m| m.sum("postrider_dead_letters", &[]) == 1.0).await;
    let held = daemon.post(event("second", "sent")).await;
    assert_eq!(held.json()["deliveries"], 1, "held ones count too");

    daemon.restart().await;
    daemon.wait_until("the endpoint is still gone", gone).await;
    assert_eq!(receiver.requests("/acme").len(), 1);

    let mut moved = EndpointFile::new("acme");
    moved.url(receiver.url("/moved"));
    daemon.files.write(Way::Rename, "acme", &moved.text());
    let requests = receiver.wait_for("/moved", 1).await;
    assert_eq!(requests[0].header("webhook-id"), held.id());
    assert_eq!(receiver.requests("/acme").len(), 1);
}

#[tokio::test]
async fn retry_after_makes_the_whole_endpoint_wait() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::with(503, "retry-after", "2"), Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["50ms", "50ms"]);
        })
        .start()
        .await;
    daemon.post(event("first", "sent")).await.id();
    let refused = receiver.wait_for("/acme", 1).await[0].at;
    daemon
        .wait_until("the endpoint waits", |m| {
            m.sum("postrider_endpoint_state", &[("endpoint", "acme"), ("state", "waiting")]) == 1.0
        })
        .await;
    daemon.post(event("second", "sent")).await.id();
    let requests = receiver.wait_for("/acme", 3).await;
    for request in &requests[1..] {
        let waited = request.at - refused;
        assert!(waited >= Duration::from_millis(1900), "tried again after {waited:?}");
    }
}

#[tokio::test]
async fn statuses_of_a_message_stay_in_order_through_retries_while_others_pass() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500), Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["1s", "1s"]);
        })
        .start()
        .await;
    let mut slow = Vec::new();
    slow.push(daemon.post(event("slow", "sent")).await.id());
    receiver.wait_for("/acme", 1).await;
    slow.push(daemon.post(event("slow", "delivered")).await.id());
    slow.push(daemon.post(event("slow", "read")).await.id());
    let other = daemon.post(event("other", "sent")).await.id();
    let requests = receiver.wait_for("/acme", 5).await;
    let ids: Vec<&str> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(ids, [&slow[0], &other, &slow[0], &slow[1], &slow[2]]);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_failed_attempt() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::Hang, Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["50ms"]).key("timeout = \"1s\"");
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await.id();
    assert_eq!(attempts(&receiver.wait_for("/acme", 2).await), ["1", "2"]);
    daemon
        .wait_until("the timeout is counted", |m| {
            m.sum("postrider_attempts_total", &[("endpoint", "acme"), ("result", "timeout")]) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_private_address_that_is_not_allowed_is_never_reached() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/acme").replace("127.0.0.1", "[::1]");
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(url);
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await.id();
    daemon
        .wait_until("the endpoint is blocked", |m| {
            m.sum("postrider_endpoint_state", &[("endpoint", "acme"), ("state", "blocked")]) == 1.0
        })
        .await;
    assert!(receiver.requests("/acme").is_empty());
}
