//! The daemon from outside: the real binary, real sockets on loopback, real files.
//!
//! Every test has its own daemon, folder and receiver. Nothing sleeps to synchronise: tests look, within a deadline,
//! at what can be seen from outside.

#[cfg(test)]
mod absent;
#[cfg(test)]
mod abuse;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod backlog;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod csrf;
#[cfg(test)]
mod dedup;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod dev;
mod durability;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod guides;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod layers;
#[cfg(all(test, feature = "nats"))]
mod nats;
#[cfg(test)]
mod outward;
#[cfg(test)]
mod page;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod publishers;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod schemathesis;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod spool;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod suites;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transcripts;
#[cfg(test)]
mod unit;
#[cfg(all(test, feature = "wasm"))]
mod wasm;
