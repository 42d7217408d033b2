use crate::message::PROTOCOL;
use postrider_sink::{FailureClass, Outcome, Verdict, Wait};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

/// The longest a program may ask to wait, as for every destination.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Characters of a reason that are kept.
const REASON: usize = 300;

#[derive(Deserialize)]
struct Ready {
    postrider: u64,
}

/// Whether a program's first line says that it is ready, in our version.
pub(crate) fn ready(line: &[u8]) -> Result<(), String> {
    let Ok(Ready { postrider }) = serde_json::from_slice(line) else {
        return Err(format!("it began with {:?} and not with {{\"postrider\":{PROTOCOL}}}", excerpt(line)));
    };
    if postrider == PROTOCOL {
        return Ok(());
    }
    Err(format!("it speaks version {postrider} of the protocol, and this daemon version {PROTOCOL}"))
}

/// What a program says of one attempt.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<'a> {
    pub(crate) n: u64,
    result: Word,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    after_ms: u64,
    #[serde(default)]
    scope: Option<Scope>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Ok,
    Retry,
    Reject,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Event,
    Endpoint,
}

impl<'a> Answer<'a> {
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let said = |otherwise: &'static str| match self.reason.as_deref().map(tidy) {
            Some(reason) if !reason.is_empty() => Cow::Owned(reason),
            _ => Cow::Borrowed(otherwise),
        };
        match self.result {
            Word::Ok => Outcome::delivered(self.reason.as_deref().map(tidy).unwrap_or_default().into()),
            Word::Reject => Outcome::reject(said("the program rejected it")),
            Word::Gone => Outcome::gone(said("the program says that its destination is gone")),
            Word::Retry => {
                let after = Duration::from_millis(self.after_ms).min(LONGEST_WAIT);
                let wait = match (after.is_zero(), self.scope) {
                    (true, _) => Wait::None,
                    (false, Some(Scope::Endpoint)) => Wait::Endpoint(after),
                    (false, _) => Wait::Delivery(after),
                };
                let breaker =
                    self.scope.is_none() || wait == Wait::None && self.scope == Some(Scope::Endpoint);
                let class = FailureClass::SinkError;
                let reason = said("the program asked for another attempt");
                Outcome { verdict: Verdict::Failed { class, breaker, wait }, reason }
            }
        }
    }
}

/// The beginning of what should have been a message.
pub(crate) fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.get(..line.len().min(4 * REASON)).unwrap_or_default());
    text.trim().chars().take(60).collect()
}

/// One line of printable characters, not too many.
pub(crate) fn tidy(text: &str) -> String {
    let printable = text.trim().chars().map(|char| if char.is_control() { ' ' } else { char });
    printable.take(REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(line: &str) -> Option<Verdict> {
        Answer::read(line.as_bytes()).map(|answer| answer.outcome().verdict)
    }

    #[test]
    fn every_answer_means_what_the_protocol_says() {
        let failed = |breaker, wait| Some(Verdict::Failed { class: FailureClass::SinkError, breaker, wait });
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        for (line, wanted) in [
            (r#"{"n":1,"result":"ok"}"#, Some(Verdict::Delivered)),
            (r#"{"result":"ok","n":1,"more":[1],"reason":null}"#, Some(Verdict::Delivered)),
            (r#"{"n":1,"result":"reject"}"#, Some(Verdict::Reject)),
            (r#"{"n":1,"result":"gone"}"#, Some(Verdict::Suspend)),
            (r#"{"n":1,"result":"retry"}"#, failed(true, Wait::None)),
            (r#"{"n":1,"result":"retry","after_ms":1000}"#, failed(true, Wait::Delivery(second))),
            (r#"{"n":1,"result":"retry","scope":"event"}"#, failed(false, Wait::None)),
            (
                r#"{"n":1,"result":"retry","scope":"endpoint","after_ms":1000}"#,
                failed(false, Wait::Endpoint(second)),
            ),
            (r#"{"n":1,"result":"retry","after_ms":99999999999}"#, failed(true, Wait::Delivery(hour))),
            (r#"{"n":1,"result":"OK"}"#, None),
            (r#"{"n":-1,"result":"ok"}"#, None),
            (r#"{"n":1}"#, None),
            (r#"{"n":1,"result":"ok"} x"#, None),
            ("", None),
        ] {
            assert_eq!(verdict(line), wanted, "{line}");
        }
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let line = format!(r#"{{"n":1,"result":"retry","reason":" a\nb\u001b[31m{} "}}"#, "é".repeat(1000));
        let reason = Answer::read(line.as_bytes()).unwrap().outcome().reason;
        assert!(reason.starts_with("a b [31mé") && reason.chars().count() == REASON, "{reason}");
        let silent = Answer::read(br#"{"n":1,"result":"reject","reason":""}"#).unwrap().outcome();
        assert_eq!(silent.reason, "the program rejected it");
    }

    #[test]
    fn another_version_and_no_version_are_told_apart() {
        assert_eq!(ready(br#"{"postrider":1,"name":"x"}"#), Ok(()));
        assert!(ready(br#"{"postrider":2}"#).unwrap_err().contains("version 2"));
        assert!(ready(b"Hello!").unwrap_err().contains("Hello!"));
    }
}
