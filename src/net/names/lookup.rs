//! One lookup, and those who wait for it.

use super::Answer;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::Notify;

/// What came of a lookup, and when. None: it was given up.
type Outcome = Option<(Instant, Answer)>;

/// A lookup that runs or has ended. Whoever waits is woken in the order of asking, which a `watch` channel leaves to
/// chance.
#[derive(Default)]
pub(super) struct Lookup {
    outcome: OnceLock<Outcome>,
    ended: Notify,
}

/// Whoever makes the lookup. Dropped, it gives it up.
pub(super) struct Maker(pub(super) Arc<Lookup>);

impl Lookup {
    /// What came of it, if it has ended.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Waits for its end.
    pub(super) async fn wait(&self) -> Outcome {
        let mut ended = pin!(self.ended.notified());
        ended.as_mut().enable();
        if let Some(outcome) = self.outcome() {
            return outcome.clone();
        }
        ended.await;
        self.outcome().cloned().flatten()
    }
}

impl Maker {
    pub(super) fn found(self, at: Instant, answer: Answer) {
        drop(self.0.outcome.set(Some((at, answer))));
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        drop(self.0.outcome.set(None));
        self.0.ended.notify_waiters();
    }
}
