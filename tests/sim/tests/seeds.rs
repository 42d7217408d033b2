//! Many seeds, each judged; and each the same whenever it is run.
//!
//! Every run has a process of its own: tokio numbers its tasks through all of a process, and what is dropped first when
//! a runtime ends follows from these numbers.

use postrider_sim::run;
use serde_json::{Value, json};
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a run leaves what came of it; without it, that test does nothing.
const RUN: &str = "POSTRIDER_SIM_RUN";
const SEED: &str = "POSTRIDER_SEED";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// A hundred seeds, or the one that `POSTRIDER_SEED` names; with `POSTRIDER_COUNT`, the piece of so many that
/// `POSTRIDER_SEED` numbers.
fn seeds() -> Range<u64> {
    match (number("POSTRIDER_COUNT"), number(SEED)) {
        (None, Some(seed)) => seed..seed + 1,
        (count, piece) => {
            let (count, piece) = (count.unwrap_or(100), piece.unwrap_or(1));
            let first = piece.saturating_sub(1) * count + 1;
            first..first + count
        }
    }
}

#[test]
#[ignore = "started by the tests of this file"]
fn one_run() {
    let (Some(path), Some(seed)) = (std::env::var_os(RUN), number(SEED)) else { return };
    let outcome = run(seed);
    let verdict = &outcome.verdict;
    let found = json!({
        "accepted": verdict.accepted,
        "requests": verdict.requests,
        "repeated": verdict.repeated,
        "starts": verdict.starts,
        "simulated_seconds": verdict.took.as_secs(),
        "wrong": verdict.wrong,
    });
    let trace = outcome.trace.join("\n");
    std::fs::write(path, format!("{found}\n{trace}\n")).expect("written");
}

/// One run: what was found, and its trace, which lies in a file.
fn alone(seed: u64, what: &str) -> (Value, String, PathBuf) {
    let path = PathBuf::from(format!("{}/seed-{seed}-{what}.txt", env!("CARGO_TARGET_TMPDIR")));
    let ran = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "one_run", "--ignored", "--nocapture"])
        .env(RUN, &path)
        .env(SEED, seed.to_string())
        .env_remove("POSTRIDER_COUNT")
        .stdout(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "seed {seed} did not come to its end: {said}");
    let text = std::fs::read_to_string(&path).expect("it has left its outcome");
    let (found, trace) = text.split_once('\n').expect("an outcome and a trace");
    let mut found: Value = serde_json::from_str(found).expect("JSON");
    if said.contains("panicked") {
        let wrong = found.get_mut("wrong").and_then(Value::as_array_mut);
        wrong.expect("a list").push(json!(said));
    }
    (found, trace.to_owned(), path)
}

/// As many threads as there are processors take one seed after another.
fn each(seeds: Range<u64>, look: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            look(seed);
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    let failed = AtomicU64::new(0);
    let all = seeds();
    each(all.start..all.end.min(all.start + 8), |seed| {
        let ((_, one, first), (_, other, second)) = (alone(seed, "first"), alone(seed, "second"));
        if one != other || one.lines().count() < 20 {
            failed.fetch_add(1, Ordering::Relaxed);
            let same = one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count();
            eprintln!("seed {seed} is the same for {same} lines: {} {}", first.display(), second.display());
            return;
        }
        let _ = (std::fs::remove_file(first), std::fs::remove_file(second));
    });
    assert!(failed.into_inner() == 0, "what a seed does depends on something else");
}

#[test]
fn no_seed_loses_repeats_or_disorders_anything() {
    const COUNTS: [&str; 5] = ["accepted", "requests", "repeated", "starts", "simulated_seconds"];
    let seeds = seeds();
    let failed = Mutex::new(Vec::new());
    let sums = COUNTS.map(|_| AtomicU64::new(0));
    each(seeds.clone(), |seed| {
        let (found, _, path) = alone(seed, "alone");
        for (count, sum) in COUNTS.iter().zip(&sums) {
            sum.fetch_add(found[count].as_u64().unwrap_or(0), Ordering::Relaxed);
        }
        if found["wrong"].as_array().is_none_or(|wrong| !wrong.is_empty()) {
            eprintln!("seed {seed}: {:#}\n  trace: {}", found["wrong"], path.display());
            eprintln!("  alone: POSTRIDER_SEED={seed} cargo test -p postrider-sim no_seed");
            failed.lock().expect("nobody panics with it").push(seed);
        } else if seeds.end - seeds.start > 1 {
            let _ = std::fs::remove_file(path);
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    let mut counts = json!({ "seeds": seeds.end - seeds.start, "failed": failed });
    for (count, sum) in COUNTS.iter().zip(sums) {
        counts[count] = json!(sum.into_inner());
    }
    println!("{counts}");
    if let Some(path) = std::env::var_os("POSTRIDER_LEDGER") {
        let ledger = std::fs::OpenOptions::new().create(true).append(true).open(path);
        writeln!(ledger.expect("the ledger"), "{counts}").expect("a line in the ledger");
    }
    assert!(failed.is_empty(), "seeds {failed:?}");
}
