//! Throws hostile input at a function that asserts what must hold for any input.
//!
//! First comes every file of the function's corpus, then mutations of them, until the time is up. It knows nothing of
//! coverage: `tests/long fuzz-NAME` runs the same functions under libFuzzer for hours, and what that finds worth
//! keeping goes into the corpus.

mod mutate;

use mutate::Mutator;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long every change to the code is tried.
const SHORT: Duration = Duration::from_secs(3);
/// No input may take longer, in a build without optimisation on a busy machine.
const SLOW: Duration = Duration::from_secs(5);

/// What is tried.
pub struct Target<'a> {
    /// The name of its corpus.
    pub name: &'a str,
    /// Pieces of the language it reads.
    pub words: &'a [&'a str],
    /// Panics if something does not hold.
    pub check: fn(&[u8]),
}

impl Target<'_> {
    /// Tries it: `POSTRIDER_COUNT` seconds, a few where nothing is said; `POSTRIDER_SEED` chooses the mutations. With
    /// `POSTRIDER_FUZZ_KEEP` each input is written to a file before it is tried.
    ///
    /// # Panics
    /// When something did not hold. The input is kept in a file, which is named.
    pub fn hunt(&self) {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let time = number("POSTRIDER_COUNT").map_or(SHORT, Duration::from_secs);
        self.hunt_for(time, number("POSTRIDER_SEED").unwrap_or(1));
    }

    fn hunt_for(&self, time: Duration, seed: u64) {
        let corpus = corpus(&folder(self.name));
        assert!(!corpus.is_empty(), "{} has no corpus", self.name);
        corpus.iter().for_each(|input| self.try_one(input));
        let mut mutator = Mutator::new(&corpus, self.words, seed);
        let start = now();
        let mut tried = corpus.len();
        while start.elapsed() < time {
            // Looking at the clock costs more than many an input.
            for _ in 0..64 {
                let input = mutator.input();
                self.try_one(&input);
            }
            tried += 64;
        }
        println!("{}: {tried} inputs", self.name);
    }

    fn try_one(&self, input: &[u8]) {
        // What aborts the process leaves nothing else to look at.
        if std::env::var_os("POSTRIDER_FUZZ_KEEP").is_some() {
            self.keep(input);
        }
        let start = now();
        let result = catch_unwind(AssertUnwindSafe(|| (self.check)(input)));
        let took = start.elapsed();
        if result.is_ok() && took < SLOW {
            return;
        }
        let path = self.keep(input);
        eprintln!("{}: {} after {took:?}: {}", self.name, path.display(), input.escape_ascii());
        if let Err(panic) = result {
            resume_unwind(panic);
        }
        panic!("took {took:?}");
    }

    /// Keeps an input that showed a fault.
    fn keep(&self, input: &[u8]) -> PathBuf {
        let folder = std::env::temp_dir().join("postrider-fuzz");
        let path = folder.join(format!("{}-{}", self.name, std::process::id()));
        let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
        path
    }
}

#[expect(clippy::disallowed_methods, reason = "measures the function under test from outside")]
fn now() -> Instant {
    Instant::now()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses what has both a brace and a digit: no file of the corpus has.
    fn picky(input: &[u8]) {
        let has = |wanted: fn(&u8) -> bool| input.iter().any(wanted);
        assert!(!(has(|byte| *byte == b'{') && has(u8::is_ascii_digit)), "found");
    }

    #[test]
    fn a_fault_that_no_file_of_the_corpus_shows_is_found() {
        let target = Target { name: "self-test", words: &["{", "}"], check: picky };
        let found = catch_unwind(|| target.hunt_for(Duration::from_secs(20), 1));
        assert!(found.is_err());
    }
}
