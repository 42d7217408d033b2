use super::*;
use crate::clock::SystemClock;
use crate::config::SpoolConfig;
use crate::ids::{EventId, Generation};
use crate::metrics::Metrics;
use crate::spool::record::DeliveryRow;
use crate::spool::store::{Base, Batch, Store, Ways};
use crate::spool::{Append, DedupLimits, EmbeddedSpool, NewEvent, Spool as _};
use std::collections::BTreeSet;
use std::time::Duration;
use tempfile::tempdir;
use tokio::sync::oneshot;

/// Rows as they are made: kind, key, row.
type Made = Vec<(usize, Vec<u8>, Vec<u8>)>;

/// What endpoints are called, and the messages that wait for them, by their numbers.
fn made(names: &[(u32, &str)], waiting: &[(u32, &str)]) -> Made {
    let mut rows = Vec::new();
    for (uid, name) in names {
        let identity = Identity { name: Arc::from(*name), account: None };
        let row = encode_endpoint(Some(&identity), EndpointState::default());
        rows.push((ENDPOINTS, endpoint_key(EndpointUid(*uid)).to_vec(), row));
    }
    for (seq, (uid, message)) in (1..).map(Seq).zip(waiting) {
        let event = StoredEvent {
            seq,
            id: EventId([0; 16]),
            event: Arc::from("sent"),
            product: Arc::from("crm"),
            account: None,
            message_id: Arc::from(*message),
            body: Bytes::from_static(b"{}"),
            traceparent: None,
            generation: Generation(1),
            accepted_ms: 1,
            targets: 1,
        };
        let mut record = Vec::new();
        encode_event(&event, &mut record);
        rows.push((EVENTS, seq.0.to_be_bytes().to_vec(), record));
        let row = DeliveryRow { key: event.key(), length: 2, accepted_ms: 1, parked: None };
        rows.push((DELIVERIES, delivery_key(EndpointUid(*uid), seq).to_vec(), row.encode()));
    }
    rows
}

fn in_database(path: &Path, rows: Made) {
    let base = Base::open(path).unwrap();
    base.set(rows).unwrap();
    base.sync().unwrap();
}

fn in_log(path: &Path, rows: Made) {
    let unused = tempdir().unwrap();
    let store = Store::open(&unused.path().join("store"), path, &Ways::default()).unwrap();
    let mut batch = Batch::default();
    for (space, key, row) in rows {
        let kind = Store::kinds().nth(space).unwrap();
        batch.insert(store.space(kind), &key, row);
    }
    store.write(&mut batch).unwrap();
    store.end().unwrap();
}

/// Who waits for each message once the spool has been repaired.
fn repaired(path: &Path) -> BTreeMap<String, String> {
    crate::spool::repair(path, 1_000_000).unwrap();
    let after = crate::spool::check(path).unwrap();
    assert!(after.damage.is_empty() && after.aside.is_empty(), "{after:?}");
    let mut found = BTreeMap::new();
    let lost = crate::spool::export(path, false, &mut |exported| {
        let [name] = &exported.waiting[..] else { panic!("one waits: {exported:?}") };
        found.insert(exported.event.message_id.to_string(), name.clone());
        Ok(())
    });
    assert_eq!(lost.unwrap(), 0);
    found
}

#[test]
fn endpoints_whose_names_are_lost_stay_apart_from_all_others() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    in_database(&path.join("store"), made(&[(1, "a")], &[(1, "m1"), (2, "m2")]));
    let then = made(&[(1, "b")], &[(1, "m3"), (2, "m4"), (3, "m5"), (2, "m6")]);
    in_database(&path.join("damaged-1"), then);
    in_database(&path.join("damaged-2"), made(&[(1, "c")], &[(1, "m7"), (2, "m8")]));
    let found = repaired(path);
    let of = |message: &str| found[message].as_str();
    assert_eq!(found.len(), 8, "{found:?}");
    assert_eq!(["m1", "m2", "m3", "m7"].map(of), ["a", "endpoint 2", "b", "c"]);
    assert_eq!(of("m4"), of("m6"));
    let lost: BTreeSet<&str> = ["m2", "m4", "m5", "m8"].map(of).into_iter().collect();
    assert!(lost.len() == 4 && lost.iter().all(|name| name.starts_with("endpoint ")), "{found:?}");
}

