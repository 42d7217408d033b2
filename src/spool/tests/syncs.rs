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
