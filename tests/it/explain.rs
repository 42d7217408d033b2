//! Why an event goes where it goes, and accounts: whose events an endpoint gets.

use crate::support::{EndpointFile, Receiver, Way, daemon};
use serde_json::{Value, json};

#[tokio::test]
async fn explain_names_the_condition_that_decided_and_agrees_with_what_is_delivered() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/x");
    let mut daemon = daemon()
        .endpoint("a-match", |e| {
            e.url(&url).key("account = \"acme\"");
        })
        .endpoint("b-draft", |e| {
            e.url(&url).key("state = \"draft\"");
        })
        .endpoint("c-event", |e| {
            e.url(&url).events(&["read"]);
        })
        .endpoint("d-product", |e| {
            e.url(&url).products(&["campaigns"]);
        })
        .endpoint("e-account", |e| {
            e.url(&url).key("account = \"globex\"");
        })
        .endpoint("f-filter", |e| {
            e.url(&url).key("filter = 'data.details.code > 500'");
        })
        .endpoint("g-failed", |e| {
            e.url(&url).key("filter = 'data.details.nothing == 1'");
        })
        .endpoint("h-paused", |e| {
            e.url(&url).key("state = \"paused\"\nfilter = 'data.status == \"failed\"'");
        })
        .file("i-invalid", "x = [")
        .start()
        .await;
    let event = json!({
        "event": "failed", "product": "crm", "account": "acme",
        "data": { "message_id": "m", "status": "failed", "details": { "code": 500 } }
    });
    let answer = daemon.ask("/api/v1/explain", event.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let explained = answer.json();
    let mut found: Vec<(String, String)> = explained["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["name"].as_str().unwrap().to_owned(), e["condition"].as_str().unwrap().to_owned()))
        .collect();
    found.sort();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, condition)| (&**name, &**condition)).collect();
    assert_eq!(
        found,
        [
            ("a-match", "match"),
            ("b-draft", "draft"),
            ("c-event", "event"),
            ("d-product", "product"),
            ("e-account", "account"),
            ("f-filter", "filter"),
            ("g-failed", "filter_failed"),
            ("h-paused", "match"),
            ("i-invalid", "invalid"),
        ]
    );
    assert_eq!(explained["deliveries"], 2);
    assert_eq!(daemon.post(event.to_string()).await.json()["deliveries"], 2);

    let wrong = daemon.ask("/api/v1/explain", r#"{"event":"faild","product":"crm"}"#).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("known: sent, delivered, read, failed"), "{}", wrong.text());
    assert_eq!(daemon.ask("/api/v1/explain", "{").await.status, 400);

    // The same without a daemon, by the files.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args([
            "explain",
            "--event",
            "failed",
            "--product",
            "crm",
            "--account",
            "globex",
            "--json",
            "--config",
        ])
        .arg(daemon.dir().join("postrider.toml"))
        .output()
        .expect("it runs");
    let offline: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let yes: Vec<&Value> = offline["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["matches"] == true)
        .map(|e| &e["name"])
        .collect();
    assert_eq!(yes, ["e-account"]);
}

#[tokio::test]
async fn an_endpoint_of_an_account_gets_that_accounts_events_only() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).key("account = \"acme\"");
        })
        .endpoint("everybody", |e| {
            e.url(receiver.url("/everybody")).key("account = \"*\"");
        })
        .start()
        .await;
    let event = |account: Value| {
        json!({ "event": "sent", "product": "crm", "account": account,
                "data": { "message_id": "m", "status": "sent", "details": {} } })
        .to_string()
    };
    assert_eq!(daemon.post(event(json!("acme"))).await.json()["deliveries"], 2);
    assert_eq!(daemon.post(event(json!("globex"))).await.json()["deliveries"], 1);
    let without =
        r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;
    assert_eq!(daemon.post(without).await.json()["deliveries"], 1);
    receiver.wait_for("/acme", 1).await;
    receiver.wait_for("/everybody", 3).await;
}

#[tokio::test]
async fn the_same_name_for_another_account_does_not_inherit_a_backlog() {
    let receiver = Receiver::start().await;
    let file = |account: &str, state: &str| {
        let mut file = EndpointFile::new("orders");
        file.url(receiver.url("/orders")).key(&format!("account = \"{account}\"\nstate = \"{state}\""));
        file.text()
    };
    let mut daemon = daemon()
        .endpoint("orders", |e| {
            e.url(receiver.url("/orders")).key("account = \"acme\"\nstate = \"paused\"");
        })
        .start()
        .await;
    let event = |account: &str, message: &str| {
        json!({ "event": "sent", "product": "crm", "account": account,
                "data": { "message_id": message, "status": "sent", "details": {} } })
        .to_string()
    };
    assert_eq!(daemon.post(event("acme", "old")).await.json()["deliveries"], 1);
    daemon.files.write(Way::Rename, "orders", &file("globex", "active"));
    assert_eq!(daemon.reload().await.status, 200);
    assert_eq!(daemon.post(event("globex", "new")).await.json()["deliveries"], 1);
    let arrived = receiver.wait_for("/orders", 1).await;
    assert!(arrived[0].text().contains("new"), "{}", arrived[0].text());
    let status = daemon.status().await;
    let states: Vec<(&Value, &Value, &Value)> = status["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (&e["account"], &e["state"], &e["ready"]))
        .collect();
    assert!(states.contains(&(&json!("acme"), &json!("removed"), &json!(1))), "{states:?}");
    // Back for the first account, its delivery goes on.
    daemon.files.write(Way::Rename, "orders", &file("acme", "active"));
    assert_eq!(daemon.reload().await.status, 200);
    let arrived = receiver.wait_for("/orders", 2).await;
    assert!(arrived[1].text().contains("old"), "{}", arrived[1].text());
}
