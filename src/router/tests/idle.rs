//! Endpoints that have nothing to do.

use super::*;

/// So much time passes at once.
pub(super) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    // Whatever that made due has its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

impl House {
    pub(super) fn observed(&self) -> super::super::Observed {
        self.router.directory().list().remove(0).1
    }

    /// Waits until nothing is in flight.
    pub(super) async fn calm(&self) {
        while self.observed().shared.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn an_endpoint_retires_a_minute_after_its_last_delivery_not_after_its_first() {
    let mut house = house(&["acme"]).await;
    for text in ["one", "two"] {
        house.post(text).await;
        house.seen(1).await;
        house.calm().await;
        pass(Duration::from_secs(40)).await;
        assert!(house.observed().running, "after {text}");
    }
    pass(Duration::from_secs(25)).await;
    let start = SystemClock.now();
    while house.observed().running {
        // This clock was moved, and `elapsed` asks another.
        let waited = SystemClock.now().saturating_duration_since(start);
        assert!(waited < Duration::from_secs(20), "it does not retire");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    house.post("three").await;
    assert_eq!(house.seen(1).await, [("acme", "three".to_owned())]);
    house.stop().await;
}

#[tokio::test]
async fn what_is_due_before_an_idle_endpoint_would_retire_does_not_wait_for_that() {
    let mut house = house(&["acme"]).await;
    house.post("calm").await;
    house.seen(1).await;
    house.calm().await;
    house.post("panic at first").await;
    // Its retry is due after 20 ms; it is waited for for less than a minute.
    assert_eq!(house.seen(1).await, [("acme", "panic at first".to_owned())]);
    house.stop().await;
}
