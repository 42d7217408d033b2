//! What arrived, held against what was promised.

use crate::plan::{GONE, Plan};
use postrider_checker::event::Event;
use postrider_checker::log::{Attempt, Outcome, Receipt};
use postrider_checker::verify::{Ledger, Report, Subscription};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How soon a file that is there again is in force, at the latest.
const RELOADS: Duration = Duration::from_secs(12);

/// What is known of a seed once everything has ended.
#[derive(Default)]
pub struct Verdict {
    /// Events that were accepted.
    pub accepted: u64,
    /// Requests that arrived.
    pub requests: usize,
    /// Deliveries that arrived more than once.
    pub repeated: u64,
    /// Starts of the daemon.
    pub starts: u64,
    /// Simulated time.
    pub took: Duration,
    /// Everything that is wrong.
    pub wrong: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} accepted, {} requests, {} repeated, {} starts, {:.1} s simulated",
            self.accepted,
            self.requests,
            self.repeated,
            self.starts,
            self.took.as_secs_f64()
        )?;
        self.wrong.iter().try_for_each(|wrong| write!(f, "\n  {wrong}"))
    }
}

/// A time in which an answer may not have reached the daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excuse {
    /// Of which endpoint; none: of all.
    pub(crate) endpoint: Option<usize>,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// The end of a daemon's process, and what it may repeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) at: Duration,
    /// What was settled less than that before may be forgotten.
    pub(crate) forgets: Duration,
}

/// Everything that was noted.
pub(crate) struct Notes {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) excuses: Vec<Excuse>,
    /// When an endpoint had no file, and no events were its own.
    pub(crate) absences: Vec<Excuse>,
    pub(crate) deaths: Vec<Death>,
    /// Dead letters of each endpoint that has some.
    pub(crate) dead: BTreeMap<String, u64>,
}

pub(crate) fn judge(plan: &Plan, notes: &Notes, verdict: &mut Verdict) {
    let subscriptions = plan.endpoints.iter().enumerate().map(|(number, endpoint)| Subscription {
        endpoint: crate::files::name(number),
        events: endpoint.events.clone(),
        products: Vec::new(),
        account: None,
    });
    let subscriptions: Vec<Subscription> = subscriptions.collect();
    let mut ledger = Ledger::new(subscriptions.clone());
    let mut begun: BTreeMap<u64, Duration> = BTreeMap::new();
    for attempt in &notes.attempts {
        let begun = *begun.entry(attempt.number).or_insert(Duration::from_micros(attempt.sent_us));
        let (attempt, spared) = spared(attempt, begun, &subscriptions, &notes.absences);
        let number = attempt.number;
        ledger.attempt("publishers", attempt);
        spared.iter().for_each(|endpoint| ledger.died(endpoint, number));
    }
    // What was answered that its destination is gone is dead, and need not arrive, nor in its turn.
    for receipt in notes.receipts.iter().filter(|receipt| receipt.answered == GONE) {
        if let Some(number) = receipt.number {
            ledger.died(&receipt.endpoint, number);
        }
    }
    notes.receipts.iter().for_each(|receipt| ledger.receipt(receipt));
    let mut report = ledger.close();
    for (number, endpoint) in plan.endpoints.iter().enumerate() {
        if endpoint.ordering == "none"
            && let Some(found) = report.endpoints.get_mut(&crate::files::name(number))
        {
            found.disordered = 0;
        }
    }
    verdict.accepted = report.accepted;
    verdict.requests = notes.receipts.len();
    verdict.repeated = report.duplicated();
    if let Err(broken) = without_repeats(&report) {
        verdict.wrong.push(broken);
    }
    dead(plan, notes, &mut verdict.wrong);
    repeats(plan, notes, &mut verdict.wrong);
}

