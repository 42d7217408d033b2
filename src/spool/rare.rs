//! Values that most endpoints do not have. A spool may know a hundred thousand endpoints, most without work.

use std::ops::{Deref, DerefMut};

/// A value that takes no room while it is what it is by default. Reading gives the default then; it is made when it is
/// written to.
#[derive(Debug, Clone)]
pub(super) struct Rare<T>(Option<Box<T>>);

/// What has a default to be shown.
pub(super) trait Blank: Default + 'static {
    /// The default.
    fn blank() -> &'static Self;
}

impl<T: Blank> Rare<T> {
    /// Sets it; the default takes no room.
    pub(super) fn set(&mut self, value: T)
    where
        T: PartialEq,
    {
        if value == *T::blank() { self.clear() } else { **self = value }
    }

    /// Whether it takes room.
    pub(super) const fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Back to the default.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Blank> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => T::blank(),
        }
    }
}

impl<T: Blank> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::shared::Seen;

    #[test]
    fn a_default_takes_no_room_and_what_is_written_does() {
        let mut rare: Rare<Seen> = Rare::default();
        rare.set(Seen::default());
        assert_eq!((rare.is_kept(), rare.epoch), (false, 0));
        rare.epoch = 7;
        assert_eq!((rare.is_kept(), rare.epoch), (true, 7));
        rare.set(Seen { epoch: 8, ..Seen::default() });
        assert_eq!((rare.is_kept(), rare.epoch), (true, 8));
        rare.set(Seen::default());
        assert_eq!((rare.is_kept(), rare.epoch), (false, 0));
    }
}
