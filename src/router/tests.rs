use super::filters::Judged;
use super::{Publication, RouterDeps, RouterHandle, Submission};
use crate::chance::SystemChance;
use crate::clock::{Clock, SystemClock};
use crate::config::{AdminConfig, DaemonConfig, IngressConfig, ReloadConfig, ShutdownConfig, SpoolConfig};
use crate::delivery::Condition;
use crate::ids::{Generation, Identity};
use crate::metrics::Metrics;
use crate::net::{Network, NetworkPolicy, SystemResolver};
use crate::policy::DeliverySettings;
use crate::spool::{DedupLimits, EmbeddedSpool, NewEvent, Spool as _};
use crate::table::filter::Filter;
use crate::table::{Catalogue, EndpointSpec, Lifecycle, Selection, SinkSpec};
use postrider_sink::{
    BuildError, Delivery, FailureClass, HostContext, Outcome, Sink, SinkPlan, Verdict, Wait, async_trait,
};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

mod absent;
mod counting;
mod idle;
mod panics;
mod reading;
mod script;
mod verdicts;

/// What arrived, and where.
type Arrival = (&'static str, String);

/// Tells what it was given; panics when the message says so.
struct Tell {
    name: &'static str,
    seen: mpsc::UnboundedSender<Arrival>,
}

#[async_trait]
impl SinkPlan for Tell {
    fn destination(&self) -> String {
        self.name.to_owned()
    }

    fn fingerprint(&self) -> u64 {
        1
    }

    async fn build(&self, _host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        Ok(Arc::new(Self { name: self.name, seen: self.seen.clone() }))
    }
}

#[async_trait]
impl Sink for Tell {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let body = String::from_utf8_lossy(&delivery.body).into_owned();
        assert!(!(body.contains("panic") && delivery.attempt == 1), "told to panic");
        if body.contains("refuse") {
            return Outcome::reject("not this one");
        }
        if body.contains("never") {
            let (class, wait) = (FailureClass::SinkError, Wait::Endpoint(Duration::MAX));
            let verdict = Verdict::Failed { class, breaker: false, wait };
            return Outcome { verdict, reason: "not today".into() };
        }
        if self.seen.send((self.name, body)).is_err() {
            return Outcome::failed(FailureClass::SinkError, "nobody listens");
        }
        Outcome::delivered("".into())
    }
}

struct House {
    router: RouterHandle,
    spool: Arc<EmbeddedSpool>,
    reads: Arc<counting::Reads>,
    metrics: Metrics,
    daemon: Arc<DaemonConfig>,
    seen: mpsc::UnboundedReceiver<Arrival>,
    folder: tempfile::TempDir,
}

async fn house(names: &[&'static str]) -> House {
    let (tell, seen) = mpsc::unbounded_channel();
    let house = House::open(tempfile::tempdir().unwrap(), seen).await;
    let spec = |name: &'static str| {
        let mut delivery = DeliverySettings::default();
        delivery.retry.schedule = vec![Duration::from_millis(20); 5];
        Arc::new(EndpointSpec {
            identity: Identity { name: name.into(), account: None },
            lifecycle: Lifecycle::Active,
            events: Selection::All,
            products: Selection::All,
            filter: None,
            delivery: delivery.into(),
            sink: Some(SinkSpec::planned(
                "tell",
                &BTreeMap::new(),
                Arc::new(Tell { name, seen: tell.clone() }),
            )),
        })
    };
    house.publish(names.iter().map(|name| spec(name)).collect()).await;
    house
}

fn event(text: &str) -> NewEvent {
    NewEvent {
        event: "sent".into(),
        product: "crm".into(),
        account: None,
        message_id: text.into(),
        body: text.to_owned().into(),
        traceparent: None,
        dedup: None,
        targets: Vec::new(),
        generation: Generation(0),
        accepted_ms: crate::clock::unix_ms(&SystemClock),
    }
}

