use super::problem::{Answer, ItemError, Kind, Problem};
use crate::spool::{Accepted, Refusal};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use std::fmt::Write as _;
use std::time::Duration;

/// The answer to events that are durable: 202, or 200 where all of them repeat earlier ones.
pub(super) fn accepted(receipts: &[Accepted], array: bool) -> Answer {
    let mut body = String::with_capacity(receipts.len() * 80 + 16);
    if array {
        body.push_str(r#"{"events":["#);
    }
    for (index, receipt) in receipts.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(body, r#"{{"id":"{}","deliveries":{}"#, receipt.id, receipt.deliveries);
        body.push_str(if receipt.duplicate { r#","duplicate":true}"# } else { "}" });
    }
    if array {
        body.push_str("]}");
    }
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    let repeats = !receipts.is_empty() && receipts.iter().all(|receipt| receipt.duplicate);
    *answer.status_mut() = if repeats { StatusCode::OK } else { StatusCode::ACCEPTED };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The answer to events of which nothing was stored.
pub(super) fn refused(refusal: &Refusal, events: usize) -> Problem {
    const AGAIN: &str =
        "Nothing was stored. Send the same request again, with the same id, after the time in Retry-After.";
    let problem = match *refusal {
        Refusal::Conflict { index } => {
            let detail = "its id was used for another content within dedup_window: send the same content, or another id.";
            let error = ItemError { index, pointer: "/id".to_owned(), detail: detail.to_owned() };
            Problem::new(Kind::KeyConflict, format!("Event {index}: {detail} Nothing was stored."))
                .errors(vec![error])
        }
        Refusal::Full => {
            Problem::new(Kind::SpoolFull, format!("The spool has no room for more undelivered work. {AGAIN}"))
                .retry_after(Duration::from_secs(5))
        }
        // Why it fails is for the operator, not for a publisher.
        Refusal::Failing(_) => {
            Problem::new(Kind::SpoolFailing, format!("The spool cannot write at the moment. {AGAIN}"))
                .retry_after(Duration::from_secs(1))
        }
    };
    problem.about(events)
}

/// The answer when too much is in flight.
pub(super) fn overloaded() -> Problem {
    Problem::new(
        Kind::Overloaded,
        "Too much is between arrival and the disk. Nothing was stored: send it again, with the same id, after the time in Retry-After.",
    )
    .retry_after(Duration::from_secs(1))
}

/// The answer when nobody can say what became of the events.
pub(super) fn stopping() -> Problem {
    Problem::new(
        Kind::Stopping,
        "The daemon is stopping and cannot say whether the events were stored. Send them again with the same id.",
    )
    .retry_after(Duration::from_secs(1))
    .closing()
}
