//! What must hold for any filter and any event.

use super::{Facts, FailureKind, Filter, Judgement, MOST_BYTES, MOST_TIME, with_stack};

/// An expression, a line feed, and the `data` of an event.
///
/// # Panics
/// When something does not hold.
pub fn filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (source, data) = text.split_once('\n').unwrap_or((text, "{}"));
    let filter = match Filter::compile(source) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(!error.message.is_empty() && error.span.end <= source.len().max(1), "{error:?}");
            assert!(
                source.get(error.span.clone()).is_some() || source.is_empty(),
                "cuts a character: {error:?}"
            );
            return;
        }
    };
    assert!(filter.source() == source && source.len() <= MOST_BYTES);
    let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    let judged = with_stack(|| {
        let facts = Facts::new("sent", "crm", Some("acme"), data);
        [filter.judge(&facts), filter.judge(&facts)]
    });
    let [first, second] = judged.expect("a panic is caught");
    let limited = |judgement: &Judgement| matches!(judgement, Judgement::Failed(failure) if failure.kind == FailureKind::Limit);
    assert!(first == second || limited(&first) || limited(&second), "{first:?}, and then {second:?}");
    if let Judgement::Failed(failure) = &first {
        assert!(
            failure.reason.chars().count() <= 400 && !failure.reason.contains('\n'),
            "{}",
            failure.reason
        );
    }
    // It counts processor time, which the hunt's own clock bounds from outside.
    const { assert!(MOST_TIME.as_millis() < 1000) };
}
