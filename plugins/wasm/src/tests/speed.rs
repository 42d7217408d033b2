use super::kit::{doing, sink};
use postrider_sink::Verdict;
use postrider_sink::testkit::burst;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Events in a second through a component that only transforms them, 16 at once. What is wanted of a release build:
/// 10,000 (`tests/long wasm`).
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_component_that_only_transforms_keeps_up() {
    const EACH: usize = 4000;
    let sink = sink(&doing("transform", &[]), |_| {}).await;
    let events = Arc::new(burst(64));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (sink, events) = (Arc::clone(&sink), Arc::clone(&events));
        tasks.spawn(async move {
            for event in events.iter().cycle().take(EACH) {
                assert_eq!(sink.deliver(event).await.verdict, Verdict::Delivered);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let rate = 16 * EACH * 1000 / usize::try_from(started.elapsed().as_millis().max(1)).unwrap();
    println!("{rate} events a second");
    let wanted = if cfg!(debug_assertions) { 1000 } else { 10_000 };
    assert!(rate >= wanted, "{rate} events a second");
}
