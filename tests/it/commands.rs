//! What commands say of files, and how they end.

use crate::support::{Client, Receiver, Reply, daemon, until};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn postrider(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said {
        code: output.status.code().expect("a code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A folder with a daemon's file and endpoint files, and the path of the former.
fn files(daemon: &str, endpoints: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("endpoints")).expect("a folder");
    let root = folder.path().join("postrider.toml");
    fs::write(&root, daemon).expect("written");
    for (name, text) in endpoints {
        fs::write(folder.path().join("endpoints").join(name), text).expect("written");
    }
    let root = root.to_str().expect("UTF-8").to_owned();
    (folder, root)
}

const SINK: &str = "events = \"all\"\nproducts = \"all\"\n[http]\nurl = \"https://acme.example/x\"\n\
                    auth = { basic = { username = \"u\", password = \"hunter2\" } }\n";

#[test]
fn what_holds_is_told_as_json_too() {
    let (_folder, root) = files("[ingress]\nmax_batch = 7\n", &[("acme.toml", SINK)]);
    let said = postrider(&["config", "effective", "-c", &root, "--json"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    let all: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    let batch =
        all["daemon"].as_array().expect("values").iter().find(|value| value["key"] == "ingress.max_batch");
    assert_eq!(batch.expect("the key")["value"], "7");
    assert_eq!(all["endpoints"][0]["endpoint"], "acme");
    assert!(!said.stdout.contains("hunter2"));

    let said = postrider(&["config", "effective", "acme", "-c", &root, "--json"]);
    let one: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!((said.code, &one["endpoint"]), (0, &"acme".into()));
    let said = postrider(&["config", "effective", "nobody", "-c", &root]);
    assert_eq!((said.code, said.stdout.as_str()), (6, ""));
}

#[test]
fn what_is_wrong_with_a_file_is_said_once_and_with_a_next_step() {
    let (_folder, root) = files("foo = 1\n", &[]);
    for arguments in [
        ["run", "-c", &root].as_slice(),
        &["config", "effective", "-c", &root],
        &["explain", "--event", "sent", "--product", "crm", "--config", &root],
    ] {
        let said = postrider(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (78, ""), "{arguments:?}");
        assert!(said.stderr.starts_with("error: unknown key \"foo\"\n"), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains("postrider.toml:1:1"), "{arguments:?}: {}", said.stderr);
    }
    let said = postrider(&["check", "/nowhere/postrider.toml"]);
    assert_eq!(said.code, 78);
    assert!(said.stdout.contains("Name the daemon's file"), "{}", said.stdout);
}

#[test]
fn an_explanation_says_which_files_it_leaves_out() {
    let (_folder, root) = files("", &[("acme.toml", SINK), ("bad.toml", "x = 1")]);
    let said = postrider(&["explain", "--event", "sent", "--product", "crm", "--config", &root]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("bad.toml is left out"), "{}", said.stderr);
    assert!(said.stdout.contains("acme"), "{}", said.stdout);
}

#[tokio::test]
async fn a_reload_says_what_runs_meanwhile_and_ends_with_78_only_for_the_daemons_file() {
    let receiver = Receiver::start().await;
    let daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let folder = daemon.dir();
    let file = folder.join("endpoints/acme.toml");
    let good = fs::read_to_string(&file).expect("readable");
    fs::write(&file, good.replace("products", "prodcts")).expect("written");
    let (code, said) = daemon.command(&["reload"]);
    assert_eq!(code, 1, "{said}");
    for part in ["acme.toml:", "Did you mean \"products\"?", "acme keeps its last good version"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs::write(&file, good).expect("written");
    assert_eq!(daemon.command(&["reload"]).0, 0);
    let root = folder.join("postrider.toml");
    let good = fs::read_to_string(&root).expect("readable");
    fs::write(&root, format!("nonsense = 1\n{good}")).expect("written");
    let (code, said) = daemon.command(&["reload", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &report["result"]), (78, &"rejected".into()), "{said}");
    let note = report["errors"][0]["note"].as_str().expect("a note");
    assert!(note.contains("keeps the configuration it has"), "{said}");
}

#[tokio::test]
async fn a_ready_file_of_an_earlier_run_is_gone_until_the_next_is_ready() {
    let (folder, root) = files("foo = 1\n", &[]);
    let ready = folder.path().join("ready.json");
    fs::write(&ready, "{}").expect("written");
    let said = postrider(&["run", "-c", &root, "--ready-file", ready.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 78);
    assert!(!Path::new(&ready).exists());
}

#[tokio::test]
async fn a_second_run_that_fails_leaves_the_ready_file_of_the_first_until_that_is_dead() {
    let mut first = daemon().start().await;
    let ready = first.ready_file();
    let run = |root: &Path| {
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        postrider(&["run", "-c", &text(root), "--ready-file", &text(&ready)])
    };
    let announced = fs::read(&ready).expect("it is ready");
    let said = run(&first.dir().join("postrider.toml"));
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains(&format!("process {}", first.pid())), "{}", said.stderr);
    assert_eq!(fs::read(&ready).expect("it still is"), announced);
    first.kill9();
    let (_folder, wrong) = files("foo = 1\n", &[]);
    assert_eq!(run(Path::new(&wrong)).code, 78);
    assert!(!ready.exists(), "nobody is ready");
}

#[tokio::test]
async fn a_second_daemon_on_the_same_files_says_who_is_the_first() {
    let mut first = daemon().start().await;
    let taken = first.ingress();
    let data = first.dir().join("data");
    let listen = |spool: &str| {
        format!(
            "[ingress]\nlisten = \"{taken}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[spool]\npath = {spool:?}\n"
        )
    };
    let (_folder, root) = files(&listen(data.to_str().expect("UTF-8")), &[]);
    let said = postrider(&["run", "-c", &root]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains(&format!("process {} (started 2", first.pid())), "{}", said.stderr);
    assert!(said.stderr.contains("ingress.listen"), "{}", said.stderr);

    let (_folder, root) = files(&listen("data"), &[]);
    let said = postrider(&["run", "-c", &root]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("stop what listens there"), "{}", said.stderr);
    let event = r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent"}}"#;
    assert_eq!(first.post(event).await.status, 202);
}

#[tokio::test]
async fn what_a_publisher_wrote_is_printed_within_its_line_and_without_control_characters() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).retry(&["20ms"]).no_breaker();
        })
        .start()
        .await;
    let mut ids: Vec<String> = Vec::new();
    for name in ["one", "two"] {
        let message = format!("{name}\\n\\u001b[2J\\u009b2J");
        let event = format!(
            "{{\"event\":\"sent\",\"product\":\"crm\",\n\"data\":{{\n\t\"message_id\":\"{message}\",\"status\":\"sent\"}}}}"
        );
        let answer = daemon.post(event).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    until(Duration::from_secs(20), "both are dead letters", async || {
        let letters = daemon.get("/api/v1/dead-letters").await.json();
        let letters = letters["dead_letters"].as_array().cloned().unwrap_or_default();
        ids = letters.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect();
        ids.len() == 2
    })
    .await;
    let show = ids[0].as_str();
    // A head and a line for each.
    let commands: [(&[&str], Option<usize>); 4] = [
        (&["deliveries", "list"], Some(3)),
        (&["dead-letters", "list"], Some(3)),
        (&["deliveries", "show", show], None),
        (&["dead-letters", "show", show], None),
    ];
    for (arguments, lines) in commands {
        let (code, said) = daemon.command(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        assert!(said.contains("[2J"), "it is there: {said:?}");
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!said.contains(steers), "{arguments:?}: {said:?}");
        let count = said.lines().count();
        assert!(lines.is_none_or(|lines| lines == count), "{arguments:?}: {said:?}");
    }
}

/// Passes on to a daemon's admin listener what comes in, a request a connection. Before one that begins so is passed on,
/// an event is accepted.
async fn event_before(request: &'static str, from: TcpListener, ingress: SocketAddr, admin: SocketAddr) {
    let event = r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent"}}"#;
    loop {
        let (mut near, _) = from.accept().await.expect("accepted");
        let mut begin = vec![0; 64 * 1024];
        let count = near.read(&mut begin).await.expect("read");
        begin.truncate(count);
        if begin.starts_with(request.as_bytes()) {
            let answer = Client::new(ingress).post(event).await.expect("an answer");
            assert_eq!((answer.status, answer.json()["deliveries"].as_u64()), (202, Some(1)));
        }
        let mut far = TcpStream::connect(admin).await.expect("connected");
        far.write_all(&begin).await.expect("passed on");
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

#[tokio::test]
async fn a_rename_makes_nothing_dead_that_came_while_it_was_under_way() {
    // Nobody listens there, so what is accepted waits.
    let sink = "events = \"all\"\nproducts = \"all\"\n[http]\nurl = \"http://127.0.0.1:9999/\"\n\
                auth = { basic = { username = \"u\", password = { env = \"PASSWORD\" } } }\n";
    let mut daemon = daemon().file("acme", sink).env("PASSWORD", "hunter2").start().await;
    let from = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let admin = format!("http://{}", from.local_addr().expect("an address"));
    let mut passing = JoinSet::new();
    let meanwhile = "PUT /api/v1/endpoints/acme-orders ";
    passing.spawn(event_before(meanwhile, from, daemon.ingress(), daemon.admin_address()));
    let rename = move || postrider(&["endpoints", "rename", "acme", "acme-orders", "--admin", &admin]);
    let said = tokio::task::spawn_blocking(rename).await.expect("it ran");
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{}", said.stderr);
    for part in ["acme-orders was added", "acme is a draft", "1 deliveries wait", "endpoints activate acme"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    let old = daemon.endpoint_status("acme").await;
    let count = |key: &str| old[key].as_u64().expect("a number");
    assert_eq!((count("ready") + count("parked"), count("dead")), (1, 0), "{old}");
    assert_eq!(daemon.endpoint_status("acme-orders").await["name"], "acme-orders");
}
