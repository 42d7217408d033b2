//! Who may post: rates, accounts, and that nobody is let in by the lack of a name.

use crate::support::{Client, daemon};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use std::process::Command;

fn event(account: &str) -> String {
    format!(
        r#"{{"event":"sent","product":"crm"{account},"data":{{"message_id":"m","status":"sent","details":{{}}}}}}"#
    )
}

const PUBLISHERS: &str = "\
[[ingress.publisher]]\nname = \"shop\"\nbasic = { username = \"shop\", password = \"s3cret\" }\naccounts = [\"acme\", \"initech\"]\n\
[[ingress.publisher]]\nname = \"slow\"\nbearer = \"slow-token\"\nrate = \"5/h\"\n\
[[ingress.publisher]]\nname = \"fast\"\nbearer = \"fast-token\"\nrate = \"1000000/s\"\n";

#[tokio::test]
async fn a_publisher_posts_for_its_accounts_only() {
    let daemon = daemon().config(PUBLISHERS).start().await;
    let mut client = Client::new(daemon.ingress());
    let basic = format!("Basic {}", STANDARD.encode("shop:s3cret"));
    let headers = [("content-type", "application/json"), ("authorization", basic.as_str())];
    for (account, allowed) in [
        (r#","account":"acme""#, true),
        (r#","account":"initech""#, true),
        (r#","account":"ACME""#, false),
        (r#","account":"umbrella""#, false),
        ("", false),
    ] {
        let answer = client
            .request(Method::POST, "/v1/events", &headers, event(account).into())
            .await
            .expect("an answer");
        if allowed {
            assert_eq!(answer.status, 202, "{account}: {}", answer.text());
        } else {
            assert_eq!(answer.status, 422, "{account}: {}", answer.text());
            assert_eq!(answer.json()["errors"][0]["pointer"], "/account", "{}", answer.text());
        }
    }
    // One event for somebody else refuses all of them.
    let mixed = format!("[{},{}]", event(r#","account":"acme""#), event(r#","account":"umbrella""#));
    let answer = client.request(Method::POST, "/v1/events", &headers, mixed.into()).await.expect("an answer");
    assert_eq!((answer.status, &answer.json()["errors"][0]["index"]), (422, &1.into()), "{}", answer.text());
}

#[tokio::test]
async fn a_rate_counts_events_of_one_publisher_and_holds_back_nobody_else() {
    let daemon = daemon().config(PUBLISHERS).start().await;
    let mut client = Client::new(daemon.ingress());
    let mut post = async |token: &str, body: String| {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        client.request(Method::POST, "/v1/events", &headers, body.into()).await.expect("an answer")
    };
    let three = format!("[{0},{0},{0}]", event(""));
    assert_eq!(post("slow-token", three).await.status, 202);
    // Two were taken ahead of their time: the next waits for three times twelve minutes.
    let refused = post("slow-token", event("")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    let wait: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((2100..=2160).contains(&wait), "{wait}");
    for _ in 0..20 {
        assert_eq!(post("fast-token", event("")).await.status, 202);
    }
    assert_eq!(post("slow-token", event("")).await.status, 429);
    assert_eq!(post("unknown-token", event("")).await.status, 401);
}

#[test]
fn without_a_publisher_neither_start_nor_check_leaves_loopback() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("endpoints")).expect("a folder");
    let file = folder.path().join("postrider.toml");
    let path = file.to_str().expect("UTF-8");
    for more in ["", "publisher = []\n"] {
        std::fs::write(&file, format!("version = 1\n[ingress]\nlisten = \"0.0.0.0:0\"\n{more}"))
            .expect("written");
        for args in [&["run", "-c", path], &["check", path] as &[&str]] {
            let output = Command::new(env!("CARGO_BIN_EXE_postrider")).args(args).output().expect("it runs");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(78), "{args:?}: {said}");
            assert!(said.contains("the ingress may only listen on loopback"), "{said}");
            assert!(said.contains("[[ingress.publisher]]"), "{said}");
        }
    }
}
