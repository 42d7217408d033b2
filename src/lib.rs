//! Postrider: an event forwarding daemon. `ARCHITECTURE.md` has the picture and the rule of the layers.

pub mod admin;
pub mod app;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
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

pub use cli::Postrider;
