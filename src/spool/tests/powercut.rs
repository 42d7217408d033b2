//! Power cuts. A process works on a spool while strace records every change and every sync of its files. Then folders
//! are made as they may be found after a cut at any moment: with all that was synced, and any part of what was not.
//! Each must open, hold everything that was accepted and not given to a subscriber, and nothing that is wrong.

mod image;
mod trace;

use super::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicUsize;
use trace::Trace;

/// Where the recorded process finds its spool; without it that test does nothing.
const FOLDER: &str = "POSTRIDER_POWERCUT_FOLDER";
const SEED: &str = "POSTRIDER_POWERCUT_SEED";
/// A record of that many steps is cut so many times.
const STEPS: usize = 60;
const CUTS: usize = 250;

/// Numbers that follow from a seed.
pub(super) struct Draws(u64, u64);

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed, 0)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.1 += 1;
        let text = format!("{} {}", self.0, self.1);
        usize::try_from(xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % end as u64).unwrap()
    }
}

pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The body that belongs to a message, so that a wrong one is noticed.
fn body(message: usize) -> Bytes {
    let mut draws = Draws::new(message as u64);
    let length = 50 + draws.below(2500);
    let text: String =
        (0..length).map(|_| char::from(b'a' + u8::try_from(draws.below(26)).unwrap())).collect();
    Bytes::from(format!("{{\"message\":\"m{message}\",\"text\":\"{text}\"}}"))
}

fn message_event(message: usize, targets: &[EndpointUid]) -> NewEvent {
    let mut key = [7; 16];
    key[..8].copy_from_slice(&(message as u64).to_le_bytes());
    NewEvent {
        body: body(message),
        dedup: message.is_multiple_of(3).then_some(DedupKey { key, content: message as u64 }),
        ..event(&format!("m{message}"), targets)
    }
}

const C: EndpointUid = EndpointUid(3);
const ALL: [EndpointUid; 3] = [A, B, C];

/// To the standard output at once and past the test's own capture: the record has it in its place.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// The process that is recorded. What it says: `? MESSAGE TARGETS` before it posts, `+ MESSAGE` once that is accepted,
/// `- TARGET MESSAGE` before it says that a delivery has ended.
#[tokio::test]
#[ignore = "started by the tests of this module"]
async fn recorded_work() {
    let (Some(folder), Some(seed)) = (std::env::var_os(FOLDER), number(SEED)) else { return };
    let config = SpoolConfig::at(folder.into());
    let dedup = DedupLimits { window: Duration::from_secs(3600), max: 1_000_000 };
    let mut draws = Draws::new(seed);
    let mut message = 0;
    for _ in 0..3 {
        let (spool, heard) = open(&config, dedup, &Arc::default());
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig { spool, config: config.clone(), dedup, clock: Arc::default(), heard, folder };
        let leases = [rig.lease(A).await, rig.lease(B).await, rig.lease(C).await];
        for _ in 0..STEPS / 3 {
            let targets = [vec![A], vec![B], vec![A, B], vec![A, B, C]][draws.below(4)].clone();
            let mut posted = Vec::new();
            for _ in 0..=draws.below(3) {
                message += 1;
                say(&format!("? {message} {targets:?}"));
                posted.push((message, rig.submit(vec![message_event(message, &targets)])));
            }
            for (message, receipt) in posted {
                receipt.await.unwrap().unwrap();
                say(&format!("+ {message}"));
            }
            work_on(&rig, &leases, &mut draws).await;
        }
        rig.spool.close().await.unwrap();
    }
}

async fn work_on(rig: &Rig, leases: &[Lease; 3], draws: &mut Draws) {
    for lease in leases {
        let waiting = rig.all(lease).await;
        for one in waiting {
            let (seq, message) = (one.event.seq, &one.event.message_id);
            match draws.below(6) {
                0..3 => {
                    say(&format!("- {:?} {message}", lease.endpoint));
                    let result = if draws.below(4) == 0 { Err(DeadReason::Exhausted) } else { Ok(()) };
                    rig.settle(lease, seq, result);
                }
                3 => {
                    let key = crate::ids::MessageKey::of(message);
                    let parked = crate::spool::Parked { seq, key, due_ms: 9, wait_ms: 1, attempts: 2 };
                    rig.spool.park(lease, parked, note(9));
                }
                _ => {}
            }
        }
        rig.written(lease).await;
    }
}

/// Runs that process under strace.
fn record(folder: &Path, seed: u64) -> Trace {
    let log = folder.join("strace");
    let data = folder.join("data");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-xx", "-s", "4194304", "-e", &format!("trace={}", trace::CALLS), "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "spool::tests::powercut::recorded_work", "--ignored", "--nocapture"])
        .env(FOLDER, &data)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .status()
        .expect("strace must be installed: tests/run does it");
    assert!(status.success(), "the recorded process failed");
    let read = trace::read(&String::from_utf8(std::fs::read(&log).unwrap()).unwrap(), &data);
    assert!(read.said.iter().any(|(_, line)| line.starts_with("- ")), "nothing was recorded");
    read
}

/// What must and may be there after a cut at this line.
#[derive(Default)]
struct Expected {
    /// Message, targets.
    posted: HashMap<usize, String>,
    accepted: HashSet<usize>,
    ended: HashSet<(EndpointUid, usize)>,
}

