//! A repeat is recognised: exactly, under concurrency, and across a kill.

use crate::support::{Client, Receiver, daemon};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use tokio::task::JoinSet;

const IDS: usize = 100;
const REPEATS: usize = 100;
const CONNECTIONS: usize = 32;
const CONCURRENCY: usize = 16;

fn event(id: usize) -> String {
    format!(
        r#"{{"id":"order-{id}","event":"sent","product":"crm","timestamp":"2026-11-23T05:00:00Z","data":{{"message_id":"m{id}","status":"sent","details":{{}}}}}}"#
    )
}

/// Posts every id many times at once. Returns what each was called, and how many were accepted as new.
async fn storm(ingress: SocketAddr) -> (HashMap<usize, String>, usize) {
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        connections.spawn(async move {
            let mut client = Client::new(ingress);
            let mut answers = Vec::new();
            for turn in (connection..IDS * REPEATS).step_by(CONNECTIONS) {
                let id = turn % IDS;
                let answer = client.post(event(id)).await.expect("an answer");
                let repeat = answer.json()["duplicate"] == true;
                assert_eq!(answer.status, if repeat { 200 } else { 202 }, "{}", answer.text());
                assert_eq!(answer.json()["deliveries"], 1, "{}", answer.text());
                answers.push((id, answer.id(), repeat));
            }
            answers
        });
    }
    let (mut names, mut new) = (HashMap::new(), 0);
    for (id, name, repeat) in connections.join_all().await.into_iter().flatten() {
        assert_eq!(names.entry(id).or_insert_with(|| name.clone()), &name, "two names for one event");
        new += usize::from(!repeat);
    }
    (names, new)
}

#[tokio::test]
async fn ten_thousand_concurrent_repeats_make_one_event_each_before_and_after_a_kill() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let (names, new) = storm(daemon.ingress()).await;
    assert_eq!((names.len(), new), (IDS, IDS));

    daemon.restart().await;
    let (again, new) = storm(daemon.ingress()).await;
    assert_eq!(new, 0, "recognised after a kill");
    assert_eq!(again, names);

    daemon.wait_until("nothing is pending", |m| m.sum("postrider_deliveries_pending", &[]) == 0.0).await;
    let arrived = receiver.wait_for("/acme", IDS).await;
    let distinct: HashSet<&str> = arrived.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(distinct, names.values().map(String::as_str).collect());
    assert!(arrived.len() <= IDS + CONCURRENCY, "{} deliveries of {IDS} events", arrived.len());
}

#[tokio::test]
async fn the_same_id_with_another_content_is_refused() {
    let mut daemon = daemon().start().await;
    assert_eq!(daemon.post(event(1)).await.status, 202);
    assert_eq!(daemon.post(event(1)).await.status, 200);
    let other = event(1).replace("\"m1\"", "\"m2\"");
    let answer = daemon.post(other).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
}
