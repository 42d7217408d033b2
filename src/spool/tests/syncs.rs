use super::*;
use crate::chance::SystemChance;
use crate::spool::{ByHand, Disk, SystemDisk};
use std::fs::File;
use std::sync::atomic::AtomicBool;

/// A disk that cannot sync, once.
struct FailsOnce(AtomicBool);

impl Disk for FailsOnce {
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> std::io::Result<()> {
        SystemDisk.write(file, path, bytes, at)
    }

    fn sync(&self, file: &File, path: &Path) -> std::io::Result<()> {
        if self.0.swap(false, Ordering::Relaxed) {
            return Err(std::io::Error::other("the disk cannot sync"));
        }
        SystemDisk.sync(file, path)
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_synced_at_a_start_is_kept_and_delivered() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A]), event("m2", &[A])]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { path: folder.path().join("data"), ..rig.config.clone() };
    copy(&rig.config.path, &config.path);

    let disk = Arc::new(FailsOnce(AtomicBool::new(true)));
    let by_hand =
        ByHand { disk: disk.clone(), chance: Arc::new(SystemChance), segment: 64 * 1024, reserve: 1 << 20 };
    let clock: Arc<dyn Clock> = rig.clock.clone();
    let opened =
        EmbeddedSpool::open_by_hand(&config, rig.dedup, clock, &Metrics::new(), Box::new(drop), by_hand);
    let (spool, mut writer) = opened.unwrap();
    assert!(!disk.0.load(Ordering::Relaxed), "a sync was asked for, and failed");

    let lease = spool.acquire(A);
    assert!(writer.turn());
    let waiting = spool.read(&lease.await.unwrap(), None, limit(10)).await.unwrap();
    assert_eq!(waiting.len(), 2);
    let names = std::fs::read_dir(&config.path).unwrap().map(|entry| entry.unwrap().file_name());
    let aside: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("damaged")).collect();
    assert!(aside.is_empty(), "{aside:?}");
}

#[tokio::test]
async fn an_event_that_was_refused_and_is_there_all_the_same_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig::at(folder.path().join("data"));
    let dedup = DedupLimits { window: Duration::from_secs(3600), max: 1000 };
    let disk = Arc::new(FailsOnce(AtomicBool::new(false)));
    let by_hand =
        ByHand { disk: disk.clone(), chance: Arc::new(SystemChance), segment: 64 * 1024, reserve: 4096 };
    let (tell, heard) = channel();
    let listener = Box::new(move |event| drop(tell.send(event)));
    let clock: Arc<dyn Clock> = Arc::new(Ahead::default());
    let opened = EmbeddedSpool::open_by_hand(&config, dedup, clock, &Metrics::new(), listener, by_hand);
    let (spool, mut writer) = opened.unwrap();
    let told = || {
        let wakes = heard.try_iter().filter_map(|event| match event {
            SpoolEvent::Committed(committed) => Some(committed.wakes),
            _ => None,
        });
        let seqs = wakes.flatten().filter(|wake| !wake.events.is_empty()).map(|wake| {
            let messages: Vec<_> = wake.events.iter().map(|event| event.message_id.to_string()).collect();
            (wake.endpoint, messages)
        });
        seqs.collect::<Vec<_>>()
    };
    let append = |message: &str, targets: &[EndpointUid]| {
        let (reply, receipt) = oneshot::channel();
        spool.append(Append { events: vec![event(message, targets)], reply, permit: None });
        receipt
    };

    let first = append("m1", &[A, B]);
    assert!(writer.turn());
    first.await.unwrap().unwrap();
    assert_eq!(told(), [(A, vec!["m1".to_owned()]), (B, vec!["m1".to_owned()])]);

    disk.0.store(true, Ordering::Relaxed);
    let refused = append("m2", &[B]);
    assert!(writer.turn(), "the sync fails, and the database is opened again");
    refused.await.unwrap().unwrap_err();
    assert_eq!(told(), [(B, vec!["m2".to_owned()])], "what was told before is not told again");

    let third = append("m3", &[A, B]);
    assert!(writer.turn());
    third.await.unwrap().unwrap();
    assert_eq!(told(), [(A, vec!["m3".to_owned()]), (B, vec!["m3".to_owned()])]);
}
