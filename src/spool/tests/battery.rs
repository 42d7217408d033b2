//! Damage. Folders of a spool in several states are copied, a bit of one of their files is flipped, a file is cut, or
//! 512 bytes of it are zeroed or overwritten by others of it. Whatever that hits: the spool opens, what it hands out is
//! what was posted, what is missing is counted, and a check finds it, without changing anything.
//!
//! Allowed to go unnoticed is what changes no row: bytes that nothing is read from (the unused end of a segment or a
//! journal, the spare, `RESERVE`, the note in `LOCK`), a number of a batch that stays between its neighbours' and, where
//! the process was killed, the last commit of the log if nothing of its head is left: that is what it would look like
//! if the process had been killed before it.

use super::powercut::{Draws, in_memory, number};
use super::*;
use crate::spool::offline;
use crate::spool::past::{Letters, dead_letters, rows_after};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

/// What `tests/run` does, as far as there is time; `POSTRIDER_COUNT` for that many, whatever time they take.
const COUNT: usize = 2000;
const SHORT: Duration = Duration::from_secs(180);
const BLOCK: usize = 512;
/// How many damages have cost rows.
static LOSSES: AtomicUsize = AtomicUsize::new(0);
/// A reserve as small as this spool's.
const RESERVE: u64 = 8192;

/// A folder to be damaged, and what is in it.
struct Prepared {
    folder: TempDir,
    files: Vec<PathBuf>,
    content: Content,
    /// The process did not end by itself.
    killed: bool,
}

/// What a spool hands out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Content {
    /// By endpoint and message: body and attempts.
    pending: BTreeMap<(u32, usize), u32>,
    dead: BTreeSet<(u32, usize)>,
    /// Rows of history.
    history: BTreeSet<(u32, u64)>,
    names: BTreeSet<String>,
}

impl Content {
    /// How many rows of `self` are not in `other`, or are not the same.
    fn missing_in(&self, other: &Self) -> usize {
        let pending = self.pending.iter().filter(|(key, row)| other.pending.get(key) != Some(row)).count();
        pending
            + self.dead.difference(&other.dead).count()
            + self.history.difference(&other.history).count()
            + self.names.difference(&other.names).count()
    }
}

fn config(path: &Path) -> SpoolConfig {
    SpoolConfig::at(path.to_owned())
}

