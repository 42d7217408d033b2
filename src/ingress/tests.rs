//! The ingress over real sockets, before a router that answers as it is told.

mod cloud_events;
mod harness;
mod hygiene;
mod refusals;
mod slow;
mod taken;
