//! A disk that is full, has no room for another name, may not be written, or is slow: a file system of its own in a
//! mount namespace of its own. What was accepted arrives, what cannot be kept is refused with 503 and `Retry-After`,
//! and all is well within 5 s of the disk being well.

use crate::support::{Client, Daemon, Receiver, Reply, daemon, until};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// From the disk being well to the next 202.
const RECOVERY: Duration = Duration::from_secs(5);
const SEE: Duration = Duration::from_secs(30);

/// Whether this machine lets the test mount something. It says so where it does not.
fn may_mount(test: &str) -> bool {
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    if !may {
        let line =
            format!("SKIPPED: {test}: it needs root, to mount a file system in a namespace of its own");
        eprintln!("{line}");
        assert!(std::env::var_os("POSTRIDER_ROOT_TESTS").is_none(), "{line}");
    }
    may
}

fn event(number: usize) -> String {
    let text = "x".repeat(200_000);
    format!(
        r#"{{"event":"sent","product":"crm","data":{{"message_id":"m{number}","status":"sent","details":{{"text":"{text}"}}}}}}"#
    )
}

struct Disk {
    daemon: Daemon,
    receiver: Receiver,
    accepted: Vec<String>,
    posted: usize,
}

impl Disk {
    /// A daemon whose spool is on a file system with these options, behind an endpoint that fails.
    async fn start(options: &str) -> Self {
        let receiver = Receiver::start().await;
        receiver.script("/acme", [Reply::status(500)]);
        let daemon = daemon()
            .endpoint("acme", |e| {
                e.url(receiver.url("/acme")).no_breaker().retry(&["1s"; 60]);
            })
            .in_namespace(&format!("mkdir -p data && mount -t tmpfs -o {options} none data"))
            .start()
            .await;
        Self { daemon, receiver, accepted: Vec::new(), posted: 0 }
    }

    /// The spool's folder, as the daemon sees it.
    fn data(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.daemon.pid()));
        root.join(self.daemon.dir().join("data").strip_prefix("/").expect("an absolute path"))
    }

    /// Posts an event: taken or not. What is not taken is refused as it should be.
    async fn post(&mut self) -> bool {
        self.posted += 1;
        let answer = self.daemon.post(event(self.posted)).await;
        match answer.status {
            202 => self.accepted.push(answer.id()),
            503 => assert!(answer.header("retry-after").is_some(), "{}", answer.text()),
            status => panic!("{status}: {}", answer.text()),
        }
        answer.status == 202
    }

    /// Posts until it is refused; at most 200 MB.
    async fn post_until_refused(&mut self) {
        for _ in 0..1000 {
            if !self.post().await {
                return;
            }
        }
        panic!("it takes whatever comes");
    }

    /// Everything that was accepted arrives.
    async fn deliver(&mut self) {
        self.receiver.script("/acme", [Reply::status(204)]);
        let wanted: HashSet<String> = self.accepted.iter().cloned().collect();
        let delivered = wanted.len();
        self.daemon
            .wait_until("all that was accepted is delivered", |metrics| {
                metrics.sum("postrider_deliveries_finished_total", &[("result", "delivered")])
                    >= delivered as f64
            })
            .await;
        let arrived: HashSet<String> =
            self.receiver.requests("/acme").iter().map(|one| one.header("webhook-id").to_owned()).collect();
        assert!(wanted.is_subset(&arrived), "{} are lost", wanted.difference(&arrived).count());
    }

    /// The disk is well again: so is the daemon, by itself.
    async fn recovers(&mut self) {
        let begun = Instant::now();
        while !self.post().await {
            assert!(
                begun.elapsed() < RECOVERY,
                "not well {:?} after its disk:\n{}",
                begun.elapsed(),
                self.daemon.stderr()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.daemon.ready().await, 200);
        self.deliver().await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_delivers_and_recovers_by_itself() {
    if !may_mount("a_full_disk_refuses_delivers_and_recovers_by_itself") {
        return;
    }
    let mut disk = Disk::start("size=256m").await;
    for _ in 0..20 {
        assert!(disk.post().await);
    }
    let path = disk.data().join("ballast");
    let mut ballast = fs::File::create(&path).expect("created");
    let part = vec![7; 1024 * 1024];
    while ballast.write_all(&part).is_ok() {}
    disk.post_until_refused().await;
    assert_eq!(disk.daemon.ready().await, 503);
    disk.deliver().await;
    assert!(!disk.post().await, "the disk is as full as before");
    drop(ballast);
    fs::remove_file(path).expect("removed");
    disk.recovers().await;
}

#[tokio::test]
async fn a_disk_without_inodes_refuses_delivers_and_recovers_by_itself() {
    if !may_mount("a_disk_without_inodes_refuses_delivers_and_recovers_by_itself") {
        return;
    }
    let mut disk = Disk::start("size=400m,nr_inodes=600").await;
    assert!(disk.post().await);
    let folder = disk.data().join("many");
    fs::create_dir(&folder).expect("a folder");
    let mut count = 0;
    while fs::File::create(folder.join(format!("{count}"))).is_ok() {
        count += 1;
    }
    disk.post_until_refused().await;
    disk.deliver().await;
    fs::remove_dir_all(folder).expect("removed");
    disk.recovers().await;
}

#[tokio::test]
async fn want_of_descriptors_refuses_delivers_and_recovers_by_itself() {
    let receiver = Receiver::start().await;
    let daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).no_breaker().retry(&["1s"; 60]);
        })
        .start()
        .await;
    let mut disk = Disk { daemon, receiver, accepted: Vec::new(), posted: 0 };
    // Its connections are there, and are kept.
    assert!(disk.post().await);
    disk.receiver.wait_for("/acme", 1).await;
    let limit = |disk: &Disk, most: usize| {
        let pid = disk.daemon.pid().to_string();
        let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status();
        assert!(limited.expect("prlimit of util-linux").success());
    };
    limit(&disk, 4);
    disk.post_until_refused().await;
    limit(&disk, 1024);
    disk.recovers().await;
}

