use super::super::client::Client;
use super::super::exit::Failure;
use super::super::receiver::Arrival;
use super::super::send::{Posted, post};
use super::samples::samples;
use crate::clock::{SystemClock, unix_ms};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// What was sent, and what of it arrived.
#[derive(Debug, Serialize)]
pub(super) struct Tour {
    pub(super) events: Vec<Sent>,
}

/// One sample event.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    pub(super) event: &'static str,
    pub(super) product: &'static str,
    pub(super) id: String,
    /// What the receipt promised.
    pub(super) deliveries: u64,
    /// Path of the receiver, to the milliseconds from the post to the arrival.
    pub(super) arrived: BTreeMap<String, u64>,
    #[serde(skip)]
    posted_ms: u64,
}

impl Sent {
    fn is_complete(&self) -> bool {
        u64::try_from(self.arrived.len()).is_ok_and(|arrived| arrived >= self.deliveries)
    }
}

impl Tour {
    /// Whether everything that the receipts promised has arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.events.iter().all(Sent::is_complete)
    }

    pub(super) fn promised(&self) -> u64 {
        self.events.iter().map(|sent| sent.deliveries).sum()
    }

    pub(super) fn arrived(&self) -> usize {
        self.events.iter().map(|sent| sent.arrived.len()).sum()
    }

    /// What belongs to another run (its daemon was killed, say) is not counted.
    fn note(&mut self, arrival: Arrival) {
        let sent = self.events.iter_mut().find(|sent| sent.id == arrival.webhook_id);
        if let Some(sent) = sent
            && arrival.status < 300
        {
            let took = arrival.at_ms.saturating_sub(sent.posted_ms);
            sent.arrived.entry(arrival.path).or_insert(took);
        }
    }
}

/// Posts every sample and waits for what the receipts promise, for at most `patience`.
pub(super) async fn tour(
    client: &Client,
    arrived: &mut mpsc::Receiver<Arrival>,
    patience: Duration,
) -> Result<Tour, Failure> {
    let mut tour = Tour { events: Vec::new() };
    for sample in samples(unix_ms(&SystemClock)) {
        let data = serde_json::value::to_raw_value(&sample.data)
            .map_err(|error| Failure::failed(format!("a sample is no JSON: {error}")))?;
        let (event, product) = (sample.event, sample.product);
        let posted_ms = unix_ms(&SystemClock);
        let posted = Posted { id: None, event, product, account: None, data: &data };
        let (receipt, _) = post(client, &posted).await?;
        let (id, deliveries) = (receipt.id, receipt.deliveries);
        tour.events.push(Sent { event, product, id, deliveries, arrived: BTreeMap::new(), posted_ms });
    }
    let all = async {
        while !tour.is_complete() {
            let Some(arrival) = arrived.recv().await else { return };
            tour.note(arrival);
        }
    };
    // What is missing after that shows in the table.
    let _ = tokio::time::timeout(patience, all).await;
    Ok(tour)
}
