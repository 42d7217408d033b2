//! The admin listener: health, metrics, reload, status and test events over HTTP/1.1.
//!
//! What it says and does comes from an [`AdminBackend`], so that nothing here knows how the daemon is wired. Until
//! logins are asked for here, it may only listen on loopback; what a browser could be tricked into (a foreign page
//! that posts, a name that was rebound to this machine) is refused by [`guard`] before a route sees it.

mod backend;
mod explain;
mod guard;
mod problem;
mod routes;
mod serve;
mod status;

#[cfg(test)]
mod tests;

pub use backend::{AdminBackend, TestError};
pub use explain::{EndpointExplanation, ExplainEvent, Explanation};
pub use serve::serve;
pub use status::{
    ConfigIssue, ConfigStatus, EndpointStatus, Health, ReloadReport, ReloadResult, SpoolStatus, Status,
    TestEvent, TestReport, TestTimings,
};
