//! Delivers to a WebAssembly component: a sandbox with limits on memory and time, in which nothing can be reached but the
//! hosts that the endpoint's file declares.
//!
//! # What a component is
//! One that exports `postrider:sink/delivery@1.0.0` of the world in `wit/sink.wit`, made from any language. It is compiled
//! when the settings are checked, so that one that does not load is an error in the endpoint's file like any other, and the
//! version before stays in force. The host watches the file; another content is another configuration.
//!
//! # How an attempt is made
//! Instances are kept and used again, as many as attempts run at once; one that traps is thrown away. They run on a few
//! threads of their own, at a lower priority than the daemon's, and are interrupted every 10 ms: a component that never
//! ends delays nobody and is one failed attempt.
//!
//! # What it has
//! Requests to declared hosts, through the host's guarded connector; lines for the log; the time; its settings. Components
//! of most languages ask for WASI besides: clocks, random numbers and standard output are there, all else is refused by
//! a trap that says what was asked for.
#![cfg(feature = "engine")]

mod component;
mod engine;
mod hosts;
mod http;
mod imports;
mod json;
mod line;
mod log;
mod outcome;
mod output;
mod plan;
mod pool;
mod settings;
mod sink;
mod state;
mod wasi;
mod wit;

#[cfg(test)]
mod tests;

pub use plan::WasmSinkFactory;
