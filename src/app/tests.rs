//! A part of the daemon panics: what goes on, what starts again, and that nothing accepted is lost.

use super::{App, AppOptions};
use crate::metrics::Metrics;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const REPLAYS: &str = "/api/v1/dead-letters/replays";

struct House {
    folder: TempDir,
    metrics: Metrics,
    app: App,
}

/// A daemon on the files of this folder.
async fn open(folder: TempDir) -> House {
    let metrics = Metrics::new();
    let config = folder.path().join("postrider.toml");
    let options = AppOptions { config, sinks: Vec::new(), metrics: metrics.clone() };
    let app = App::start(options).await.unwrap();
    House { folder, metrics, app }
}

/// A daemon whose one endpoint writes to a file, or says this instead.
async fn start(endpoint: &str) -> House {
    let folder = tempfile::tempdir().unwrap();
    let config = "[ingress]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n\
                  [network]\nallow = ['127.0.0.0/8']\n[shutdown]\ngrace = '5s'\n";
    fs::write(folder.path().join("postrider.toml"), config).unwrap();
    fs::create_dir(folder.path().join("endpoints")).unwrap();
    House::write(&folder, endpoint).unwrap();
    open(folder).await
}

/// An endpoint that writes what it gets into `out.jsonl`.
fn file(state: &str) -> String {
    format!("state = '{state}'\nevents = 'all'\nproducts = 'all'\n[file]\npath = 'out.jsonl'\n")
}

async fn ask(at: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await.ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {at}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        Some((status, serde_json::from_str(body).unwrap_or_default()))
    };
    // No answer at all is none, and never a wait without an end.
    timeout(PATIENCE, exchange).await.expect("an answer, or the end of the connection").unwrap_or_default()
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let look = async {
        while !so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

impl House {
    fn write(folder: &TempDir, endpoint: &str) -> std::io::Result<()> {
        let unfinished = folder.path().join("acme.new");
        fs::write(&unfinished, endpoint)?;
        fs::rename(unfinished, folder.path().join("endpoints/acme.toml"))
    }

    async fn post(&self, message: &str) -> (u16, Value) {
        let event = format!(
            r#"{{"event":"sent","product":"crm","data":{{"message_id":"{message}","status":"sent","details":{{}}}}}}"#
        );
        ask(self.app.ingress(), "POST", "/v1/events", &event).await
    }

    /// Posts so many; their ids.
    async fn posted(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..count {
            let (status, answer) = self.post(&format!("m{number}")).await;
            assert_eq!(status, 202, "{answer}");
            ids.push(answer["id"].as_str().unwrap().to_owned());
        }
        ids
    }

    /// The file holds every one of these.
    async fn arrived(&self, ids: &[String]) {
        let path = self.folder.path().join("out.jsonl");
        until("everything has arrived", || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            ids.iter().all(|id| text.contains(id.as_str()))
        })
        .await;
    }

    fn counts(&self, series: &str) -> bool {
        self.metrics.render().lines().any(|line| line == series)
    }

    async fn stop(self) -> TempDir {
        timeout(PATIENCE, self.app.stop()).await.expect("it stops");
        self.folder
    }

    /// What cannot be started again by itself is gone: the daemon says so, refuses what comes, stops within its
    /// deadlines, and the next one delivers everything.
    async fn dies(self, why: &str, accepted: Vec<String>) {
        let reason = timeout(Duration::from_secs(5), self.app.failed()).await.expect("it is noticed");
        assert_eq!(reason, why);
        let (status, answer) = self.post("late").await;
        assert!(matches!(status, 503 | 0), "{status} {answer}");
        let folder = self.stop().await;
        Self::write(&folder, &file("active")).unwrap();
        let house = open(folder).await;
        house.arrived(&accepted).await;
        house.stop().await;
    }
}

#[tokio::test]
async fn the_routers_death_ends_the_daemon_and_the_next_one_delivers_everything() {
    let house = start(&file("paused")).await;
    let accepted = house.posted(20).await;
    house.app.backend.router.crash_itself();
    house.dies("the router has stopped", accepted).await;
}

