//! The admin listener: health, metrics, reload, status and test events over HTTP/1.1.
//!
//! What it says and does comes from an [`AdminBackend`], so that nothing here knows how the daemon is wired. What
//! a browser could be tricked into (a foreign page that posts, a name that was rebound to this machine) and who has no
//! login is refused by [`guard`] before a route sees it. Every route gets the [`Caller`]; what belongs to another
//! account than the caller's is not there.

mod backend;
mod caller;
mod door;
mod endpoint;
mod endpoints;
mod explain;
mod guard;
mod login;
mod openapi;
mod problem;
mod routes;
mod serve;
mod status;

#[cfg(test)]
mod tests;

pub use backend::{AdminBackend, EndpointBackend, TestError};
pub use caller::{Caller, Scope, Way};
pub use endpoint::{
    Collision, EffectiveSetting, EndpointChange, EndpointDetail, EndpointError, EndpointList, Order,
    Precondition, SettingIssue, Settings, UnsavedTest,
};
pub use explain::{EndpointExplanation, ExplainEvent, Explanation};
pub use problem::Problem;
pub use serve::serve;
pub use status::{
    ConfigIssue, ConfigStatus, EndpointStatus, Health, ReloadReport, ReloadResult, SpoolStatus, Status,
    TestEvent, TestMessage, TestReport, TestTimings,
};
