//! What the watcher notices.

use super::*;
use crate::reload::snapshot::WatchPaths;
use crate::reload::watcher::Watcher;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::sync::mpsc;

/// Polls so rarely that only a notification can be in time.
const NOTIFIED: WatchTimes = WatchTimes {
    settle: Duration::from_millis(20),
    settle_most: Duration::from_millis(500),
    poll: Duration::from_secs(600),
    notifications: true,
};

/// No notifications: only the looks.
const POLLED: WatchTimes = WatchTimes { poll: Duration::from_millis(50), notifications: false, ..NOTIFIED };

/// The text with another concurrency, so that what arrived can be told.
fn version(number: u32) -> String {
    format!("concurrency = {number}\n{GOOD}")
}

/// Waits for the publication that has this concurrency at its first endpoint.
async fn arrives(bench: &mut Bench, number: usize, how: &str) {
    let found = async {
        while bench
            .next()
            .await
            .endpoints
            .first()
            .is_none_or(|spec| spec.delivery.concurrency.get() != number)
        {}
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .unwrap_or_else(|_| panic!("{how} went unseen"));
}

#[test]
fn a_watcher_that_panics_begins_anew() {
    let folder = folder(&[("a", GOOD)]);
    let endpoints = folder.path().join("endpoints");
    let paths = WatchPaths { files: BTreeSet::new(), folders: BTreeSet::from([endpoints.clone()]) };
    let (told, calls) = mpsc::channel();
    let first = AtomicBool::new(true);
    let changed = move || {
        let heard = told.send(()).is_ok();
        assert!(!first.swap(false, Ordering::Relaxed), "told to panic");
        heard
    };
    let _watcher = Watcher::start(paths, POLLED, Arc::new(SystemClock), changed);
    let call = |what: &str| calls.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("{what}"));
    call("it begins");
    call("it begins anew after its panic");
    fs::write(endpoints.join("b.toml"), GOOD).unwrap();
    call("it watches again");
}

async fn edits_are_noticed(times: WatchTimes) {
    let mut bench = start(folder(&[("a", GOOD), ("b", GOOD)]), Some(times)).await;
    let file = bench.path("endpoints/a.toml");

    bench.write("endpoints/a.toml", &version(2));
    arrives(&mut bench, 2, "a write in place").await;

    bench.write("endpoints/.a.toml.new", &version(3));
    fs::rename(bench.path("endpoints/.a.toml.new"), &file).unwrap();
    arrives(&mut bench, 3, "a rename over it").await;

    fs::remove_file(&file).unwrap();
    bench.write("endpoints/a.toml", &version(4));
    arrives(&mut bench, 4, "deleting and creating").await;

    bench.write("elsewhere", &version(5));
    bench.write("elsewhere2", &version(6));
    symlink(bench.path("elsewhere"), bench.path("endpoints/link")).unwrap();
    fs::rename(bench.path("endpoints/link"), &file).unwrap();
    arrives(&mut bench, 5, "a link in its place").await;
    symlink(bench.path("elsewhere2"), bench.path("endpoints/link")).unwrap();
    fs::rename(bench.path("endpoints/link"), &file).unwrap();
    arrives(&mut bench, 6, "a link that leads elsewhere").await;
    bench.write("elsewhere2", &version(7));
    arrives(&mut bench, 7, "a write behind a link").await;

    bench.write("postrider.toml", "[ingress]\nmax_batch = 3\n");
    while bench.next().await.daemon.ingress.max_batch != 3 {}
    bench.stop().await;
}

#[tokio::test]
async fn edits_of_every_kind_are_noticed_by_notification() {
    edits_are_noticed(NOTIFIED).await;
}

#[tokio::test]
async fn edits_of_every_kind_are_noticed_without_notifications() {
    edits_are_noticed(POLLED).await;
}

