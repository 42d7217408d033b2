//! Signatures, as the Standard Webhooks packages for Python and Node.js verify them, unmodified.
//!
//! `tests/standardwebhooks/install FOLDER` puts the packages there; `POSTRIDER_STANDARDWEBHOOKS` names the folder.

use crate::support::{Client, Daemon, EndpointFile, Receiver, Request, Scale, Way, daemon};
use bytes::Bytes;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OLD: &str = "whsec_b2xkIHNlY3JldCwgb2YgMjQgYnl0ZXMh";
const NEW: &str = "whsec_bmV3IHNlY3JldCwgd2hpY2ggaGFzIG1vcmUgdGhhbiAyNCBieXRlcw==";

fn endpoint(file: &mut EndpointFile, receiver: &Receiver, secrets: &[&str]) {
    let secrets: Vec<String> = secrets.iter().map(|name| format!("{{ file = \"{name}\" }}")).collect();
    file.url(receiver.url("/in")).http(&format!("signing = {{ secrets = [{}] }}", secrets.join(", ")));
}

/// Reads the files again; in force when it returns.
async fn reload(daemon: &Daemon) {
    let ready: Value = serde_json::from_slice(&fs::read(daemon.ready_file()).expect("ready")).expect("JSON");
    let admin = ready["admin"].as_str().expect("an address").parse().expect("an address");
    let json = [("content-type", "application/json")];
    let answer = Client::new(admin)
        .request(http::Method::POST, "/-/reload", &json, Bytes::from_static(b"{}"))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Posts `count` events of all kinds of content and returns what arrived.
async fn deliver(
    daemon: &mut Daemon,
    receiver: &Receiver,
    scale: Scale,
    turn: u64,
    count: u64,
) -> Vec<Request> {
    let before = receiver.requests("/in").len();
    let awkward = ["", "naïve ☃ 😀", "\\u0000\\n\\\"", "  spaced  ", "1e400", "\\ud83d\\ude00", "</script>"];
    let events: Vec<String> = (0..count)
        .map(|n| {
            let text = awkward[usize::try_from(n).expect("small") % awkward.len()];
            let (number, pad) = (scale.draw(turn * 100_000 + n, 0, u64::MAX), " ".repeat(usize::try_from(n % 7).expect("small")));
            format!(
                r#"{{"event":"sent","product":"crm","data":{{{pad}"message_id":"m{turn}-{n}","status":"sent","details":{{"text":"{text}","number":{number}.50}}}}}}"#
            )
        })
        .collect();
    let answer = daemon.post(format!("[{}]", events.join(","))).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let wanted = before + usize::try_from(count).expect("small");
    receiver.wait_for("/in", wanted).await.split_off(before)
}

fn case(request: &Request, secret: &str, body: &str, good: bool) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), request.header(name).into())).collect();
    json!({ "secret": secret, "headers": headers, "body": body, "good": good })
}

/// Runs a verifier over all cases; it fails at the first that it judges otherwise.
fn verify(program: &Path, script: &str, packages: &Path, cases: &[Value]) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/standardwebhooks").join(script);
    let mut child = Command::new(program)
        .arg(script)
        .env("NODE_PATH", packages.join("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let text: String = cases.iter().map(|case| format!("{case}\n")).collect();
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), cases.len().to_string());
}

#[tokio::test]
async fn deliveries_verify_with_the_standard_packages_while_a_secret_rotates() {
    let Some(packages) = std::env::var_os("POSTRIDER_STANDARDWEBHOOKS").map(PathBuf::from) else {
        println!(
            "SKIPPED: POSTRIDER_STANDARDWEBHOOKS is not set; tests/run installs the packages and sets it"
        );
        return;
    };
    let scale = Scale::of(50, 1000);
    let receiver = Receiver::start().await;
    // The files of secrets stand beside the daemon's file, so the endpoint comes once they are there.
    let mut daemon = daemon()
        .endpoint("idle", |e| {
            e.url(receiver.url("/idle")).products(&["automation"]);
        })
        .start()
        .await;
    fs::write(daemon.dir().join("a"), OLD).expect("written");
    fs::write(daemon.dir().join("b"), NEW).expect("written");

    let mut cases = Vec::new();
    let turns: [(&[&str], [bool; 2]); 4] = [
        (&["a"], [true, false]),
        (&["b", "a"], [true, true]),
        (&["b"], [false, true]),
        (&["a"], [false, true]),
    ];
    for (turn, (secrets, good)) in (0..).zip(turns) {
        if turn == 3 {
            // The file of the first secret now holds the other one.
            fs::write(daemon.dir().join("a"), NEW).expect("written");
        }
        let mut file = EndpointFile::new("acme");
        endpoint(&mut file, &receiver, secrets);
        daemon.files.write(Way::Rename, "acme", &file.text());
        reload(&daemon).await;
        let count = scale.count / 4 + u64::from(turn < scale.count % 4);
        for request in deliver(&mut daemon, &receiver, scale, turn, count).await {
            let body = request.text();
            cases.push(case(&request, OLD, body, good[0]));
            cases.push(case(&request, NEW, body, good[1]));
            cases.push(case(&request, NEW, &format!("{body} "), false));
        }
    }
    assert_eq!(cases.len() as u64, scale.count * 3);
    verify(&packages.join("venv/bin/python"), "verify.py", &packages, &cases);
    verify(Path::new("node"), "verify.cjs", &packages, &cases);
    scale.report("signing", &json!({ "deliveries": scale.count, "verdicts": cases.len() * 2 }));
}
