//! What an attempt's outcome means for its endpoint.

use super::idle::pass;
use super::script::{acme, at_once, taken};
use super::*;
use futures_util::future::BoxFuture;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

const HOUR: Duration = Duration::from_secs(3600);

impl House {
    async fn until(&self, condition: Condition) {
        let start = SystemClock.now();
        while self.observed().shared.condition() != condition {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", self.observed().shared.condition());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn a_destination_that_asks_a_probe_to_wait_no_time_is_not_probed_again_at_once() {
    let house = house(&[]).await;
    let (tell, mut probes) = mpsc::unbounded_channel();
    let failed = AtomicBool::new(false);
    let answers = at_once(move |_, _| {
        if !failed.swap(true, Ordering::SeqCst) {
            return Outcome::failed(FailureClass::Connect, "down");
        }
        let _ = tell.send(SystemClock.now());
        Outcome::busy(Duration::ZERO, "not yet")
    });
    let mut delivery = DeliverySettings::default();
    delivery.breaker.failures = NonZeroU32::MIN;
    delivery.breaker.open = Duration::from_millis(1);
    house.publish(acme(delivery, 1, answers)).await;
    house.post("one").await;
    let mut times = Vec::new();
    while times.len() < 2 {
        let next = tokio::time::timeout(Duration::from_secs(20), probes.recv()).await;
        times.push(next.expect("in time").expect("a probe"));
    }
    let between = times[1] - times[0];
    assert!(between >= Duration::from_secs(1), "{between:?}");
    house.stop().await;
}

#[tokio::test]
async fn how_a_former_destination_fares_says_nothing_about_the_one_of_now() {
    const HANGING: usize = 16;
    let mut house = house(&[]).await;
    let tell = house.listen();
    let gate = Arc::new(Semaphore::new(0));
    let (told, hung) = (tell.clone(), Arc::clone(&gate));
    let former = move |body: String, _attempt: u32| -> BoxFuture<'static, Outcome> {
        let (tell, hung) = (told.clone(), Arc::clone(&hung));
        Box::pin(async move {
            let delivered = taken(&tell, "former", &body);
            if body.starts_with("quick") {
                return delivered;
            }
            // Closed in the end.
            drop(hung.acquire().await);
            match &*body {
                "h0" => Outcome::busy(HOUR, "not now"),
                "h1" => Outcome { verdict: Verdict::Blocked, reason: "refused".into() },
                "h2" => Outcome::gone("gone"),
                _ => Outcome::failed(FailureClass::Connect, "down"),
            }
        })
    };
    let concurrency = NonZeroUsize::new(HANGING + 4).unwrap();
    let mut delivery = DeliverySettings { concurrency, timeout: HOUR, ..DeliverySettings::default() };
    delivery.retry.schedule = vec![Duration::from_millis(20); 5];
    house.publish(acme(delivery.clone(), 1, former)).await;
    // Each that it takes earns it a slot.
    house.post_all((0..HANGING).map(|number| event(&format!("quick{number}"))).collect()).await;
    house.heard(HANGING).await;
    house.calm().await;
    house.post_all((0..HANGING).map(|number| event(&format!("h{number}"))).collect()).await;
    house.heard(HANGING).await;

    let now = at_once(move |body, _| taken(&tell, "now", body));
    house.publish(acme(delivery, 2, now)).await;
    house.post("new").await;
    assert_eq!(house.heard(1).await, [("now", "new".to_owned())]);
    gate.close();
    let mut wanted: Vec<Arrival> = (0..HANGING).map(|number| ("now", format!("h{number}"))).collect();
    wanted.sort();
    assert_eq!(house.seen(HANGING).await, wanted);
    house.calm().await;
    assert_eq!(house.observed().shared.condition(), Condition::Active);
    let text = house.metrics.render();
    let opened = "postrider_breaker_transitions_total{endpoint=\"acme\",to=\"open\"}";
    assert!(text.contains(&format!("{opened} 0\n")), "{text}");
    house.stop().await;
}

#[tokio::test]
async fn a_blocked_endpoint_is_looked_at_again_with_what_is_due_and_not_with_what_is_older_and_waits() {
    let mut house = house(&[]).await;
    let tell = house.listen();
    let blocked = AtomicBool::new(false);
    let answers = at_once(move |body, attempt| match (body, attempt) {
        ("oldest", 1) => {
            let (class, wait) = (FailureClass::HttpError, Wait::Delivery(HOUR));
            let verdict = Verdict::Failed { class, breaker: false, wait };
            Outcome { verdict, reason: "much later".into() }
        }
        ("second" | "third", 1) => Outcome::unfit(FailureClass::HttpError, "later"),
        ("last", _) if !blocked.swap(true, Ordering::SeqCst) => {
            Outcome { verdict: Verdict::Blocked, reason: "refused".into() }
        }
        _ => taken(&tell, "acme", body),
    });
    let mut delivery = DeliverySettings { concurrency: NonZeroUsize::MIN, ..DeliverySettings::default() };
    delivery.retry.schedule = vec![Duration::from_secs(30)];
    house.publish(acme(delivery, 1, answers)).await;
    for (number, text) in ["oldest", "second", "third"].into_iter().enumerate() {
        house.post(text).await;
        house.until_parked(number as u64 + 1).await;
    }
    house.post("last").await;
    house.until(Condition::Blocked).await;
    pass(Duration::from_secs(61)).await;
    let texts: Vec<String> = house.seen(3).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["last", "second", "third"]);
    house.stop().await;
}
