//! Numbers that follow from a seed.

use postrider::chance::Chance;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// SplitMix64: every number it draws follows from where it began.
#[derive(Debug)]
pub(crate) struct Draws(AtomicU64);

impl Draws {
    /// The numbers of one purpose under a seed, so that one more draw here changes nothing there.
    pub(crate) fn of(seed: u64, purpose: &str) -> Self {
        Self(AtomicU64::new(xxhash_rust::xxh3::xxh3_64_with_seed(purpose.as_bytes(), seed)))
    }

    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `from` up to and with `to`.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    pub(crate) fn index(&self, length: usize) -> usize {
        usize::try_from(self.next() % length.max(1) as u64).unwrap_or(0)
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        *from.get(self.index(from.len())).expect("something to pick from")
    }

    /// True that often of a hundred.
    pub(crate) fn percent(&self, share: u64) -> bool {
        self.next() % 100 < share
    }

    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }
}

impl Chance for Draws {
    fn number(&self) -> u64 {
        self.next()
    }
}
