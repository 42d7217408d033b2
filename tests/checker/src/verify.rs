//! The comparison: what was published against what arrived.

mod ledger;

use crate::event::{EVENTS, Event, PRODUCTS};
use crate::log;
use crate::stats::Spread;
pub use ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The file in the logs' folder that says who subscribes to what.
pub const SUBSCRIPTIONS: &str = "subscriptions.json";

/// What one endpoint subscribes to; an empty list means everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name, and its path at the receiver.
    pub endpoint: String,
    /// The events it wants.
    pub events: Vec<String>,
    /// Of which products.
    pub products: Vec<String>,
    /// Only of this account; none: of every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

/// One of so many accounts, when messages are for accounts in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

impl Subscription {
    /// To everything.
    #[must_use]
    pub fn all(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), events: Vec::new(), products: Vec::new(), account: None }
    }

    /// Whether it wants this event.
    #[must_use]
    pub fn wants(&self, event: Event) -> bool {
        let among =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        among(&self.events, event.event())
            && among(&self.products, event.product())
            && self.account.is_none_or(|account| account.number == event.account(account.of))
    }
}

/// Writes down who subscribes to what, for [`verify`].
///
/// # Errors
/// When the file cannot be written, or a subscription names what no event has.
pub fn write_subscriptions(dir: &Path, subscriptions: &[Subscription]) -> io::Result<()> {
    for subscription in subscriptions {
        let known = |names: &[String], all: &[&str]| names.iter().all(|name| all.contains(&name.as_str()));
        if !known(&subscription.events, &EVENTS) || !known(&subscription.products, &PRODUCTS) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{subscription:?}: unknown names"),
            ));
        }
    }
    std::fs::write(dir.join(SUBSCRIPTIONS), serde_json::to_vec_pretty(subscriptions)?)
}

/// Reads what [`write_subscriptions`] wrote.
///
/// # Errors
/// When the file cannot be read.
pub fn read_subscriptions(dir: &Path) -> io::Result<Vec<Subscription>> {
    Ok(serde_json::from_slice(&std::fs::read(dir.join(SUBSCRIPTIONS))?)?)
}

/// What the comparison found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Events that were accepted.
    pub accepted: u64,
    /// Attempts to publish that were refused.
    pub refused: u64,
    /// Events whose acceptance nobody knows: none or all of their deliveries may have arrived.
    pub unknown: u64,
    /// Events that were answered with different ids.
    pub split: u64,
    /// Events whose answer promised another number of deliveries than there are subscribers.
    pub miscounted: u64,
    /// Per endpoint.
    pub endpoints: BTreeMap<String, Findings>,
    /// How long deliveries took, by the name of the publisher's log.
    pub times: BTreeMap<String, Times>,
    /// Some of what is wrong, in words.
    pub examples: Vec<String>,
}

/// How long deliveries took, the first arrival of each counting.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Times {
    /// From when the event was due to its arrival: time that was lost before it could be sent counts.
    pub since_due: Spread,
    /// From the answer that it is accepted; 0 where the delivery overtook that.
    pub since_accepted: Spread,
}

/// What was found about one endpoint.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// Deliveries that had to arrive.
    pub expected: u64,
    /// Requests answered with success.
    pub received: u64,
    /// Requests answered otherwise.
    pub turned_away: u64,
    /// Deliveries that never arrived.
    pub lost: u64,
    /// Requests for an event that was never accepted, or under another id.
    pub unexpected: u64,
    /// Deliveries that arrived again after they had been answered with success.
    pub duplicated: u64,
    /// Requests for an event the endpoint does not subscribe to.
    pub misrouted: u64,
    /// Requests whose body was not the right one to the byte.
    pub corrupt: u64,
    /// Events that arrived for the first time after a later one of their message.
    pub disordered: u64,
    /// Requests with other credentials than the endpoint's.
    pub unauthorized: u64,
    /// From sending to arrival, microseconds: half took no longer,
    pub p50_us: u64,
    /// 99 % took no longer,
    pub p99_us: u64,
    /// none took longer.
    pub max_us: u64,
}

impl Report {
    /// Deliveries that never arrived, at any endpoint.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.endpoints.values().map(|findings| findings.lost).sum()
    }

    /// Deliveries that were repeated, at any endpoint.
    #[must_use]
    pub fn duplicated(&self) -> u64 {
        self.endpoints.values().map(|findings| findings.duplicated).sum()
    }

    /// Whether every promise was kept, with at most so many repeats.
    ///
    /// # Errors
    /// Every promise that was broken, in words.
    pub fn verdict(&self, duplicates_at_most: u64) -> Result<(), String> {
        let mut broken = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                broken.push(format!("{count} {what}"));
            }
        };
        let sum = |of: fn(&Findings) -> u64| self.endpoints.values().map(of).sum::<u64>();
        note(sum(|findings| findings.lost), "lost");
        note(sum(|findings| findings.unexpected), "unexpected");
        note(sum(|findings| findings.misrouted), "misrouted");
        note(sum(|findings| findings.corrupt), "corrupt");
        note(sum(|findings| findings.disordered), "out of order");
        note(sum(|findings| findings.unauthorized), "with wrong credentials");
        note(self.split, "answered with different ids");
        note(self.miscounted, "with a wrong count of deliveries");
        note(sum(|findings| findings.duplicated).saturating_sub(duplicates_at_most), "repeats too many");
        if self.accepted == 0 {
            broken.push("nothing was accepted, which proves nothing".to_owned());
        }
        if broken.is_empty() {
            return Ok(());
        }
        Err(format!("{}\n{self}", broken.join(", ")))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} accepted, {} refused, {} unknown", self.accepted, self.refused, self.unknown)?;
        for (endpoint, found) in &self.endpoints {
            writeln!(
                f,
                "{endpoint}: {} expected, {} received, {} turned away; {} lost, {} unexpected, {} repeated, {} misrouted, \
                 {} corrupt, {} out of order, {} unauthorized; p50 {} us, p99 {} us, max {} us",
                found.expected,
                found.received,
                found.turned_away,
                found.lost,
                found.unexpected,
                found.duplicated,
                found.misrouted,
                found.corrupt,
                found.disordered,
                found.unauthorized,
                found.p50_us,
                found.p99_us,
                found.max_us
            )?;
        }
        for example in &self.examples {
            writeln!(f, "  {example}")?;
        }
        Ok(())
    }
}

/// Compares the logs in a folder. They may still be growing: what is not there yet counts as lost.
///
/// # Errors
/// When a log cannot be read.
pub fn verify(dir: &Path) -> io::Result<Report> {
    verify_part(dir, 0..u64::MAX)
}

/// Compares the logs in a folder as if there were only the events with these numbers. What arrived without a number
/// belongs to every part.
///
/// # Errors
/// When a log cannot be read.
pub fn verify_part(dir: &Path, numbers: Range<u64>) -> io::Result<Report> {
    let mut ledger = Ledger::new(read_subscriptions(dir)?);
    // Receipts are read first: what arrives in between is then known to the publisher's log.
    let mut receipts = Vec::new();
    log::receipts(dir, |receipt| {
        if receipt.number.is_none_or(|number| numbers.contains(&number)) {
            receipts.push(receipt);
        }
    })?;
    log::attempts(dir, |log, attempt| {
        if numbers.contains(&attempt.number) {
            ledger.attempt(log, attempt);
        }
    })?;
    for receipt in receipts {
        ledger.receipt(&receipt);
    }
    Ok(ledger.close())
}

#[cfg(test)]
mod tests;
