//! The database under the spool: its keyspaces and how they are tuned.
//!
//! | keyspace | key | row |
//! |---|---|---|
//! | `events` | sequence | the event with its body, once however many endpoints |
//! | `deliveries` | endpoint, sequence | a delivery that is not settled |
//! | `parked` | endpoint, sequence | the same row, for those that wait for a retry |
//! | `refs` | sequence | what is left of an event with several targets |
//! | `dedup`, `dedup_order` | key; sequence | what repeats are recognised by, and their age |
//! | `dead`, `dead_order` | endpoint, sequence; place | dead letters, and their age |
//! | `history` | block | what was settled, one block per commit |
//! | `history_index` | block | where the rows of the blocks up to this one are |
//! | `endpoints`, `counters` | endpoint | identity and state; numbers |
//! | `meta` | name | totals |
//! | `damaged` | sequence | records set aside because a byte of them is wrong |

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// An open database.
pub(crate) struct Store {
    pub(crate) db: Database,
    pub(crate) events: Keyspace,
    pub(crate) deliveries: Keyspace,
    pub(crate) parked: Keyspace,
    pub(crate) refs: Keyspace,
    pub(crate) dedup: Keyspace,
    pub(crate) dedup_order: Keyspace,
    pub(crate) dead: Keyspace,
    pub(crate) dead_order: Keyspace,
    pub(crate) history: Keyspace,
    pub(crate) history_index: Keyspace,
    pub(crate) endpoints: Keyspace,
    pub(crate) counters: Keyspace,
    pub(crate) meta: Keyspace,
    pub(crate) damaged: Keyspace,
}

impl Store {
    /// Opens or creates it. Everything found is on disk when this returns: what a crash left in the kernel's
    /// buffers is synced, so that a repeat may be answered from it.
    pub(super) fn open(path: &Path) -> fjall::Result<Self> {
        let db = Database::builder(path)
            .cache_size(16 * MIB)
            // fjall's smallest journal; more of them would be more memory and a longer start.
            .max_journaling_size(64 * MIB)
            .worker_threads(1)
            .open()?;
        let keyspace = |name: &str, memtable: u64| {
            db.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable))
        };
        let store = Self {
            events: keyspace("events", 8 * MIB)?,
            deliveries: keyspace("deliveries", 4 * MIB)?,
            parked: keyspace("parked", MIB)?,
            refs: keyspace("refs", MIB)?,
            dedup: keyspace("dedup", 4 * MIB)?,
            dedup_order: keyspace("dedup_order", 2 * MIB)?,
            dead: keyspace("dead", MIB)?,
            dead_order: keyspace("dead_order", MIB)?,
            history: keyspace("history", 4 * MIB)?,
            history_index: keyspace("history_index", MIB)?,
            endpoints: keyspace("endpoints", MIB)?,
            counters: keyspace("counters", MIB)?,
            meta: keyspace("meta", MIB)?,
            damaged: keyspace("damaged", MIB)?,
            db,
        };
        store.db.persist(PersistMode::SyncAll)?;
        Ok(store)
    }

    /// Waits while the background work is so far behind that fjall would block a commit.
    ///
    /// fjall then sleeps without looking whether its worker still lives: a full disk kills the worker, and the commit
    /// would never return. Here the poison is noticed.
    pub(super) fn keep_pace(&self) -> fjall::Result<()> {
        let busy =
            |keyspace: &Keyspace| keyspace.sealed_memtable_count() >= 2 || keyspace.l0_table_count() >= 28;
        let big = [&self.events, &self.deliveries, &self.dedup, &self.dedup_order, &self.history];
        let small = [
            &self.parked,
            &self.refs,
            &self.dead,
            &self.dead_order,
            &self.history_index,
            &self.counters,
            &self.meta,
        ];
        while big.iter().chain(&small).any(|keyspace| busy(keyspace)) {
            self.db.persist(PersistMode::Buffer)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}
