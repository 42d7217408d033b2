//! Real files, a real watcher, a real actor; only the router is a recorder.

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::config::testing::sinks;
use crate::config::{Loader, SystemSecrets};
use crate::ids::Generation;
use crate::metrics::Metrics;
use crate::router::Publication;
use futures_util::future::BoxFuture;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const GOOD: &str = "events = ['sent']\nproducts = 'all'\n[http]\nurl = 'https://a.example/'\nauth = {}\n";

struct Recorder {
    fails: AtomicBool,
    generation: AtomicU64,
    published: mpsc::UnboundedSender<Publication>,
}

impl Publish for Recorder {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<Generation, String>> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err("the spool cannot register the endpoints".to_owned()) });
        }
        let generation = Generation(self.generation.fetch_add(1, Ordering::Relaxed) + 1);
        let _ = self.published.send(publication);
        Box::pin(async move { Ok(generation) })
    }
}

/// A configuration folder, and an actor over it.
struct Bench {
    folder: tempfile::TempDir,
    handle: ReloadHandle,
    join: JoinHandle<()>,
    published: mpsc::UnboundedReceiver<Publication>,
    recorder: Arc<Recorder>,
}

fn folder(endpoints: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("postrider.toml"), "").unwrap();
    fs::create_dir(folder.path().join("endpoints")).unwrap();
    for (name, text) in endpoints {
        fs::write(folder.path().join("endpoints").join(format!("{name}.toml")), text).unwrap();
    }
    folder
}

fn loader(folder: &tempfile::TempDir) -> Loader {
    Loader::new(&folder.path().join("postrider.toml"), sinks(), Arc::new(SystemSecrets))
}

async fn start(folder: tempfile::TempDir, watch: Option<WatchTimes>) -> Bench {
    let loader = loader(&folder);
    start_with(folder, loader, Arc::new(SystemClock), watch).await
}

async fn start_with(
    folder: tempfile::TempDir,
    loader: Loader,
    clock: Arc<dyn Clock>,
    watch: Option<WatchTimes>,
) -> Bench {
    let initial = initial(&loader, clock.unix()).expect("starts");
    let (sender, published) = mpsc::unbounded_channel();
    let recorder =
        Recorder { fails: AtomicBool::new(false), generation: AtomicU64::new(1), published: sender };
    let recorder = Arc::new(recorder);
    let args = ReloadArgs {
        loader,
        running: Arc::new(initial.running),
        generation: Generation(1),
        last_good: initial.last_good,
        publisher: recorder.clone(),
        metrics: Metrics::new(),
        clock,
        watch,
    };
    let (handle, join) = ReloadActor::start(args).await.expect("spawns");
    if watch.is_none() {
        // The first round is over: what a test changes now is found by the reload it asks for.
        handle.reload().await;
    }
    Bench { folder, handle, join, published, recorder }
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    async fn next(&mut self) -> Publication {
        let next = tokio::time::timeout(Duration::from_secs(10), self.published.recv());
        next.await.expect("a publication within 10 s").expect("the actor lives")
    }

    async fn stop(self) {
        self.handle.stop();
        self.join.await.unwrap();
    }
}

fn names(publication: &Publication) -> Vec<&str> {
    publication.endpoints.iter().map(|spec| &*spec.identity.name).collect()
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_keeps_panicking_is_parked_and_given_another_chance_later() {
    let bench = start(folder(&[("acme", GOOD)]), None).await;
    let limit = crate::policy::RestartPolicy::LIMIT;
    for _ in 0..=limit {
        // Until it is there again, so that each crash is one of its own.
        while bench.handle.status().await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.handle.crash();
        assert!(bench.handle.status().await.is_none(), "it died");
    }
    let outcome = bench.handle.reload().await;
    assert!(outcome.errors()[0].one_line().contains("started again"), "{outcome:?}");
    let parked = tokio::time::Instant::now();
    while bench.handle.status().await.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(parked.elapsed() >= crate::policy::RestartPolicy::PARKED, "{:?}", parked.elapsed());
    bench.write("endpoints/other.toml", GOOD);
    let outcome = bench.handle.reload().await;
    assert!(outcome.is_ok() && outcome.generation() > Generation(1), "{outcome:?}");
    bench.stop().await;
}

mod files;
mod unread;
mod watching;
