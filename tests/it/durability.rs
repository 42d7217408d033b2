//! A 202 means it is on disk: the proof watches and disturbs the daemon's own system calls with strace.

use crate::support::{Client, Daemon, Receiver, daemon, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Every call that makes written data durable.
const SYNCS: &str = "fdatasync,fsync,msync,sync_file_range,syncfs";

/// strace, attached to a daemon; detaches when it goes.
struct Strace(Child);

impl Strace {
    async fn attach(daemon: &Daemon, inject: &str) -> Self {
        let talk = daemon.dir().join("strace");
        let mut child = Command::new("strace")
            .args(["-f", "-e", &format!("trace={SYNCS}"), "-e", &format!("inject={SYNCS}:{inject}")])
            .args(["-o", "/dev/null", "-p", &daemon.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&talk).expect("a file"))
            .spawn()
            .expect("strace must be installed: tests/run does it");
        let attached = |talk: &PathBuf| fs::read_to_string(talk).unwrap_or_default().contains("attached");
        until(Duration::from_secs(10), "strace is attached", async || {
            assert!(child.try_wait().expect("its state").is_none(), "{:?}", fs::read_to_string(&talk));
            attached(&talk)
        })
        .await;
        Self(child)
    }

    async fn detach(mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("told");
        until(Duration::from_secs(10), "strace is gone", async || {
            self.0.try_wait().expect("its state").is_some()
        })
        .await;
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn event(number: usize) -> String {
    format!(
        r#"{{"event":"sent","product":"crm","data":{{"message_id":"m{number}","status":"sent","details":{{}}}}}}"#
    )
}

#[tokio::test]
async fn no_acceptance_is_answered_before_its_sync_has_ended() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    assert_eq!(daemon.post(event(0)).await.status, 202);
    let strace = Strace::attach(&daemon, "delay_exit=300000").await;
    for number in 1..=5 {
        let start = Instant::now();
        let answer = daemon.post(event(number)).await;
        let took = start.elapsed();
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert!(took >= Duration::from_millis(300), "answered after {took:?}, before the sync had ended");
    }
    strace.detach().await;
    receiver.wait_for("/acme", 6).await;
}

#[tokio::test]
async fn a_failing_sync_accepts_nothing_and_loses_nothing() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .start()
        .await;
    let mut accepted = vec![daemon.post(event(0)).await.id()];
    let strace = Strace::attach(&daemon, "error=EIO").await;
    for number in 1..=10 {
        // Refused, or the connection ends: anything but accepted.
        let mut client = Client::new(daemon.ingress());
        if let Ok(answer) = client.post(event(number)).await {
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(daemon.ready().await, 503, "it says that it cannot take events");
    strace.detach().await;

    // The disk is well again: the daemon recovers by itself.
    until(Duration::from_secs(60), "events are accepted again", async || {
        let answer = daemon.post(event(100)).await;
        if answer.status == 202 {
            accepted.push(answer.id());
        }
        answer.status == 202
    })
    .await;
    daemon.restart().await;
    accepted.push(daemon.post(event(101)).await.id());
    until(Duration::from_secs(20), "everything accepted has arrived", async || {
        let arrived = receiver.requests("/acme");
        accepted.iter().all(|id| arrived.iter().any(|request| request.header("webhook-id") == id))
    })
    .await;
}
