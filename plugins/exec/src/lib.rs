//! Delivers to a program in any language: a child process that speaks JSON lines on its standard input and output,
//! with one acknowledgement per event.
//!
//! # The protocol, version 1
//! Every message is one JSON object on one line. Postrider begins:
//! ```json
//! {"postrider":1,"endpoint":"acme","in_flight":16,"settings":{"path":"/data/events"}}
//! ```
//! The program answers within 10 seconds that it is ready, in the version it speaks:
//! ```json
//! {"postrider":1}
//! ```
//! Then events come, at most `in_flight` of them unanswered. `n` is always the first member and numbers the attempt;
//! `id` is the event's, the same on every attempt, by which a program can recognise a repeat:
//! ```json
//! {"n":1,"id":"evt_…","event":"delivered","product":"campaigns","attempt":1,"deadline_ms":15000,"body":{…}}
//! ```
//! Each is answered once, in any order:
//! ```json
//! {"n":1,"result":"ok"}
//! {"n":2,"result":"retry","reason":"the disk is full","after_ms":5000}
//! {"n":3,"result":"reject","reason":"no such table"}
//! {"n":4,"result":"gone","reason":"the account was closed"}
//! ```
//! `retry` may say `"scope":"event"` (it is about this event: the circuit breaker does not count it) or
//! `"scope":"endpoint"` (every delivery waits until then). `account`, `traceparent` and `"test":true` are there where
//! they apply. Members that a side does not know it ignores.
//!
//! The end of its standard input asks the program to end. Standard error goes to the log.
//!
//! # What always holds
//! Nothing that the program does reaches another endpoint: lines and floods are bounded, its memory is limited, answers
//! to what was not asked are counted and ignored, a program that stops or hangs is started again with backoff. It runs in a
//! process group of its own, which is gone when the sink is.

mod answer;
mod child;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod lines;
mod message;
mod pending;
mod session;
mod settings;
mod sink;
mod stderr;
mod supervisor;

pub use settings::ExecSinkFactory;

#[cfg(test)]
mod tests;
