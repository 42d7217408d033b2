//! The receivers that the subscriber's guide shows do what it says: they take what is genuine, once.

use crate::readme::blocks;
use crate::support::{Client, Receiver, daemon};
use bytes::Bytes;
use http::Method;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

const SECRET: &str = "whsec_b2xkIHNlY3JldCwgb2YgMjQgYnl0ZXMh";

/// A program of the guide, running until this is dropped.
struct Shown {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    at: SocketAddr,
    _folder: TempDir,
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    fn start(language: &str, program: &str, login: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide-subscriber.md");
        let text = blocks(&fs::read_to_string(path).expect("the guide"), language).concat();
        let folder = TempDir::new().expect("a folder");
        let script = folder.path().join(if program == "node" { "receiver.cjs" } else { "receiver.py" });
        fs::write(&script, text).expect("written");
        let mut child = Command::new(program)
            .arg(script)
            .current_dir(folder.path())
            .env("PORT", "0")
            .env("WEBHOOK_SECRET", SECRET)
            .env("WEBHOOK_LOGIN", login)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().expect("a line").expect("text");
        let port = first.strip_prefix("listening on ").expect("it says where").parse().expect("a port");
        Self { child, lines, at: SocketAddr::from(([127, 0, 0, 1], port)), _folder: folder }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }
}

async fn takes_what_is_genuine_once(language: &str, program: &str) {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/in")).http(&format!("signing = {{ secrets = [\"{SECRET}\"] }}"));
        })
        .start()
        .await;
    let event = |id: &str| {
        format!(
            r#"{{"event":"sent","product":"crm","data":{{"message_id":"{id}","status":"sent","details":{{"text":"naïve ☃"}}}}}}"#
        )
    };
    daemon.post(format!("[{},{}]", event("first"), event("second"))).await;
    // What really arrived goes to the program, as it was and with a change in it.
    let requests = receiver.wait_for("/in", 2).await;
    let login = postrider_checker::password("acme");
    let mut shown = Shown::start(language, program, &format!("acme:{login}"));
    let mut client = Client::new(shown.at);
    let mut send = async |request: &crate::support::Request, change: &str, body: Bytes| {
        let names = ["authorization", "webhook-id", "webhook-timestamp", "webhook-signature"];
        let value = |name| if change == name { "x" } else { request.header(name) };
        let headers: Vec<(&str, &str)> = names.into_iter().map(|name| (name, value(name))).collect();
        client.request(Method::POST, "/", &headers, body).await.expect("an answer").status
    };
    let (first, second) = (&requests[0], &requests[1]);
    for change in ["authorization", "webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert_eq!(send(first, change, first.body.clone()).await, 401, "{change}");
    }
    assert_eq!(send(first, "", second.body.clone()).await, 401, "another body");
    assert_eq!(send(first, "", first.body.clone()).await, 204);
    assert_eq!(send(first, "", first.body.clone()).await, 204, "a repeat is answered like the first");
    assert_eq!(send(second, "", second.body.clone()).await, 204);
    let mut said = [shown.line(), shown.line()];
    said.sort();
    assert_eq!(said, ["sent first", "sent second"], "each once");
}

#[tokio::test]
async fn the_receiver_in_python_takes_what_is_genuine_once() {
    takes_what_is_genuine_once("python", "python3").await;
}

#[tokio::test]
async fn the_receiver_in_node_takes_what_is_genuine_once() {
    takes_what_is_genuine_once("javascript", "node").await;
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a page")
}

/// The default of a key, in days.
fn days(key: &str) -> u64 {
    let keys = page("docs/configuration.md");
    let row = keys.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).expect("a key");
    let default = row.split('|').nth(3).expect("a default").trim_matches([' ', '`', '"']);
    default.strip_suffix('d').and_then(|days| days.parse().ok()).expect("days")
}

#[test]
fn the_subscribers_guide_says_for_how_long_the_same_event_may_come_again() {
    let guide = page("docs/guide-subscriber.md");
    let said = guide.split(" days:").next().and_then(|before| before.rsplit(' ').next());
    let said: u64 = said.and_then(|days| days.parse().ok()).expect("a number of days");
    // Tried, kept as a dead letter, and tried as long again after a replay on the last day.
    assert!(said >= 2 * days("retry.max_age") + days("spool.keep_dead"), "{said}");
}

#[test]
fn the_subscribers_guide_names_every_answer_whose_wait_is_minded() {
    let minded = page("plugins/http/src/answer.rs");
    let minded = minded.lines().find(|line| line.contains("match retry_after(")).expect("a line");
    let guide = page("docs/guide-subscriber.md");
    let row = guide.lines().find(|line| line.contains("with `Retry-After`")).expect("a row");
    let codes = minded.split_whitespace().filter(|word| word.parse::<u16>().is_ok());
    let missing: Vec<&str> = codes.filter(|code| !row.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}: {row}");
}
