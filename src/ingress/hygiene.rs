use super::envelope::Form;
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

/// What the head says the body is. A body that is not JSON in UTF-8, or is encoded, is refused. Which of the
/// CloudEvents' content modes it is, the content type decides (HTTP protocol binding, section 3), and whether
/// `application/json` is one of them the one header that every event in binary mode has.
pub(super) fn media(headers: &HeaderMap) -> Result<Form<'_>, Problem> {
    const SPECVERSION: HeaderName = HeaderName::from_static("ce-specversion");
    const TAKEN: &str = "Send one event or an array of them as application/json (in UTF-8), or CloudEvents as \
                         application/cloudevents+json, application/cloudevents-batch+json or JSON with ce- headers.";
    const TYPES: &str = "application/json, application/cloudevents+json, application/cloudevents-batch+json";
    let unsupported = || Problem::new(Kind::UnsupportedType, TAKEN).accept(TYPES);
    let value = only(headers, &CONTENT_TYPE).ok().flatten().ok_or_else(unsupported)?;
    let form =
        if value == "application/json" { Some(Form::Plain) } else { value.to_str().ok().and_then(json_form) };
    let form = match form.ok_or_else(unsupported)? {
        Form::Plain | Form::CloudBinary(_) if headers.contains_key(SPECVERSION) => Form::CloudBinary(headers),
        Form::CloudBinary(_) => return Err(unsupported()),
        form => form,
    };
    let identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        let detail =
            "The body is encoded, and only bodies as they are (identity) are taken: send it uncompressed.";
        return Err(Problem::new(Kind::UnsupportedEncoding, detail).accept_encoding("identity"));
    }
    Ok(form)
}

/// The form a content type means; none: it is not JSON in UTF-8.
fn json_form(text: &str) -> Option<Form<'static>> {
    let media = json_media(text)?;
    Some(match media.as_str() {
        "application/json" => Form::Plain,
        "application/cloudevents+json" => Form::Cloud,
        "application/cloudevents-batch+json" => Form::CloudBatch,
        other if other.starts_with("application/cloudevents") => return None,
        // Only with the headers that make it one.
        _ => Form::CloudBinary(&NO_HEADERS),
    })
}

static NO_HEADERS: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);

/// The type and subtype of a media type that is JSON (subtype `json`, or one that ends in `+json`) in UTF-8.
pub(super) fn json_media(text: &str) -> Option<String> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (top, sub) = media.split_once('/')?;
    let json =
        !top.is_empty() && (sub == "json" || sub.strip_suffix("+json").is_some_and(|name| !name.is_empty()));
    let utf8 = parts.filter(|parameter| !parameter.is_empty()).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    (json && utf8).then_some(media)
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
    value.to_str().ok().filter(|text| is_traceparent(text)).map(Arc::from)
}

/// Whether this is a `traceparent` of version 00.
pub(super) fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == length && part.bytes().all(hex))
    };
    let nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    parts.next().is_none() && version == "00" && nonzero(trace) && nonzero(parent)
}
