//! Publishes deliveries to NATS: into a JetStream stream, whose acknowledgement is the delivery, or to a plain subject.
//!
//! # How it gets there
//! `async-nats` dials by itself. So that nothing is dialled that the host's guard has not checked, each server's name is
//! resolved and checked by the host, and the client is given the checked address alone, with a certificate
//! verifier that knows the name. It follows no server that another one advertises, and once it is connected it has nowhere to
//! reconnect to: a connection that breaks fails what waits on it, and the next attempt makes another, checked
//! again. A change of what may be reached closes it as well.
//!
//! # What an outcome means
//! With JetStream a delivery is made when the stream says that it has it; `Nats-Msg-Id` is the event's id, so the stream
//! takes a repeat only once within its duplicate window. Without, it is made when the server has read it, which
//! a question behind it finds out; whether anybody listens, nobody knows.

mod auth;
mod link;
mod message;
mod outcome;
mod plan;
mod refusals;
mod server;
mod settings;
mod sink;
mod subject;

pub use plan::NatsSinkFactory;

#[cfg(test)]
mod tests;
