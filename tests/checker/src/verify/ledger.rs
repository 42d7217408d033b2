use super::{Account, Findings, Report, Subscription, Times};
use crate::event::Event;
use crate::log::{Attempt, Outcome, Receipt};
use crate::stats::{Spread, quantile};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

const EXAMPLES: usize = 20;

/// What is known about one event from the publisher's side.
struct Published {
    outcome: Outcome,
    id: String,
    digest: u64,
    sent_us: u64,
    took_us: u64,
    /// Its place in [`Ledger::logs`].
    log: usize,
}

/// How long the deliveries of one publisher's log took.
struct Log {
    name: String,
    since_due: Vec<u64>,
    since_accepted: Vec<u64>,
}

/// What arrived at one endpoint.
struct Desk {
    subscription: Subscription,
    findings: Findings,
    /// Successes by event, and the id it came under.
    arrived: HashMap<u64, (u32, String)>,
    /// Events that need not arrive any more.
    dead: HashSet<u64>,
    /// The latest event of each message that has arrived, counting only first arrivals.
    latest: HashMap<u64, u64>,
    took: Vec<u64>,
}

/// Both sides, while the logs are read: all attempts first, then all receipts.
pub struct Ledger {
    published: HashMap<u64, Published>,
    desks: Desks,
    logs: Vec<Log>,
    report: Report,
}

/// Every endpoint, with an index for where there are thousands, each of an account.
struct Desks {
    all: Vec<Desk>,
    by_name: HashMap<String, usize>,
    of_all_accounts: Vec<usize>,
    by_account: HashMap<(u64, u64), Vec<usize>>,
    /// Into how many accounts messages are divided: one number, hardly ever more.
    accounts: Vec<u64>,
}

impl Ledger {
    /// Nothing was published yet.
    #[must_use]
    pub fn new(subscriptions: Vec<Subscription>) -> Self {
        Self {
            published: HashMap::new(),
            desks: Desks::new(subscriptions),
            logs: Vec::new(),
            report: Report::default(),
        }
    }

    /// Notes an attempt to publish, of a log of this name.
    pub fn attempt(&mut self, log: &str, attempt: Attempt) {
        let log = self.log(log);
        if attempt.outcome == Outcome::Fail {
            self.report.refused += 1;
        }
        if attempt.outcome == Outcome::Ok {
            let event = Event { number: attempt.number };
            let wanted = self.desks.that_want(event).count();
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
                    took_us: attempt.took_us,
                    log,
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

    /// Notes a request that arrived.
    pub fn receipt(&mut self, receipt: &Receipt) {
        let mut wrong = Vec::new();
        let Some(desk) = self.desks.named(&receipt.endpoint) else {
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
        if event.is_some_and(|event| !desk.subscription.wants(event)) {
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
                if !desk.arrived.contains_key(&event.number)
                    && let Some(log) = self.logs.get_mut(published.log)
                {
                    let took = receipt.at_us.saturating_sub(published.sent_us);
                    log.since_due.push(took);
                    log.since_accepted.push(took.saturating_sub(published.took_us));
                }
                wrong.extend(desk.arrived(event, receipt, published.sent_us));
            }
        } else {
            found.turned_away += 1;
        }
        for what in wrong {
            self.example(format!("{what}: {receipt:?}"));
        }
    }

    /// Notes that a delivery may have died: where it did not arrive, it is not lost. Said before the receipts, it may also
    /// come late, as a replay does.
    pub fn died(&mut self, endpoint: &str, number: u64) {
        if let Some(desk) = self.desks.named(endpoint) {
            desk.dead.insert(number);
        }
    }

    /// The comparison.
    #[must_use]
    pub fn close(mut self) -> Report {
        let mut lost = Vec::new();
        for (&number, published) in &self.published {
            match published.outcome {
                Outcome::Ok => self.report.accepted += 1,
                Outcome::Unknown => self.report.unknown += 1,
                Outcome::Fail => {}
            }
            let event = Event { number };
            if published.outcome != Outcome::Ok {
                continue;
            }
            let wanted: Vec<usize> = self.desks.that_want(event).collect();
            for at in wanted {
                let Some(desk) = self.desks.all.get_mut(at) else { continue };
                desk.findings.expected += 1;
                if !desk.arrived.contains_key(&number) && !desk.dead.contains(&number) {
                    desk.findings.lost += 1;
                    lost.push((number, desk.subscription.endpoint.clone(), published.id.clone()));
                }
            }
        }
        lost.sort();
        for (number, name, id) in lost.into_iter().take(EXAMPLES) {
            self.example(format!("lost: event {number} ({id}) at {name}"));
        }
        for log in self.logs {
            let (since_due, since_accepted) = (Spread::of(log.since_due), Spread::of(log.since_accepted));
            self.report.times.insert(log.name, Times { since_due, since_accepted });
        }
        for mut desk in self.desks.all {
            desk.took.sort_unstable();
            desk.findings.p50_us = quantile(&desk.took, 0.5);
            desk.findings.p99_us = quantile(&desk.took, 0.99);
            desk.findings.max_us = desk.took.last().copied().unwrap_or(0);
            self.report.endpoints.insert(desk.subscription.endpoint, desk.findings);
        }
        self.report
    }

    /// The place of a publisher's log; attempts come log by log.
    fn log(&mut self, name: &str) -> usize {
        if self.logs.last().is_none_or(|log| log.name != name) {
            let log = Log { name: name.to_owned(), since_due: Vec::new(), since_accepted: Vec::new() };
            self.logs.push(log);
        }
        self.logs.len() - 1
    }

    fn example(&mut self, text: String) {
        if self.report.examples.len() < EXAMPLES {
            self.report.examples.push(text);
        }
    }
}

impl Desks {
    fn new(subscriptions: Vec<Subscription>) -> Self {
        let mut desks = Self {
            all: Vec::new(),
            by_name: HashMap::new(),
            of_all_accounts: Vec::new(),
            by_account: HashMap::new(),
            accounts: Vec::new(),
        };
        for (at, subscription) in subscriptions.into_iter().enumerate() {
            desks.by_name.insert(subscription.endpoint.clone(), at);
            match subscription.account {
                None => desks.of_all_accounts.push(at),
                Some(Account { number, of }) => {
                    desks.by_account.entry((of, number)).or_default().push(at);
                    if !desks.accounts.contains(&of) {
                        desks.accounts.push(of);
                    }
                }
            }
            desks.all.push(Desk {
                subscription,
                findings: Findings::default(),
                arrived: HashMap::new(),
                dead: HashSet::new(),
                latest: HashMap::new(),
                took: Vec::new(),
            });
        }
        desks
    }

    fn that_want(&self, event: Event) -> impl Iterator<Item = usize> {
        let theirs =
            self.accounts.iter().filter_map(move |&of| self.by_account.get(&(of, event.account(of))));
        let candidates = theirs.flatten().chain(&self.of_all_accounts).copied();
        candidates.filter(move |&at| self.all.get(at).is_some_and(|desk| desk.subscription.wants(event)))
    }

    fn named(&mut self, name: &str) -> Option<&mut Desk> {
        self.all.get_mut(*self.by_name.get(name)?)
    }
}

impl Desk {
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
                if self.dead.contains(&event.number) {
                    return None;
                }
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
