use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// Preallocated, so that a sync writes data and no file size.
const SIZE: u64 = 1 << 30;

struct Record {
    body: Bytes,
    durable: oneshot::Sender<u64>,
}

/// The log and its writer thread.
pub(super) struct Log {
    queue: Sender<Record>,
    syncs: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SIZE)?;
        file.sync_all()?;
        let (queue, work) = crossbeam_channel::unbounded();
        let (syncs, events) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (Arc::clone(&syncs), Arc::clone(&events));
        std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write(&file, &work, &counters.0, &counters.1))?;
        Ok(Self { queue, syncs, events })
    }

    /// Returns the record's number once it is on disk.
    pub(super) async fn append(&self, body: Bytes) -> Option<u64> {
        let (durable, answer) = oneshot::channel();
        self.queue.send(Record { body, durable }).ok()?;
        answer.await.ok()
    }

    /// Syncs and events so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.syncs.load(Ordering::Relaxed), self.events.load(Ordering::Relaxed))
    }
}

fn write(file: &File, work: &Receiver<Record>, syncs: &AtomicU64, events: &AtomicU64) {
    let mut batch = Vec::new();
    let mut buffer = Vec::new();
    let mut at = 0;
    while let Ok(first) = work.recv() {
        batch.push(first);
        batch.extend(work.try_iter());
        buffer.clear();
        for record in &batch {
            buffer.extend_from_slice(&record.body.len().to_le_bytes());
            buffer.extend_from_slice(&record.body);
        }
        let length = u64::try_from(buffer.len()).unwrap_or(SIZE);
        if at + length > SIZE {
            // It is never read back: what matters is what writing costs.
            at = 0;
        }
        if file.write_all_at(&buffer, at).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        at += length;
        syncs.fetch_add(1, Ordering::Relaxed);
        for record in batch.drain(..) {
            let _ = record.durable.send(events.fetch_add(1, Ordering::Relaxed));
        }
    }
}
