//! The machine's clock jumps: waits, ages, repeats and what is kept go by the time that passes, and what leaves the
//! daemon says what the clock says.

use crate::support::{Daemon, Load, Receiver, Reply, Setup, daemon, until};
use postrider_checker::verify::Subscription;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const YEAR_S: i64 = 365 * 86_400;

/// A clock that can be set, by libfaketime. The monotonic clock goes on as it is: no system sets that.
struct FakeClock(TempDir);

impl FakeClock {
    fn new() -> Self {
        let clock = Self(TempDir::with_prefix("postrider-clock-").expect("a folder"));
        clock.set("+0");
        clock
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    /// So far from the real time, as libfaketime writes it.
    fn set(&self, offset: &str) {
        let unfinished = self.0.path().join("unfinished");
        fs::write(&unfinished, offset).expect("written");
        fs::rename(unfinished, self.file()).expect("renamed");
    }

    /// A daemon that goes by it.
    fn daemon(&self) -> Setup {
        daemon()
            .env("LD_PRELOAD", &Self::library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file().to_string_lossy())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    fn library() -> String {
        let folders = fs::read_dir("/usr/lib").expect("libraries").flatten().map(|entry| entry.path());
        let library = |folder: PathBuf| folder.join("faketime/libfaketime.so.1");
        let found = folders.map(library).find(|path: &PathBuf| Path::exists(path));
        found.expect("libfaketime must be installed: tests/run does it").to_string_lossy().into_owned()
    }
}

fn event(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","event":"sent","product":"crm","data":{{"message_id":"m","status":"sent","details":{{}}}}}}"#
    )
}

/// Years between what a request says and now.
fn years_off(seconds: &str) -> i64 {
    let said: i64 = seconds.parse().expect("seconds");
    (said - jiff::Timestamp::now().as_second() + YEAR_S / 2).div_euclid(YEAR_S)
}

async fn repeats(daemon: &mut Daemon, id: &str, offset: &str) {
    let again = daemon.post(event(id)).await;
    assert_eq!(
        (again.status, &again.json()["duplicate"]),
        (200, &true.into()),
        "at {offset}: {}",
        again.text()
    );
}

#[tokio::test]
async fn a_clock_that_jumps_changes_no_wait_no_age_and_no_repeat() {
    const WAIT: Duration = Duration::from_secs(1);
    const JUMPS: [&str; 8] = ["+1", "-1", "+3600", "-3600", "+3650d", "-3650d", "+3650d", "+0"];
    let (clock, receiver) = (FakeClock::new(), Receiver::start().await);
    let load = Load::new(&[Subscription::all("steady")]);
    receiver.script("/failing", [Reply::status(500)]);
    let mut daemon = clock
        .daemon()
        .endpoint("steady", |e| {
            e.url(load.url("steady"));
        })
        .endpoint("failing", |e| {
            e.url(receiver.url("/failing")).events(&["sent"]).products(&["crm"]).no_breaker();
            e.key("account = \"clock\"\nretry = { schedule = [\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"], jitter = 0.0 }");
        })
        .start()
        .await;
    let publisher = load.publish(daemon.ready_file(), |options| options.rate = Some(200.0));
    load.accept(&publisher, 20, Duration::from_secs(20)).await;

    let failing = event("failing").replacen('{', r#"{"account":"clock","#, 1);
    // `steady` has it as well, and the checker does not count it.
    let first = daemon.post(failing.clone()).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let mut storms = 0;
    for (turn, offset) in JUMPS.iter().enumerate() {
        let seen = receiver.wait_for("/failing", turn + 1).await;
        storms = storms.max(seen.len() - (turn + 1));
        clock.set(offset);
        let again = daemon.post(failing.clone()).await;
        assert_eq!(again.status, 200, "a repeat at {offset}: {}", again.text());
    }
    let attempts = receiver.wait_for("/failing", JUMPS.len() + 1).await;
    assert_eq!(storms, 0, "attempts came in a row");
    for (pair, offset) in attempts.windows(2).zip(JUMPS) {
        let waited = pair[1].at - pair[0].at;
        let most = WAIT.mul_f64(1.1) + Duration::from_millis(400);
        assert!((WAIT.mul_f64(0.9)..most).contains(&waited), "{waited:?} after the clock went to {offset}");
    }
    for (request, offset) in attempts.iter().zip(["+0"].iter().chain(&JUMPS)) {
        let years = match *offset {
            "+3650d" => 10,
            "-3650d" => -10,
            _ => 0,
        };
        assert_eq!(years_off(request.header("webhook-timestamp")), years, "at {offset}");
    }
    // It is dead because its attempts are spent, not because it seemed old; and it is kept for thirty days of ours.
    let dead = [("endpoint", "failing"), ("result", "exhausted")];
    daemon.wait_until("it is dead", |m| m.sum("postrider_deliveries_finished_total", &dead) == 1.0).await;
    clock.set("+3650d");
    let told = daemon.post(event("stamped")).await;
    assert_eq!(told.status, 202);

    // The clock cannot make up its mind.
    let start = Instant::now();
    let mut ahead = false;
    until(Duration::from_secs(20), "it has been set for two seconds", async || {
        ahead = !ahead;
        clock.set(if ahead { "+3650d" } else { "-3650d" });
        start.elapsed() > Duration::from_secs(2)
    })
    .await;
    repeats(&mut daemon, "stamped", "strobing").await;
    clock.set("+0");
    let letters = daemon.metrics().await.sum("postrider_dead_letters", &[("endpoint", "failing")]);
    assert_eq!(letters, 1.0, "a dead letter was thrown away as ten years old");

    let summary = load.end(publisher, Duration::from_secs(30)).await;
    let report = load.report(Duration::from_secs(30)).await;
    let steady = &report.endpoints["steady"];
    // The three events of this test are not the checker's.
    let wrong = (steady.lost, steady.duplicated, steady.disordered, steady.corrupt, report.refused);
    assert_eq!(wrong, (0, 0, 0, 0, 0), "{report}");
    assert!(summary.accepted > 500);
    assert!(!daemon.said().contains("panicked"), "{}", daemon.stderr());
}

#[tokio::test]
async fn a_daemon_that_starts_with_the_clock_set_back_waits_no_longer_than_was_said() {
    let (clock, receiver) = (FakeClock::new(), Receiver::start().await);
    receiver.script("/failing", [Reply::status(500), Reply::status(204)]);
    receiver.script("/asking", [Reply::with(429, "retry-after", "2"), Reply::status(204)]);
    let setup = clock.daemon().endpoint("failing", |e| {
        e.url(receiver.url("/failing")).retry(&["2s", "6h"]);
    });
    let setup = setup.endpoint("asking", |e| {
        e.url(receiver.url("/asking")).retry(&["1s", "6h"]);
    });
    let mut daemon = setup.start().await;
    assert_eq!(daemon.post(event("first")).await.status, 202);
    daemon
        .wait_until("both wait", |m| m.sum("postrider_deliveries_pending", &[("state", "parked")]) == 2.0)
        .await;
    assert!(daemon.term(Duration::from_secs(20)).await.success());
    clock.set("-7200");
    daemon.start().await;
    receiver.wait_for("/failing", 2).await;
    receiver.wait_for("/asking", 2).await;
}
