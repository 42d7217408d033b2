use serde_json::Value;
use std::io::Write;

/// How much a test does: little with every change, much when `tests/long` runs it.
///
/// `POSTRIDER_COUNT` sets the count, `POSTRIDER_SEED` the seed, `POSTRIDER_LEDGER` the file that results go to;
/// `POSTRIDER_LONG=1` asks for the full count at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Cycles, events or seconds, as the test says.
    pub(crate) count: u64,
    /// What chooses among the possible runs.
    pub(crate) seed: u64,
    /// Whether this is the long run, with strict bounds.
    pub(crate) long: bool,
}

impl Scale {
    pub(crate) fn of(short: u64, long: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let asked = number("POSTRIDER_COUNT");
        let is_long = asked.is_some() || number("POSTRIDER_LONG") == Some(1);
        let count = asked.unwrap_or(if is_long { long } else { short });
        Self { count, seed: number("POSTRIDER_SEED").unwrap_or(1), long: is_long }
    }

    /// A draw from `low..high` that follows from the seed and `turn`.
    pub(crate) fn draw(self, turn: u64, low: u64, high: u64) -> u64 {
        let text = format!("{} {turn}", self.seed);
        low + xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % (high - low)
    }

    /// Prints what was counted, and adds it to the ledger of a long run.
    pub(crate) fn report(self, name: &str, counts: &Value) {
        let line =
            serde_json::json!({ "name": name, "seed": self.seed, "count": self.count, "result": counts });
        println!("{line}");
        if let Some(path) = std::env::var_os("POSTRIDER_LEDGER") {
            let mut ledger =
                std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the ledger");
            writeln!(ledger, "{line}").expect("a line in the ledger");
        }
    }
}
