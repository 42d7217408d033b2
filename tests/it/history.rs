//! What became of events, as people see it, and what they do about it.

use crate::support::{Daemon, Receiver, Reply, daemon, until};
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const TIME: Duration = Duration::from_secs(30);

fn event(message: &str, status: &str) -> String {
    format!(
        r#"{{"event":"{status}","product":"crm","account":"{message}-inc","data":{{"message_id":"{message}","status":"{status}","details":{{}}}}}}"#
    )
}

async fn get(daemon: &mut Daemon, path: &str) -> Value {
    let answer = daemon.admin(Method::GET, path, "").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn dead(daemon: &mut Daemon, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until(TIME, "they are dead letters", async || {
        let page = get(daemon, "/api/v1/dead-letters?limit=500").await;
        found = page["dead_letters"].as_array().unwrap().clone();
        found.len() == count
    })
    .await;
    found
}

/// A daemon whose endpoint answers 500 and gives up after two attempts.
async fn failing(receiver: &Receiver) -> Daemon {
    receiver.script("/acme", [Reply::status(500)]);
    let start = daemon().endpoint("acme", |e| {
        e.url(receiver.url("/acme")).retry(&["20ms"]).no_breaker();
    });
    start.start().await
}

#[tokio::test]
async fn a_dead_letter_is_shown_with_its_attempts_and_replayed_once_its_endpoint_recovers() {
    let receiver = Receiver::start().await;
    let mut daemon = failing(&receiver).await;
    let sent = daemon.post(event("m", "sent")).await.id();
    let read = daemon.post(event("m", "read")).await.id();
    let letters = dead(&mut daemon, 2).await;
    let letter = letters.iter().find(|letter| letter["event_id"] == sent.as_str()).unwrap();
    let id = letter["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&letter["reason"], &letter["code"], &letter["attempts"]),
        (&"exhausted".into(), &500.into(), &2.into())
    );

    let shown = get(&mut daemon, &format!("/api/v1/deliveries/{id}")).await;
    let attempts: Vec<_> =
        shown["attempts"].as_array().unwrap().iter().map(|a| (&a["number"], &a["class"])).collect();
    assert_eq!(attempts, [(&1.into(), &"http_error".into()), (&2.into(), &"http_error".into())]);
    assert_eq!(shown["body"]["data"]["message_id"], "m");

    receiver.script("/acme", [Reply::status(200)]);
    let before = receiver.requests("/acme").len();
    let dry = daemon.admin(Method::POST, "/api/v1/dead-letters/replays", r#"{"dry_run":true}"#).await;
    assert_eq!((dry.status, &dry.json()["matched"], &dry.json()["replayed"]), (202, &2.into(), &0.into()));
    let (code, told) = daemon.command(&["dead-letters", "replay", "--endpoint", "acme", "--yes"]);
    assert_eq!((code, told.trim()), (0, "2 of 2 dead letters are deliveries again"));
    let requests = receiver.wait_for("/acme", before + 2).await;
    let again: Vec<_> =
        requests[before..].iter().map(|r| (r.header("webhook-id"), r.header("postrider-attempt"))).collect();
    assert_eq!(again, [(sent.as_str(), "1"), (read.as_str(), "1")], "in order, attempts anew");
    dead(&mut daemon, 0).await;

    until(TIME, "history has the deliveries", async || {
        let page = get(&mut daemon, "/api/v1/deliveries?state=delivered&message_id=m").await;
        page["deliveries"].as_array().unwrap().len() == 2
    })
    .await;
    let known = get(&mut daemon, &format!("/api/v1/events/{sent}")).await;
    let states: Vec<&Value> = known["deliveries"].as_array().unwrap().iter().map(|d| &d["state"]).collect();
    assert_eq!(states, ["dead", "delivered"]);
    let shown = get(&mut daemon, &format!("/api/v1/deliveries/{id}")).await;
    assert_eq!(shown["replayed_as"][0], known["deliveries"][1]["id"]);
}

#[tokio::test]
async fn dead_letters_are_exported_deleted_and_erased() {
    let receiver = Receiver::start().await;
    let mut daemon = failing(&receiver).await;
    for message in ["a", "b", "c", "d"] {
        // Bodies are as publishers write them: over several lines.
        daemon.post(event(message, "sent").replace('{', "{\r\n ")).await.id();
    }
    let letters = dead(&mut daemon, 4).await;
    let (code, lines) = daemon.command(&["dead-letters", "export"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (0, 4));
    assert!(lines.iter().all(|line| line["body"]["data"]["message_id"] == line["delivery"]["message_id"]));

    let bare = daemon.admin(Method::DELETE, "/api/v1/dead-letters", "").await;
    assert_eq!(bare.status, 400, "nothing named is not everything");
    let gone = daemon.admin(Method::DELETE, "/api/v1/dead-letters?message_id=a", "").await;
    assert_eq!(gone.json()["deleted"], 1);
    let b = letters.iter().find(|letter| letter["message_id"] == "b").unwrap()["id"].as_str().unwrap();
    let one = format!("/api/v1/dead-letters/{b}");
    assert_eq!(daemon.admin(Method::GET, &one, "").await.json()["dead_letter"], true);
    assert_eq!(daemon.command(&["dead-letters", "delete", b]).0, 0);
    assert_eq!(daemon.admin(Method::GET, &one, "").await.status, 404, "it is history, and no dead letter");
    assert_eq!(daemon.command(&["dead-letters", "delete", b]).0, 6);
    assert_eq!(daemon.command(&["deliveries", "show", "dlv_0"]).0, 6);
    let erased = daemon.admin(Method::DELETE, "/api/v1/deliveries?account=c-inc", "").await.json();
    assert_eq!((&erased["dead"], &erased["history"]), (&1.into(), &2.into()), "{erased}");
    assert_eq!(
        get(&mut daemon, "/api/v1/deliveries?message_id=c").await["deliveries"],
        Value::Array(Vec::new())
    );
    assert_eq!(dead(&mut daemon, 1).await[0]["message_id"], "d");
}

#[tokio::test]
async fn a_parked_delivery_is_listed_and_tried_at_once_when_asked() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500), Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["1h"]);
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await.id();
    let mut id = String::new();
    until(TIME, "it is parked", async || {
        let page = get(&mut daemon, "/api/v1/deliveries?state=parked&endpoint=acme").await;
        id = page["deliveries"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    })
    .await;
    for (code, wanted) in [("500", 1), ("5xx", 1), ("503", 0)] {
        let page = get(&mut daemon, &format!("/api/v1/deliveries?code={code}")).await;
        let found = page["deliveries"].as_array().unwrap();
        assert_eq!(found.len(), wanted, "{code}: {page}");
        assert!(found.iter().all(|row| row["code"] == 500 && row["id"] == id.as_str()), "{page}");
    }
    let (code, _) = daemon.command(&["deliveries", "retry", &id]);
    assert_eq!(code, 0);
    receiver.wait_for("/acme", 2).await;
    until(TIME, "it is delivered", async || {
        get(&mut daemon, &format!("/api/v1/deliveries/{id}")).await["delivery"]["state"] == "delivered"
    })
    .await;
    let again = daemon.admin(Method::POST, &format!("/api/v1/deliveries/{id}/retry"), "").await;
    assert_eq!(again.status, 409);
    assert!(again.header("content-type").unwrap().starts_with("application/problem+json"));
}

#[tokio::test]
async fn what_makes_no_sense_in_a_query_is_refused_naming_what_does() {
    let receiver = Receiver::start().await;
    let mut daemon = failing(&receiver).await;
    for (path, words) in [
        ("/api/v1/deliveries?colour=red", "allowed: endpoint, state"),
        ("/api/v1/deliveries?state=failed", "in_flight"),
        ("/api/v1/deliveries?limit=0", "1 to 500"),
        ("/api/v1/deliveries?cursor=x", "cursor"),
        ("/api/v1/deliveries?code=5&code=6", "twice"),
        ("/api/v1/dead-letters?state=dead", "reason"),
    ] {
        let answer = daemon.admin(Method::GET, path, "").await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
    for path in ["/api/v1/deliveries/x", "/api/v1/events/evt_1", "/api/v1/dead-letters/replays/x"] {
        assert_eq!(daemon.admin(Method::GET, path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_kill_during_a_replay_loses_no_letter_and_replays_none_twice() {
    let receiver = Receiver::start().await;
    let mut daemon = failing(&receiver).await;
    let mut ids = Vec::new();
    for n in 0..300 {
        ids.push(daemon.post(event(&format!("m{n}"), "sent")).await.id());
    }
    dead(&mut daemon, 300).await;
    receiver.script("/acme", [Reply::status(200)]);
    let before = receiver.requests("/acme").len();
    let job = daemon.admin(Method::POST, "/api/v1/dead-letters/replays", r#"{"rate":"100/s"}"#).await.json();
    receiver.wait_for("/acme", before + 50).await;
    daemon.restart().await;
    let gone = daemon
        .admin(Method::GET, &format!("/api/v1/dead-letters/replays/{}", job["id"].as_str().unwrap()), "")
        .await;
    assert_eq!(gone.status, 404, "a replay does not outlive the process");
    let (code, _) = daemon.command(&["dead-letters", "replay", "--rate", "1000/s", "--yes"]);
    assert_eq!(code, 0);
    until(TIME, "everything has arrived", async || {
        let arrived = receiver.requests("/acme");
        ids.iter().all(|id| arrived[before..].iter().any(|request| request.header("webhook-id") == id))
    })
    .await;
    dead(&mut daemon, 0).await;
    let mut times = BTreeMap::new();
    for request in &receiver.requests("/acme")[before..] {
        *times.entry(request.header("webhook-id").to_owned()).or_insert(0) += 1;
    }
    let repeated: i32 = times.values().map(|count| count - 1).sum();
    assert!(repeated <= 16, "{repeated} came twice: more than were in flight");
}

#[tokio::test]
async fn an_answer_is_kept_only_where_the_endpoint_says_so() {
    let receiver = Receiver::start().await;
    receiver.script("/loud", [Reply::status(200)]);
    let mut daemon = daemon()
        .endpoint("loud", |e| {
            e.url(receiver.url("/loud")).key("keep_answer = true");
        })
        .endpoint("quiet", |e| {
            e.url(receiver.url("/loud"));
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await.id();
    let mut rows = Vec::new();
    until(TIME, "both are delivered", async || {
        let page = get(&mut daemon, "/api/v1/deliveries?state=delivered").await;
        rows = page["deliveries"].as_array().unwrap().clone();
        rows.len() == 2
    })
    .await;
    for row in rows {
        let shown = get(&mut daemon, &format!("/api/v1/deliveries/{}", row["id"].as_str().unwrap())).await;
        let answer = shown["attempts"][0]["answer"].as_str();
        let wanted = (row["endpoint"] == "loud").then_some("taken");
        assert_eq!(answer, wanted, "{shown}");
    }
}

#[tokio::test]
async fn a_delivery_that_cannot_be_retried_is_a_command_that_failed() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    daemon.post(event("m", "sent")).await;
    let mut id = String::new();
    until(TIME, "it is delivered", async || {
        let page = get(&mut daemon, "/api/v1/deliveries?state=delivered").await;
        id = page["deliveries"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    })
    .await;
    assert_eq!(daemon.admin(Method::POST, &format!("/api/v1/deliveries/{id}/retry"), "").await.status, 409);
    assert_eq!(daemon.command(&["deliveries", "retry", &id]).0, 1);
}