impl Expected {
    fn at(trace: &Trace, cut: usize) -> Self {
        let mut expected = Self::default();
        for (_, line) in trace.said.iter().filter(|(at, _)| *at < cut) {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            match words[..] {
                ["?", message, targets] => {
                    drop(expected.posted.insert(message.parse().unwrap(), targets.to_owned()));
                }
                ["+", message] => drop(expected.accepted.insert(message.parse().unwrap())),
                ["-", target, message] => {
                    let target = ALL.into_iter().find(|one| target == format!("{one:?}")).unwrap();
                    expected.ended.insert((target, message[1..].parse().unwrap()));
                }
                _ => {}
            }
        }
        expected
    }

    fn wants(&self, message: usize, target: EndpointUid) -> bool {
        self.posted.get(&message).is_some_and(|targets| targets.contains(&format!("{target:?}")))
    }
}

/// Opens a folder as it was left by a cut. How many deliveries waited in it.
async fn check(config: SpoolConfig, folder: TempDir, expected: &Expected) -> usize {
    let dedup = DedupLimits { window: Duration::from_secs(3600), max: 1_000_000 };
    let (spool, heard) = open(&config, dedup, &Arc::default());
    let rig = Rig { spool, config, dedup, clock: Arc::default(), heard, folder };
    let mut left = Vec::new();
    for target in ALL {
        let mut found = BTreeMap::new();
        let mut last = 0;
        for one in rig.all_of(target).await {
            let message: usize = one.event.message_id[1..].parse().unwrap();
            assert!(expected.wants(message, target), "{target:?} has {message}, which nobody posted for it");
            assert_eq!(one.event.body, body(message), "another body");
            assert!(message > last, "{message} comes after {last}");
            last = message;
            found.insert(message, one);
        }
        for message in &expected.accepted {
            let lost = expected.wants(*message, target)
                && !expected.ended.contains(&(target, *message))
                && !found.contains_key(message);
            assert!(!lost, "{message} for {target:?} was accepted, and is lost");
        }
        left.push((target, found));
    }
    let waited = left.iter().map(|(_, found)| found.len()).sum();
    // It goes on: what one endpoint ends takes nothing from another.
    for (target, found) in &mut left {
        let lease = rig.lease(*target).await;
        let ends = |message: usize| (message + usize::try_from(target.0).unwrap()).is_multiple_of(2);
        for (_, one) in found.extract_if(.., |message, _| ends(*message)) {
            rig.settle(&lease, one.event.seq, Ok(()));
        }
        rig.written(&lease).await;
    }
    for (target, found) in &left {
        let still = rig.all_of(*target).await;
        let seqs: Vec<Seq> = still.iter().map(|one| one.event.seq).collect();
        let before: Vec<Seq> = found.values().map(|one| one.event.seq).collect();
        assert_eq!(seqs, before, "{target:?} lost some when others were settled");
        assert!(still.iter().zip(found.values()).all(|(one, before)| one.event.body == before.event.body));
    }
    if let Some(known) = expected.accepted.iter().filter(|message| message.is_multiple_of(3)).max() {
        let again = rig.append(vec![message_event(*known, &[A])]).await[0];
        assert!(again.duplicate, "{known} was accepted, and its repeat is not recognised");
    }
    let aside = std::fs::read_dir(&rig.config.path).unwrap().flatten().map(|entry| entry.file_name());
    // A batch on its way to the database may be torn: it is left out of the journal, and comes from the log again.
    let lossless = |name: &str| !name.starts_with("damaged") || name.contains("-journal-");
    let aside: Vec<_> = aside.filter(|name| !lossless(&name.to_string_lossy())).collect();
    // While the database was made for the first time there was nothing to lose: it is made again.
    assert!(expected.accepted.is_empty() || aside.is_empty(), "{aside:?}: a power cut counts as damage");
    rig.spool.close().await.unwrap();
    waited
}

/// A folder where a sync costs nothing, if there is such a place.
pub(super) fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Checks that many cuts of one record, on as many threads as there are processors. How many deliveries waited after
/// them, all together.
fn cut(seed: u64, cuts: usize) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let trace = record(folder.path(), seed);
    let root = folder.path().join("data");
    let (next, failed, waited) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= cuts {
                return;
            }
            let mut draws = Draws::new(seed * 1_000_000 + turn as u64);
            let at = draws.below(trace.lines + 1);
            let image = in_memory();
            let config = SpoolConfig::at(image.path().join("data"));
            image::make(&trace, &root, at, &mut draws, &config.path);
            let kept = in_memory();
            copy(&config.path, kept.path());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let checked = std::panic::AssertUnwindSafe(|| {
                runtime.block_on(check(config, image, &Expected::at(&trace, at)))
            });
            if let Ok(found) = std::panic::catch_unwind(checked) {
                waited.fetch_add(found, Ordering::Relaxed);
            } else {
                let kept = kept.keep();
                eprintln!("seed {seed}, cut {turn} at line {at} of {}: see {}", trace.lines, kept.display());
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert!(failed == 0, "{failed} of {cuts} cuts");
    waited.into_inner()
}

/// Two records, each cut at 250 places; `POSTRIDER_COUNT` for more of both.
#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_accepted() {
    let count = number("POSTRIDER_COUNT").and_then(|count| usize::try_from(count).ok()).unwrap_or(2 * CUTS);
    let seed = number("POSTRIDER_SEED").unwrap_or(1) * 1000;
    let records = count.div_ceil(CUTS);
    let cuts = |record: usize| cut(seed + record as u64, CUTS.min(count - record * CUTS));
    let waited: usize = (0..records).map(cuts).sum();
    if let Some(ledger) = std::env::var_os("POSTRIDER_LEDGER") {
        let line = serde_json::json!({"cuts": count, "records": records, "waited": waited});
        std::fs::write(ledger, format!("{line}\n")).unwrap();
    }
}
