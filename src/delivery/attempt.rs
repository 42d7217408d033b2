use crate::chance::Chance;
use crate::clock::Clock;
use crate::ids::{EventId, write_hex};
use crate::spool::StoredEvent;
use bytes::Bytes;
use futures_util::FutureExt as _;
use postrider_sink::{Delivery, FailureClass, Outcome, Sink, Timings, Trail};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an answer that are kept, where the endpoint says `keep_answer`.
const ANSWER: usize = 1024;

/// One attempt that has ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What came of it.
    pub outcome: Outcome,
    /// From its start to its end.
    pub took: Duration,
    /// What was learned on the way.
    pub timings: Timings,
    /// The first KiB of the answer, where it is kept.
    pub answer: Option<Bytes>,
}

/// Makes one attempt. It always ends by the deadline, and always with an outcome: a panic of the sink is a failed
/// attempt.
pub async fn attempt(sink: &dyn Sink, delivery: &Delivery, deadline: Duration, clock: &dyn Clock) -> Attempt {
    let started = clock.now();
    // The deadline is inside: what it drops may panic as well.
    let made = async { tokio::time::timeout(deadline, sink.deliver(delivery)).await };
    let outcome = match AssertUnwindSafe(made).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        // The destination had said that it has it; only the rest of its answer came too late.
        Ok(Err(_)) if delivery.trail.read().status.is_some_and(|status| (200..300).contains(&status)) => {
            Outcome::delivered("".into())
        }
        Ok(Err(_)) => Outcome::failed(FailureClass::Timeout, format!("no answer within {deadline:?}")),
        Err(panic) => {
            let reason = format!("the sink panicked: {}", panic_text(panic.as_ref()));
            Outcome::failed(FailureClass::SinkError, reason)
        }
    };
    let took = clock.now().saturating_duration_since(started);
    Attempt { outcome, took, timings: delivery.trail.read(), answer: delivery.trail.answer() }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A stored event as a sink gets it.
pub(super) fn delivery(event: &StoredEvent, number: u32, keep_answer: bool, chance: &dyn Chance) -> Delivery {
    Delivery {
        id: Arc::from(event.id.text(&mut [0; EventId::LENGTH])),
        event: Arc::clone(&event.event),
        product: Arc::clone(&event.product),
        account: event.account.clone(),
        body: event.body.clone(),
        attempt: number,
        test: false,
        traceparent: Some(traceparent(event, chance.number())),
        trail: Arc::new(Trail::keeping(if keep_answer { ANSWER } else { 0 })),
    }
}

/// The attempt's own span (W3C Trace Context, version 00) in the publisher's trace; without one, in a trace named
/// after the event, not sampled.
fn traceparent(event: &StoredEvent, number: u64) -> Arc<str> {
    let span = number.max(1);
    let given = event.traceparent.as_deref().and_then(|text| {
        let mut parts = text.split('-').skip(1);
        Some((parts.next()?, parts.nth(1)?))
    });
    match given {
        Some((trace, flags)) => format!("00-{trace}-{span:016x}-{flags}").into(),
        None => {
            let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
            write_hex(&event.id.0, text.iter_mut().skip(3));
            write_hex(&span.to_be_bytes(), text.iter_mut().skip(36));
            Arc::from(std::str::from_utf8(&text).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use async_trait::async_trait;
    use postrider_sink::Verdict;

    /// A sink of one's own that does the worst it can without blocking its thread.
    enum Bad {
        Panics,
        PanicsLater,
        Hangs,
        PanicsWhenDropped,
    }

    /// Panics when it is let go, unless something panics already.
    struct Guard;

    impl Drop for Guard {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "not given back");
        }
    }

    #[async_trait]
    impl Sink for Bad {
        async fn deliver(&self, _: &Delivery) -> Outcome {
            match self {
                Self::Panics => panic!("no such table"),
                Self::PanicsLater => {
                    tokio::task::yield_now().await;
                    panic!("{} rows", 7)
                }
                Self::Hangs => std::future::pending().await,
                Self::PanicsWhenDropped => {
                    let _guard = Guard;
                    std::future::pending().await
                }
            }
        }
    }

    #[test]
    fn an_attempt_has_a_span_in_the_publishers_trace_or_in_one_named_after_the_event() {
        let mut event = crate::spool::StoredEvent {
            seq: crate::ids::Seq(1),
            id: EventId(std::array::from_fn(|at| u8::try_from(at * 17).expect("below 256"))),
            event: "sent".into(),
            product: "crm".into(),
            account: None,
            message_id: "m".into(),
            body: bytes::Bytes::new(),
            traceparent: None,
            generation: crate::ids::Generation(1),
            accepted_ms: 0,
            targets: 1,
        };
        let own = traceparent(&event, 0xabc);
        assert_eq!(&*own, "00-00112233445566778899aabbccddeeff-0000000000000abc-00");
        event.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        let given = traceparent(&event, 0);
        assert_eq!(&*given, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
        assert_eq!(
            &*delivery(&event, 1, false, &crate::chance::SystemChance).id,
            "evt_00112233445566778899aabbccddeeff"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_panics_or_hangs_is_a_failed_attempt_that_says_so() {
        for (sink, class, wanted) in [
            (Bad::Panics, FailureClass::SinkError, "the sink panicked: no such table"),
            (Bad::PanicsLater, FailureClass::SinkError, "the sink panicked: 7 rows"),
            (Bad::Hangs, FailureClass::Timeout, "no answer within 15s"),
            (Bad::PanicsWhenDropped, FailureClass::SinkError, "the sink panicked: not given back"),
        ] {
            let delivery = postrider_sink::testkit::delivery("evt_1");
            let made = attempt(&sink, &delivery, Duration::from_secs(15), &SystemClock).await;
            assert_eq!(&*made.outcome.reason, wanted);
            assert!(
                matches!(made.outcome.verdict, Verdict::Failed { class: seen, breaker: true, .. } if seen == class),
                "{:?}",
                made.outcome
            );
        }
    }
}
