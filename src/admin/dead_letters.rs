//! Dead letters as the API shows them, and replays as jobs.

use super::deliveries::{Answered, DeliverySummary};
use super::filter::DeliveryFilter;
use axum::body::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Lines of JSON, as they are read.
pub type LetterLines = BoxStream<'static, Answered<Bytes>>;

/// One page of dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPage {
    /// Newest dead first. May be empty although more follow.
    pub dead_letters: Vec<DeliverySummary>,
    /// Where to go on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A line of an export.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportedLetter {
    /// What a list says of it.
    pub delivery: DeliverySummary,
    /// The body; absent if it is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Box<RawValue>>,
}

/// How many were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Dead letters.
    pub deleted: u64,
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Erased {
    /// Deliveries that waited. One whose attempt ran meanwhile may still have arrived.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// Entries of history.
    pub history: u64,
}

/// A replay that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayRequest {
    /// Which dead letters; `state` makes no sense here. Without any member: all.
    #[serde(deserialize_with = "super::object::object")]
    pub filter: DeliveryFilter,
    /// How fast: `50/s` where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Only count.
    pub dry_run: bool,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It counts what it will replay.
    Counting,
    /// It replays.
    Running,
    /// It has seen all of them.
    Done,
    /// A person ended it.
    Cancelled,
    /// The store failed; what it has not replayed stays a dead letter.
    Failed,
}

impl ReplayState {
    /// Whether it goes on.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Counting | Self::Running)
    }
}

/// A replay. It lives in the daemon's memory: a restart ends it, and what it has not replayed by then is still a dead
/// letter. Each letter becomes a delivery in one commit, so none is lost and none replayed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayJob {
    /// `rpl_…`.
    pub id: String,
    /// How it stands.
    pub state: ReplayState,
    /// Which dead letters.
    pub filter: DeliveryFilter,
    /// How fast.
    pub rate: String,
    /// Only counts.
    pub dry_run: bool,
    /// How many there are: those that died before it began.
    pub matched: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// How many are deliveries again.
    pub replayed: u64,
    /// How many stay dead letters: their endpoint is not there any more, or their body is damaged.
    pub skipped: u64,
    /// Why it waits, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// The replays since the daemon's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayList {
    /// Newest first.
    pub replays: Vec<ReplayJob>,
}
