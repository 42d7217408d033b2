use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many attempts all endpoints may have at once beyond the one that every endpoint always may.
///
/// An endpoint may have as many of them as are still free, so that one that wants all gets half, two get a third each,
/// and something is always left for whoever comes next. Whoever gets none has an attempt in flight, and asks again
/// when that ends: nobody has to be woken.
#[derive(Debug)]
pub struct AttemptLimit {
    most: AtomicUsize,
    used: AtomicUsize,
}

/// One of them; given back when this goes.
#[derive(Debug)]
pub struct AttemptPermit(Arc<AttemptLimit>);

impl AttemptLimit {
    /// So many.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), used: AtomicUsize::new(0) }
    }

    /// So many from now on; those that are out stay out.
    pub fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How many are out.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// One more for an endpoint with `own` attempts in flight.
    #[must_use]
    pub fn take(self: &Arc<Self>, own: usize) -> Option<AttemptPermit> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |used: usize| (own <= most.saturating_sub(used) && used < most).then_some(used + 1);
        let taken = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        taken.is_ok().then(|| AttemptPermit(Arc::clone(self)))
    }
}

impl Drop for AttemptPermit {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_endpoint_leaves_as_many_as_it_takes() {
        let limit = Arc::new(AttemptLimit::new(100));
        let greedy = |limit: &Arc<AttemptLimit>| {
            let mut held = Vec::new();
            while let Some(permit) = limit.take(held.len() + 1) {
                held.push(permit);
            }
            held
        };
        let first = greedy(&limit);
        assert_eq!(first.len(), 50);
        let second = greedy(&limit);
        assert_eq!(second.len(), 25);
        drop(first);
        assert_eq!(limit.used(), 25);
        drop(second);
        assert_eq!(limit.used(), 0);
    }

    #[test]
    fn a_lower_limit_counts_at_once() {
        let limit = Arc::new(AttemptLimit::new(100));
        let held: Vec<AttemptPermit> = (0..30).filter_map(|_| limit.take(1)).collect();
        limit.set(10);
        assert!(limit.take(1).is_none());
        drop(held);
        assert!(limit.take(1).is_some());
    }
}
