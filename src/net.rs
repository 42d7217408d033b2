//! The way out to the network: a name is resolved, every address it has is checked, and the checked address is
//! the one connected to.
//!
//! A [`Network`] is shared by the whole daemon. It hands each endpoint a [`GuardedConnector`], which asks the
//! cache of names ([`Resolve`] behind it), judges the whole set of addresses ([`address`]) and dials ([`Dial`])
//! one that passed. What always holds: nothing is dialled that was not judged under the policy in force, one
//! refused address refuses the name, and a name is never looked up again between the judgement and the dial.
//!
//! [`ServerTls`] is for the other direction: what the daemon's own listeners prove themselves with.

pub mod address;
mod connector;
mod dial;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod listen;
mod names;
mod policy;
mod resolve;
mod tls;

pub use connector::{GuardedConnector, Network};
pub use dial::{Dial, Dialed, TcpDial};
pub use listen::{Listen, Transport};
pub use policy::NetworkPolicy;
pub use resolve::{Resolve, SystemResolver};
pub use tls::{ServerStream, ServerTls, TlsFault, secured};