fn open_it(path: &Path) -> (Arc<EmbeddedSpool>, Metrics) {
    let metrics = Metrics::new();
    let dedup = DedupLimits { window: Duration::from_secs(3600), max: 1_000_000 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = EmbeddedSpool::open_with(&config(path), dedup, clock, &metrics, Box::new(drop), RESERVE);
    (opened.unwrap_or_else(|error| panic!("it does not open: {error}")), metrics)
}

/// The body that belongs to a message, so that a wrong one is noticed.
fn body(message: usize) -> Bytes {
    let word = xxhash_rust::xxh3::xxh3_64(&message.to_le_bytes());
    let text = format!("{word:x}").repeat(5 + usize::try_from(word % 150).unwrap());
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

fn message_of(id: &str) -> usize {
    id[1..].parse().unwrap()
}

/// Reads everything. What fails is tried again: a damaged database is repaired meanwhile.
async fn content(spool: &EmbeddedSpool) -> Content {
    let mut content = Content::default();
    for (uid, identity) in spool.known() {
        content.names.extend(identity.map(|identity| identity.name.to_string()));
        let begun = SystemClock.now();
        let pending = loop {
            let lease = spool.acquire(uid).await;
            let read = match &lease {
                Ok(lease) => spool.read(lease, None, limit(1_000_000)).await,
                Err(error) => Err(error.clone()),
            };
            match read {
                Ok(pending) => break pending,
                Err(error) => assert!(SystemClock.now() - begun < TIME, "endpoint {uid:?}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        for one in pending {
            let message = message_of(&one.event.message_id);
            assert_eq!(one.event.body, body(message), "a wrong body");
            let attempts = one.parked.map_or(0, |parked| parked.attempts);
            content.pending.insert((uid.0, message), attempts);
        }
    }
    let (letters, blocks) = again(spool, |store| {
        let all = (1_000_000, u64::MAX, 1_000_000);
        let letters = dead_letters(store, Letters::Up(0, u64::MAX), all, true, |_| true, |_| true)?.0;
        Ok((letters, rows_after(store, 0, (1_000_000, usize::MAX), Some)?.0))
    })
    .await;
    for letter in letters {
        let Some(event) = letter.event else { continue };
        let message = message_of(&event.message_id);
        assert_eq!(event.body, body(message), "a wrong body");
        content.dead.insert((letter.endpoint.0, message));
    }
    for entry in blocks {
        if let crate::spool::Entry::Settled(settled) = entry {
            content.history.insert((settled.endpoint.0, settled.seq.0));
        }
    }
    content
}

async fn again<T: Send + 'static>(
    spool: &EmbeddedSpool,
    read: impl Fn(&crate::spool::Store) -> Result<T, crate::spool::SpoolError> + Send + Sync + Copy + 'static,
) -> T {
    let begun = SystemClock.now();
    loop {
        match spool.look(read).await {
            Ok(found) => return found,
            Err(error) => assert!(SystemClock.now() - begun < TIME, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Works on a spool: posts, settles, lets die and parks.
async fn work(
    spool: &EmbeddedSpool,
    uids: &[EndpointUid],
    messages: std::ops::Range<usize>,
    draws: &mut Draws,
) {
    for message in messages {
        let targets = [vec![uids[0]], vec![uids[1]], uids.to_vec()][draws.below(3)].clone();
        let (reply, receipt) = oneshot::channel();
        spool.append(Append { events: vec![message_event(message, &targets)], reply, permit: None });
        receipt.await.unwrap().unwrap();
    }
    for uid in uids {
        let lease = spool.acquire(*uid).await.unwrap();
        for one in spool.read(&lease, None, limit(1_000_000)).await.unwrap() {
            let seq = one.event.seq;
            match draws.below(8) {
                0..3 => {
                    let result = if draws.below(3) == 0 { Err(DeadReason::Exhausted) } else { Ok(()) };
                    let ended = unix_ms(&SystemClock);
                    spool.settle(&lease, seq, Settlement { result, note: note(ended), low: Seq(0) });
                }
                3 => {
                    let key = one.event.key();
                    let parked = crate::spool::Parked { seq, key, due_ms: 9, wait_ms: 1, attempts: 2 };
                    spool.park(&lease, parked, note(9));
                }
                _ => {}
            }
        }
        spool.acquire(*uid).await.unwrap();
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// A journal has 64 MiB of room: a little of it stays, to be damaged like the rest.
fn trim(store: &Path) {
    for entry in fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let mut bytes = fs::read(&path).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used + 2048);
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// The folders. Their rows lie in the log alone, in the database's journals, in its tables, and in all of these.
async fn prepare() -> Vec<Prepared> {
    let mut prepared = Vec::new();
    for (kind, killed) in [(0, false), (1, false), (2, false), (3, false), (3, true)] {
        let folder = in_memory();
        let path = folder.path().join("data");
        let mut draws = Draws::new(kind);
        let (spool, _) = open_it(&path);
        let names = ["a", "b"].map(identity).to_vec();
        let uids = spool.register(names).await.unwrap();
        work(&spool, &uids, 1..30, &mut draws).await;
        if kind > 0 {
            for from in [30, 90] {
                // More than a segment of the log holds.
                work(&spool, &uids, from..from + 60, &mut draws).await;
                if kind > 1 {
                    spool.store().unwrap().make_tables();
                }
            }
        }
        if kind > 2 {
            work(&spool, &uids, 150..260, &mut draws).await;
        }
        let (folder, killed_one) = if killed {
            let copied = in_memory();
            copy(&path, &copied.path().join("data"));
            spool.close().await.unwrap();
            (copied, true)
        } else {
            spool.close().await.unwrap();
            (folder, false)
        };
        let path = folder.path().join("data");
        trim(&path.join("store"));
        let checked = offline::check(&path).unwrap();
        assert!(checked.damage.is_empty(), "{:?}", checked.damage);
        let opened = in_memory();
        copy(&path, &opened.path().join("data"));
        let (spool, _) = open_it(&opened.path().join("data"));
        let content = content(&spool).await;
        spool.close().await.unwrap();
        assert!(!content.pending.is_empty() && !content.dead.is_empty() && !content.history.is_empty());
        assert_eq!(checked.content.waiting, content.pending.len() as u64);
        assert_eq!(checked.content.dead_letters, content.dead.len() as u64);
        let mut all = Vec::new();
        files(&path, &mut all);
        let files = all.iter().map(|file| file.strip_prefix(&path).unwrap().to_owned()).collect();
        prepared.push(Prepared { folder, files, content, killed: killed_one });
    }
    prepared
}

/// Damages a file; what was done, or nothing if its bytes are as before.
fn damage(path: &Path, draws: &mut Draws) -> Option<String> {
    let mut bytes = fs::read(path).unwrap();
    let before = bytes.clone();
    if bytes.is_empty() {
        return None;
    }
    // Most of some files is unused: half of all hits are where they are used.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let room = if draws.below(2) == 0 { used } else { bytes.len() };
    let at = draws.below(room);
    let block = at / BLOCK * BLOCK;
    let end = (block + BLOCK).min(bytes.len());
    let what = match draws.below(4) {
        0 => {
            let bit = draws.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        1 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        2 => {
            bytes[block..end].fill(0);
            format!("{block}..{end} zeroed")
        }
        _ => {
            let from = draws.below(bytes.len()) / BLOCK * BLOCK;
            let length = (bytes.len() - from).min(end - block);
            bytes.copy_within(from..from + length, block);
            format!("{from}..{} copied to {block}", from + length)
        }
    };
    if bytes == before {
        return None;
    }
    fs::write(path, bytes).unwrap();
    Some(what)
}

/// Every file's content.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = Vec::new();
    files(folder, &mut all);
    all.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// One damage. False: it changed nothing.
async fn trial(prepared: &[Prepared], draws: &mut Draws, said: &mut String) -> bool {
    let one = &prepared[draws.below(prepared.len())];
    let file = &one.files[draws.below(one.files.len())];
    let folder = in_memory();
    let path = folder.path().join("data");
    copy(&one.folder.path().join("data"), &path);
    let Some(what) = damage(&path.join(file), draws) else { return false };
    *said = format!("{} (killed: {}): {what}", file.display(), one.killed);
    let deep = draws.below(4) == 0;
    let before = if deep { Some(everything(&path)) } else { None };
    let checked = offline::check(&path).unwrap();
    if let Some(before) = before {
        assert!(before == everything(&path), "a check changed something");
        let repaired = offline::repair(&path, 1_000_000).unwrap();
        assert_eq!(repaired.mended, !checked.damage.is_empty());
        let after = offline::check(&path).unwrap();
        assert!(after.damage.is_empty() && after.aside.is_empty(), "after a repair: {after:?}");
    }
    let (spool, metrics) = open_it(&path);
    let found = content(&spool).await;
    spool.close().await.unwrap();
    let lost = one.content.missing_in(&found);
    let strangers = found.pending.keys().filter(|(_, message)| *message == 0 || *message >= 260).count();
    assert_eq!(strangers, 0, "deliveries that nobody posted");
    LOSSES.fetch_add(usize::from(lost > 0), Ordering::Relaxed);
    if lost == 0 || (one.killed && last_commit_alone(one, &found, file)) {
        return true;
    }
    assert!(!checked.damage.is_empty(), "{lost} rows are missing or changed, and a check finds nothing");
    let counted = metrics.render().lines().any(|line| {
        let of = line.starts_with("postrider_spool_errors_total");
        of && !line.ends_with(" 0") && (line.contains("read") || line.contains("open"))
    });
    assert!(counted || deep, "{lost} rows are missing or changed, and nothing is counted");
    true
}

/// Whether what is missing may be the last commit of a log whose process was killed.
fn last_commit_alone(one: &Prepared, found: &Content, file: &Path) -> bool {
    file.starts_with("log") && one.content.missing_in(found) <= 40 && {
        // The last thing that was done: settlements and parkings of the second endpoint, in one commit.
        let lost = one.content.pending.iter().filter(|(key, row)| found.pending.get(key) != Some(row));
        lost.into_iter().all(|((uid, _), _)| *uid == 2)
    }
}

#[test]
fn whatever_is_damaged_the_spool_opens_and_what_is_lost_is_counted_and_found() {
    let asked = number("POSTRIDER_COUNT").and_then(|count| usize::try_from(count).ok());
    let count = asked.unwrap_or(COUNT);
    let seed = number("POSTRIDER_SEED").unwrap_or(1) * 1_000_000;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prepared = runtime().block_on(prepare());
    let begun = SystemClock.now();
    let (next, failed, hits) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= count || (asked.is_none() && SystemClock.now() - begun > SHORT) {
                return;
            }
            let mut said = String::new();
            let one = std::panic::AssertUnwindSafe(|| {
                let mut draws = Draws::new(seed + turn as u64);
                // What changes nothing is no damage: another one.
                while !runtime().block_on(trial(&prepared, &mut draws, &mut said)) {}
            });
            if std::panic::catch_unwind(one).is_err() {
                eprintln!("damage {turn} of seed {seed}: {said}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
            hits.fetch_add(1, Ordering::Relaxed);
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let hits = hits.into_inner();
    let losses = LOSSES.load(Ordering::Relaxed);
    println!("{hits} damages in {:?}, {losses} of them lost something", SystemClock.now() - begun);
    if let Some(ledger) = std::env::var_os("POSTRIDER_LEDGER") {
        let line = format!("{{\"damages\":{},\"failed\":{}}}\n", hits, failed.load(Ordering::Relaxed));
        fs::write(ledger, line).unwrap();
    }
    let failed = failed.into_inner();
    assert!(failed == 0, "{failed} of {hits} damages");
    assert!(losses > 0, "no damage has hit anything");
    assert!(hits > 50, "{hits} are too few to say anything");
}
