//! One actor per endpoint in use: it decides which delivery is attempted when, and makes the attempts.
//!
//! ```text
//! router ─Wake(bodies)─▶ mailbox ─▶ window (order) ─▶ gate (paused, told to wait, breaker, slots) ─▶ attempt task
//!                        spool ◀─read when it missed some                          settle or park ◀─┘ outcome
//! ```
//! What always holds: the spool is the truth, and an actor that dies forgets nothing that matters. Its attempts in
//! flight and its settlements that are not written yet stay together within the endpoint's concurrency, so that a
//! kill of the process repeats at most that many deliveries.

mod actor;
mod attempt;
mod expiry;
mod finish;
mod handle;
mod hold;
mod intake;
mod limit;
mod pump;
mod shared;

pub use actor::{EndpointActor, EndpointArgs, EndpointMessage};
pub use attempt::{Attempt, attempt};
pub use handle::EndpointHandle;
pub use limit::{AttemptLimit, AttemptPermit};
pub use shared::{Absent, Condition, EndpointShared, Problem};
