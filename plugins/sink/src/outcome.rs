use std::borrow::Cow;
use std::time::Duration;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it means for the delivery and its endpoint.
    pub verdict: Verdict,
    /// For people, one line without secrets: `503 Service Unavailable`.
    pub reason: Cow<'static, str>,
}

/// What an attempt's result means for the delivery and its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The destination has it.
    Delivered,
    /// It may work later.
    Failed {
        /// What kind of failure.
        class: FailureClass,
        /// Whether it says something about the endpoint, so that the circuit breaker counts it.
        breaker: bool,
        /// What the destination asked for.
        wait: Wait,
    },
    /// The destination is gone: this delivery is dead, the others are held until a person acts.
    Suspend,
    /// This delivery will never be taken: dead at once.
    Reject,
    /// Not attempted: the address guard refuses the destination.
    Blocked,
}

/// The kind of a failure; the `result` label of `postrider_attempts_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The destination answered, not with success.
    HttpError,
    /// No answer before the deadline.
    Timeout,
    /// The name has no address.
    Dns,
    /// No connection, or it broke.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The sink itself failed, a panic included.
    SinkError,
}

impl FailureClass {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpError => "http_error",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::SinkError => "sink_error",
        }
    }
}

/// What a destination asked for by `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    None,
    /// Only this delivery waits at least so long.
    Delivery(Duration),
    /// The whole endpoint waits so long.
    Endpoint(Duration),
}

impl Outcome {
    /// The destination has it.
    #[must_use]
    pub const fn delivered(reason: Cow<'static, str>) -> Self {
        Self { verdict: Verdict::Delivered, reason }
    }

    /// A failure that the breaker counts and that asks for no wait.
    pub fn failed(class: FailureClass, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict: Verdict::Failed { class, breaker: true, wait: Wait::None }, reason: reason.into() }
    }

    /// A failure that says something about this event only: the breaker does not count it.
    pub fn unfit(class: FailureClass, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict: Verdict::Failed { class, breaker: false, wait: Wait::None }, reason: reason.into() }
    }

    /// It may work later: not before `after` for this delivery.
    pub fn later(after: Duration, reason: impl Into<Cow<'static, str>>) -> Self {
        let (class, wait) = (FailureClass::SinkError, Wait::Delivery(after));
        Self { verdict: Verdict::Failed { class, breaker: true, wait }, reason: reason.into() }
    }

    /// The destination asks the whole endpoint to wait so long; the breaker does not count it.
    pub fn busy(after: Duration, reason: impl Into<Cow<'static, str>>) -> Self {
        let (class, wait) = (FailureClass::SinkError, Wait::Endpoint(after));
        Self { verdict: Verdict::Failed { class, breaker: false, wait }, reason: reason.into() }
    }

    /// This delivery will never be taken.
    pub fn reject(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict: Verdict::Reject, reason: reason.into() }
    }

    /// The destination is gone: the endpoint is held until a person acts.
    pub fn gone(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict: Verdict::Suspend, reason: reason.into() }
    }
}
