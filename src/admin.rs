//! The admin listener: health, metrics, reload, status and test events over HTTP/1.1.
//!
//! What it says and does comes from an [`AdminBackend`], so that nothing here knows how the daemon is wired. What
//! a browser could be tricked into (a foreign page that posts, a name that was rebound to this machine) and who has no
//! login is refused by [`guard`] before a route sees it. Every route gets the [`Caller`]; what belongs to another
//! account than the caller's is not there.

mod backend;
mod caller;
mod dead_letter_routes;
mod dead_letters;
mod deliveries;
mod delivery_routes;
mod door;
mod endpoint;
mod endpoints;
mod explain;
mod filter;
mod front;
mod guard;
mod login;
mod object;
mod openapi;
mod page;
mod problem;
mod query;
mod routes;
mod scoped;
mod serve;
mod status;

#[cfg(test)]
mod tests;

pub use backend::{AdminBackend, EndpointBackend, TestError};
pub use caller::{Caller, Scope, Way};
pub use dead_letters::{
    DeadLetterPage, Deleted, Erased, ExportedLetter, LetterLines, ReplayJob, ReplayList, ReplayRequest,
    ReplayState,
};
pub use deliveries::{
    Answered, AttemptRecord, DeliveriesBackend, DeliveryDetail, DeliveryError, DeliveryPage, DeliveryState,
    DeliverySummary, EventDetail, Retried,
};
pub use endpoint::{
    Collision, EffectiveSetting, EndpointChange, EndpointDetail, EndpointError, EndpointList, Order,
    Precondition, SettingIssue, Settings, UnsavedTest,
};
pub use explain::{EndpointExplanation, ExplainEvent, Explanation};
pub use filter::{DeliveryFilter, Wanted, rfc3339};
pub use front::Front;
pub use page::PageBackend;
pub use problem::Problem;
pub use serve::serve;
pub use status::{
    ConfigIssue, ConfigStatus, EndpointStatus, Health, ReloadReport, ReloadResult, SpoolStatus, Status,
    TestEvent, TestMessage, TestReport, TestTimings,
};
