//! The daemon, publishers and receivers in one thread, with a network, clocks, a disk and faults that a seed decides.
//!
//! The real ingress, router, endpoint actors, HTTP sink and spool run on turmoil's simulated hosts: each has a paused
//! clock and a network of its own that delays, holds, drops and cuts. The spool works on real files, but without
//! threads, and on a [`disk`] that fails, and forgets what was not synced when the power goes. [`plan`] draws from the
//! seed how many of each there are and what happens when; [`world`] lets it happen; [`judge`] looks at what arrived.
//! What always holds: one seed has one trace, however often it is run.

mod chance;
mod daemon;
mod disk;
mod files;
mod judge;
mod net;
mod plan;
mod publisher;
mod receiver;
mod trace;
mod world;

pub use judge::Verdict;
pub use plan::{Fault, Plan};

/// What came of one seed.
pub struct Outcome {
    /// Everything that happened, line by line, with its simulated time.
    pub trace: Vec<String>,
    /// What was found.
    pub verdict: Verdict,
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    world::run(&Plan::draw(seed))
}
