//! What a component does to itself it does to nobody else.

use super::kit::{doing, factory, outcome, sink};
use postrider_sink::testkit::{TestHost, context, delivery};
use postrider_sink::{FailureClass, Outcome, SinkFactory as _, Verdict, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

fn failed_because(outcome: &Outcome, class: FailureClass, wanted: &str) {
    let as_wanted =
        matches!(outcome.verdict, Verdict::Failed { class: seen, breaker: true, .. } if seen == class);
    assert!(as_wanted && outcome.reason.contains(wanted), "{wanted}: {outcome:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_without_end_is_one_failed_attempt_and_holds_no_thread_of_the_daemon() {
    let sink = sink(&doing("hang", &[]), |context| context.timeout = Duration::from_secs(1)).await;
    let longest = Arc::new(AtomicU64::new(0));
    let (noted, mut watching) = (Arc::clone(&longest), JoinSet::new());
    watching.spawn(async move {
        loop {
            let last = Instant::now();
            tokio::time::sleep(Duration::from_millis(1)).await;
            noted.fetch_max(u64::try_from(last.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
        }
    });
    let started = Instant::now();
    let outcome = sink.deliver(&delivery("evt_1")).await;
    failed_because(&outcome, FailureClass::Timeout, "still at work after 950");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let longest = longest.load(Ordering::Relaxed);
    assert!(longest < 500, "the daemon's thread waited {longest} ms");
}

#[tokio::test]
async fn a_trap_is_a_failed_attempt_and_another_instance_takes_the_next() {
    for (way, wanted) in [
        ("throw", "no such table"),
        ("nonsense", "the component was stopped"),
        ("number", "the component was stopped"),
        ("allocate", "it wanted more than 64 MiB of memory"),
        ("recurse", "the component was stopped"),
    ] {
        let sink = sink(&doing(way, &[("first", postrider_sink::Value::Boolean(true))]), |_| {}).await;
        let outcome = sink.deliver(&delivery("evt_first")).await;
        failed_because(&outcome, FailureClass::SinkError, wanted);
        println!("{way}: {}", outcome.reason);
        let next = sink.deliver(&delivery("evt_second")).await;
        assert!(next.reason.contains("no network in this test"), "{way}: it runs again: {next:?}");
    }
}

#[tokio::test]
async fn the_host_is_told_while_a_component_does_not_come_to_an_end() {
    let host = TestHost::new();
    let plan =
        factory().check(&doing("throw", &[("first", postrider_sink::Value::Boolean(true))])).ok().unwrap();
    let sink = plan.build(&context(Arc::clone(&host) as Arc<_>)).await.unwrap();
    for id in ["evt_first", "evt_first", "evt_second", "evt_second"] {
        sink.deliver(&delivery(id)).await;
    }
    let said: Vec<bool> = host.said().iter().map(Result::is_ok).collect();
    assert_eq!(said, [true, false, true], "{:?}", host.said());
}

#[tokio::test]
async fn an_instance_that_fills_up_is_replaced_before_an_attempt_fails() {
    let sink = sink(&doing("leak", &[]), |context| context.concurrency = 1).await;
    for number in 0..200 {
        let outcome = sink.deliver(&delivery(&format!("evt_{number}"))).await;
        assert_eq!(outcome.verdict, Verdict::Delivered, "{number}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_short() {
    let started = Instant::now();
    let outcome = outcome("flood").await;
    println!("100,000 lines in {:?}", started.elapsed());
    let ended = outcome.verdict == Verdict::Delivered || outcome.reason.contains("still at work");
    assert!(ended, "{outcome:?}");
}

#[tokio::test]
async fn what_it_says_is_what_becomes_of_the_event() {
    let said = outcome("reject").await;
    assert_eq!((said.verdict, &*said.reason), (Verdict::Reject, "no such table  at all"));
    let said = outcome("gone").await;
    assert_eq!((said.verdict, &*said.reason), (Verdict::Suspend, "closed"));
    let failed = |breaker, wait| Verdict::Failed { class: FailureClass::SinkError, breaker, wait };
    let said = outcome("busy").await;
    assert_eq!(said.verdict, failed(false, Wait::Endpoint(Duration::from_secs(5))));
    let said = outcome("later").await;
    assert_eq!(said.verdict, failed(true, Wait::Delivery(Duration::from_secs(3600))));
    assert_eq!(&*said.reason, "failed");
    let said = outcome("now").await;
    let words: Vec<&str> = said.reason.split(' ').collect();
    assert!(words[0].parse::<u64>().unwrap() > 1_700_000_000_000, "{said:?}");
    assert!((1..=1000).contains(&words[1].parse::<u64>().unwrap()), "{said:?}");
    assert!(words[2].parse::<u64>().unwrap() >= 2026 && words[3] == "true", "{said:?}");
}
