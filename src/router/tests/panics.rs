//! Sinks that panic, and what they keep running.

use super::script::{acme, taken};
use super::*;
use futures_util::future::BoxFuture;

/// A sink that counts on a task, which panics as often as it is told.
struct Frail {
    crashes: Arc<std::sync::atomic::AtomicU32>,
    seen: mpsc::UnboundedSender<(&'static str, String)>,
}

#[async_trait]
impl SinkPlan for Frail {
    fn destination(&self) -> String {
        "frail".to_owned()
    }

    fn fingerprint(&self) -> u64 {
        2
    }

    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        use std::sync::atomic::Ordering::SeqCst;
        let (work, mut works) = mpsc::channel::<(String, oneshot::Sender<()>)>(1);
        let (crashes, seen) = (Arc::clone(&self.crashes), self.seen.clone());
        host.host.spawn(Box::pin(async move {
            while let Some((body, done)) = works.recv().await {
                let left = crashes.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
                assert!(left.is_err(), "told to panic");
                let _ = (seen.send(("frail", body)), done.send(()));
            }
        }));
        Ok(Arc::new(Through(work)))
    }
}

struct Through(mpsc::Sender<(String, oneshot::Sender<()>)>);

#[async_trait]
impl Sink for Through {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let (done, ended) = oneshot::channel();
        let body = String::from_utf8_lossy(&delivery.body).into_owned();
        // With its task gone it would wait until the deadline, for ever.
        if self.0.send((body, done)).await.is_err() || ended.await.is_err() {
            std::future::pending::<()>().await;
        }
        Outcome::delivered("".into())
    }
}

/// A sink that panics while it is built for the first time.
struct Brittle(std::sync::atomic::AtomicBool, mpsc::UnboundedSender<(&'static str, String)>);

#[async_trait]
impl SinkPlan for Brittle {
    fn destination(&self) -> String {
        "brittle".to_owned()
    }

    fn fingerprint(&self) -> u64 {
        3
    }

    async fn build(&self, _host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        assert!(self.0.swap(true, std::sync::atomic::Ordering::SeqCst), "no such file");
        Ok(Arc::new(Tell { name: "brittle", seen: self.1.clone() }))
    }
}

#[tokio::test]
async fn a_sink_that_panics_while_it_is_built_holds_its_deliveries_and_says_why() {
    let mut house = house(&[]).await;
    let (tell, seen) = mpsc::unbounded_channel();
    house.seen = seen;
    let plan = Arc::new(Brittle(false.into(), tell));
    let spec = EndpointSpec {
        identity: Identity { name: "brittle".into(), account: None },
        lifecycle: Lifecycle::Active,
        events: Selection::All,
        products: Selection::All,
        filter: None,
        delivery: Arc::default(),
        sink: Some(SinkSpec::planned("brittle", &BTreeMap::new(), plan)),
    };
    let daemon = Arc::clone(&house.daemon);
    let endpoints = vec![Arc::new(spec)];
    house.router.publish(Publication { daemon, endpoints, invalid: Vec::new() }).await.unwrap();
    house.post("held").await;
    let start = SystemClock.now();
    loop {
        let seen = house.router.directory().list();
        let problem = seen.first().and_then(|(_, seen)| seen.shared.problem());
        if problem.is_some_and(|problem| problem.reason.contains("panicked: no such file")) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "nobody says why");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(house.router.resume("brittle").await);
    assert_eq!(house.seen(1).await, [("brittle", "held".to_owned())]);
    house.stop().await;
}

#[tokio::test]
async fn a_sink_whose_task_panics_is_built_again_and_holds_no_slot() {
    let mut house = house(&[]).await;
    let (tell, seen) = mpsc::unbounded_channel();
    house.seen = seen;
    let plan = Frail { crashes: Arc::new(3.into()), seen: tell };
    let mut delivery = DeliverySettings { timeout: Duration::from_secs(3600), ..DeliverySettings::default() };
    delivery.concurrency = std::num::NonZeroUsize::new(1).unwrap();
    let spec = EndpointSpec {
        identity: Identity { name: "frail".into(), account: None },
        lifecycle: Lifecycle::Active,
        events: Selection::All,
        products: Selection::All,
        filter: None,
        delivery: delivery.into(),
        sink: Some(SinkSpec::planned("frail", &BTreeMap::new(), Arc::new(plan))),
    };
    let daemon = Arc::clone(&house.daemon);
    let endpoints = vec![Arc::new(spec)];
    house.router.publish(Publication { daemon, endpoints, invalid: Vec::new() }).await.unwrap();
    for number in 0..4 {
        house.post(&format!("m{number}")).await;
    }
    let texts: Vec<String> = house.seen(4).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["m0", "m1", "m2", "m3"]);
    let text = house.metrics.render();
    assert!(text.contains("postrider_actor_restarts_total{actor=\"endpoint\"} 3"), "{text}");
    house.stop().await;
}

#[tokio::test]
async fn a_sink_that_panics_has_failed_one_attempt() {
    let mut house = house(&["acme"]).await;
    house.post("panic").await;
    house.post("calm").await;
    let seen = house.seen(2).await;
    assert_eq!(seen, [("acme", "calm".to_owned()), ("acme", "panic".to_owned())]);
    let text = house.metrics.render();
    assert!(text.contains("postrider_attempts_total{endpoint=\"acme\",result=\"sink_error\"} 1"), "{text}");
    assert!(text.contains("postrider_actor_restarts_total{actor=\"endpoint\"} 0"), "{text}");
    house.stop().await;
}

/// Panics when it is let go, unless something panics already.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "not given back");
    }
}

#[tokio::test]
async fn a_sink_that_panics_as_it_is_dropped_at_its_deadline_holds_no_slot() {
    let mut house = house(&[]).await;
    let tell = house.listen();
    let hangs_at_first = move |body: String, attempt: u32| -> BoxFuture<'static, Outcome> {
        let tell = tell.clone();
        Box::pin(async move {
            if body == "hangs" && attempt == 1 {
                let _guard = Guard;
                std::future::pending::<()>().await;
            }
            taken(&tell, "acme", &body)
        })
    };
    let timeout = Duration::from_millis(50);
    let concurrency = std::num::NonZeroUsize::MIN;
    let mut delivery = DeliverySettings { timeout, concurrency, ..DeliverySettings::default() };
    delivery.retry.schedule = vec![Duration::from_millis(20); 5];
    house.publish(acme(delivery, 1, hangs_at_first)).await;
    house.post("hangs").await;
    house.post("calm").await;
    let texts: Vec<String> = house.seen(2).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["calm", "hangs"]);
    let text = house.metrics.render();
    assert!(text.contains("postrider_attempts_total{endpoint=\"acme\",result=\"sink_error\"} 1"), "{text}");
    assert!(text.contains("postrider_actor_restarts_total{actor=\"endpoint\"} 0"), "{text}");
    house.stop().await;
}
