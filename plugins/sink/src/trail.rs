use bytes::Bytes;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What an attempt learns on its way, filled in as it happens, so that a dropped attempt leaves it behind.
#[derive(Debug, Default)]
pub struct Trail {
    dns: AtomicU32,
    connect: AtomicU32,
    tls: AtomicU32,
    wait: AtomicU32,
    status: AtomicU16,
    keep: usize,
    answer: Mutex<Vec<u8>>,
    exchange: Option<Mutex<Exchange>>,
    /// What must not be shown where an answer repeats it.
    hidden: Mutex<Vec<Vec<u8>>>,
}

/// A shorter secret would hide what is none.
const SHORTEST: usize = 4;
/// What stands in a secret's place.
const HIDDEN: &[u8] = b"(hidden)";

/// What was said on both sides of an attempt: kept only where somebody asked for it, for a test event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange {
    /// Headers of the request. The values of those that hold a secret are left out.
    pub request: Vec<(String, Option<String>)>,
    /// The whole URL of the request.
    pub url: String,
    /// Headers of the answer.
    pub response: Vec<(String, String)>,
    /// The first [`Exchange::MOST`] bytes of the answer's body.
    pub body: Vec<u8>,
    /// There was more.
    pub truncated: bool,
}

impl Exchange {
    /// Bytes of an answer's body that are kept.
    pub const MOST: usize = 64 * 1024;

    /// Keeps what there is room for; false: there is no more.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let room = Self::MOST - self.body.len().min(Self::MOST);
        let fits = bytes.get(..room);
        self.truncated |= fits.is_some_and(|fits| fits.len() < bytes.len());
        self.body.extend_from_slice(fits.unwrap_or(bytes));
        !self.truncated
    }
}

/// A [`Trail`] as it stood when it was read. Absent: that step was not taken or not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Looking the name up.
    pub dns: Option<Duration>,
    /// The TCP handshake.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the request's last byte to the head of the answer.
    pub wait: Option<Duration>,
    /// The answer's status code.
    pub status: Option<u16>,
}

/// Microseconds plus one, so that 0 says "not there". At most 71 minutes.
fn encode(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX - 1).saturating_add(1)
}

fn decode(stored: u32) -> Option<Duration> {
    stored.checked_sub(1).map(|micros| Duration::from_micros(u64::from(micros)))
}

impl Trail {
    /// One that keeps what was said on both sides.
    #[must_use]
    pub fn listening() -> Self {
        Self { exchange: Some(Mutex::default()), ..Self::default() }
    }

    /// Whether it keeps what was said on both sides.
    #[must_use]
    pub const fn listens(&self) -> bool {
        self.exchange.is_some()
    }

    /// Notes what was said; nothing happens where nobody asked for it.
    pub fn note<T>(&self, write: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        let exchange = self.exchange.as_ref()?;
        Some(write(&mut exchange.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What was said by now, without the secrets that an answer repeats.
    #[must_use]
    pub fn exchange(&self) -> Option<Exchange> {
        let mut exchange = self.note(|exchange| exchange.clone())?;
        exchange.body = self.veiled(&exchange.body);
        for (_, value) in &mut exchange.response {
            *value = String::from_utf8_lossy(&self.veiled(value.as_bytes())).into_owned();
        }
        Some(exchange)
    }

    /// A secret that goes out with the request: an answer that repeats it is shown without it, if it has at least
    /// four bytes.
    pub fn hide(&self, secret: &[u8]) {
        if secret.len() >= SHORTEST {
            self.hidden.lock().unwrap_or_else(PoisonError::into_inner).push(secret.to_vec());
        }
    }

    /// The same bytes without the secrets, and without what may be the beginning of one at their end.
    fn veiled(&self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = bytes.to_vec();
        for secret in self.hidden.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut from = 0;
            let find = |shown: &[u8], from: usize| {
                let rest = shown.get(from..).unwrap_or_default();
                rest.windows(secret.len()).position(|found| found == &secret[..]).map(|at| from + at)
            };
            while let Some(at) = find(&shown, from) {
                shown.splice(at..at + secret.len(), HIDDEN.iter().copied());
                from = at + HIDDEN.len();
            }
            let begun = |length: &usize| secret.get(..*length).is_some_and(|begin| shown.ends_with(begin));
            if let Some(length) = (SHORTEST..secret.len()).rev().find(begun) {
                shown.truncate(shown.len() - length);
                shown.extend_from_slice(HIDDEN);
            }
        }
        shown
    }

    /// One that keeps so many bytes of the answer.
    #[must_use]
    pub fn keeping(bytes: usize) -> Self {
        Self { keep: bytes, ..Self::default() }
    }

    /// Whether more of the answer's body is wanted.
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        self.keep > 0 && self.kept().len() < self.keep
    }

    /// A part of the answer's body came in; as much of it as is wanted is kept.
    pub fn body(&self, bytes: &[u8]) {
        if self.keep > 0 {
            let mut kept = self.kept();
            let room = self.keep.saturating_sub(kept.len());
            kept.extend(bytes.iter().take(room));
        }
    }

    /// What was kept of the answer's body, without the secrets that it repeats; none: nothing was wanted, or nothing
    /// came.
    #[must_use]
    pub fn answer(&self) -> Option<Bytes> {
        if self.keep == 0 {
            return None;
        }
        let kept = self.kept();
        (!kept.is_empty()).then(|| Bytes::from(self.veiled(&kept)))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name was looked up.
    pub fn dns(&self, time: Duration) {
        self.dns.store(encode(time), Ordering::Relaxed);
    }

    /// TCP is connected.
    pub fn connect(&self, time: Duration) {
        self.connect.store(encode(time), Ordering::Relaxed);
    }

    /// TLS is established.
    pub fn tls(&self, time: Duration) {
        self.tls.store(encode(time), Ordering::Relaxed);
    }

    /// The head of the answer is here.
    pub fn answered(&self, wait: Duration, status: u16) {
        self.wait.store(encode(wait), Ordering::Relaxed);
        self.status.store(status, Ordering::Relaxed);
    }

    /// What is known by now.
    #[must_use]
    pub fn read(&self) -> Timings {
        let status = self.status.load(Ordering::Relaxed);
        Timings {
            dns: decode(self.dns.load(Ordering::Relaxed)),
            connect: decode(self.connect.load(Ordering::Relaxed)),
            tls: decode(self.tls.load(Ordering::Relaxed)),
            wait: decode(self.wait.load(Ordering::Relaxed)),
            status: (status != 0).then_some(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_wherever_it_stands_and_where_it_is_cut() {
        let trail = Trail::keeping(20);
        trail.hide(b"hunter2!");
        trail.hide(b"abc");
        trail.body(b"abc hunter2!hunter2! and more");
        assert_eq!(trail.answer().as_deref(), Some(&b"abc (hidden)(hidden)"[..]));
        let trail = Trail::keeping(12);
        trail.hide(b"hunter2!");
        trail.body(b"it is hunter2!");
        assert_eq!(trail.answer().as_deref(), Some(&b"it is (hidden)"[..]));
    }
}
