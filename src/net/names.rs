mod lookup;

use super::Resolve;
use crate::clock::{Clock, SystemClock};
use lookup::{Lookup, Maker};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long an answer is used. The system does not tell a name's own time to live.
const KEEP: Duration = Duration::from_secs(5);
/// How many names are remembered or being looked up.
const ENTRIES: usize = 1024;
/// How long an attempt waits for an answer. The lookup itself goes on, for the next attempt.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Lookups that one endpoint may have running.
pub(super) const LOOKUPS_PER_ENDPOINT: usize = 2;

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// Still being looked up, or found a moment ago. A failure is shared with those who wait, never kept.
fn is_useful(lookup: &Lookup, now: Instant) -> bool {
    match lookup.outcome() {
        Some(Some((at, answer))) => answer.is_ok() && now.saturating_duration_since(*at) < KEEP,
        Some(None) => false,
        None => true,
    }
}

/// The names being looked up and those just found: one lookup of a name at a time, whoever asks.
pub(super) struct Names {
    resolver: Arc<dyn Resolve>,
    entries: Mutex<HashMap<Arc<str>, Arc<Lookup>>>,
    lookups: Mutex<JoinSet<()>>,
}

impl Names {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, entries: Mutex::default(), lookups: Mutex::default() }
    }

    /// The addresses of a name, at most a few seconds old. `slots` bounds the lookups that the asker starts, and a
    /// slot is taken until its lookup has ended, so that a resolver that hangs holds up nobody else.
    pub(super) async fn addresses(&self, host: &str, slots: &Arc<Semaphore>) -> io::Result<Arc<[IpAddr]>> {
        let answer = tokio::time::timeout(PATIENCE, self.wait(host, slots)).await.map_err(|_| {
            let seconds = PATIENCE.as_secs();
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer from the resolver within {seconds} s"))
        })??;
        answer.map_err(|reason| io::Error::other(reason.as_ref()))
    }

    async fn wait(&self, host: &str, slots: &Arc<Semaphore>) -> io::Result<Answer> {
        let lookup = match self.running(host) {
            Some(lookup) => lookup,
            None => {
                let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
                self.start(host, slot)?
            }
        };
        match lookup.wait().await {
            Some((_, answer)) => Ok(answer),
            None => Err(io::Error::other("the lookup was given up")),
        }
    }

    fn running(&self, host: &str) -> Option<Arc<Lookup>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(host).filter(|lookup| is_useful(lookup, SystemClock.now())).cloned()
    }

    fn start<P: Send + 'static>(&self, host: &str, slot: P) -> io::Result<Arc<Lookup>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now();
        if let Some(lookup) = entries.get(host).filter(|lookup| is_useful(lookup, now)) {
            return Ok(Arc::clone(lookup));
        }
        if entries.len() >= ENTRIES {
            entries.retain(|_, lookup| is_useful(lookup, now));
        }
        if entries.len() >= ENTRIES {
            entries.retain(|_, lookup| lookup.outcome().is_none());
        }
        if entries.len() >= ENTRIES {
            return Err(io::Error::other("too many names are being looked up"));
        }
        let host: Arc<str> = Arc::from(host);
        let lookup = Arc::new(Lookup::default());
        entries.insert(Arc::clone(&host), Arc::clone(&lookup));
        drop(entries);
        let resolver = Arc::clone(&self.resolver);
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        while lookups.try_join_next().is_some() {}
        let maker = Maker(Arc::clone(&lookup));
        lookups.spawn(async move {
            let result = resolver.resolve(&host).await;
            let answer = result.map(Arc::from).map_err(|error| Arc::from(error.to_string()));
            drop(slot);
            maker.found(SystemClock.now(), answer);
        });
        Ok(lookup)
    }
}

#[cfg(test)]
mod tests;
