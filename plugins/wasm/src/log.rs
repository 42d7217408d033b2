use crate::line::line;
use crate::wit::log::Level;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lines logged within a second; what is more is counted.
const A_SECOND: u32 = 20;

/// What the components of an endpoint say: to the log, not more than a log can bear.
pub(crate) struct Log {
    endpoint: Arc<str>,
    said: Mutex<Said>,
}

struct Said {
    since: Instant,
    logged: u32,
    left_out: u64,
}

impl Log {
    pub(crate) fn new(endpoint: Arc<str>) -> Self {
        Self { endpoint, said: Mutex::new(Said { since: Instant::now(), logged: 0, left_out: 0 }) }
    }

    pub(crate) fn say(&self, level: Level, text: &str) {
        if !self.may() {
            return;
        }
        let (endpoint, said) = (&*self.endpoint, line(text));
        match level {
            Level::Debug => tracing::debug!(endpoint, said, "the component says"),
            Level::Info => tracing::info!(endpoint, said, "the component says"),
            Level::Warn => tracing::warn!(endpoint, said, "the component says"),
            Level::Error => tracing::error!(endpoint, said, "the component says"),
        }
    }

    fn may(&self) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.since.elapsed() >= Duration::from_secs(1) {
            if said.left_out > 0 {
                let (endpoint, lines) = (&*self.endpoint, said.left_out);
                tracing::warn!(endpoint, lines, "the component said more than is logged");
            }
            *said = Said { since: Instant::now(), logged: 0, left_out: 0 };
        }
        if said.logged == A_SECOND {
            said.left_out += 1;
            return false;
        }
        said.logged += 1;
        true
    }
}
