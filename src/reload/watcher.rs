//! A thread that says when files may have changed. Notifications are hints and may get lost; a look at inode, size
//! and times every few seconds is the net below them. Whether anything did change, the content decides, elsewhere.

use super::evaluate::Running;
use super::snapshot::{Snapshot, WatchPaths, watched_folders};
use crate::clock::Clock;
use crate::config::Loader;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// After a failure of the watching itself.
const AGAIN: Duration = Duration::from_millis(500);

/// How patient a watcher is.
#[derive(Debug, Clone, Copy)]
pub struct WatchTimes {
    /// So long nothing must happen before files are looked at.
    pub settle: Duration,
    /// But no longer than this, if something happens all the time.
    pub settle_most: Duration,
    /// So often files are looked at without a notification.
    pub poll: Duration,
    /// Whether the system's notifications are used; without them only the looks find changes.
    pub notifications: bool,
}

impl Default for WatchTimes {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(250),
            settle_most: Duration::from_secs(2),
            poll: Duration::from_secs(5),
            notifications: true,
        }
    }
}

/// A watching thread; it is told to end when this value goes.
pub struct Watcher {
    orders: Sender<Order>,
}

enum Order {
    /// Something happened in a watched folder.
    Hint,
    /// Watch these from now on.
    Watch(WatchPaths),
    Stop,
}

/// What to watch for a configuration.
pub(super) fn paths(loader: &Loader, running: &Running) -> WatchPaths {
    let mut files = running.secret_files.clone();
    files.insert(loader.root().to_path_buf());
    WatchPaths { files, folders: BTreeSet::from([loader.endpoints_folder()]) }
}

impl Watcher {
    /// Starts a thread that calls `changed` once at its start and then whenever files may have changed, until that
    /// returns false.
    pub fn start(
        paths: WatchPaths,
        times: WatchTimes,
        clock: Arc<dyn Clock>,
        changed: impl Fn() -> bool + Send + 'static,
    ) -> Self {
        let (orders, inbox) = channel();
        let hints = Hints { orders: orders.clone(), waiting: Arc::default() };
        let run = move || {
            let mut paths = paths;
            let watch = |paths: &WatchPaths| {
                Loop::new(paths.clone(), times, Arc::clone(&clock), hints.clone()).run(&inbox, &changed);
            };
            while catch_unwind(AssertUnwindSafe(|| watch(&paths))).is_err() {
                tracing::error!("what watches the files failed, and begins anew");
                match inbox.recv_timeout(AGAIN) {
                    Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                    Ok(Order::Watch(others)) => paths = others,
                    Ok(Order::Hint) | Err(RecvTimeoutError::Timeout) => {}
                }
            }
        };
        let thread = std::thread::Builder::new().name("postrider-watch".to_owned()).spawn(run);
        if let Err(error) = thread {
            tracing::error!(%error, "files are not watched: no thread");
        }
        Self { orders }
    }

    /// Watches these paths from now on.
    pub fn watch(&self, paths: WatchPaths) {
        let _ = self.orders.send(Order::Watch(paths));
    }
}

impl Drop for Watcher {
    /// Nobody waits for its end: it may be stuck in a file system that does not answer, and whoever lets go of it must not
    /// be stuck as well.
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
    }
}

/// Where hints go: one that waits says as much as a thousand, so there is never a second.
#[derive(Clone)]
struct Hints {
    orders: Sender<Order>,
    waiting: Arc<AtomicBool>,
}

impl Hints {
    fn hint(&self) {
        if !self.waiting.swap(true, Ordering::AcqRel) {
            let _ = self.orders.send(Order::Hint);
        }
    }

    fn taken(&self) {
        self.waiting.store(false, Ordering::Release);
    }
}

struct Loop {
    hints: Hints,
    paths: WatchPaths,
    times: WatchTimes,
    clock: Arc<dyn Clock>,
    seen: Snapshot,
    notify: Option<RecommendedWatcher>,
    armed: BTreeSet<PathBuf>,
}

impl Loop {
    fn new(paths: WatchPaths, times: WatchTimes, clock: Arc<dyn Clock>, hints: Hints) -> Self {
        let notify = times.notifications.then(|| notifier(hints.clone())).flatten();
        let mut watching =
            Self { hints, paths, times, clock, seen: Snapshot::default(), notify, armed: BTreeSet::new() };
        watching.arm();
        watching.seen = watching.look();
        watching
    }

    fn run(mut self, inbox: &Receiver<Order>, changed: &dyn Fn() -> bool) {
        let mut go_on = changed();
        while go_on {
            let stop = match inbox.recv_timeout(self.times.poll) {
                Ok(Order::Hint) => self.settle(inbox),
                // The round that says so has read all of them.
                Ok(Order::Watch(paths)) if paths == self.paths => continue,
                Ok(Order::Watch(paths)) => {
                    self.watch(paths);
                    self.settle(inbox)
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => false,
            };
            if stop {
                return;
            }
            let now = self.look();
            if self.seen.moved(&now) {
                self.arm();
                // Nothing that happens after this look goes unseen: the folders are watched by now.
                self.seen = self.look();
                go_on = changed();
            }
        }
    }

    /// Waits until nothing happens any more; true: it shall stop.
    fn settle(&mut self, inbox: &Receiver<Order>) -> bool {
        let start = self.clock.now();
        loop {
            self.hints.taken();
            let left =
                self.times.settle_most.saturating_sub(self.clock.now().saturating_duration_since(start));
            if left.is_zero() {
                return false;
            }
            match inbox.recv_timeout(self.times.settle.min(left)) {
                Ok(Order::Hint) => {}
                // The round before has ended meanwhile: no reason to look before the files have settled.
                Ok(Order::Watch(paths)) => self.watch(paths),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Watches these from now on. The next look finds what is new among them, and whether it changed since it was
    /// read does not matter then.
    fn watch(&mut self, paths: WatchPaths) {
        if paths != self.paths {
            self.paths = paths;
            self.arm();
        }
    }

    fn look(&self) -> Snapshot {
        Snapshot::take(&self.paths, self.clock.unix())
    }

    /// Watches the folders that count now. One that cannot be watched is found by the looks.
    fn arm(&mut self) {
        let Some(notify) = &mut self.notify else { return };
        let folders = watched_folders(&self.paths);
        // All anew: a folder that was replaced has the same name and another inode.
        for folder in &self.armed {
            let _ = notify.unwatch(folder);
        }
        for folder in &folders {
            if let Err(error) = notify.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, folder = %folder.display(), "no notifications from this folder");
            }
        }
        self.armed = folders;
    }
}

fn notifier(hints: Hints) -> Option<RecommendedWatcher> {
    let notifier = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_hint(&event.kind)) {
            hints.hint();
        }
    });
    notifier
        .inspect_err(
            |error| tracing::warn!(%error, "no file notifications; changes are found within seconds"),
        )
        .ok()
}

/// Our own reading of the files must not look like a change of them.
const fn is_hint(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
