//! What the head of an answer means (the table in the design's section on events out).

use http::header::{HeaderMap, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use postrider_sink::{FailureClass, Outcome, Verdict, Wait};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The longest wait that an endpoint may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Judges an answer that came at `now`, the time since the Unix epoch.
pub(crate) fn judge<B>(answer: &Response<B>, now: Duration) -> Outcome {
    let (status, headers) = (answer.status(), answer.headers());
    let failed = |breaker, wait, reason| Outcome {
        verdict: Verdict::Failed { class: FailureClass::HttpError, breaker, wait },
        reason,
    };
    match status.as_u16() {
        200..=299 => Outcome::delivered(line(status)),
        410 => Outcome { verdict: Verdict::Suspend, reason: line(status) },
        429 | 502 | 503 | 504 => match retry_after(headers, now) {
            Some(wait) => {
                let reason = format!("{}; asks to wait {} s", line(status), wait.as_secs());
                failed(false, Wait::Endpoint(wait), reason.into())
            }
            None => failed(true, Wait::None, line(status)),
        },
        300..=399 => {
            let reason = match location(headers) {
                Some(host) => format!("{} to {host}; redirects are not followed", status.as_u16()),
                None => format!("{}; redirects are not followed", line(status)),
            };
            failed(true, Wait::None, reason.into())
        }
        400 | 413 | 415 | 422 => failed(false, Wait::None, line(status)),
        _ => failed(true, Wait::None, line(status)),
    }
}

/// `503 Service Unavailable`; where the code alone does not say what to do, in words that do.
fn line(status: StatusCode) -> Cow<'static, str> {
    match status.as_u16() {
        200 => "200 OK".into(),
        201 => "201 Created".into(),
        202 => "202 Accepted".into(),
        204 => "204 No Content".into(),
        101 => "101 Switching Protocols: nobody asked for that".into(),
        401 => "401 Unauthorized: the server refused the user name or password".into(),
        404 => "404 Not Found: the host answers, but not on this path".into(),
        410 => "410 Gone".into(),
        500 => "500 Internal Server Error: the server failed while handling the event".into(),
        code => match status.canonical_reason() {
            Some(words) => format!("{code} {words}").into(),
            None => code.to_string().into(),
        },
    }
}

/// The host of a redirect, without path and query: they may hold secrets.
fn location(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(LOCATION)?.to_str().ok()?;
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?;
    Some(host.chars().take(255).collect())
}

/// How long an endpoint asks to be left alone: whole seconds or a date in one of the three forms of RFC 9110,
/// section 5.6.7, at most an hour ahead. Anything else counts as absent, as do two of them.
fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(now).filter(|wait| !wait.is_zero())?
    };
    (wait <= LONGEST_WAIT).then_some(wait)
}