/// An endpoint without a file gets no delivery. Which of those that had none just then are meant by an answer that
/// promises fewer than there are subscribers, is not said: none of them need get it. An answer that promises all is
/// taken at its word.
fn spared(
    attempt: &Attempt,
    begun: Duration,
    subscriptions: &[Subscription],
    absences: &[Excuse],
) -> (Attempt, Vec<String>) {
    let event = Event { number: attempt.number };
    let ended = Duration::from_micros(attempt.sent_us + attempt.took_us);
    let wanted = subscriptions.iter().filter(|subscription| subscription.wants(event));
    let wanted: Vec<&String> = wanted.map(|subscription| &subscription.endpoint).collect();
    let absent = |name: &str| {
        let here = absences
            .iter()
            .filter(|absence| absence.endpoint.map(crate::files::name).as_deref() == Some(name));
        here.into_iter().any(|absence| absence.from <= ended && begun <= absence.until + RELOADS)
    };
    let absent: Vec<String> = wanted.iter().filter(|name| absent(name)).map(|name| (*name).clone()).collect();
    let all = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let fewer = all.checked_sub(attempt.deliveries).and_then(|fewer| usize::try_from(fewer).ok());
    match fewer {
        Some(fewer) if attempt.outcome == Outcome::Ok && (1..=absent.len()).contains(&fewer) => {
            (Attempt { deliveries: all, ..attempt.clone() }, absent)
        }
        _ => (attempt.clone(), Vec::new()),
    }
}

/// Repeats are judged one by one.
fn without_repeats(report: &Report) -> Result<(), String> {
    report.verdict(u64::MAX)
}

/// What was answered that its destination is gone, and did not arrive, is a dead letter; nothing else is.
fn dead(plan: &Plan, notes: &Notes, wrong: &mut Vec<String>) {
    for number in 0..plan.endpoints.len() {
        let name = crate::files::name(number);
        let answered = |with: &dyn Fn(u16) -> bool| -> BTreeSet<u64> {
            let here = notes.receipts.iter().filter(|receipt| receipt.endpoint == name);
            here.filter(|receipt| with(receipt.answered)).filter_map(|receipt| receipt.number).collect()
        };
        let gone = answered(&|status| status == GONE);
        let arrived = answered(&|status| (200..300).contains(&status));
        let (least, most) = (gone.difference(&arrived).count() as u64, gone.len() as u64);
        let dead = notes.dead.get(&name).copied().unwrap_or(0);
        if dead < least || dead > most {
            wrong.push(format!("{name} has {dead} dead letters, and not {least} to {most}"));
        }
    }
}

/// Every repeat needs a reason: an answer that may not have arrived, or a death of the daemon, which repeats at most
/// as many as there are slots.
fn repeats(plan: &Plan, notes: &Notes, wrong: &mut Vec<String>) {
    let mut last: BTreeMap<(&str, u64), Duration> = BTreeMap::new();
    let mut of_death: BTreeMap<(usize, usize), BTreeSet<u64>> = BTreeMap::new();
    for receipt in notes.receipts.iter().filter(|receipt| (200..300).contains(&receipt.answered)) {
        let Some(number) = receipt.number else { continue };
        let at = Duration::from_micros(receipt.at_us);
        let Some(before) = last.insert((&receipt.endpoint, number), at) else { continue };
        let endpoint = receipt.endpoint.trim_start_matches('r').parse().unwrap_or(usize::MAX);
        let excused = |excuse: &&Excuse| {
            let slack = Duration::from_secs(6);
            excuse.endpoint.is_none_or(|of| of == endpoint)
                && excuse.from <= before + slack
                && before <= excuse.until + slack
        };
        if notes.excuses.iter().any(|excuse| excused(&excuse)) {
            continue;
        }
        // A request may still be on its way when its daemon dies.
        let way = Duration::from_secs(4);
        let between =
            |way| notes.deaths.iter().position(|death: &Death| before <= death.at + way && death.at <= at);
        let death = between(Duration::ZERO).or_else(|| between(way));
        match death.and_then(|index| Some((index, notes.deaths.get(index)?))) {
            Some((_, death)) if before + death.forgets >= death.at && !death.forgets.is_zero() => {}
            Some((index, _)) => drop(of_death.entry((index, endpoint)).or_default().insert(number)),
            None => wrong.push(format!(
                "event {number} was repeated at {} for no reason: at {before:?} and {at:?}",
                receipt.endpoint
            )),
        }
    }
    for ((_, endpoint), numbers) in of_death {
        // A file may have said another concurrency in between.
        let most = plan.endpoints.get(endpoint).map_or(0, |endpoint| endpoint.concurrency.max(8));
        if numbers.len() as u64 > most {
            wrong.push(format!("one kill repeated {} deliveries at r{endpoint}: {numbers:?}", numbers.len()));
        }
    }
}
