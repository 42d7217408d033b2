//! What the API answers, as plain data. Readers accept members they do not know, so that answers only ever gain.

use crate::chance::SystemChance;
use crate::clock::unix_ms;
use crate::ids::EventId;
use bytes::Bytes;
use postrider_sink::{Clock, Delivery, Timings};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// The answer of the health paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `unready`.
    pub status: String,
    /// Why it is unready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How the daemon is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Status {
    /// Of this program.
    pub version: String,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Which configuration is in force.
    pub generation: u64,
    /// Why it takes no events now, if it does not.
    pub unready: Option<String>,
    /// Every endpoint, in the order of their names.
    pub endpoints: Vec<EndpointStatus>,
    /// The store.
    pub spool: SpoolStatus,
    /// The files.
    pub config: ConfigStatus,
}

/// How one endpoint is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EndpointStatus {
    /// Its name.
    pub name: String,
    /// The account it is for.
    pub account: Option<String>,
    /// A word of [`crate::metrics::names::ENDPOINT_STATES`].
    pub state: String,
    /// What the state means just now, for people: why it is held, and until when.
    pub note: Option<String>,
    /// When its state began, milliseconds since the Unix epoch, as far as it is known.
    pub since_ms: Option<u64>,
    /// The kind of its sink.
    pub sink: Option<String>,
    /// Where deliveries go, without secrets.
    pub destination: Option<String>,
    /// Deliveries neither parked nor settled.
    pub ready: u64,
    /// Deliveries that wait for their retry.
    pub parked: u64,
    /// Dead letters kept.
    pub dead: u64,
    /// When the oldest that waits was accepted, milliseconds since the Unix epoch.
    pub oldest_ms: Option<u64>,
    /// Attempts that run now.
    pub in_flight: u64,
    /// Why the last attempt that failed did.
    pub last_error: Option<String>,
    /// The events it wants; `["all"]`: all.
    pub events: Vec<String>,
    /// Of these products; likewise.
    pub products: Vec<String>,
    /// Its file is rejected: it runs its last good version, or (state `invalid`) none.
    pub rejected: bool,
    /// Events it did not get because its filter could not tell, since the filter is in force,
    pub filter_failures: u64,
    /// and why not the last time.
    pub filter_error: Option<String>,
}

/// How the store is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SpoolStatus {
    /// Its folder.
    pub path: String,
    /// Bytes of undelivered work.
    pub bytes: u64,
    /// The most it takes.
    pub max_bytes: u64,
    /// Why it cannot take events now.
    pub trouble: Option<String>,
}

/// How the files are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConfigStatus {
    /// The daemon's file.
    pub path: String,
    /// When the last reload ended, milliseconds since the Unix epoch.
    pub last_reload_ms: Option<u64>,
    /// What is wrong with the files as they are now. What ran before still runs.
    pub errors: Vec<ConfigIssue>,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConfigIssue {
    /// Which file.
    pub file: String,
    /// Counted from 1; 0: the whole file.
    pub line: u64,
    /// Counted from 1, in characters.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What was probably meant, what is allowed, what to do.
    pub help: Option<String>,
    /// What runs meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a reload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReloadResult {
    /// All of it is in force.
    Applied,
    /// Nothing had changed.
    Unchanged,
    /// What was valid is in force; the rest runs as before.
    Partial,
    /// Everything runs as before.
    Rejected,
}

/// The answer to a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// What it came to.
    pub result: ReloadResult,
    /// Which configuration is in force now.
    pub generation: u64,
    /// What is wrong with the files as they are now.
    #[serde(default)]
    pub errors: Vec<ConfigIssue>,
}

impl ReloadReport {
    /// Whether no file is rejected.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self.result, ReloadResult::Applied | ReloadResult::Unchanged) && self.errors.is_empty()
    }
}

/// The test event that is asked for. What is left out, the daemon fills in with something the endpoint subscribed to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestEvent {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Its product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Its `data`; the bytes go out as they came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
}

impl TestEvent {
    /// The delivery of this test event, in a real event's shape with an id of its own. `event` and `product` are
    /// what the caller settled on.
    #[must_use]
    pub fn delivery(
        &self,
        event: &Arc<str>,
        product: &Arc<str>,
        account: Option<Arc<str>>,
        clock: &dyn Clock,
    ) -> Delivery {
        let now = unix_ms(clock);
        let id = EventId::at(now, &SystemChance);
        let trace = u128::from_be_bytes(id.0);
        let span = (trace & u128::from(u64::MAX)).max(1);
        let id = id.to_string().replacen("evt_", "evt_test_", 1);
        let at = i64::try_from(now).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        // `{event:?}` would escape as Rust does; JSON has rules of its own.
        let name = serde_json::Value::from(event.as_ref());
        let sample = || {
            let id = format!("wamid.TEST{now}");
            format!(r#"{{"message_id":"{id}","status":{name},"details":{{"test":true}}}}"#)
        };
        let data = self.data.as_ref().map_or_else(sample, |data| data.get().to_owned());
        Delivery {
            id: id.into(),
            event: event.clone(),
            product: product.clone(),
            account,
            body: Bytes::from(format!("{{\"event\":{name},\"timestamp\":\"{at:.3}\",\"data\":{data}}}")),
            attempt: 1,
            test: true,
            traceparent: Some(format!("00-{trace:032x}-{span:016x}-00").into()),
            trail: Arc::default(),
        }
    }
}

/// What became of a test event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TestReport {
    /// Whether it landed.
    pub ok: bool,
    /// The answer's status code.
    pub status: Option<u16>,
    /// What the destination or the network said, one line.
    pub reason: String,
    /// Where it went, without secrets.
    pub destination: String,
    /// The test event's id: `evt_test_…`.
    pub id: String,
    /// How long it took.
    pub timings: TestTimings,
    /// How long it took to the microsecond, for the page.
    #[serde(skip)]
    pub took: Duration,
    /// Likewise, each step of it.
    #[serde(skip)]
    pub steps: Timings,
    /// Cause and remedy in a sentence; absent where it landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The same request as a command line, with the credential hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curl: Option<String>,
    /// What was sent, secrets hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<TestMessage>,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<TestMessage>,
}

/// One side of the exchange of a test event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TestMessage {
    /// Name and value of each header, in order.
    pub headers: Vec<(String, String)>,
    /// The first 64 KiB; what is no UTF-8 is shown as U+FFFD.
    pub body: String,
    /// There was more.
    pub truncated: bool,
}

/// Milliseconds of each step; absent: not taken or not finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TestTimings {
    /// The whole attempt.
    pub total_ms: u64,
    /// Looking the name up.
    pub dns_ms: Option<u64>,
    /// The TCP handshake.
    pub connect_ms: Option<u64>,
    /// The TLS handshake.
    pub tls_ms: Option<u64>,
    /// From the request's last byte to the head of the answer.
    pub wait_ms: Option<u64>,
}
