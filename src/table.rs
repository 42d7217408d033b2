//! The subscription table: who gets which event. A [`Table`] never changes; a reload publishes the next one, and
//! every event is judged by exactly one of them. Matching costs what it matches, not what is configured.

mod catalogue;
mod endpoint;
mod explain;
pub mod filter;
mod index;
mod sink;

pub use catalogue::Catalogue;
pub use endpoint::{EndpointSpec, Lifecycle, Selection};
pub use explain::{Condition, Explained};
pub use filter::Filter;
pub use index::{Candidates, Entry, Table};
pub use sink::SinkSpec;