#[test]
fn a_log_that_was_set_aside_alone_goes_by_its_own_names_and_by_those_of_its_database() {
    let found = |noted: Option<&str>| {
        let folder = tempdir().unwrap();
        let path = folder.path();
        in_database(&path.join("store"), made(&[(5, "e"), (6, "later")], &[(5, "m1")]));
        let log = path.join("damaged-1");
        in_log(&log, made(&[(6, "f")], &[(5, "m5"), (6, "m6"), (7, "m7")]));
        if let Some(noted) = noted {
            fs::write(log.join(NUMBERS), noted).unwrap();
        }
        repaired(path)
    };
    let own = found(Some("6"));
    assert_eq!(["m1", "m5", "m6"].map(|message| own[message].as_str()), ["e", "e", "f"]);
    assert!(own["m7"].starts_with("endpoint "), "{own:?}");
    let other = found(None);
    assert_eq!(["m1", "m6"].map(|message| other[message].as_str()), ["e", "f"]);
    let lost = ["m5", "m7"].map(|message| other[message].as_str());
    assert!(lost[0] != lost[1] && lost.iter().all(|name| name.starts_with("endpoint ")), "{other:?}");
}

#[test]
fn no_log_goes_by_the_numbers_of_a_database_that_has_lost_which_it_gave() {
    for whole in [true, false] {
        let folder = tempdir().unwrap();
        let path = folder.path();
        let mut rows = made(&[(5, "e")], &[(5, "m1")]);
        if whole {
            rows.push((META, b"totals".to_vec(), Totals { next_uid: 7, ..Totals::default() }.encode()));
        }
        in_database(&path.join("store"), rows);
        let log = path.join("damaged-1");
        in_log(&log, made(&[], &[(6, "m6")]));
        fs::write(log.join(NUMBERS), "7").unwrap();
        // As a start does that finds damage: what was set aside before stays there.
        crate::spool::offline::rebuild(path, &[], 1_000_000).unwrap();
        assert_eq!(log.join(NUMBERS).exists(), whole);
    }
}

fn open(path: &Path) -> Arc<EmbeddedSpool> {
    let dedup = DedupLimits { window: Duration::from_secs(60), max: 10 };
    let config = SpoolConfig::at(path.to_owned());
    let clock = Arc::new(SystemClock);
    EmbeddedSpool::open_with(&config, dedup, clock, &Metrics::new(), Box::new(drop), 8192).unwrap()
}

async fn register(spool: &EmbeddedSpool, name: &str) -> EndpointUid {
    let identity = Identity { name: Arc::from(name), account: None };
    spool.register(vec![identity]).await.unwrap()[0]
}

/// The name of a segment that cannot be read, whatever asks: it is a folder.
const UNREADABLE: &str = "00000000009999999999.log";

/// One message waits for `x`, and the start after that could not read the log. The folder, and where the log lies.
async fn without_its_log(folder: &Path) -> (PathBuf, PathBuf) {
    let path = folder.join("data");
    let spool = open(&path);
    register(&spool, "x").await;
    spool.close().await.unwrap();
    drop(spool);
    let spool = open(&path);
    spool.store().unwrap().settle_down().unwrap();
    let event = NewEvent {
        event: Arc::from("sent"),
        product: Arc::from("crm"),
        account: None,
        message_id: Arc::from("m1"),
        body: Bytes::from_static(b"{}"),
        traceparent: None,
        dedup: None,
        targets: vec![register(&spool, "x").await],
        generation: Generation(1),
        accepted_ms: 1,
    };
    let (reply, receipt) = oneshot::channel();
    spool.append(Append { events: vec![event], reply, permit: None });
    receipt.await.unwrap().unwrap();
    spool.close().await.unwrap();
    drop(spool);
    fs::create_dir(path.join("log").join(UNREADABLE)).unwrap();
    let spool = open(&path);
    register(&spool, "y").await;
    spool.close().await.unwrap();
    let found = left(&path).unwrap();
    let [aside] = &found[..] else { panic!("the log is set aside, and nothing else: {found:?}") };
    fs::remove_dir(aside.join(UNREADABLE)).unwrap();
    (path, aside.clone())
}

#[tokio::test]
async fn what_a_log_has_that_a_start_set_aside_is_for_whom_its_database_names() {
    let folder = tempdir().unwrap();
    let (path, aside) = without_its_log(folder.path()).await;
    assert!(aside.join(NUMBERS).exists());
    assert_eq!(repaired(&path)["m1"], "x");
}

#[tokio::test]
async fn a_log_that_was_set_aside_before_its_database_is_not_read_by_the_numbers_of_the_next_one() {
    let folder = tempdir().unwrap();
    let (path, aside) = without_its_log(folder.path()).await;
    fs::create_dir(path.join("log").join(UNREADABLE)).unwrap();
    fs::write(path.join("store/version"), "nonsense").unwrap();
    let spool = open(&path);
    register(&spool, "y").await;
    spool.close().await.unwrap();
    assert!(!aside.join(NUMBERS).exists());
    let others: Vec<PathBuf> = left(&path).unwrap().into_iter().filter(|found| *found != aside).collect();
    let [database] = &others[..] else { panic!("database and log are set aside as one: {others:?}") };
    let [_, log] = parts(database);
    fs::remove_dir(log.join(UNREADABLE)).unwrap();
    let found = repaired(&path);
    assert!(found["m1"].starts_with("endpoint "), "{found:?}");
}
