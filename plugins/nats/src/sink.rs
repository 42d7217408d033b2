use crate::link::{self, Link};
use crate::message;
use crate::outcome::{not_sent, not_stored};
use crate::settings::{Mode, Settings};
use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use postrider_sink::{Delivery, HostContext, Outcome, Sink, async_trait};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A refusal comes before the answer to the question behind the event, but is noted by another task: the first time it is
/// waited for.
const REFUSAL: Duration = Duration::from_millis(50);

/// Publishes for one endpoint, over one connection at a time.
pub(crate) struct NatsSink {
    settings: Settings,
    /// For each server.
    tls: Vec<rustls::ClientConfig>,
    host: HostContext,
    slot: Mutex<Arc<Slot>>,
}

/// A connection, made by the first attempt that needs it.
struct Slot {
    /// The policy under which its address is checked.
    epoch: u64,
    link: OnceCell<Link>,
}

impl Slot {
    fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self { epoch, link: OnceCell::new() })
    }
}

impl NatsSink {
    pub(crate) fn new(settings: Settings, tls: Vec<rustls::ClientConfig>, host: HostContext) -> Self {
        let slot = Mutex::new(Slot::new(host.connector.policy_epoch()));
        Self { settings, tls, host, slot }
    }

    /// The connection in use, or a place for another where it is of no more use.
    fn slot(&self) -> Arc<Slot> {
        let epoch = self.host.connector.policy_epoch();
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.epoch != epoch || slot.link.get().is_some_and(|link| !link.is_good()) {
            *slot = Slot::new(epoch);
        }
        Arc::clone(&slot)
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<Outcome, Outcome> {
        let subject = self.settings.subject.of(delivery);
        let headers = message::headers(delivery, &self.settings.mode)?;
        let slot = self.slot();
        let connect = || link::connect(&self.settings, &self.tls, &self.host, &delivery.trail);
        let link = slot.link.get_or_try_init(connect).await?;
        let seen = link.refusals();
        let sent = async {
            match self.settings.mode {
                Mode::JetStream { .. } => store(link, &subject, headers, delivery).await,
                Mode::Core => send(link, &subject, seen, headers, delivery).await,
            }
        };
        tokio::select! {
            biased;
            outcome = sent => outcome,
            trouble = link.trouble(&subject, seen) => Err(trouble),
        }
    }
}

/// Publishes into a stream, and waits until it says that it has it.
async fn store(
    link: &Link,
    subject: &str,
    headers: HeaderMap,
    delivery: &Delivery,
) -> Result<Outcome, Outcome> {
    let published =
        link.jetstream.publish_with_headers(subject.to_owned(), headers, delivery.body.clone()).await;
    let acknowledgement = published.map_err(|error| not_stored(subject, &error))?;
    link.expect_acknowledgement();
    let acknowledged = acknowledgement.await;
    if !acknowledged.as_ref().is_err_and(|error| error.kind() == PublishErrorKind::TimedOut) {
        link.acknowledged();
    }
    let stored = acknowledged.map_err(|error| not_stored(subject, &error))?;
    let again = if stored.duplicate { " already" } else { "" };
    Ok(Outcome::delivered(format!("stored in {}{again}, number {}", stored.stream, stored.sequence).into()))
}

/// Publishes, and asks until the server has read it.
async fn send(
    link: &Link,
    subject: &str,
    seen: u64,
    headers: HeaderMap,
    delivery: &Delivery,
) -> Result<Outcome, Outcome> {
    // It is never closed.
    let room = link.asking.acquire().await.ok();
    let published =
        link.client.publish_with_headers(subject.to_owned(), headers, delivery.body.clone()).await;
    published.map_err(|error| not_sent(&error))?;
    link.ask().await?;
    drop(room);
    if link.is_proven(subject) {
        // The task that notes a refusal was woken before this one. Where another thread has only just begun with it, what
        // is published in that instant slips through as the right is taken away, and nothing after it.
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(REFUSAL).await;
    }
    link.prove(subject, seen)?;
    Ok(Outcome::delivered("published".into()))
}

#[async_trait]
impl Sink for NatsSink {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        match self.attempt(delivery).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }
}
