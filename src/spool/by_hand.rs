//! A spool without threads of its own: whoever opened it makes its writer turn. Everything in it then happens in one
//! order, which is what a simulation needs to do the same twice.

use super::embedded::{Opened, Opening};
use super::store::Ways;
use super::writer::Writer;
use super::{DedupLimits, Disk, EmbeddedSpool, Listener, OpenError};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::SpoolConfig;
use crate::metrics::Metrics;
use std::sync::Arc;
use tokio_util::sync::DropGuard;

/// What a spool without threads works with, beside what every spool does.
pub struct ByHand {
    /// The disk under its log.
    pub disk: Arc<dyn Disk>,
    /// The rest of its events' ids.
    pub chance: Arc<dyn Chance>,
    /// Bytes of a segment of its log.
    pub segment: u64,
    /// Bytes kept back on the disk; at least one.
    pub reserve: u64,
}

/// The writer of a spool without threads. Dropped without [`Self::close`], it leaves what a kill leaves.
pub struct HandWriter {
    writer: Writer,
    _over: DropGuard,
}

impl HandWriter {
    /// Commits everything that was said since the last turn, and does what is due by the clock. False: it was told to
    /// close.
    pub fn turn(&mut self) -> bool {
        self.writer.turn()
    }

    /// Writes and syncs all there is, and closes the store.
    pub fn close(self) {
        self.writer.close();
    }
}

impl EmbeddedSpool {
    /// Opens or creates a spool without threads. Reads block whoever makes them.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_by_hand(
        config: &SpoolConfig,
        dedup: DedupLimits,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        listener: Listener,
        by_hand: ByHand,
    ) -> Result<(Arc<Self>, HandWriter), OpenError> {
        let ByHand { disk, chance, segment, reserve } = by_hand;
        let ways = Ways { disk, segment, by_hand: true };
        let opening = Opening { config, dedup, clock, metrics, listener, chance, reserve, ways };
        let Opened { spool, writer, over } = opening.open()?;
        Ok((Arc::new(spool), HandWriter { writer, _over: over }))
    }
}
