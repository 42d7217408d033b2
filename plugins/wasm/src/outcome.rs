use crate::component::why;
use crate::line::line;
use crate::state::{Refusal, RefusalKind, State};
use crate::wit::types::{self, Failure, FailureKind};
use postrider_sink::{FailureClass, Outcome, Verdict, Wait};
use std::time::Duration;
use wasmtime::{Error, Trap};

/// The longest wait a component may ask for, as with HTTP.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What the component says came of it.
pub(crate) fn said(outcome: types::Outcome, refused: Option<&Refusal>) -> Outcome {
    match outcome {
        types::Outcome::Delivered => Outcome::delivered("".into()),
        types::Outcome::Failed(failure) => match refused {
            Some(Refusal { reason, kind: RefusalKind::Blocked }) => {
                Outcome { verdict: Verdict::Blocked, reason: reason.clone().into() }
            }
            refused => failed(&failure, refused),
        },
        types::Outcome::Reject(reason) => Outcome::reject(words(&reason, "rejected", refused)),
        types::Outcome::Suspend(reason) => Outcome::gone(words(&reason, "gone", refused)),
    }
}

fn failed(failure: &Failure, refused: Option<&Refusal>) -> Outcome {
    let class = match failure.kind {
        FailureKind::HttpError => FailureClass::HttpError,
        FailureKind::Timeout => FailureClass::Timeout,
        FailureKind::Dns => FailureClass::Dns,
        FailureKind::Connect => FailureClass::Connect,
        FailureKind::Tls => FailureClass::Tls,
        FailureKind::SinkError => FailureClass::SinkError,
    };
    let time = |ms: u64| Duration::from_millis(ms).min(LONGEST_WAIT);
    let wait = match failure.wait {
        types::Wait::None => Wait::None,
        types::Wait::Delivery(ms) => Wait::Delivery(time(ms)),
        types::Wait::Endpoint(ms) => Wait::Endpoint(time(ms)),
    };
    let verdict = Verdict::Failed { class, breaker: failure.counts, wait };
    Outcome { verdict, reason: words(&failure.reason, "failed", refused).into() }
}

/// A reason as people read it. What the host refused is in it, whatever the component makes of it.
fn words(reason: &str, without: &str, refused: Option<&Refusal>) -> String {
    let reason = line(reason);
    let reason = if reason.is_empty() { String::from(without) } else { reason };
    match refused {
        Some(refused) if !reason.contains(&refused.reason) => line(&format!("{}; {reason}", refused.reason)),
        _ => reason,
    }
}

/// What it means that the component did not come to an end.
pub(crate) fn trapped(error: &Error, state: &State) -> Outcome {
    match &state.refused {
        Some(Refusal { reason, kind: RefusalKind::Blocked }) => {
            return Outcome { verdict: Verdict::Blocked, reason: reason.clone().into() };
        }
        Some(Refusal { reason, kind: RefusalKind::Denied }) => {
            return Outcome::failed(FailureClass::SinkError, reason.clone());
        }
        Some(Refusal { kind: RefusalKind::Empty, .. }) | None => {}
    }
    if error.is::<Overdue>() {
        return Outcome::failed(FailureClass::Timeout, error.root_cause().to_string());
    }
    let mut reason = format!("the component was stopped: {}", cause(error));
    let explanation = state.output.explanation();
    if !explanation.is_empty() {
        reason.push_str(": ");
        reason.push_str(&explanation);
    }
    Outcome::failed(FailureClass::SinkError, line(&reason))
}

/// Why an instance was stopped, for people.
pub(crate) fn cause(error: &Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => String::from("it gave up"),
        Some(Trap::StackOverflow) => String::from("its stack is full"),
        Some(trap) => line(&trap.to_string()),
        None => why(error),
    }
}

/// The component ran until its deadline.
#[derive(Debug)]
pub(crate) struct Overdue(pub(crate) Duration);

impl std::fmt::Display for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the component was still at work after {:.1?} and was stopped", self.0)
    }
}

impl std::error::Error for Overdue {}
