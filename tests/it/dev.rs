//! `postrider dev`, as the README says to run it first.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

fn dev(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("dev").arg("--dir").arg(folder).arg("--any-port").args(arguments).current_dir(folder);
    command
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn once_sends_every_sample_to_whoever_wants_it_and_shows_where_it_arrived() {
    let folder = tempfile::tempdir().expect("a folder");
    for run in 0..2 {
        // The second time over the files of the first.
        let output = dev(folder.path(), &["--once", "--json"]).output().expect("it runs");
        assert!(output.status.success(), "run {run}: {}", String::from_utf8_lossy(&output.stderr));
        let tour: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let events = tour["events"].as_array().expect("events");
        assert_eq!(events.len(), 16, "every event of every product");
        let mut all = 0;
        for event in events {
            let wanted = event["deliveries"].as_u64().expect("a number");
            let arrived = event["arrived"].as_object().expect("where").len();
            assert_eq!(arrived as u64, wanted, "{event}");
            all += arrived;
        }
        assert_eq!(all, 6, "what its two endpoints want");
    }
}

#[tokio::test]
async fn it_stays_up_takes_events_of_ones_own_and_ends_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = dev(folder.path(), &[]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let mut child = Running(child);
    let (say, said) = channel();
    let stdout = BufReader::new(child.0.stdout.take().expect("its output"));
    let reader =
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
    let mut heard = Vec::new();
    let mut wait_for = |what: &str| {
        let heard = &mut heard;
        loop {
            let line =
                said.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("{what}: {heard:#?}"));
            heard.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    };
    let shown = wait_for("/v1/events");
    let address = shown.split(['/', ' ']).find(|word| word.starts_with("127.0.0.1:")).expect("where");
    wait_for("Ctrl-C stops");
    let mut client = crate::support::Client::new(address.parse().expect("an address"));
    let own =
        r#"{"event":"failed","product":"crm","data":{"message_id":"my-own","status":"failed","details":{}}}"#;
    let answer = client.post(own.to_owned()).await.expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["deliveries"], 1, "{}", answer.text());
    let id = answer.id();
    wait_for(&id);
    let pid = i32::try_from(child.0.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::INT).expect("told");
    let status = child.0.wait().expect("its end");
    assert!(status.success(), "{status}");
    let _ended = reader.join().expect("the reader ends with it");
}
