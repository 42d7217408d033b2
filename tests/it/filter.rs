//! What a filter lets through, and what is said about what it does not.

use crate::support::{Receiver, Way, daemon};
use serde_json::{Value, json};
use std::time::Duration;

fn event(message: &str, code: &Value) -> Value {
    json!({
        "event": "failed", "product": "crm",
        "data": { "message_id": message, "status": "failed", "details": { "code": code } }
    })
}

fn file(receiver: &Receiver, filter: &str) -> String {
    let mut file = crate::support::EndpointFile::new("picky");
    file.url(receiver.url("/picky")).key(&format!("filter = '{filter}'"));
    file.text()
}

#[tokio::test]
async fn only_what_the_filter_holds_for_is_delivered_and_counted() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("picky", |e| {
            e.url(receiver.url("/picky")).key("filter = 'data.details.code >= 500'");
        })
        .endpoint("open", |e| {
            e.url(receiver.url("/open"));
        })
        .start()
        .await;
    let deliveries = async |daemon: &mut crate::support::Daemon, event: &Value| {
        let answer = daemon.post(event.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["deliveries"].clone()
    };
    assert_eq!(deliveries(&mut daemon, &event("a", &json!(503))).await, 2);
    assert_eq!(deliveries(&mut daemon, &event("b", &json!(404))).await, 1);
    assert_eq!(deliveries(&mut daemon, &event("c", &json!("no number"))).await, 1);
    let batch = json!([event("d", &json!(500)), event("e", &json!(1)), event("f", &json!(501))]);
    let answer = daemon.post(batch.to_string()).await.json();
    let counts: Vec<&Value> = answer["events"].as_array().unwrap().iter().map(|e| &e["deliveries"]).collect();
    assert_eq!(counts, [2, 1, 2]);

    receiver.wait_for("/open", 6).await;
    let picked = receiver.wait_for("/picky", 3).await;
    let messages: Vec<String> = picked
        .iter()
        .map(|request| {
            serde_json::from_str::<Value>(request.text()).unwrap()["data"]["message_id"].to_string()
        })
        .collect();
    assert!(messages.iter().all(|message| ["\"a\"", "\"d\"", "\"f\""].contains(&message.as_str())));
    let failures = [("endpoint", "picky"), ("reason", "error")];
    daemon
        .wait_until("the failure is counted", |m| m.sum("postrider_filter_failures_total", &failures) == 1.0)
        .await;
    let status = daemon.status().await;
    let picky = &status["endpoints"].as_array().unwrap().iter().find(|e| e["name"] == "picky").unwrap();
    assert_eq!(picky["filter_failures"], 1);
    assert_eq!(picky["filter_error"], "\">=\" does not take string and int");
}

#[tokio::test]
async fn every_event_is_judged_by_the_filter_in_force_however_often_it_changes() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("picky", |e| {
            e.url(receiver.url("/picky")).key("filter = 'data.details.code == 0'");
        })
        .start()
        .await;
    for round in 0..6 {
        if round > 0 {
            daemon.files.write(
                Way::Rename,
                "picky",
                &file(&receiver, &format!("data.details.code == {round}")),
            );
            let answer = daemon.reload().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        for code in 0..6 {
            let answer = daemon.post(event("m", &json!(code)).to_string()).await.json();
            assert_eq!(answer["deliveries"], i32::from(code == round), "round {round}, code {code}");
        }
    }
    receiver.wait_for("/picky", 6).await;
}

#[tokio::test]
async fn a_filter_without_end_delays_its_events_by_little_and_matches_nothing() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("picky", |e| {
            e.url(receiver.url("/picky"))
                .key("filter = 'data.details.code.all(a, data.details.code.all(b, a + b >= 0))'");
        })
        .endpoint("open", |e| {
            e.url(receiver.url("/open"));
        })
        .start()
        .await;
    let many: Vec<u32> = (0..5000).collect();
    let start = tokio::time::Instant::now();
    let answer = daemon.post(event("a", &json!(many)).to_string()).await.json();
    assert_eq!(answer["deliveries"], 1);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let limit = [("endpoint", "picky"), ("reason", "limit")];
    daemon.wait_until("it is counted", |m| m.sum("postrider_filter_failures_total", &limit) == 1.0).await;
}

#[tokio::test]
async fn a_filter_that_does_not_compile_leaves_the_version_before_running() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("picky", |e| {
            e.url(receiver.url("/picky")).key("filter = 'data.details.code == 1'");
        })
        .start()
        .await;
    daemon.files.write(Way::Rename, "picky", &file(&receiver, "dta.details.code == 2"));
    let answer = daemon.reload().await;
    assert_eq!(answer.status, 422);
    let error = &answer.json()["errors"][0];
    assert_eq!(error["message"], "unknown name \"dta\" in the filter");
    assert!(error["line"].as_u64() > Some(0) && error["column"].as_u64() > Some(1), "{error}");
    assert_eq!(daemon.post(event("a", &json!(1)).to_string()).await.json()["deliveries"], 1);
    assert_eq!(daemon.post(event("b", &json!(2)).to_string()).await.json()["deliveries"], 0);
}

#[tokio::test]
async fn data_that_not_every_reader_takes_is_judged_by_what_else_it_says() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("picky", |e| {
            e.url(receiver.url("/picky")).key("filter = 'data.details.code >= 500'");
        })
        .start()
        .await;
    let details = [
        r#""code":503,"text":"cut in the middle of an emoji \ud83d""#.to_owned(),
        r#""code":503,"\ude00":1"#.to_owned(),
        r#""code":1e999"#.to_owned(),
        format!(r#""code":{}"#, "9".repeat(400)),
    ];
    // More often than there are threads that judge.
    for details in details.iter().cycle().take(64) {
        let data = format!(r#"{{"message_id":"m","status":"failed","details":{{{details}}}}}"#);
        let answer = daemon.post(format!(r#"{{"event":"failed","product":"crm","data":{data}}}"#)).await;
        assert_eq!(
            (answer.status, &answer.json()["deliveries"]),
            (202, &json!(1)),
            "{data}: {}",
            answer.text()
        );
    }
    let arrived = receiver.wait_for("/picky", 64).await;
    assert!(arrived.iter().any(|request| request.text().contains(r#"emoji \ud83d""#)));
}