#[tokio::test]
async fn a_swapped_mount_of_folders_is_noticed() {
    // As Kubernetes does it: files are links through `..data`, which is a link that is swapped.
    let folder = folder(&[]);
    for (number, name) in [(2, "..v1"), (3, "..v2"), (4, "..v3")] {
        let inner = folder.path().join("endpoints").join(name);
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.toml"), version(number)).unwrap();
    }
    let endpoints = folder.path().join("endpoints");
    symlink("..v1", endpoints.join("..data")).unwrap();
    symlink("..data/a.toml", endpoints.join("a.toml")).unwrap();
    let mut bench = start(folder, Some(NOTIFIED)).await;
    for (number, name) in [(3, "..v2"), (4, "..v3")] {
        symlink(name, endpoints.join("..tmp")).unwrap();
        fs::rename(endpoints.join("..tmp"), endpoints.join("..data")).unwrap();
        arrives(&mut bench, number, "a swap of ..data").await;
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_again() {
    let mut bench = start(folder(&[("a", GOOD)]), Some(NOTIFIED)).await;
    for number in [2, 4] {
        fs::create_dir(bench.path("new")).unwrap();
        bench.write("new/a.toml", &version(number));
        fs::rename(bench.path("endpoints"), bench.path(&format!("old{number}"))).unwrap();
        fs::rename(bench.path("new"), bench.path("endpoints")).unwrap();
        arrives(&mut bench, number as usize, "another folder in its place").await;
        bench.write("endpoints/a.toml", &version(number + 1));
        arrives(&mut bench, number as usize + 1, "a write in the other folder").await;
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_is_noticed_and_so_is_one_that_appears() {
    let folder = folder(&[]);
    let text = GOOD.replace("auth = {}", "auth = { basic = { password = { file = 'secrets/pw' } } }");
    fs::write(folder.path().join("endpoints/a.toml"), text).unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    let mut bench = start(folder, Some(NOTIFIED)).await;
    bench.write("secrets/pw", "one");
    while names(&bench.next().await) != ["a"] {}
    bench.write("secrets/pw.new", "two");
    fs::rename(bench.path("secrets/pw.new"), bench.path("secrets/pw")).unwrap();
    let changed = bench.next().await;
    assert_eq!((names(&changed), changed.invalid.len()), (vec!["a"], 0));
    bench.stop().await;
}

#[tokio::test]
async fn noise_beside_the_files_publishes_nothing() {
    let mut bench = start(folder(&[("a", GOOD)]), Some(NOTIFIED)).await;
    for number in 0..20 {
        bench.write("noise.log", &number.to_string());
        bench.write("endpoints/.a.toml.swp", &number.to_string());
    }
    // What comes after the noise is the first that is published.
    bench.write("endpoints/a.toml", &version(2));
    assert_eq!(bench.next().await.endpoints[0].delivery.concurrency.get(), 2);
    bench.stop().await;
}

#[test]
fn a_change_is_told_once_however_young_its_files_are() {
    let folder = folder(&[("a", GOOD)]);
    let paths =
        WatchPaths { folders: BTreeSet::from([folder.path().join("endpoints")]), ..WatchPaths::default() };
    let (told, rounds) = mpsc::channel();
    let changed = move || told.send(()).is_ok();
    let watcher = Watcher::start(paths.clone(), NOTIFIED, Arc::new(SystemClock), changed);
    rounds.recv_timeout(Duration::from_secs(10)).expect("the first look");
    fs::write(folder.path().join("endpoints/a.toml"), version(2)).unwrap();
    // As long as a file counts as young, and as the actor does it: every round ends with what is to be watched.
    let mut count = 0;
    while rounds.recv_timeout(Duration::from_secs(2)).is_ok() {
        count += 1;
        assert!(count < 5, "a round after a round");
        watcher.watch(paths.clone());
    }
    assert!(count > 0, "the change went unseen");
}

#[test]
fn a_watcher_that_is_stuck_keeps_nobody_who_lets_go_of_it() {
    let folder = folder(&[]);
    let paths =
        WatchPaths { folders: BTreeSet::from([folder.path().join("endpoints")]), ..WatchPaths::default() };
    let (told, calls) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let changed = move || {
        let heard = told.send(()).is_ok();
        // As in a file system that does not answer.
        let _ = released.recv();
        heard
    };
    let watcher = Watcher::start(paths, POLLED, Arc::new(SystemClock), changed);
    calls.recv_timeout(Duration::from_secs(10)).expect("it begins");
    let (done, gone) = mpsc::channel();
    std::thread::spawn(move || {
        drop(watcher);
        let _ = done.send(());
    });
    gone.recv_timeout(Duration::from_secs(10)).expect("it is let go of");
    drop(release);
    let ended = calls.recv_timeout(Duration::from_secs(10));
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "its thread ends by itself");
}