impl House {
    /// A router over the spool in this folder; no configuration is in force yet.
    async fn open(folder: tempfile::TempDir, seen: mpsc::UnboundedReceiver<Arrival>) -> Self {
        let (metrics, clock): (_, Arc<dyn Clock>) = (Metrics::new(), Arc::new(SystemClock));
        let slot: Arc<OnceLock<RouterHandle>> = Arc::default();
        let listener = Arc::clone(&slot);
        let spool = EmbeddedSpool::open(
            &SpoolConfig::at(folder.path().join("data")),
            DedupLimits { window: Duration::from_secs(60), max: 1000 },
            Arc::clone(&clock),
            &metrics,
            Box::new(move |event| {
                if let Some(router) = listener.get() {
                    router.spool_event(event);
                }
            }),
        )
        .unwrap();
        let reads: Arc<counting::Reads> = Arc::default();
        let router = RouterHandle::start(RouterDeps {
            table: Arc::default(),
            directory: Arc::default(),
            spool: Arc::new(counting::Counting(spool.clone(), Arc::clone(&reads))),
            network: Network::new(NetworkPolicy::default(), Vec::new(), Arc::new(SystemResolver::new())),
            folder: folder.path().into(),
            sink_tasks: tokio_util::task::TaskTracker::new(),
            user_agent: "postrider/test".into(),
            clock,
            chance: Arc::new(SystemChance),
            metrics: metrics.clone(),
        })
        .await
        .unwrap();
        assert!(slot.set(router.clone()).is_ok());
        let local = "127.0.0.1:0".parse().unwrap();
        let daemon = Arc::new(DaemonConfig {
            ingress: IngressConfig::at(local),
            admin: AdminConfig::at(local),
            spool: SpoolConfig::at(folder.path().join("data")),
            catalogue: Catalogue::default(),
            network: NetworkPolicy::default(),
            limits: crate::config::LimitsConfig::default(),
            reload: ReloadConfig::default(),
            shutdown: ShutdownConfig::default(),
            defaults: DeliverySettings::default(),
        });
        Self { router, spool, reads, metrics, daemon, seen, folder }
    }

    /// It is stopped, and started again without a configuration.
    async fn reopen(self) -> Self {
        assert!(self.router.stop(Duration::from_secs(10)).await);
        self.spool.close().await.unwrap();
        Self::open(self.folder, self.seen).await
    }

    /// Puts these endpoints in force, and no others.
    async fn publish(&self, endpoints: Vec<Arc<EndpointSpec>>) {
        let daemon = Arc::clone(&self.daemon);
        self.router.publish(Publication { daemon, endpoints, invalid: Vec::new() }).await.unwrap();
    }

    async fn post(&self, text: &str) {
        self.post_all(vec![event(text)]).await;
    }

    async fn post_all(&self, events: Vec<NewEvent>) {
        let (reply, receipt) = oneshot::channel();
        self.router.submit(Submission { events, reply, permit: None });
        receipt.await.unwrap().unwrap();
    }

