//! Files that look as they did are not read again.

use super::*;
use crate::config::SecretSource;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// The machine's clock, ten seconds ahead: what was written a moment ago looks as if it were settled.
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Instant {
        SystemClock.now()
    }

    fn unix(&self) -> Duration {
        SystemClock.unix() + Duration::from_secs(10)
    }
}

/// The files of this machine, and which of them were asked for. Every reading of an endpoint's file asks for its secret.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl SecretSource for Asked {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.0.lock().unwrap().push(path.file_name().unwrap().to_string_lossy().into_owned());
        SystemSecrets.file(path)
    }

    fn env(&self, _name: &str) -> Option<OsString> {
        None
    }
}

impl Asked {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Two endpoints with a secret each, at rest. Their files sort the other way round: `a-b.toml` comes before `a.toml`.
async fn two(clock: Arc<dyn Clock>) -> (Bench, Asked) {
    let text = |name: &str| {
        GOOD.replace("auth = {}", &format!("auth = {{ basic = {{ password = {{ file = '{name}' }} }} }}"))
    };
    let files = folder(&[("a", &text("of-a")), ("a-b", &text("of-b"))]);
    for name in ["of-a", "of-b"] {
        fs::write(files.path().join(name), "one").unwrap();
    }
    let asked = Asked::default();
    let loader = Loader::new(&files.path().join("postrider.toml"), sinks(), Arc::new(asked.clone()));
    let bench = start_with(files, loader, clock, None).await;
    bench.handle.reload().await;
    asked.taken();
    (bench, asked)
}

#[tokio::test]
async fn an_endpoint_is_read_again_when_its_file_or_its_secret_changed_and_else_not() {
    let (bench, asked) = two(Arc::new(Ahead)).await;
    assert_eq!(bench.handle.reload().await.result(), "unchanged");
    assert_eq!(asked.taken(), [""; 0]);

    bench.write("of-b", "two");
    assert_eq!(bench.handle.reload().await.changes(), ["a-b changed"]);
    assert_eq!(asked.taken(), ["of-b"]);

    // Of the same length, in the same file.
    let text = fs::read_to_string(bench.path("endpoints/a.toml")).unwrap();
    bench.write("endpoints/a.toml", &text.replace("'sent'", "'read'"));
    assert_eq!(bench.handle.reload().await.changes(), ["a changed"]);
    assert_eq!(asked.taken(), ["of-a"]);

    assert_eq!(bench.handle.reload().await.result(), "unchanged");
    assert_eq!(asked.taken(), [""; 0]);
    bench.stop().await;
}

#[tokio::test]
async fn every_endpoint_is_judged_again_by_another_daemon_file() {
    let (mut bench, asked) = two(Arc::new(Ahead)).await;
    bench.write("postrider.toml", "version = 1\n[defaults]\nconcurrency = 3\n");
    let changes = ["the daemon's file applied", "a changed", "a-b changed"];
    assert_eq!(bench.handle.reload().await.changes(), changes);
    assert_eq!(asked.taken(), ["of-b", "of-a"]);
    assert_eq!(bench.next().await.endpoints[1].delivery.concurrency.get(), 3);
    bench.stop().await;
}

#[tokio::test]
async fn what_changed_a_moment_ago_is_read_again_although_it_looks_the_same() {
    let (bench, asked) = two(Arc::new(SystemClock)).await;
    assert_eq!(bench.handle.reload().await.result(), "unchanged");
    assert_eq!(asked.taken(), ["of-b", "of-a"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_rejected_file_is_read_again_every_time_and_its_last_good_version_runs() {
    let (mut bench, asked) = two(Arc::new(Ahead)).await;
    fs::remove_file(bench.path("of-a")).unwrap();
    assert_eq!(bench.handle.reload().await.result(), "rejected");
    assert_eq!(names(&bench.next().await), ["a", "a-b"]);
    asked.taken();
    bench.handle.reload().await;
    assert!(asked.taken().iter().all(|name| name == "of-a"), "the other is not read");
    bench.write("of-a", "one");
    assert!(bench.handle.reload().await.is_ok());
    asked.taken();
    assert_eq!(bench.handle.reload().await.result(), "unchanged");
    assert_eq!(asked.taken(), [""; 0]);
    bench.stop().await;
}

#[tokio::test]
async fn a_last_good_version_that_could_not_be_kept_is_kept_by_the_next_round() {
    let (bench, _asked) = two(Arc::new(Ahead)).await;
    let kept = bench.path("data/last-good");
    let old = fs::read_to_string(kept.join("a.toml")).unwrap();
    fs::rename(&kept, bench.path("away")).unwrap();
    fs::write(&kept, "in the way").unwrap();
    bench.write("endpoints/a.toml", &format!("concurrency = 3\n{old}"));
    assert_eq!(bench.handle.reload().await.changes(), ["a changed"]);
    fs::remove_file(&kept).unwrap();
    fs::rename(bench.path("away"), &kept).unwrap();
    assert_eq!(fs::read_to_string(kept.join("a.toml")).unwrap(), old);
    assert_eq!(bench.handle.reload().await.result(), "unchanged");
    assert!(fs::read_to_string(kept.join("a.toml")).unwrap().starts_with("concurrency = 3"));
    bench.stop().await;
}

#[tokio::test]
async fn a_bad_file_never_falls_back_behind_the_version_that_runs() {
    let (mut bench, _asked) = two(Arc::new(Ahead)).await;
    let kept = bench.path("data/last-good");
    let old = fs::read_to_string(kept.join("a.toml")).unwrap();
    // Its new text has no place to be written to.
    fs::create_dir(kept.join(".a.new")).unwrap();
    bench.write("endpoints/a.toml", &format!("concurrency = 3\n{old}"));
    assert_eq!(bench.handle.reload().await.changes(), ["a changed"]);
    assert_eq!(bench.next().await.endpoints[0].delivery.concurrency.get(), 3);
    bench.write("endpoints/a.toml", "events = ['nope']");
    assert_eq!(bench.handle.reload().await.changes(), [""; 0]);
    assert_eq!(bench.next().await.endpoints[0].delivery.concurrency.get(), 3);
    bench.stop().await;
}

#[tokio::test]
async fn a_start_reads_everything_once_and_the_first_round_keeps_what_is_not_kept() {
    let (bench, asked) = two(Arc::new(Ahead)).await;
    bench.handle.stop();
    bench.join.await.unwrap();
    fs::remove_file(bench.folder.path().join("data/last-good/a-b.toml")).unwrap();
    let root = bench.folder.path().join("postrider.toml");
    let loader = Loader::new(&root, sinks(), Arc::new(asked.clone()));
    let bench = start_with(bench.folder, loader, Arc::new(Ahead), None).await;
    assert_eq!(asked.taken(), ["of-b", "of-a"]);
    assert!(bench.path("data/last-good/a-b.toml").exists());
    bench.stop().await;
}
