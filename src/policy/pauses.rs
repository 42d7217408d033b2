/// When a person had paused an endpoint, so that its deliveries do not grow old meanwhile. Milliseconds since the Unix
/// epoch.
///
/// The last [`Pauses::MOST`] pauses are kept. Beyond that the two that lie closest become one, with the time between
/// them: a delivery may then live longer than it should, never shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pauses {
    /// From and to, in order; what is not used is 0 to 0 and stands behind.
    past: [(u64, u64); Self::MOST],
    /// Paused since then.
    since: Option<u64>,
}

impl Pauses {
    /// Pauses that are kept apart, beside the one that lasts.
    pub const MOST: usize = 4;

    /// As it was stored.
    #[must_use]
    pub const fn of(past: [(u64, u64); Self::MOST], since: Option<u64>) -> Self {
        Self { past, since }
    }

    /// The pauses that are over.
    #[must_use]
    pub const fn past(&self) -> [(u64, u64); Self::MOST] {
        self.past
    }

    /// Since when it is paused, if it is.
    #[must_use]
    pub const fn since(&self) -> Option<u64> {
        self.since
    }

    /// It is paused, or not, at that time. True: that is news.
    pub fn set(&mut self, paused: bool, now_ms: u64) -> bool {
        match (self.since, paused) {
            (None, true) => self.since = Some(now_ms),
            (Some(since), false) => {
                self.since = None;
                self.add((since, now_ms.max(since)));
            }
            _ => return false,
        }
        true
    }

    /// How old a delivery is that was accepted then, pauses left out.
    #[must_use]
    pub fn age_ms(&self, accepted_ms: u64, now_ms: u64) -> u64 {
        let lasting = self.since.map(|since| (since, now_ms));
        let paused = |(from, to): (u64, u64)| to.min(now_ms).saturating_sub(from.max(accepted_ms));
        let paused: u64 = self.past.into_iter().chain(lasting).map(paused).sum();
        now_ms.saturating_sub(accepted_ms).saturating_sub(paused)
    }

    fn add(&mut self, pause: (u64, u64)) {
        let mut kept: Vec<(u64, u64)> = self.past.into_iter().filter(|(from, to)| from < to).collect();
        kept.push(pause);
        kept.sort_unstable();
        while kept.len() > Self::MOST {
            let gaps = kept.windows(2).map(|pair| match pair {
                [(_, end), (start, _)] => start.saturating_sub(*end),
                _ => u64::MAX,
            });
            let Some((at, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { return };
            let (_, end) = kept.remove(at + 1);
            if let Some(first) = kept.get_mut(at) {
                first.1 = first.1.max(end);
            }
        }
        self.past = [(0, 0); Self::MOST];
        self.past.iter_mut().zip(kept).for_each(|(slot, pause)| *slot = pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_paused_does_not_count_as_age() {
        let mut pauses = Pauses::default();
        assert!(pauses.set(true, 100));
        assert!(!pauses.set(true, 150));
        assert_eq!(pauses.age_ms(50, 200), 50, "while it lasts");
        assert_eq!(pauses.age_ms(180, 200), 0, "accepted while paused");
        assert!(pauses.set(false, 300));
        assert_eq!(pauses.age_ms(50, 400), 150);
        assert_eq!(pauses.age_ms(200, 400), 100);
        assert_eq!(pauses.age_ms(350, 400), 50);
        assert_eq!(pauses.age_ms(500, 400), 0, "a clock that was set back");
    }

    #[test]
    fn many_pauses_never_make_a_delivery_older_than_it_is() {
        let (mut pauses, mut exact) = (Pauses::default(), 0);
        for turn in 0..50 {
            let start = turn * 1000;
            pauses.set(true, start + turn);
            pauses.set(false, start + 400);
            exact += 400_u64.saturating_sub(turn);
            let now = start + 999;
            assert!(pauses.age_ms(0, now) <= now - exact);
            assert_eq!(pauses.age_ms(start + 500, now), 499, "the last pause is kept exactly");
        }
    }
}
