//! What went wrong, in words for people.

use async_nats::client::{PublishError, PublishErrorKind as Core};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError as StoreError, PublishErrorKind as Store};
use async_nats::{ConnectError, ConnectErrorKind};
use postrider_sink::{ConnectError as NoWay, ConnectErrorKind as Way, FailureClass, Outcome, Verdict};
use std::error::Error;
use std::io;

/// What the other side says is shown so far.
const SHOWN: usize = 200;

/// One line of bounded length, whatever the server said.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(SHOWN).collect()
}

/// A failure that says something about this event only.
pub(crate) fn unfit(reason: String) -> Outcome {
    Outcome::unfit(FailureClass::SinkError, reason)
}

/// The host found no checked way to a server.
pub(crate) fn no_way(error: NoWay) -> Outcome {
    let class = match error.kind {
        Way::Blocked => return Outcome { verdict: Verdict::Blocked, reason: error.message.into() },
        Way::Dns => FailureClass::Dns,
        Way::Connect => FailureClass::Connect,
        Way::Timeout => FailureClass::Timeout,
    };
    Outcome::failed(class, error.message)
}

/// Nobody answers as a NATS server does, or not for us.
pub(crate) fn not_connected(server: &str, host: &str, error: &ConnectError) -> Outcome {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(io) = io.filter(|io| io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())) {
        return Outcome::failed(FailureClass::Tls, postrider_sink_tls::reason(host, io));
    }
    let detail = || error.source().map(|source| clean(&source.to_string())).unwrap_or_default();
    match error.kind() {
        ConnectErrorKind::Authentication => {
            Outcome::failed(FailureClass::SinkError, format!("{server}: the challenge could not be signed"))
        }
        ConnectErrorKind::AuthorizationViolation => {
            Outcome::failed(FailureClass::SinkError, format!("{server} refuses the credentials"))
        }
        ConnectErrorKind::TimedOut => {
            Outcome::failed(FailureClass::Timeout, format!("{server} does not answer as a NATS server"))
        }
        ConnectErrorKind::Tls => {
            Outcome::failed(FailureClass::Tls, format!("TLS with {server} failed: {}", detail()))
        }
        _ => match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => {
                Outcome::failed(FailureClass::Connect, format!("connection refused at {server}"))
            }
            _ => Outcome::failed(FailureClass::Connect, format!("no connection to {server}: {}", detail())),
        },
    }
}

/// A stream did not take it.
pub(crate) fn not_stored(subject: &str, error: &StoreError) -> Outcome {
    let failed = |class, reason: String| Outcome::failed(class, reason);
    match error.kind() {
        Store::StreamNotFound => {
            let reason = format!("no stream takes the subject {subject}: make one, or set jetstream = false");
            failed(FailureClass::SinkError, reason)
        }
        Store::TimedOut => failed(FailureClass::Timeout, format!("no stream acknowledged {subject} in time")),
        Store::BrokenPipe | Store::MaxAckPending => {
            failed(FailureClass::Connect, String::from("the connection broke before an acknowledgement"))
        }
        Store::MaxPayloadExceeded => unfit(String::from("the event is larger than the server takes")),
        _ => match error.source().and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>()) {
            Some(said) => {
                let reason = format!("the stream refuses it: {}", clean(&said.to_string()));
                // About this event: its size. Anything else concerns all of them.
                match said.error_code() {
                    ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => unfit(reason),
                    _ => failed(FailureClass::SinkError, reason),
                }
            }
            None => failed(FailureClass::SinkError, String::from("the acknowledgement is none")),
        },
    }
}

/// It could not be sent.
pub(crate) fn not_sent(error: &PublishError) -> Outcome {
    match error.kind() {
        Core::MaxPayloadExceeded => unfit(String::from("the event is larger than the server takes")),
        Core::InvalidSubject => unfit(String::from("the subject of the event cannot be published to")),
        Core::Send => Outcome::failed(FailureClass::Connect, "the connection broke"),
    }
}

/// The server did not say in time that it has read it.
pub(crate) fn not_read() -> Outcome {
    let reason = "the server did not say in time that it has read the event";
    Outcome::failed(FailureClass::Timeout, reason)
}

/// It cannot say so any more.
pub(crate) fn broken() -> Outcome {
    Outcome::failed(FailureClass::Connect, "the connection broke before the server had read the event")
}
