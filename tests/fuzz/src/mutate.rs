use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::ops::Range;

/// The longest input.
const LONGEST: usize = 16 * 1024;
/// Bytes that parsers trip over.
const BYTES: &[u8] = b"\0\n\r\t \"'\\%&+,-./0129:;<=>?@AZ[]_az{|}~\x7f\x80\xbf\xc0\xed\xf5\xff";
/// Numbers that do not fit where most do.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "255",
    "65536",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
];

/// Makes inputs out of others.
pub(crate) struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    words: &'a [&'a str],
    random: StdRng,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(corpus: &'a [Vec<u8>], words: &'a [&'a str], seed: u64) -> Self {
        Self { corpus, words, random: StdRng::seed_from_u64(seed) }
    }

    /// The next input.
    pub(crate) fn input(&mut self) -> Vec<u8> {
        let mut input = self.another().to_vec();
        for _ in 0..self.random.random_range(1..=5) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn another(&mut self) -> &'a [u8] {
        self.pick(self.corpus).map_or(&[], Vec::as_slice)
    }

    fn pick<T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.random.random_range(0..from.len().max(1)))
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input.len());
        match self.random.random_range(0..10) {
            0 => {
                if let Some(byte) = input.get_mut(part.start) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            1 => {
                let byte = BYTES.get(self.random.random_range(0..BYTES.len())).copied();
                input.splice(part.start..part.start, byte);
            }
            2 => drop(input.drain(part)),
            3 => {
                let twice = input.get(part.clone()).unwrap_or_default().to_vec();
                input.splice(part.end..part.end, twice);
            }
            4 => {
                let other = self.another();
                let piece = self.part(other.len());
                input.splice(part, other.get(piece).unwrap_or_default().iter().copied());
            }
            5 => input.truncate(part.end),
            6 => {
                // One thing very often: nesting, long names, long runs of digits.
                let byte = input.get(part.start).copied().unwrap_or(b'[');
                let times = self.random.random_range(1..300);
                input.splice(part.start..part.start, std::iter::repeat_n(byte, times));
            }
            7 => {
                let number = NUMBERS.get(self.random.random_range(0..NUMBERS.len())).copied().unwrap_or("0");
                let digits = input.iter().skip(part.start).position(u8::is_ascii_digit);
                let from = digits.map_or(part.start, |at| part.start + at);
                let length = input.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
                input.splice(from..from + length, number.bytes());
            }
            8 => {
                let word = self.pick(self.words).copied().unwrap_or_default();
                input.splice(part, word.bytes());
            }
            _ => {
                let word = self.pick(self.words).copied().unwrap_or_default();
                input.splice(part.start..part.start, word.bytes());
            }
        }
    }

    /// Some of so many bytes; short ones more often.
    fn part(&mut self, length: usize) -> Range<usize> {
        let start = self.random.random_range(0..=length);
        let most =
            if self.random.random_range(0..4) == 0 { length - start } else { (length - start).min(12) };
        start..start + self.random.random_range(0..=most)
    }
}
