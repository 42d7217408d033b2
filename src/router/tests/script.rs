//! A destination that does what a test says.

use super::*;
use futures_util::future::BoxFuture;
use postrider_sink::Value;

/// What becomes of an attempt with this body and this number.
type Script = dyn Fn(String, u32) -> BoxFuture<'static, Outcome> + Send + Sync;

#[derive(Clone)]
struct Scripted {
    number: u64,
    script: Arc<Script>,
}

#[async_trait]
impl SinkPlan for Scripted {
    fn destination(&self) -> String {
        format!("script {}", self.number)
    }

    fn fingerprint(&self) -> u64 {
        self.number
    }

    async fn build(&self, _host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Scripted {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let body = String::from_utf8_lossy(&delivery.body).into_owned();
        (self.script)(body, delivery.attempt).await
    }
}

/// The endpoint `acme`, which wants everything. Another number is another destination.
pub(super) fn acme(
    delivery: DeliverySettings,
    number: u64,
    script: impl Fn(String, u32) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
) -> Vec<Arc<EndpointSpec>> {
    let table = BTreeMap::from([("number".to_owned(), Value::String(number.to_string()))]);
    let plan = Arc::new(Scripted { number, script: Arc::new(script) });
    vec![Arc::new(EndpointSpec {
        identity: Identity { name: "acme".into(), account: None },
        lifecycle: Lifecycle::Active,
        events: Selection::All,
        products: Selection::All,
        filter: None,
        delivery: delivery.into(),
        sink: Some(SinkSpec::planned("script", &table, plan)),
    })]
}

/// A script that takes no time.
pub(super) fn at_once(
    script: impl Fn(&str, u32) -> Outcome + Send + Sync + 'static,
) -> impl Fn(String, u32) -> BoxFuture<'static, Outcome> + Send + Sync + 'static {
    move |body: String, attempt: u32| -> BoxFuture<'static, Outcome> {
        Box::pin(std::future::ready(script(&body, attempt)))
    }
}

/// A destination takes it, and the test hears the first word of its body.
pub(super) fn taken(tell: &mpsc::UnboundedSender<Arrival>, by: &'static str, body: &str) -> Outcome {
    let word = body.split(' ').next().unwrap_or_default();
    let _ = tell.send((by, word.to_owned()));
    Outcome::delivered("".into())
}

impl House {
    /// What arrives from now on is what is told here.
    pub(super) fn listen(&mut self) -> mpsc::UnboundedSender<Arrival> {
        let (tell, seen) = mpsc::unbounded_channel();
        self.seen = seen;
        tell
    }

    /// The texts of what arrives next, in that order.
    pub(super) async fn texts(&mut self, count: usize) -> Vec<String> {
        self.heard(count).await.into_iter().map(|(_, text)| text).collect()
    }

    /// Waits until so many deliveries of `acme` are parked.
    pub(super) async fn until_parked(&self, count: u64) {
        let start = SystemClock.now();
        while self.spool.backlogs().first().is_none_or(|backlog| backlog.parked < count) {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", self.spool.backlogs());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
