use super::{Findings, Report, Subscription};
use crate::event::Event;
use crate::log::{Attempt, Outcome, Receipt};
use crate::stats::quantile;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

const EXAMPLES: usize = 20;

/// What is known about one event from the publisher's side.
struct Published {
    outcome: Outcome,
    id: String,
    digest: u64,
    sent_us: u64,
}

/// What arrived at one endpoint.
struct Desk {
    subscription: Subscription,
    findings: Findings,
    /// Successes by event, and the id it came under.
    arrived: HashMap<u64, (u32, String)>,
    /// The latest event of each message that has arrived, counting only first arrivals.
    latest: HashMap<u64, u64>,
    took: Vec<u64>,
}

/// Both sides, while the logs are read: all attempts first, then all receipts.
pub(super) struct Ledger {
    published: HashMap<u64, Published>,
    desks: HashMap<String, Desk>,
    report: Report,
}

impl Ledger {
    pub(super) fn new(subscriptions: Vec<Subscription>) -> Self {
        let desks = subscriptions
            .into_iter()
            .map(|subscription| {
                let desk = Desk {
                    findings: Findings::default(),
                    arrived: HashMap::new(),
                    latest: HashMap::new(),
                    took: Vec::new(),
                    subscription,
                };
                (desk.subscription.endpoint.clone(), desk)
            })
            .collect();
        Self { published: HashMap::new(), desks, report: Report::default() }
    }

    pub(super) fn attempt(&mut self, attempt: Attempt) {
        if attempt.outcome == Outcome::Fail {
            self.report.refused += 1;
        }
        if attempt.outcome == Outcome::Ok {
            let event = Event { number: attempt.number };
            let wanted = self.desks.values().filter(|desk| desk.wants(event)).count();
            if usize::try_from(attempt.deliveries) != Ok(wanted) {
                self.report.miscounted += 1;
                self.example(format!(
                    "event {}: {} deliveries promised, {wanted} subscribers",
                    event.number, attempt.deliveries
                ));
            }
        }
        match self.published.entry(attempt.number) {
            Entry::Vacant(entry) => {
                entry.insert(Published {
                    outcome: attempt.outcome,
                    id: attempt.id,
                    digest: attempt.digest,
                    sent_us: attempt.sent_us,
                });
            }
            Entry::Occupied(mut entry) => {
                let published = entry.get_mut();
                match (published.outcome, attempt.outcome) {
                    (Outcome::Ok, Outcome::Ok) if published.id != attempt.id => self.report.split += 1,
                    (Outcome::Ok, _) | (Outcome::Unknown, Outcome::Fail) => {}
                    (_, outcome) => {
                        published.outcome = outcome;
                        published.id = attempt.id;
                    }
                }
            }
        }
    }

    pub(super) fn receipt(&mut self, receipt: &Receipt) {
        let mut wrong = Vec::new();
        let Some(desk) = self.desks.get_mut(&receipt.endpoint) else {
            self.report.endpoints.entry(receipt.endpoint.clone()).or_default().misrouted += 1;
            self.example(format!("{receipt:?}: nobody subscribes there"));
            return;
        };
        let found = &mut desk.findings;
        if !receipt.authorized {
            found.unauthorized += 1;
            wrong.push("wrong credentials");
        }
        let event = receipt.number.map(|number| Event { number });
        if event.is_some_and(|event| !desk.subscription.wants(event.event(), event.product())) {
            found.misrouted += 1;
            wrong.push("not subscribed");
        }
        let published = event.and_then(|event| self.published.get(&event.number));
        match published {
            Some(published) if published.outcome != Outcome::Fail => {
                if published.outcome == Outcome::Ok && published.id != receipt.id {
                    found.unexpected += 1;
                    wrong.push("another id than was answered");
                }
                if published.digest != receipt.digest {
                    found.corrupt += 1;
                    wrong.push("another body");
                }
            }
            _ => {
                found.unexpected += 1;
                wrong.push("never accepted");
            }
        }
        if (200..300).contains(&receipt.answered) {
            found.received += 1;
            if let (Some(event), Some(published)) = (event, published) {
                wrong.extend(desk.arrived(event, receipt, published.sent_us));
            }
        } else {
            found.turned_away += 1;
        }
        for what in wrong {
            self.example(format!("{what}: {receipt:?}"));
        }
    }

    pub(super) fn close(mut self) -> Report {
        let mut lost = Vec::new();
        for (&number, published) in &self.published {
            match published.outcome {
                Outcome::Ok => self.report.accepted += 1,
                Outcome::Unknown => self.report.unknown += 1,
                Outcome::Fail => {}
            }
            let event = Event { number };
            for (name, desk) in self.desks.iter_mut().filter(|(_, desk)| desk.wants(event)) {
                if published.outcome != Outcome::Ok {
                    continue;
                }
                desk.findings.expected += 1;
                if !desk.arrived.contains_key(&number) {
                    desk.findings.lost += 1;
                    lost.push((number, name.clone(), published.id.clone()));
                }
            }
        }
        lost.sort();
        for (number, name, id) in lost.into_iter().take(EXAMPLES) {
            self.example(format!("lost: event {number} ({id}) at {name}"));
        }
        for (name, mut desk) in self.desks {
            desk.took.sort_unstable();
            desk.findings.p50_us = quantile(&desk.took, 0.5);
            desk.findings.p99_us = quantile(&desk.took, 0.99);
            desk.findings.max_us = desk.took.last().copied().unwrap_or(0);
            self.report.endpoints.insert(name, desk.findings);
        }
        self.report
    }

    fn example(&mut self, text: String) {
        if self.report.examples.len() < EXAMPLES {
            self.report.examples.push(text);
        }
    }
}

impl Desk {
    fn wants(&self, event: Event) -> bool {
        self.subscription.wants(event.event(), event.product())
    }

    /// Notes a success, and says what is wrong with it.
    fn arrived(&mut self, event: Event, receipt: &Receipt, sent_us: u64) -> Option<&'static str> {
        match self.arrived.entry(event.number) {
            Entry::Occupied(mut entry) => {
                let (count, id) = entry.get_mut();
                *count += 1;
                if *id == receipt.id {
                    self.findings.duplicated += 1;
                    None
                } else {
                    self.findings.unexpected += 1;
                    Some("one event under two ids")
                }
            }
            Entry::Vacant(entry) => {
                entry.insert((1, receipt.id.clone()));
                self.took.push(receipt.at_us.saturating_sub(sent_us));
                let latest = self.latest.entry(event.message()).or_insert(event.number);
                if event.number < *latest {
                    self.findings.disordered += 1;
                    return Some("after a later event of its message");
                }
                *latest = event.number;
                None
            }
        }
    }
}
