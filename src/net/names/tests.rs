use super::*;
use crate::net::Resolve;
use postrider_sink::async_trait;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers when it is told to, and counts.
struct Slow {
    asked: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl Resolve for Slow {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if host == "missing.example" {
            Err(io::Error::other("unknown"))
        } else {
            Ok(vec![[1, 1, 1, 1].into()])
        }
    }
}

fn slow(open: usize) -> (Arc<Slow>, Names) {
    let slow = Arc::new(Slow { asked: AtomicUsize::new(0), gate: Semaphore::new(open) });
    (Arc::clone(&slow), Names::new(slow))
}

fn slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LOOKUPS_PER_ENDPOINT))
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_for_a_name_share_one_lookup_and_its_answer_for_a_while() {
    let (slow, names) = slow(2);
    let slots = slots();
    let asks = (0..100).map(|_| names.addresses("a.example", &slots));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(*answer.unwrap(), [IpAddr::from([1, 1, 1, 1])]);
    }
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(KEEP).await;
    names.addresses("a.example", &slots).await.unwrap();
    assert_eq!(slow.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_lookup_is_not_remembered() {
    let (slow, names) = slow(2);
    for _ in 0..2 {
        assert!(names.addresses("missing.example", &slots()).await.is_err());
    }
    assert_eq!(slow.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_is_given_up_and_takes_no_more_than_its_slots() {
    let (slow, names) = slow(0);
    let slots = slots();
    for name in ["a.example", "a.example", "b.example", "c.example", "d.example"] {
        let error = names.addresses(name, &slots).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
    assert_eq!(slow.asked.load(Ordering::SeqCst), LOOKUPS_PER_ENDPOINT);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_nobody_waits_for_any_more_still_answers_the_next_one() {
    let (slow, names) = slow(0);
    let slots = slots();
    assert!(names.addresses("a.example", &slots).await.is_err());
    slow.gate.add_permits(1);
    names.addresses("a.example", &slots).await.unwrap();
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_names_remembered_are_bounded() {
    let (_, names) = slow(ENTRIES * 3);
    for n in 0..ENTRIES * 2 {
        names.addresses(&format!("{n}.example"), &slots()).await.unwrap();
        assert!(names.entries.lock().unwrap().len() <= ENTRIES);
    }
}
