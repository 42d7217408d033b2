use crate::link::{Link, Rest};
use postrider_sink::Clock;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a connection is kept unused.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection is used at all, so that a change of DNS is noticed.
const AGE: Duration = Duration::from_secs(300);
/// The reaper looks at most so often.
const LOOK: Duration = Duration::from_secs(1);

/// The connections of one endpoint that nobody is using: last in, first out, so that surplus ones grow old.
///
/// A connection whose answer has not ended yet waits here too; it becomes usable when its end has arrived.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Lets old connections go while there is nothing to deliver. It ends by itself when the pool is empty.
    reaper: Mutex<JoinSet<()>>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    idle: Vec<Idle>,
    epoch: u64,
    reaping: bool,
}

struct Idle {
    link: Link,
    rest: Option<Rest>,
    until: Instant,
}

impl Pool {
    /// Keeps at most `most` connections.
    pub(crate) fn new(clock: Arc<dyn Clock>, most: usize) -> Self {
        let shared = Shared { clock, most, kept: Mutex::default() };
        Self { shared: Arc::new(shared), reaper: Mutex::default() }
    }

    /// A connection that was made under this policy and was good when it was used last.
    pub(crate) fn take(&self, epoch: u64) -> Option<Link> {
        let now = self.shared.clock.now();
        let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.enter(epoch);
        let mut cx = Context::from_waker(Waker::noop());
        for at in (0..kept.idle.len()).rev() {
            let Some(idle) = kept.idle.get_mut(at) else { continue };
            let look = if now >= idle.until { Poll::Ready(false) } else { idle.look(&mut cx) };
            match look {
                Poll::Ready(true) => return Some(kept.idle.remove(at).link),
                Poll::Ready(false) => drop(kept.idle.remove(at)),
                Poll::Pending => {}
            }
        }
        None
    }

    /// Keeps a connection, `rest` of whose answer is still on its way, unless `epoch` has moved on.
    pub(crate) fn put(&self, mut link: Link, rest: Option<Rest>, epoch: u64) {
        let now = self.shared.clock.now();
        let oldest = (link.born + AGE).min(now + IDLE);
        let until = rest.as_ref().map_or(oldest, |rest| rest.until.min(oldest));
        link.reused = true;
        let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.enter(epoch);
        if link.epoch != epoch || now >= until || self.shared.most == 0 {
            return;
        }
        if kept.idle.len() >= self.shared.most {
            kept.idle.remove(0);
        }
        kept.idle.push(Idle { link, rest, until });
        if !std::mem::replace(&mut kept.reaping, true) {
            drop(kept);
            let mut reaper = self.reaper.lock().unwrap_or_else(PoisonError::into_inner);
            while reaper.try_join_next().is_some() {}
            reaper.spawn(reap(Arc::downgrade(&self.shared)));
        }
    }
}

async fn reap(pool: Weak<Shared>) {
    let mut wait = LOOK;
    loop {
        tokio::time::sleep(wait).await;
        let Some(shared) = pool.upgrade() else { return };
        let now = shared.clock.now();
        let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.idle.retain(|idle| idle.until > now);
        let Some(next) = kept.idle.iter().map(|idle| idle.until).min() else {
            kept.reaping = false;
            return;
        };
        wait = next.saturating_duration_since(now).max(LOOK);
    }
}

impl Kept {
    /// Connections that were made under another policy end.
    fn enter(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.idle.clear();
        }
    }
}

impl Idle {
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(self.link.is_idle()) };
        self.link.poll_rest(rest, None, cx)
    }
}
