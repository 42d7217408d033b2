/// How many attempts an endpoint may have at once: few at first, one more for every success, half as many after a
/// failure. Endpoints that come back together do not all come with everything they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    slots: usize,
}

impl SlowStart {
    /// Slots at the start, and again after the breaker closed.
    pub const FIRST: usize = 2;

    /// At the start.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Self::FIRST }
    }

    /// The slots of `concurrency` that it may use.
    #[must_use]
    pub fn slots(self, concurrency: usize) -> usize {
        self.slots.min(concurrency).max(1)
    }

    /// An attempt ended well.
    pub fn succeeded(&mut self, concurrency: usize) {
        self.slots = (self.slots + 1).min(concurrency.max(1));
    }

    /// An attempt failed in a way that speaks against the endpoint.
    pub fn failed(&mut self, concurrency: usize) {
        self.slots = (self.slots(concurrency) / 2).max(1);
    }

    /// It has to earn its slots again.
    pub const fn restart(&mut self) {
        *self = Self::new();
    }
}

impl Default for SlowStart {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_earned_one_by_one_and_lost_by_halves() {
        let mut start = SlowStart::new();
        assert_eq!((start.slots(16), start.slots(1)), (2, 1));
        (0..30).for_each(|_| start.succeeded(16));
        assert_eq!(start.slots(16), 16);
        start.failed(16);
        assert_eq!(start.slots(16), 8);
        (0..10).for_each(|_| start.failed(16));
        assert_eq!(start.slots(16), 1);
        start.succeeded(16);
        assert_eq!(start.slots(16), 2);
        start.restart();
        assert_eq!(start, SlowStart::new());
    }

    #[test]
    fn a_lower_concurrency_counts_at_once() {
        let mut start = SlowStart::new();
        (0..30).for_each(|_| start.succeeded(64));
        assert_eq!(start.slots(4), 4);
        start.failed(4);
        assert_eq!(start.slots(4), 2);
    }
}
