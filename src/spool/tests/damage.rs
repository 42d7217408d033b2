use super::*;
use crate::chance::SystemChance;
use crate::spool::store::Batch;
use crate::spool::{Amended, Amendment, ByHand, Refusal, SystemDisk, faults};
use std::io::ErrorKind;

#[tokio::test]
async fn a_damaged_record_is_set_aside_and_reading_goes_on() {
    let rig = Rig::new();
    rig.append((0..3).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    let lease = rig.lease(A).await;
    let seq = rig.all(&lease).await[1].event.seq;
    let store = rig.spool.store().unwrap();
    let mut record = store.get(&store.events, seq.0.to_be_bytes()).unwrap().unwrap().to_vec();
    let middle = record.len() / 2;
    record[middle] ^= 1;
    let mut batch = Batch::default();
    batch.insert(store.events, &seq.0.to_be_bytes(), record);
    store.write(&mut batch).unwrap();
    drop(store);
    assert_eq!(messages(&rig.all(&lease).await), ["m0", "m2"]);
    rig.until("its delivery is gone", |rig| rig.counts(A).0 == 2).await;
    assert_eq!((rig.rows("damaged"), rig.rows("events")), (1, 2));
}

#[tokio::test]
async fn a_failed_commit_is_refused_and_the_spool_recovers() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    let lease = rig.lease(A).await;
    let seq = rig.all(&lease).await[0].event.seq;
    faults::inject(&rig.config.path, 2, ErrorKind::Other);
    rig.settle(&lease, seq, Ok(()));
    let refused = rig.submit(vec![event("m2", &[A])]).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Failing(_))), "{refused:?}");
    let failing = |event| match event {
        SpoolEvent::Failing(failing) => Some(failing),
        _ => None,
    };
    assert!(rig.hear(failing));
    assert!(!rig.hear(failing), "it recovers, and says so once");
    assert_eq!(rig.spool.trouble(), None);
    rig.append(vec![event("m3", &[A])]).await;
    assert_eq!(messages(&rig.all(&lease).await), ["m3"], "what was settled meanwhile is settled");
    assert_eq!((lease.unwritten.count(), rig.counts(A).0), (0, 1));
}

#[tokio::test]
async fn a_full_disk_refuses_as_full_and_comes_back() {
    let rig = Rig::new();
    faults::inject(&rig.config.path, 1, ErrorKind::StorageFull);
    assert_eq!(rig.submit(vec![event("m1", &[A])]).await.unwrap(), Err(Refusal::Full));
    rig.until("the room is kept back again", |rig| rig.config.path.join("RESERVE").exists()).await;
    rig.until("it takes events again", |rig| rig.spool.trouble().is_none()).await;
    rig.append(vec![event("m1", &[A])]).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_set_aside_whole_and_the_log_is_kept() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    rig.spool.close().await.unwrap();
    std::fs::write(rig.config.path.join("store/version"), "nonsense").unwrap();
    let (spool, _heard) = open(&rig.config, rig.dedup, &rig.clock);
    let ready: Vec<_> = spool.backlogs().iter().map(|backlog| (backlog.uid, backlog.ready)).collect();
    assert_eq!(ready, [(A, 1)]);
    let names: Vec<_> =
        std::fs::read_dir(&rig.config.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| name.to_string_lossy().starts_with("damaged-")), "{names:?}");
}

#[tokio::test]
async fn another_versions_folder_is_left_alone() {
    let rig = Rig::new();
    rig.spool.close().await.unwrap();
    std::fs::write(rig.config.path.join("FORMAT"), "postrider spool 2\n").unwrap();
    let opened =
        EmbeddedSpool::open(&rig.config, rig.dedup, Arc::new(SystemClock), &Metrics::new(), Box::new(drop));
    let error = opened.err().expect("it is refused").to_string();
    assert!(error.contains("postrider spool 2"), "{error}");
}

#[tokio::test]
async fn a_closed_spool_says_so() {
    let rig = Rig::new();
    rig.spool.close().await.unwrap();
    rig.until("the writer is gone", |rig| rig.submit(vec![event("m1", &[A])]).try_recv().is_ok()).await;
    assert!(rig.spool.acquire(A).await.is_err());
}

