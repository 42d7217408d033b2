use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// An answer of the ingress.
pub(super) type Answer = Response<Full<Bytes>>;

/// What is wrong with one event of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ItemError {
    /// Which event, counted from 0; 0 too where the body is a single event.
    pub(super) index: usize,
    /// JSON pointer (RFC 6901) within that event.
    pub(super) pointer: String,
    /// What is wrong and what to do.
    pub(super) detail: String,
}

/// The kinds of refusal. Each is a `type` that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    UnknownPublisher,
    OverRate,
    UnsupportedType,
    UnsupportedEncoding,
    TooLarge,
    NotJson,
    NotAnEvent,
    KeyConflict,
    SpoolFull,
    SpoolFailing,
    Overloaded,
    Stopping,
    TooSlow,
    HeadTooLarge,
    TargetTooLong,
}

impl Kind {
    /// Status, the end of the `type`, and the title.
    const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad-request", "The request is malformed"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method-not-allowed", "Events are posted"),
            Self::UnknownPublisher => (S::UNAUTHORIZED, "unknown-publisher", "The publisher is not known"),
            Self::OverRate => (S::TOO_MANY_REQUESTS, "over-rate", "The publisher posts faster than it may"),
            Self::UnsupportedType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "The content type is not taken")
            }
            Self::UnsupportedEncoding => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "The content encoding is not taken")
            }
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::NotJson => (S::BAD_REQUEST, "not-json", "The body is not JSON"),
            Self::NotAnEvent => (S::UNPROCESSABLE_ENTITY, "not-an-event", "The body is not an event"),
            Self::KeyConflict => {
                (S::UNPROCESSABLE_ENTITY, "key-conflict", "The idempotency key was used for another content")
            }
            Self::SpoolFull => (S::SERVICE_UNAVAILABLE, "spool-full", "The spool is full"),
            Self::SpoolFailing => (S::SERVICE_UNAVAILABLE, "spool-failing", "The spool cannot write"),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", "Too much is in flight"),
            Self::Stopping => (S::SERVICE_UNAVAILABLE, "stopping", "The daemon is stopping"),
            Self::TooSlow => (S::REQUEST_TIMEOUT, "too-slow", "The request came too slowly"),
            Self::HeadTooLarge => {
                (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "The request's head is too large")
            }
            Self::TargetTooLong => (S::URI_TOO_LONG, "target-too-long", "The request's target is too long"),
        }
    }

    /// The status it is answered with.
    pub(super) const fn status(self) -> StatusCode {
        self.facts().0
    }
}

/// A refusal: an RFC 9457 problem document with what belongs into the head beside it.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) detail: Cow<'static, str>,
    pub(super) errors: Vec<ItemError>,
    /// How many events are refused by it; 1 where that cannot be known.
    pub(super) events: u64,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A refusal that says what to do.
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), events: 1, headers: Vec::new() }
    }

    /// With what is wrong, event by event.
    pub(super) fn errors(mut self, errors: Vec<ItemError>) -> Self {
        self.errors = errors;
        self
    }

    /// About so many events.
    pub(super) fn about(mut self, events: usize) -> Self {
        self.events = u64::try_from(events).unwrap_or(u64::MAX).max(1);
        self
    }

    /// The connection is not to be used again.
    pub(super) fn closing(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// When to try again: whole seconds, rounded up.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The methods that are taken.
    pub(super) fn allow(self, methods: &'static str) -> Self {
        self.header(ALLOW, HeaderValue::from_static(methods))
    }

    /// The content types that are taken.
    pub(super) fn accept(self, types: &'static str) -> Self {
        self.header(ACCEPT, HeaderValue::from_static(types))
    }

    /// The content encodings that are taken.
    pub(super) fn accept_encoding(self, encodings: &'static str) -> Self {
        self.header(ACCEPT_ENCODING, HeaderValue::from_static(encodings))
    }

    /// A way to say who one is.
    pub(super) fn challenge(self, challenge: &'static str) -> Self {
        self.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The document.
    pub(super) fn document(&self) -> Bytes {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [ItemError],
        }
        let (status, name, title) = self.kind.facts();
        let document = Document {
            r#type: format!("urn:postrider:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Answer {
        let mut answer = Response::new(Full::new(self.document()));
        *answer.status_mut() = self.kind.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        answer
    }

    /// The answer as bytes, for where there is no request to answer: it closes the connection.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let (status, document) = (self.kind.status(), self.document());
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            document.len(),
        )
        .into_bytes();
        bytes.extend_from_slice(&document);
        bytes
    }
}
