//! Events into a real NATS server that is killed in the middle.

#[path = "../../plugins/nats/src/tests/server.rs"]
mod server;

use crate::readme::blocks;
use crate::support::{daemon, until};
use async_nats::jetstream::{self, stream};
use server::NatsServer;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const EVENTS: usize = 2000;
const BATCH: usize = 50;

fn batch(from: usize) -> String {
    let mut events = String::from("[");
    for number in from..from + BATCH {
        let comma = if number == from { "" } else { "," };
        let data = format!(r#"{{"message_id":"m{number}","status":"sent","details":{{}}}}"#);
        let _ = write!(events, r#"{comma}{{"event":"sent","product":"crm","account":"a.b","data":{data}}}"#);
    }
    events.push(']');
    events
}

async fn find(server: &NatsServer) -> stream::Stream {
    let client = async_nats::connect(server.url()).await.expect("a connection");
    jetstream::new(client).get_stream("EVENTS").await.expect("the stream")
}

#[tokio::test]
async fn a_nats_server_killed_in_the_middle_loses_nothing_and_stores_nothing_twice() {
    let mut server = NatsServer::start("");
    let client = async_nats::connect(server.url()).await.expect("a connection");
    let config = stream::Config {
        name: "EVENTS".into(),
        subjects: vec!["events.>".into()],
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    jetstream::new(client).create_stream(config).await.expect("a stream");
    let text = format!(
        "events = \"all\"\nproducts = \"all\"\nbreaker = {{ failures = 1000000, ratio = 1.0, min_attempts = 1000000 }}\n\
         retry = {{ schedule = {:?}, jitter = 0.0 }}\n\
         [nats]\nservers = [\"{}\"]\nsubject = \"events.{{account}}.{{event}}\"\n",
        ["100ms"; 100],
        server.url()
    );
    let mut daemon = daemon().file("broker", text).start().await;
    let mut ids = Vec::new();
    for from in (0..EVENTS).step_by(BATCH) {
        let answer = daemon.post(batch(from)).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        for event in answer.json()["events"].as_array().expect("a list") {
            ids.push(event["id"].as_str().expect("an id").to_owned());
        }
        if from == EVENTS / 4 {
            // Some are stored, some on the way, most not yet accepted.
            daemon.wait_until("some are delivered", |metrics| delivered(metrics) >= 100.0).await;
            server.kill9();
        }
        if from == EVENTS / 2 {
            until(Duration::from_secs(20), "a person sees why", async || {
                let seen = daemon.endpoint_status("broker").await;
                seen["last_error"]
                    .as_str()
                    .is_some_and(|error| error.contains("connection refused at 127.0.0.1:"))
            })
            .await;
            assert!(daemon.metrics().await.sum("postrider_plugin_up", &[("plugin", "nats:broker")]) < 0.5);
            server.run();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    daemon.wait_until("everything is delivered", |metrics| delivered(metrics) >= EVENTS as f64).await;
    assert!(daemon.metrics().await.sum("postrider_plugin_up", &[("plugin", "nats:broker")]) > 0.5);
    let stream = find(&server).await;
    let state = stream.get_info().await.expect("its state").state;
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for sequence in 1..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.expect("a message");
        assert_eq!(message.subject.as_str(), "events.a%2Eb.sent");
        *stored.entry(message.headers.get("webhook-id").expect("an id").to_string()).or_default() += 1;
    }
    let lost = ids.iter().filter(|id| !stored.contains_key(*id)).count();
    assert_eq!((lost, stored.len(), state.messages), (0, EVENTS, EVENTS as u64));
}

fn delivered(metrics: &crate::support::Metrics) -> f64 {
    metrics.sum("postrider_deliveries_finished_total", &[("endpoint", "broker"), ("result", "delivered")])
}

#[tokio::test]
async fn a_nats_server_at_a_private_address_is_blocked_where_nobody_allowed_it() {
    let server = NatsServer::start("");
    let text = format!(
        "events = \"all\"\nproducts = \"all\"\n[nats]\nservers = [\"nats://10.0.0.1:{}\"]\nsubject = \"events\"\n",
        server.port
    );
    let mut daemon = daemon().file("inner", text).start().await;
    let event = r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent"}}"#;
    assert_eq!(daemon.post(event).await.status, 202);
    until(Duration::from_secs(20), "the endpoint is blocked", async || {
        let seen = daemon.endpoint_status("inner").await;
        seen["state"] == "blocked"
            && seen["last_error"].as_str().is_some_and(|error| error.contains("10.0.0.1"))
    })
    .await;
}

#[test]
fn the_endpoint_file_of_the_manual_is_right() {
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks.md");
    let shown = blocks(&std::fs::read_to_string(manual).expect("the manual"), "toml");
    let text = shown.iter().find(|text| text.contains("[nats]")).expect("an endpoint file");
    let folder = tempfile::TempDir::new().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["endpoints", "secrets"] {
        std::fs::create_dir(at(name)).expect("a folder");
    }
    std::fs::write(at("postrider.toml"), "version = 1\n").expect("written");
    std::fs::write(at("endpoints/broker.toml"), text).expect("written");
    let check = |credentials: &str| {
        std::fs::write(at("secrets/acme.creds"), credentials).expect("written");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        let output = command.arg("check").arg(at("postrider.toml")).output().expect("it runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let jwt = "-----BEGIN NATS USER JWT-----\neyJ0eXAi.eyJqdGki.c2ln\n------END NATS USER JWT------\n";
    let seed = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM";
    let (right, said) =
        check(&format!("{jwt}\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"));
    assert!(right, "{said}");
    let (right, said) = check("no credentials");
    assert!(!right && said.contains("not the text of a .creds file"), "{said}");
}