#[tokio::test]
async fn a_torn_batch_costs_nothing_but_itself() {
    let rig = Rig::new();
    rig.append((0..3).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    rig.append(vec![event("torn", &[A])]).await;
    rig.spool.close().await.unwrap();
    let path = rig.config.path.join("log/00000000000000000001.log");
    let mut log = std::fs::read(&path).unwrap();
    let at = log.windows(14).rposition(|part| part == b"message\":\"torn").unwrap();
    log[at] = 0;
    std::fs::write(&path, log).unwrap();
    let (spool, heard) = open(&rig.config, rig.dedup, &rig.clock);
    let rig = Rig { spool, heard, ..rig };
    let lease = rig.lease(A).await;
    assert_eq!(messages(&rig.all(&lease).await), ["m0", "m1", "m2"]);
    assert_eq!(rig.counts(A).0, 3);
    rig.append(vec![event("m3", &[A])]).await;
    assert_eq!(messages(&rig.reopen().await.all_of(A).await), ["m0", "m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_last_commit_that_a_kill_cut_off_leaves_numbers_that_are_right() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A, B])]).await;
    let rig = rig.reopen().await;
    rig.spool.store().unwrap().settle_down().unwrap();
    rig.append(vec![event("m2", &[A])]).await;
    let lease = rig.lease(B).await;
    let seq = rig.all(&lease).await[0].event.seq;
    rig.settle(&lease, seq, Ok(()));
    rig.written(&lease).await;
    rig.append(vec![event("torn", &[A])]).await;

    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { path: folder.path().join("data"), ..rig.config.clone() };
    copy(&rig.config.path, &config.path);
    let files = std::fs::read_dir(config.path.join("log")).unwrap().map(|file| file.unwrap().path());
    let path = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max();
    let path = path.unwrap();
    let mut log = std::fs::read(&path).unwrap();
    let at = log.windows(14).rposition(|part| part == b"message\":\"torn").unwrap();
    log[at..].fill(0);
    std::fs::write(&path, log).unwrap();

    let (spool, heard) = open(&config, rig.dedup, &rig.clock);
    let cut = Rig { spool, config, dedup: rig.dedup, clock: Arc::clone(&rig.clock), heard, folder };
    let store = cut.spool.store().unwrap();
    assert_eq!((store.lost, store.uncounted), (1, false), "not all of a spool is read for it");
    drop(store);
    assert_eq!(messages(&cut.all_of(A).await), ["m1", "m2"]);
    assert_eq!((cut.counts(A).0, cut.counts(B).0, cut.rows("events")), (2, 0, 2));
    cut.append(vec![event("m3", &[A])]).await;
    assert_eq!(messages(&cut.reopen().await.all_of(A).await), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_wrong_byte_in_format_is_not_taken_for_another_version() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    rig.spool.close().await.unwrap();
    let path = rig.config.path.join("FORMAT");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert!(whole.starts_with("postrider spool 1\n"));
    std::fs::write(&path, whole.replacen('1', "3", 1)).unwrap();
    let (spool, _heard) = open(&rig.config, rig.dedup, &rig.clock);
    assert_eq!(spool.backlogs().iter().map(|backlog| backlog.ready).sum::<u64>(), 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
}

#[tokio::test]
async fn a_log_that_was_cut_between_two_commits_is_missed() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    let path = rig.config.path.join("log/00000000000000000001.log");
    let before = std::fs::read(&path).unwrap();
    rig.append(vec![event("m2", &[A])]).await;
    rig.spool.close().await.unwrap();
    std::fs::write(&path, before).unwrap();
    let checked = crate::spool::check(&rig.config.path).unwrap();
    assert_eq!(
        checked.damage.first().map(|damage| damage.file.as_str()),
        Some("log/00000000000000000001.log")
    );
    assert_eq!(checked.content.waiting, 1);
}

#[tokio::test]
async fn an_interrupted_repair_is_finished_by_the_next_start() {
    let rig = Rig::new();
    rig.append((0..3).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    rig.spool.close().await.unwrap();
    let repaired = crate::spool::offline::rebuild(&rig.config.path, &[], 1000).unwrap();
    assert_eq!(repaired.aside, ["damaged-1", "damaged-1-log"]);
    // As if it had ended before the last two renames.
    let path = |name: &str| rig.config.path.join(name);
    std::fs::rename(path("store"), path("repaired-store")).unwrap();
    std::fs::copy(path("log/end"), path("repaired-store/end")).unwrap();
    std::fs::remove_dir_all(path("log")).unwrap();
    std::fs::rename(path("damaged-1-log"), path("log")).unwrap();
    let (spool, heard) = open(&rig.config, rig.dedup, &rig.clock);
    let rig = Rig { spool, heard, ..rig };
    assert_eq!(messages(&rig.all_of(A).await), ["m0", "m1", "m2"]);
    assert_eq!(rig.counts(A).0, 3);
}

#[tokio::test]
async fn deliveries_whose_endpoints_name_is_lost_are_kept_under_a_name_that_no_file_can_have() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    let store = rig.spool.store().unwrap();
    let mut batch = Batch::default();
    batch.remove(store.endpoints, &A.0.to_be_bytes());
    store.write(&mut batch).unwrap();
    drop(store);
    rig.spool.close().await.unwrap();
    let found = crate::spool::offline::check(&rig.config.path).unwrap().damage;
    assert!(found.iter().any(|damage| damage.file == "endpoints"), "{found:?}");
    crate::spool::offline::repair(&rig.config.path, 1_000_000).unwrap();
    let after = crate::spool::offline::check(&rig.config.path).unwrap();
    assert!(after.damage.is_empty() && after.content.waiting == 1, "{after:?}");
    let (spool, _heard) = open(&rig.config, rig.dedup, &rig.clock);
    let name = spool.identity(A).map(|identity| identity.name.to_string());
    assert_eq!(name, Some(format!("endpoint {}", A.0)));
}

const C: EndpointUid = EndpointUid(3);

/// Three endpoints have one event; the first two have ended it, and a power cut has taken what the first said and
/// spared what the second said after it. The spool as it lies there, the folder around it, the event's place.
async fn settled_out_of_order(rig: &Rig) -> (SpoolConfig, TempDir, Seq) {
    let log = || std::fs::read(rig.config.path.join("log/00000000000000000001.log")).unwrap();
    rig.append(vec![event("m1", &[A, B, C])]).await;
    let (a, b) = (rig.lease(A).await, rig.lease(B).await);
    let seq = rig.all(&a).await[0].event.seq;
    let accepted = log();
    rig.settle(&a, seq, Ok(()));
    rig.written(&a).await;
    let settled = log();
    rig.settle(&b, seq, Ok(()));
    rig.written(&b).await;

    // What no power cut need spare is the order of what was not synced.
    let mut left = log();
    let of_a = accepted.iter().zip(&settled).enumerate().filter(|(_, (before, after))| before != after);
    of_a.for_each(|(at, (before, _))| left[at] = *before);
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { path: folder.path().join("data"), ..rig.config.clone() };
    copy(&rig.config.path, &config.path);
    std::fs::write(config.path.join("log/00000000000000000001.log"), left).unwrap();
    (config, folder, seq)
}

#[tokio::test]
async fn an_event_of_several_stays_until_its_last_delivery_though_a_settlement_before_the_last_is_lost() {
    let rig = Rig::new();
    let (config, folder, seq) = settled_out_of_order(&rig).await;
    let (spool, heard) = open(&config, rig.dedup, &rig.clock);
    let cut = Rig { spool, config, dedup: rig.dedup, clock: Arc::clone(&rig.clock), heard, folder };

    assert!(cut.all_of(B).await.is_empty());
    let lease = cut.lease(A).await;
    assert_eq!(messages(&cut.all(&lease).await), ["m1"], "its settlement is lost");
    cut.settle(&lease, seq, Ok(()));
    cut.written(&lease).await;
    let lease = cut.lease(C).await;
    assert_eq!(messages(&cut.all(&lease).await), ["m1"]);
    cut.settle(&lease, seq, Ok(()));
    cut.written(&lease).await;
    assert_eq!((cut.rows("events"), cut.rows("deliveries"), cut.rows("refs")), (0, 0, 0));
}

#[tokio::test]
async fn what_is_erased_first_of_all_takes_no_event_that_another_endpoint_waits_for() {
    let rig = Rig::new();
    let (config, _folder, seq) = settled_out_of_order(&rig).await;
    let by_hand = ByHand {
        disk: Arc::new(SystemDisk),
        chance: Arc::new(SystemChance),
        segment: 64 * 1024,
        reserve: 4096,
    };
    let clock: Arc<dyn Clock> = rig.clock.clone();
    let opened =
        EmbeddedSpool::open_by_hand(&config, rig.dedup, clock, &Metrics::new(), Box::new(drop), by_hand);
    let (spool, mut writer) = opened.unwrap();
    let erased = spool.amend(Amendment::Erase(vec![(A, seq)]));
    let lease = spool.acquire(C);
    assert!(writer.turn());
    assert_eq!(erased.await.unwrap(), Amended::Count(1));
    let waiting = spool.read(&lease.await.unwrap(), None, limit(10)).await.unwrap();
    assert_eq!(messages(&waiting), ["m1"]);
}
