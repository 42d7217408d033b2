//! Sinks of one's own: what `plugins new` writes, and Postrider inside another program.

use crate::support::until;
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

/// What a component's sink says without its sandbox: nothing of it can run here, and both ways to it say what to do.
#[cfg(not(feature = "wasm"))]
#[test]
fn a_binary_without_components_says_how_to_get_them() {
    let dir = TempDir::new().expect("a folder");
    let postrider = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        let output = command.args(arguments).current_dir(dir.path()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = postrider(&["plugins", "new", "audit", "--lang", "wasm"]);
    assert!(code == Some(1) && said.contains("--features wasm"), "{said}");
    let endpoint = "events = \"all\"\nproducts = \"all\"\n[wasm]\nfile = \"sink.wasm\"\n";
    fs::write(dir.path().join("endpoint.toml"), endpoint).expect("written");
    let (code, said) = postrider(&["plugins", "test", "."]);
    assert!(code == Some(78) && said.contains("built without [wasm]"), "{said}");
}

#[test]
fn the_example_of_a_component_passes_its_own_test() {
    let dir = TempDir::new().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "examples/sinks/wasm/sink.js",
        "examples/sinks/wasm/package.json",
        "src/cli/plugins/templates/sink.test.js",
    ] {
        let from = root.join(file);
        fs::copy(&from, dir.path().join(from.file_name().expect("a name"))).expect("copied");
    }
    let output = Command::new("node").arg("--test").current_dir(dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
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
