//! What happened, line by line: the same for every run of a seed.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Simulated time since the beginning, where it is known.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// The lines so far. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// Notes what happens on a simulated host.
    pub(crate) fn say(&self, who: &str, what: impl Display) {
        self.at(now(), who, what);
    }

    pub(crate) fn at(&self, when: Duration, who: &str, what: impl Display) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(format!("{:>9.3} {who}: {what}", when.as_secs_f64()));
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