/// strace, attached to a daemon until it is dropped.
struct Disturbed(Child);

impl Disturbed {
    async fn begin(daemon: &Daemon, calls: &str, how: &str) -> Self {
        let talk = daemon.dir().join("strace");
        let mut child = Command::new("strace")
            .args(["-f", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{how}")])
            .args(["-o", "/dev/null", "-p", &daemon.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&talk).expect("a file"))
            .spawn()
            .expect("strace must be installed: tests/run does it");
        until(Duration::from_secs(10), "strace is attached", async || {
            assert!(child.try_wait().expect("its state").is_none(), "{:?}", fs::read_to_string(&talk));
            fs::read_to_string(&talk).unwrap_or_default().contains("attached")
        })
        .await;
        Self(child)
    }

    async fn end(mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("told");
        until(Duration::from_secs(10), "strace is gone", async || {
            self.0.try_wait().expect("its state").is_some()
        })
        .await;
    }
}

impl Drop for Disturbed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file system with files open for writing cannot be mounted read-only, but it becomes so when it fails: every call
/// that writes is answered as it is answered then.
#[tokio::test]
async fn a_disk_that_became_read_only_refuses_and_recovers_by_itself() {
    let receiver = Receiver::start().await;
    receiver.script("/acme", [Reply::status(500)]);
    let daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).no_breaker().retry(&["1s"; 60]);
        })
        .start()
        .await;
    let mut disk = Disk { daemon, receiver, accepted: Vec::new(), posted: 0 };
    for _ in 0..5 {
        assert!(disk.post().await);
    }
    let calls = "pwrite64,ftruncate,fallocate,rename,unlink,mkdir";
    let read_only = Disturbed::begin(&disk.daemon, calls, "error=EROFS").await;
    disk.post_until_refused().await;
    assert_eq!(disk.daemon.ready().await, 503);
    // How a delivery ends cannot be written either, so that none goes on: it would be repeated.
    disk.receiver.script("/acme", [Reply::status(204)]);
    read_only.end().await;
    disk.recovers().await;
}

#[tokio::test]
async fn a_slow_disk_delays_acceptances_and_nothing_else() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"));
        })
        .endpoint("other", |e| {
            e.url(receiver.url("/other"));
        })
        .start()
        .await;
    let small = |n: usize| {
        format!(
            r#"{{"event":"sent","product":"crm","data":{{"message_id":"m{n}","status":"sent","details":{{}}}}}}"#
        )
    };
    assert_eq!(daemon.post(small(0)).await.status, 202);
    let slow = Disturbed::begin(&daemon, "fdatasync,fsync", "delay_exit=50000").await;
    let clients = 8;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let address = daemon.ingress();
        tasks.spawn(async move {
            let mut client_ = Client::new(address);
            let (mut ids, mut slowest) = (Vec::new(), Duration::ZERO);
            for n in 0..25 {
                let begun = Instant::now();
                let answer = client_.post(small(1 + client * 100 + n)).await.expect("an answer");
                slowest = slowest.max(begun.elapsed());
                assert_eq!(answer.status, 202, "{}", answer.text());
                ids.push(answer.id());
            }
            (ids, slowest)
        });
    }
    let (mut ids, mut slowest) = (Vec::new(), Duration::ZERO);
    while let Some(done) = tasks.join_next().await {
        let (some, time) = done.expect("a publisher");
        ids.extend(some);
        slowest = slowest.max(time);
    }
    // A commit under way, one's own, and what else of the daemon syncs meanwhile, with the machine's own load.
    assert!(slowest < Duration::from_secs(2), "{slowest:?} for one event");
    assert_eq!(daemon.ready().await, 200);
    slow.end().await;
    for path in ["/acme", "/other"] {
        until(SEE, "everything accepted has arrived", async || {
            let arrived: HashSet<String> =
                receiver.requests(path).iter().map(|one| one.header("webhook-id").to_owned()).collect();
            ids.iter().all(|id| arrived.contains(id))
        })
        .await;
    }
}

#[tokio::test]
async fn a_daemon_with_as_much_undelivered_work_as_it_may_have_is_ready_and_says_so() {
    let receiver = Receiver::start().await;
    let paused = ["a", "b", "c"];
    let setup = paused.iter().fold(daemon().config("[spool]\nmax_bytes = \"1 GiB\""), |setup, name| {
        setup.endpoint(name, |e| {
            e.url(receiver.url("/acme")).key("state = \"paused\"");
        })
    });
    let mut daemon = setup.start().await;
    assert_eq!(daemon.post(event(1)).await.status, 202);
    let status = daemon.status().await;
    let bytes = status["spool"]["bytes"].as_u64().expect("a number");
    assert!((200_000..300_000).contains(&bytes), "each body counts once: {bytes}");
    daemon
        .wait_until("the metric says the same", |metrics| {
            metrics.sum("postrider_spool_bytes", &[("kind", "pending")]) == bytes as f64
        })
        .await;

    let file = daemon.dir().join("postrider.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, text.replace("1 GiB", "64 KiB")).expect("written");
    assert_eq!(daemon.reload().await.status, 200);
    until(SEE, "it says that it is full", async || !daemon.status().await["spool"]["trouble"].is_null())
        .await;
    assert!(!daemon.status().await["unready"].is_null(), "it takes no events");
    assert_eq!(daemon.post(event(2)).await.status, 503);
    assert_eq!(daemon.ready().await, 200);
}