#[tokio::test]
async fn the_death_of_the_spools_writer_ends_the_daemon_and_the_next_one_delivers_everything() {
    let house = start(&file("paused")).await;
    let accepted = house.posted(20).await;
    house.app.backend.spool.crash();
    house.dies("the spool's writer has stopped", accepted).await;
}

#[tokio::test]
async fn a_listener_that_is_gone_ends_the_daemon() {
    for (ingress, why) in [(true, "the ingress has stopped"), (false, "the admin listener has stopped")] {
        let house = start(&file("active")).await;
        let gone = if ingress { &house.app.serving_ingress } else { &house.app.serving_admin };
        gone.abort();
        let reason = timeout(Duration::from_secs(5), house.app.failed()).await.expect("it is noticed");
        assert_eq!(reason, why);
        house.stop().await;
    }
}

#[tokio::test]
async fn what_reads_the_files_is_started_again_and_deliveries_do_not_notice() {
    let house = start(&file("active")).await;
    let mut accepted = Vec::new();
    for crash in 1..=3 {
        // Only one that lives can die.
        let reload = &house.app.backend.reload;
        let alive = async {
            while reload.status().await.is_none() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, alive).await.expect("it is at work");
        reload.crash();
        accepted.extend(house.posted(5).await);
        let series = format!("postrider_actor_restarts_total{{actor=\"reload\"}} {crash}");
        until("it was started again", || house.counts(&series)).await;
    }
    house.arrived(&accepted).await;
    // Nobody asks: it is watching again.
    House::write(&house.folder, &file("paused")).unwrap();
    until("the change is in force", || {
        let table = house.app.backend.router.table();
        table.named("acme").is_some_and(|entry| entry.spec.lifecycle == crate::table::Lifecycle::Paused)
    })
    .await;
    assert!(house.counts("postrider_actor_restarts_total{actor=\"endpoint\"} 0"));
    house.stop().await;
}

#[tokio::test]
async fn a_replay_that_panics_has_failed_keeps_no_place_and_loses_no_letter() {
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let house = start(&format!(
        "events = 'all'\nproducts = 'all'\nretry = {{ schedule = [] }}\n\
         breaker = {{ failures = 1000000, ratio = 1.0, min_attempts = 1000000 }}\n[http]\nurl = 'http://{closed}/'\n\
         auth = {{ basic = {{ credentials = 'YTpi' }} }}\n"
    ))
    .await;
    let accepted = house.posted(10).await;
    let dead = async {
        loop {
            let (_, page) = ask(house.app.admin(), "GET", "/api/v1/dead-letters", "").await;
            if page["dead_letters"].as_array().is_some_and(|letters| letters.len() == 10) {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, dead).await.expect("all are dead");
    House::write(&house.folder, &file("active")).unwrap();
    assert_eq!(ask(house.app.admin(), "POST", "/-/reload", "").await.0, 200);

    let crash = &house.app.backend.deliveries.replays.crash;
    crash.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    // More than may go on at once.
    for _ in 0..12 {
        let (status, job) = ask(house.app.admin(), "POST", REPLAYS, r#"{"rate":"1000/s"}"#).await;
        assert_eq!(status, 202, "{job}");
        let ended = ended(&house, &job).await;
        assert!(ended["note"].as_str().is_some_and(|note| note.contains("broke off")), "{ended}");
        seen.insert(ended["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, BTreeSet::from(["failed".to_owned()]));
    crash.store(false, Ordering::Relaxed);
    let (_, job) = ask(house.app.admin(), "POST", REPLAYS, r#"{"rate":"1000/s"}"#).await;
    assert_eq!(ended(&house, &job).await["replayed"], 10);
    house.arrived(&accepted).await;
    house.stop().await;
}

async fn ended(house: &House, job: &Value) -> Value {
    let path = format!("{REPLAYS}/{}", job["id"].as_str().unwrap());
    let look = async {
        loop {
            let (_, job) = ask(house.app.admin(), "GET", &path, "").await;
            if !job["ended_at"].is_null() {
                return job;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("the replay ends")
}