    /// What arrives next, so much of it.
    async fn heard(&mut self, count: usize) -> Vec<Arrival> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), self.seen.recv()).await;
            heard.push(next.expect("in time").expect("more"));
        }
        heard
    }

    /// The same, whatever came first.
    async fn seen(&mut self, count: usize) -> Vec<Arrival> {
        let mut seen = self.heard(count).await;
        seen.sort();
        seen
    }

    async fn stop(self) {
        assert!(self.router.stop(Duration::from_secs(10)).await);
        self.spool.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_actor_that_panics_is_started_again_and_loses_nothing_and_its_sibling_does_not_notice() {
    let mut house = house(&["acme", "other"]).await;
    house.post("before").await;
    house.seen(2).await;
    house.router.crash("acme");
    for text in ["one", "two", "three"] {
        house.post(text).await;
    }
    let wanted: Vec<_> = ["acme", "other"]
        .into_iter()
        .flat_map(|name| ["one", "three", "two"].map(|text| (name, text.to_owned())))
        .collect();
    // What was in flight or not yet written when it panicked may be repeated.
    let mut seen = house.seen(6).await;
    while wanted.iter().any(|one| !seen.contains(one)) {
        seen.extend(house.seen(1).await);
    }
    assert_eq!(seen.iter().filter(|(name, _)| *name == "other").count(), 3, "{seen:?}");
    let text = house.metrics.render();
    assert!(text.contains("postrider_actor_restarts_total{actor=\"endpoint\"} 1"), "{text}");
    house.stop().await;
}

#[tokio::test]
async fn a_sink_that_asks_to_wait_for_ever_is_left_alone_for_an_hour() {
    let house = house(&["acme"]).await;
    house.post("never").await;
    let waiting = Some(Condition::Waiting);
    for _ in 0..2000 {
        if house.router.directory().list().first().map(|(_, seen)| seen.shared.condition()) == waiting {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (uid, observed) = house.router.directory().list().remove(0);
    assert_eq!(Some(observed.shared.condition()), waiting);
    let until_ms = house.spool.endpoint_state(uid).wait_until_ms.unwrap();
    assert!(until_ms <= crate::clock::unix_ms(&SystemClock) + 3_600_000);
    let text = house.metrics.render();
    assert!(text.contains("postrider_actor_restarts_total{actor=\"endpoint\"} 0"), "{text}");
    house.stop().await;
}

#[tokio::test]
async fn what_a_sink_without_http_rejects_is_no_error_of_http() {
    let mut house = house(&["acme"]).await;
    house.post("refuse").await;
    house.post("calm").await;
    house.seen(1).await;
    let wanted = "postrider_attempts_total{endpoint=\"acme\",result=\"sink_error\"} 1";
    for _ in 0..2000 {
        if house.metrics.render().contains(wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = house.metrics.render();
    assert!(text.contains(wanted), "{text}");
    assert!(text.contains("postrider_attempts_total{endpoint=\"acme\",result=\"http_error\"} 0"), "{text}");
    house.stop().await;
}

#[tokio::test]
async fn an_actor_that_keeps_panicking_is_parked_and_costs_nobody_else_anything() {
    use crate::delivery::Condition;
    let mut house = house(&["acme", "other"]).await;
    let series = |count: u32| format!("postrider_actor_restarts_total{{actor=\"endpoint\"}} {count}\n");
    let until = async |house: &House, what: &str| {
        let start = SystemClock.now();
        while !house.metrics.render().contains(what) {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", house.metrics.render());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let limit = crate::policy::RestartPolicy::LIMIT;
    for crash in 1..=limit + 1 {
        // What it is started again for is still there.
        house.post(&format!("m{crash}")).await;
        while !house.metrics.render().contains(&series(crash)) {
            house.router.crash("acme");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    until(&house, &series(limit + 1)).await;
    let uid = house.router.table().named("acme").unwrap().uid;
    let router = house.router.clone();
    let condition = || {
        let known = router.directory().list();
        known.into_iter().find(|(known, _)| *known == uid).map(|(_, seen)| seen.shared.condition())
    };
    assert_eq!(condition(), Some(Condition::Parked));
    house.post("parked").await;
    let wanted: Vec<String> = (1..=limit + 1).map(|n| format!("m{n}")).chain(["parked".to_owned()]).collect();
    // The other one had all of it, once.
    let mut seen = Vec::new();
    while seen.iter().filter(|(name, _)| *name == "other").count() < wanted.len() {
        seen.extend(house.seen(1).await);
    }
    assert!(!seen.contains(&("acme", "parked".to_owned())), "a parked endpoint attempts nothing");

    assert!(house.router.resume("acme").await);
    while wanted.iter().any(|text| !seen.contains(&("acme", text.clone()))) {
        seen.extend(house.seen(1).await);
    }
    for text in &wanted {
        assert_eq!(seen.iter().filter(|one| **one == ("other", text.clone())).count(), 1, "{text}: {seen:?}");
    }
    assert_eq!(condition(), Some(Condition::Active));
    house.stop().await;
}

#[tokio::test]
async fn what_filters_said_under_an_older_configuration_is_asked_again() {
    let mut house = house(&["acme"]).await;
    let entry = house.router.table().named("acme").cloned().unwrap();
    let filter = Some(Arc::new(Filter::compile("data.message_id == 'new'").unwrap()));
    let spec = EndpointSpec { filter, ..EndpointSpec::clone(&entry.spec) };
    let daemon = Arc::clone(&house.daemon);
    let publication = Publication { daemon, endpoints: vec![Arc::new(spec)], invalid: Vec::new() };
    let now = house.router.publish(publication).await.unwrap();
    // The filter before did not want what is wanted now, and wanted what is not.
    for (message, targets) in [("new", Vec::new()), ("old", vec![entry.uid])] {
        let judged =
            Judged { generation: Generation(now.0 - 1), targets: vec![Some(targets)], failures: Vec::new() };
        let (reply, receipt) = oneshot::channel();
        let body = format!("{{\"data\":{{\"message_id\":\"{message}\"}}}}");
        let submission = Submission { events: vec![event(&body)], reply, permit: None };
        house.router.submit_judged(submission, judged);
        let accepted = receipt.await.unwrap().unwrap();
        assert_eq!(accepted[0].deliveries, u32::from(message == "new"), "{message}");
    }
    assert!(house.seen(1).await[0].1.contains("new"));
    house.stop().await;
}

/// Counts the attempts that run at once, each for a moment.
struct Crowd {
    now: std::sync::atomic::AtomicUsize,
    most: std::sync::atomic::AtomicUsize,
    done: std::sync::atomic::AtomicUsize,
}

struct OneOfCrowd(Arc<Crowd>);

#[async_trait]
impl SinkPlan for OneOfCrowd {
    fn destination(&self) -> String {
        "a crowd".to_owned()
    }

    fn fingerprint(&self) -> u64 {
        1
    }

    async fn build(&self, _host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        Ok(Arc::new(Self(Arc::clone(&self.0))))
    }
}

#[async_trait]
impl Sink for OneOfCrowd {
    async fn deliver(&self, _delivery: &Delivery) -> Outcome {
        use std::sync::atomic::Ordering::SeqCst;
        let now = self.0.now.fetch_add(1, SeqCst) + 1;
        self.0.most.fetch_max(now, SeqCst);
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.0.now.fetch_sub(1, SeqCst);
        self.0.done.fetch_add(1, SeqCst);
        Outcome::delivered("".into())
    }
}

#[tokio::test]
async fn a_thousand_endpoints_that_come_back_together_do_not_stampede() {
    use std::sync::atomic::Ordering::SeqCst;
    const ENDPOINTS: usize = 1000;
    const EVENTS: usize = 6;
    const LIMIT: usize = 50;
    let house = house(&[]).await;
    let crowd = Arc::new(Crowd { now: 0.into(), most: 0.into(), done: 0.into() });
    let specs = |lifecycle| -> Vec<Arc<EndpointSpec>> {
        let spec = |number| {
            let delivery =
                DeliverySettings { ordering: crate::policy::Ordering::None, ..DeliverySettings::default() };
            Arc::new(EndpointSpec {
                identity: Identity { name: format!("e{number}").into(), account: None },
                lifecycle,
                events: Selection::All,
                products: Selection::All,
                filter: None,
                delivery: delivery.into(),
                sink: Some(SinkSpec::planned(
                    "crowd",
                    &BTreeMap::new(),
                    Arc::new(OneOfCrowd(Arc::clone(&crowd))),
                )),
            })
        };
        (0..ENDPOINTS).map(spec).collect()
    };
    let daemon = {
        let mut daemon = DaemonConfig::clone(&house.daemon);
        daemon.limits.attempts = LIMIT;
        Arc::new(daemon)
    };
    let publish = async |lifecycle| {
        let (daemon, endpoints) = (Arc::clone(&daemon), specs(lifecycle));
        house.router.publish(Publication { daemon, endpoints, invalid: Vec::new() }).await.unwrap();
    };
    publish(Lifecycle::Paused).await;
    for number in 0..EVENTS {
        house.post(&format!("m{number}")).await;
    }
    publish(Lifecycle::Active).await;
    let start = SystemClock.now();
    while crowd.done.load(SeqCst) < ENDPOINTS * EVENTS {
        assert!(start.elapsed() < Duration::from_secs(60), "{} done", crowd.done.load(SeqCst));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let most = crowd.most.load(SeqCst);
    assert!(most <= ENDPOINTS + LIMIT, "{most} attempts at once");
    house.stop().await;
}
