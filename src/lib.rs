//! Postrider: an event forwarding daemon. `ARCHITECTURE.md` has the picture and the rule of the layers.
//!
//! As a library it is two things: the whole command line with sinks of one's own ([`Postrider`]), and a daemon to start
//! and stop within another program ([`app::App`]), as often as wanted: nothing of it is global.

pub mod admin;
pub mod app;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod history;
pub mod ids;
pub mod ingress;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod reload;
pub mod router;
pub mod sinks;
pub mod spool;
pub mod table;

pub use cli::{Exit, Postrider};
/// The contract between Postrider and its sinks, so that a sink of one's own needs this crate alone.
pub use postrider_sink as sink;
