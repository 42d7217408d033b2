//! A row's key.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// Bytes that need no allocation.
const INLINE: usize = 23;
/// In the place of a length: the bytes are elsewhere.
const LONG: u8 = u8::MAX;

/// Some bytes, ordered as bytes are. The usual ones need no allocation and are compared as three numbers: behind them
/// come zeros, and last their length.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    short: [u8; INLINE + 1],
    #[expect(
        clippy::box_collection,
        reason = "one pointer for what is hardly ever there: keys are moved about"
    )]
    long: Option<Box<Vec<u8>>>,
}

impl Key {
    pub(crate) fn from_slice(bytes: &[u8]) -> Self {
        let mut short = [0; INLINE + 1];
        match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(room), Ok(length)) if bytes.len() <= INLINE => {
                room.copy_from_slice(bytes);
                short[INLINE] = length;
                Self { short, long: None }
            }
            _ => {
                short[INLINE] = LONG;
                Self { short, long: Some(Box::new(bytes.to_vec())) }
            }
        }
    }

    fn numbers(&self) -> [u64; 3] {
        let (parts, _) = self.short.as_chunks::<8>();
        let mut numbers = [0; 3];
        for (number, part) in numbers.iter_mut().zip(parts) {
            *number = u64::from_be_bytes(*part);
        }
        numbers
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.long {
            None => self.short.get(..usize::from(self.short[INLINE])).unwrap_or_default(),
            Some(long) => long,
        }
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.long.is_none() && other.long.is_none() {
            return self.numbers().cmp(&other.numbers());
        }
        self[..].cmp(&other[..])
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_bytes_are(
            one in prop::collection::vec(0_u8..3, 0..30),
            other in prop::collection::vec(0_u8..3, 0..30),
        ) {
            let (left, right) = (Key::from_slice(&one), Key::from_slice(&other));
            prop_assert_eq!(&left[..], &one[..]);
            prop_assert_eq!(left.cmp(&right), one.cmp(&other));
            prop_assert_eq!(left == right, one == other);
        }

        #[test]
        fn one_key_that_begins_with_another_comes_after_it(
            one in prop::collection::vec(any::<u8>(), 0..26),
            more in prop::collection::vec(0_u8..2, 1..4),
        ) {
            let long = [&one[..], &more[..]].concat();
            prop_assert!(Key::from_slice(&one) < Key::from_slice(&long));
        }
    }
}
