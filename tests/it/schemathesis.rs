//! schemathesis reads the OpenAPI document of a daemon and asks it everything that the document allows and forbids.
//!
//! It makes up endpoints too, and has the daemon try them. So both live in a network of their own, where loopback is
//! all there is, and may write nowhere but in their folder.

use crate::support::{Client, Receiver, Reply, Scale, daemon, until};
use http::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const INSIDE: &str = "POSTRIDER_INSIDE_A_NETWORK_OF_ITS_OWN";
const TEST: &str = "schemathesis::schemathesis_finds_nothing_wrong_with_the_admin_api";
/// anna:anna-password
const ANNA: &str = "Basic YW5uYTphbm5hLXBhc3N3b3Jk";
const LOGIN: &str = "[[admin.login]]\nusername = \"anna\"\npassword = \"anna-password\"\n\
                     [[admin.login]]\nusername = \"acme\"\npassword = \"acme-password\"\naccount = \"acme\"";
const ENDPOINTS: [&str; 4] = ["fine", "broken", "held", "draft"];

#[tokio::test]
async fn schemathesis_finds_nothing_wrong_with_the_admin_api() {
    let scale = Scale::of(6, 100);
    if std::env::var_os(INSIDE).is_some() {
        return inside(scale).await;
    }
    let folder = tempfile::TempDir::with_prefix("postrider-schemathesis-").expect("a folder");
    let alone = "ip link set lo up && mount --bind \"$TMPDIR\" \"$TMPDIR\" && mount -o remount,bind,ro / && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--", "sh", "-c", alone, "sh"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", TEST, "--nocapture"])
        .env(INSIDE, "1")
        .env("TMPDIR", folder.path())
        .env_remove("POSTRIDER_LEDGER")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let counted = out.lines().find(|line| line.contains(" generated, ")).expect("what it did").trim();
    scale.report("schemathesis", &json!({ "said": counted }));
}

async fn inside(scale: Scale) {
    let receiver = Receiver::start().await;
    receiver.script("/broken", std::iter::repeat_n(Reply::status(422), 1000));
    let url = |path: &str| receiver.url(path);
    let mut daemon = daemon()
        .endpoint("fine", |e| {
            e.url(url("/fine")).key("account = \"acme\"");
        })
        .endpoint("broken", |e| {
            e.url(url("/broken")).retry(&["1ms"]).no_breaker();
        })
        .endpoint("held", |e| {
            e.url(url("/held")).key("state = \"paused\"");
        })
        .file("draft", "state = \"draft\"\n")
        .config(LOGIN)
        .start()
        .await;
    for n in 0..40 {
        let data = format!(r#"{{"message_id":"m{n}","status":"sent","details":{{}}}}"#);
        let account = if n % 2 == 0 { "acme" } else { "globex" };
        let event = format!(r#"{{"event":"sent","product":"crm","account":"{account}","data":{data}}}"#);
        assert_eq!(daemon.post(event).await.status, 202);
    }
    let mut anna = Client::new(daemon.admin_address());
    let mut get = async |path: &str| {
        let answer = anna.request(Method::GET, path, &[("authorization", ANNA)], bytes::Bytes::new()).await;
        answer.expect("an answer").json()
    };
    until(Duration::from_secs(30), "what is broken is dead", async || {
        get("/api/v1/dead-letters?limit=500").await["dead_letters"]
            .as_array()
            .is_some_and(|all| all.len() == 40)
    })
    .await;
    let deliveries = get("/api/v1/deliveries?limit=500").await;
    let of = |key: &str| -> Vec<Value> {
        let all = deliveries["deliveries"].as_array().expect("deliveries").iter();
        all.map(|delivery| delivery[key].clone()).collect()
    };
    let urls = [url("/fine"), url("/broken"), "http://127.0.0.1:1/".to_owned()];

    let folder = std::env::temp_dir().join("schemathesis");
    fs::create_dir(&folder).expect("a folder");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schemathesis");
    let config = fs::read_to_string(fixtures.join("schemathesis.toml")).expect("its configuration");
    let config = [
        ("endpoints", json!(ENDPOINTS)),
        ("deliveries", json!(of("id"))),
        ("events", json!(of("event_id"))),
        ("replays", json!(["rpl_00000000-0000-7000-8000-000000000000"])),
        ("urls", json!(urls)),
    ]
    .into_iter()
    .fold(config, |config, (name, values)| config.replace(&format!("\"@{name}\""), &values.to_string()));
    fs::write(folder.join("schemathesis.toml"), config).expect("written");
    fs::copy(fixtures.join("hooks.py"), folder.join("hooks.py")).expect("copied");
    let installed: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../suites/py/bin/schemathesis");
    let (admin, directory) = (daemon.admin_address(), folder.clone());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(installed)
            .args([
                "run",
                &format!("http://{admin}/api/v1/openapi.json"),
                "--header",
                &format!("Authorization: {ANNA}"),
            ])
            .args(["--seed", &scale.seed.to_string(), "--max-examples", &scale.count.to_string()])
            .env("NO_COLOR", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .expect("tests/run installs it")
    });
    let output = output.await.expect("no panic");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{err}");
    assert!(output.status.success(), "schemathesis found something");

    let health = daemon.ready().await;
    assert!(matches!(health, 200), "it still takes events: {health}");
    let said = daemon.said();
    assert!(!said.contains("panicked"), "{said}");
}
