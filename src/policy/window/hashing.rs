use std::hash::{BuildHasher, Hasher, RandomState};

/// Hashes numbers that are chosen outside, at the cost of one multiplication.
///
/// A message key is a digest without a secret, so whoever names messages can look for names whose keys agree in the
/// bits that a map picks its buckets by. Two random numbers, drawn for each map, keep such names apart: the key is
/// mixed with the one and multiplied by the other, and the halves of the product are folded together, so that the
/// upper bits count as much as the lower (the folded multiply of wyhash).
pub(super) struct Seeded {
    seed: u64,
    /// Odd, so that it is never 0.
    factor: u64,
}

/// The hash of one key.
pub(super) struct Folded {
    hash: u64,
    factor: u64,
}

impl Seeded {
    /// With random numbers of its own. Nothing but the places in the map follows from them.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self { seed: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { hash: self.seed, factor: self.factor }
    }
}

impl Hasher for Folded {
    fn write_u64(&mut self, number: u64) {
        let (low, high) = (self.hash ^ number).carrying_mul(self.factor, 0);
        self.hash = low ^ high;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageKey;

    #[test]
    fn keys_that_agree_in_their_lower_or_upper_bits_still_spread() {
        // Some two numbers: what is drawn must not decide whether a test passes.
        let seeded = Seeded { seed: 0x243f_6a88_85a3_08d3, factor: 0x1319_8a2e_0370_7345 };
        for shift in [0, 7, 20, 32, 48] {
            let mut buckets = [0_u32; 256];
            for number in 0..16_384_u64 {
                let hash = seeded.hash_one(MessageKey(number << shift));
                buckets[usize::try_from(hash % 256).unwrap()] += 1;
            }
            // 64 in each on the average.
            assert!(buckets.iter().all(|count| *count < 1024), "shifted by {shift}: {buckets:?}");
        }
    }

    #[test]
    fn each_map_hashes_in_its_own_way() {
        let (one, other) = (Seeded::random(), Seeded::random());
        let same = (0..64).filter(|n| one.hash_one(MessageKey(*n)) == other.hash_one(MessageKey(*n))).count();
        assert!(same < 2, "{same}");
        assert_eq!(one.hash_one(MessageKey(7)), one.hash_one(MessageKey(7)));
    }
}
