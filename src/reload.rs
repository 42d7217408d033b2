//! Turns changes of files into publications.
//!
//! A [`Watcher`] hints that something may have changed; SIGHUP and `POST /-/reload` ask outright. The
//! [`ReloadActor`] then has the files read and judged beside it (*evaluate*), compares what came out with what is in
//! force, and publishes the difference. What always holds: the daemon's file applies as a whole or not at all; each
//! endpoint file stands alone, and a bad one keeps its last good version; a folder that is missing or suddenly empty
//! removes nobody.

mod actor;
mod by_name;
mod evaluate;
mod fixed;
mod handle;
mod judge;
mod keeper;
mod kept_files;
mod last_good;
mod metrics;
mod outcome;
mod round;
mod snapshot;
#[cfg(test)]
mod tests;
mod watcher;

pub use actor::{ReloadActor, ReloadArgs, ReloadMessage, ReloadState, RoundFinished};
pub use by_name::{ByName, Named};
pub use evaluate::{Initial, Running, initial};
pub use handle::ReloadHandle;
pub use last_good::LastGood;
pub use outcome::{Change, ReloadOutcome, ReloadStatus};
pub use round::Publish;
pub use snapshot::WatchPaths;
pub use watcher::{WatchTimes, Watcher};
