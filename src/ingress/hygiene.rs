use super::problem::{Kind, Problem};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use std::sync::Arc;

/// Where events are posted.
pub(super) const PATH: &str = "/v1/events";

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::BadRequest, detail).closing()
}

/// Refuses what two readers of HTTP might read in two ways, or what only a proxy would be sent
/// (RFC 9112 sections 3.2 and 6.1). What the library does not even show is the guard's.
pub(super) fn check(head: &Parts) -> Result<(), Problem> {
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(malformed(format!("{} is not taken. Events are posted to {PATH}.", head.method)));
    }
    if head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return Err(malformed(format!(
            "The target is a whole URL, as for a proxy. Use the path alone: {PATH}."
        )));
    }
    if !matches!(head.version, Version::HTTP_10 | Version::HTTP_11) {
        return Err(malformed("The version is not HTTP/1.1."));
    }
    if head.headers.contains_key(UPGRADE) {
        return Err(malformed("There is no other protocol to upgrade to: leave the Upgrade header out."));
    }
    let host = only(&head.headers, &HOST).map_err(|()| malformed("Host is given twice: give it once."))?;
    let plain = |host: &HeaderValue| {
        let bad = |byte: &u8| !byte.is_ascii_graphic() || br#"/\@?#,"#.contains(byte);
        !host.is_empty() && !host.as_bytes().iter().any(bad)
    };
    if !host.is_some_and(plain) {
        return Err(malformed("Host is missing or is not a name with an optional port."));
    }
    let coding = only(&head.headers, &TRANSFER_ENCODING)
        .map_err(|()| malformed("Transfer-Encoding is given twice: give it once."))?;
    if let Some(coding) = coding {
        if !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(malformed("The only Transfer-Encoding that is taken is chunked."));
        }
        if head.headers.contains_key(CONTENT_LENGTH) {
            return Err(malformed("Content-Length and Transfer-Encoding are both given: give one."));
        }
    }
    Ok(())
}

/// Whether this is a post to the one place there is.
pub(super) fn route(head: &Parts) -> Result<(), Problem> {
    if head.uri.path() != PATH {
        return Err(Problem::new(Kind::NotFound, format!("Events are posted to {PATH}.")));
    }
    if head.method != Method::POST {
        return Err(Problem::new(Kind::MethodNotAllowed, format!("Use POST {PATH}.")).allow("POST"));
    }
    Ok(())
}

/// Whether the body is said to be JSON, as it is.
pub(super) fn media(headers: &HeaderMap) -> Result<(), Problem> {
    const TAKEN: &str = "Send one event or an array of them as application/json (in UTF-8).";
    let unsupported = || Problem::new(Kind::UnsupportedType, TAKEN);
    let value = only(headers, &CONTENT_TYPE).ok().flatten().ok_or_else(unsupported)?;
    if value != "application/json" {
        let text = value.to_str().map_err(|_| unsupported())?;
        let mut parts = text.split(';').map(str::trim);
        let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
        let utf8 = parts.filter(|parameter| !parameter.is_empty()).all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        });
        if !json || !utf8 {
            return Err(unsupported());
        }
    }
    let identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        let detail =
            "The body is encoded, and only bodies as they are (identity) are taken: send it uncompressed.";
        return Err(Problem::new(Kind::UnsupportedEncoding, detail));
    }
    Ok(())
}

/// The one value of a header. Err: there are several.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The publisher's `traceparent`, where it is one of version 00 (W3C Trace Context section 3.2).
pub(super) fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    const NAME: HeaderName = HeaderName::from_static("traceparent");
    let value = only(headers, &NAME).ok()??;
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == length && part.bytes().all(hex))
    };
    let nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let whole = parts.next().is_none();
    (whole && version == "00" && nonzero(trace) && nonzero(parent)).then(|| Arc::from(text))
}
