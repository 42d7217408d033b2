//! The contract between Postrider and its sinks.
//!
//! A sink is the kind of destination an endpoint file names with its one table: `[http]`, `[file]`. It comes in
//! three steps, each with a type of its own, so that a configuration can be checked without touching anything:
//!
//! 1. a [`SinkFactory`] *checks* the settings of one endpoint: pure, no I/O, every error at once, each with the
//!    path of the key it is about;
//! 2. the [`SinkPlan`] that comes out *builds* a sink, with what the host hands it in a [`HostContext`];
//! 3. the [`Sink`] makes one attempt after another. A failure is an [`Outcome`], never an `Err`.
//!
//! The host owns the deadline, retries, the circuit breaker, order, rate and concurrency. What always holds: the
//! future of an attempt may be dropped at any await, and a panic in a sink is one failed attempt.
//!
//! A sink that needs no more than its settings is one type with two functions: [`SimpleSink`]. The feature `testkit`
//! has the suite that every plugin runs against itself.
//!
//! # Stability
//! [`CONTRACT`] is the version of this contract. Within a version it only gains: methods with a default, fields of what
//! the host hands over, words of an enum that the host alone makes. Fields of [`Delivery`] and [`HostContext`] are the
//! host's to fill in: build them in tests with the testkit, which knows them all.

mod connect;
mod delivery;
mod file;
mod host;
mod outcome;
mod reader;
mod secret;
mod settings;
mod simple;
#[cfg(feature = "testkit")]
pub mod testkit;
mod trail;

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use connect::{ConnectError, ConnectErrorKind, Connection, Connector, Io};
pub use delivery::Delivery;
pub use file::SettingsFile;
pub use host::{Host, HostContext, Task};
pub use outcome::{FailureClass, Outcome, Verdict, Wait};
pub use reader::Reader;
pub use secret::Secret;
pub use settings::{At, KeyPath, SettingError, Table, Value};
pub use simple::{Simple, SimpleSink, simple};
pub use trail::{Exchange, Timings, Trail};

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The version of this contract.
pub const CONTRACT: u32 = 1;

/// Where a sink reads the time, so that tests and simulations own it.
pub trait Clock: Send + Sync + 'static {
    /// The monotonic time, for measuring.
    fn now(&self) -> Instant;
    /// The time since the Unix epoch, for timestamps.
    fn unix(&self) -> Duration;
    /// The same as it would be if nobody had set the machine's clock since this process began: for ages and waits,
    /// which no correction of a clock may stretch or shorten.
    fn steady(&self) -> Duration {
        self.unix()
    }
}

/// Why a sink could not be built from settings that were checked: a file that is not there, a bad certificate.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BuildError(pub String);

/// One kind of destination.
pub trait SinkFactory: Send + Sync + 'static {
    /// The name of its table in an endpoint file: `http`. Lower-case letters, digits, hyphens.
    fn kind(&self) -> &'static str;

    /// What it is, one line for people.
    fn about(&self) -> &'static str {
        ""
    }

    /// The JSON Schema (2020-12) of its table, for editors and forms: the text of an object. What it does not say,
    /// [`Self::check`] says; a secret is a string there, and the host adds that it may be a reference where a
    /// property has `"format": "password"`.
    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(r#"{"type":"object"}"#)
    }

    /// The keys of its table whose strings name files that belong to the settings. The host reads them and hands each over
    /// as a [`Value::File`], watches them, and builds the sink anew when one of them has changed.
    fn files(&self) -> &'static [&'static str] {
        &[]
    }

    /// Checks the settings of one endpoint: no I/O, no environment, no clock.
    ///
    /// # Errors
    /// Every error at once.
    fn check(&self, settings: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>>;
}

/// Checked settings, ready to become a sink.
#[async_trait]
pub trait SinkPlan: Send + Sync + 'static {
    /// Where deliveries go, for people: no secret in it.
    fn destination(&self) -> String;

    /// Changes exactly when the destination or the credentials change. An endpoint that was suspended because its
    /// destination said that it is gone is tried again when this changes.
    fn fingerprint(&self) -> u64;

    /// Makes the sink. May do I/O; what it keeps running it hands to [`Host::spawn`].
    ///
    /// # Errors
    /// What is missing, for people.
    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError>;
}

/// A destination that attempts are made against.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Makes one attempt. The host drops the future at its deadline: what `delivery.trail` holds by then is kept.
    async fn deliver(&self, delivery: &Delivery) -> Outcome;
}
