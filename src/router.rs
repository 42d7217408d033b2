//! The router actor: matches every event against the table, hands it to the spool, and supervises the endpoint
//! actors.
//!
//! It alone publishes a table, between two messages, so that an event is judged by exactly one generation. It spawns
//! an endpoint's actor when there is first work, restarts it with backoff when it fails, reconfigures it in place
//! when its file changes, and stops it when it asks to retire and was sent nothing since.

mod actor;
mod children;
mod directory;
mod filters;
mod handle;
mod labels;
mod publish;

#[cfg(test)]
mod tests;

pub use actor::{RouterDeps, RouterMessage};
pub use directory::{Directory, Observed};
pub use handle::{Publication, RouterHandle, Submission};
