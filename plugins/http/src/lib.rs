//! Sends deliveries over HTTP/1.1 with Basic Authentication, or what else proves who is calling.
//!
//! Settings become a [`request::Template`] once; an attempt copies it, takes a kept connection from the pool or
//! makes one through the host's guarded connector, and turns the head of the answer into an outcome. There is no
//! task behind a connection: the attempt that uses it drives it, and one that nobody uses is looked at before it
//! is used again. What always holds: a redirect is never followed, an answer is read up to 16 KiB and never
//! inflated, and no reason holds a secret or the query of a URL.

mod answer;
mod auth;
mod credentials;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod headers;
mod link;
mod plan;
mod pool;
mod proxy;
mod request;
mod settings;
mod signing;
mod sink;

#[cfg(test)]
mod tests;

pub use plan::HttpSinkFactory;
pub use rustls::RootCertStore;
