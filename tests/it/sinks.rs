//! Sinks of one's own: the examples, and programs that misbehave beside healthy neighbours.

use crate::support::{Receiver, daemon, until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const EVENT: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_postrider")).parent().expect("a folder").to_owned()
}

/// A program that does `script`, in Python, for every event in `line`; `say` answers.
fn exec(script: &str) -> String {
    let program = format!(
        "import sys,os,time\nsay=lambda text:print(text,flush=True)\nsys.stdin.readline()\nsay('{{\"postrider\":1}}')\n\
         for line in sys.stdin:\n n=line[5:].split(',')[0]\n {script}\n"
    );
    let program = serde_json::Value::from(program);
    format!(
        "events = \"all\"\nproducts = \"all\"\ntimeout = \"1s\"\n[exec]\ncommand = [\"python3\", \"-c\", {program}]\nmemory = \"128 MiB\"\n"
    )
}

#[tokio::test]
async fn programs_that_misbehave_say_why_and_their_neighbours_deliver() {
    let ok = r#"say('{"n":'+n+',"result":"ok"}')"#;
    let misbehaving = [
        ("hangs", "time.sleep(600)", "no answer within 1s"),
        ("floods", "sys.stdout.write('x\\n'*9999999)", "it flooded its standard output"),
        (
            "exits",
            "print('the disk is gone',file=sys.stderr,flush=True);os._exit(3)",
            "exit 3, the disk is gone",
        ),
        ("half", "sys.stdout.write('{\"n\":'+n);sys.stdout.flush();os._exit(0)", "exit 0"),
        ("unknown", "say('{\"n\":77,\"result\":\"ok\"}')", "no answer within 1s"),
        ("hoards", "x=[bytearray(1<<20) for _ in range(1<<20)]", "MemoryError"),
    ];
    let receiver = Receiver::start().await;
    let mut setup = daemon()
        .endpoint("healthy", |e| {
            e.url(receiver.url("/healthy"));
        })
        .file("program", exec(ok))
        .file(
            "missing",
            "events = \"all\"\nproducts = \"all\"\n[exec]\ncommand = [\"sh\", \"-c\", \"exec no-such-python\"]\n",
        );
    for (name, script, _) in misbehaving {
        setup = setup.file(name, exec(script));
    }
    let mut daemon = setup.start().await;
    for _ in 0..20 {
        assert_eq!(daemon.post(EVENT).await.status, 202);
    }
    receiver.wait_for("/healthy", 20).await;
    daemon
        .wait_until("the program has everything", |metrics| {
            let of = [("endpoint", "program"), ("result", "delivered")];
            metrics.sum("postrider_deliveries_finished_total", &of) >= 20.0
        })
        .await;
    for (name, _, wanted) in misbehaving {
        let mut seen = Value::Null;
        until(Duration::from_secs(20), &format!("{name} says {wanted}"), async || {
            seen = daemon.endpoint_status(name).await;
            seen["last_error"].as_str().is_some_and(|error| error.contains(wanted))
        })
        .await;
        assert!(seen["ready"].as_u64().unwrap_or(0) + seen["parked"].as_u64().unwrap_or(0) > 0, "{seen}");
    }
    until(Duration::from_secs(20), "the missing program is told", async || {
        let seen = daemon.endpoint_status("missing").await;
        let error = seen["last_error"].as_str().unwrap_or_default();
        seen["state"] == "invalid"
            && error.starts_with("crashed 3 times, last: exit 127,")
            && error.contains("no-such-python")
    })
    .await;
    let metrics = daemon.metrics().await;
    let up = |plugin: &str| metrics.sum("postrider_plugin_up", &[("plugin", plugin)]);
    assert!(up("exec:program") > 0.5 && up("exec:missing") < 0.5, "{metrics:?}");
    assert!(daemon.term(Duration::from_secs(40)).await.success());
}

#[test]
fn new_sinks_pass_their_own_tests_and_the_suite() {
    let dir = TempDir::new().expect("a folder");
    let postrider = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(arguments).current_dir(dir.path()).output().expect("it runs")
    };
    for (lang, test) in [("python", "python3 test_main.py"), ("node", "node --test"), ("sh", "sh test.sh")] {
        assert!(postrider(&["plugins", "new", lang, "--lang", lang]).status.success());
        let folder = dir.path().join(lang);
        let output = Command::new("sh").args(["-c", test]).current_dir(&folder).output().expect("it runs");
        assert!(output.status.success(), "{test}: {output:?}");
        let output = postrider(&["plugins", "test", lang, "--json"]);
        assert!(output.status.success(), "{output:?}");
        let again = postrider(&["plugins", "new", lang, "--lang", lang]);
        assert_eq!(again.status.code(), Some(1), "nothing is written over");
    }
    let broken = dir.path().join("python/main.py");
    assert_eq!(postrider(&["plugins", "new", "No Name"]).status.code(), Some(2));
    assert_eq!(postrider(&["plugins", "test", "nowhere"]).status.code(), Some(6));
    fs::write(&broken, "raise SystemExit('no kafka here')").expect("written");
    let output = postrider(&["plugins", "test", "python"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("crashed 3 times, last: exit 1, no kafka here"),
        "{said}"
    );
}

/// Ends a background process when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn two_daemons_in_one_program_start_deliver_and_stop() {
    let dir = TempDir::new().expect("a folder");
    let mut configs = Vec::new();
    for name in ["first", "second"] {
        let folder = dir.path().join(name);
        fs::create_dir_all(folder.join("endpoints")).expect("a folder");
        let config = folder.join("postrider.toml");
        let listen = "listen = \"127.0.0.1:0\"";
        fs::write(&config, format!("version = 1\n[ingress]\n{listen}\n[admin]\n{listen}\n"))
            .expect("written");
        let endpoint = "events = \"all\"\nproducts = \"all\"\n[file]\npath = \"out.jsonl\"\n";
        fs::write(folder.join("endpoints/out.toml"), endpoint).expect("written");
        configs.push(config);
    }
    let mut child = Command::new(binaries().join("examples/embedded"))
        .args(&configs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .expect("it runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.0.stdout.take().expect("piped")));
    let mut next = || lines.next().expect("a line").expect("text");
    for (events, config) in [(1, &configs[0]), (2, &configs[1])] {
        let line = next();
        let ingress =
            line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        let mut client = crate::support::Client::new(ingress.parse().expect("an address"));
        for _ in 0..events {
            assert_eq!(client.post(EVENT).await.expect("an answer").status, 202);
        }
        let out = config.with_file_name("out.jsonl");
        until(Duration::from_secs(20), "it is delivered", async || {
            fs::read_to_string(&out).is_ok_and(|text| text.lines().count() == events)
        })
        .await;
    }
    drop(child.0.stdin.take());
    for (events, config) in [(1, &configs[0]), (2, &configs[1])] {
        assert_eq!(next(), format!("{} stopped, {events} deliveries finished", config.display()));
    }
    assert!(child.0.wait().expect("its end").success());
}
