//! Filters are judged beside the router, on a few threads that may block: the router never evaluates one. An event
//! without a filtered candidate does not come here.

use super::actor::RouterMessage;
use super::handle::Submission;
use crate::ids::{EndpointUid, Generation};
use crate::spool::NewEvent;
use crate::table::Table;
use crate::table::filter::{EVALUATION_STACK, Facts, FailureKind, FilterFailure, Judgement};
use crossbeam_channel::{Receiver, Sender};
use ractor::ActorRef;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What filters said about the events of a submission, by one table.
pub struct Judged {
    /// Of which table.
    pub(super) generation: Generation,
    /// Who gets it, event by event; none where no filter was asked.
    pub(super) targets: Vec<Option<Vec<EndpointUid>>>,
    /// Filters that could not tell.
    pub(super) failures: Vec<(EndpointUid, FilterFailure)>,
}

/// Where filters are judged. What waits here holds its permit of the admission, so that is bounded.
#[derive(Default)]
pub(super) struct Filters {
    /// Its threads end when this goes. They start with the first work.
    queue: Option<Sender<Work>>,
}

struct Work {
    router: ActorRef<RouterMessage>,
    table: Arc<Table>,
    submission: Submission,
}

impl Filters {
    /// Judges a submission by a table and sends it back to the router with what came of it. Dropped on the way, the
    /// submission tells its sender that nothing was stored.
    pub(super) fn judge(
        &mut self,
        router: &ActorRef<RouterMessage>,
        table: Arc<Table>,
        submission: Submission,
    ) {
        let queue = self.queue.get_or_insert_with(start);
        drop(queue.send(Work { router: router.clone(), table, submission }));
    }
}

/// As many threads as there are cores, with the stack that an evaluation may need.
fn start() -> Sender<Work> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for number in 0..cores {
        let receiver: Receiver<Work> = receiver.clone();
        let builder =
            std::thread::Builder::new().name(format!("filter-{number}")).stack_size(EVALUATION_STACK);
        if let Err(error) = builder.spawn(move || receiver.iter().for_each(survive)) {
            tracing::error!(%error, "a thread for filters did not start");
        }
    }
    sender
}

/// A panic costs the submission, whose sender is told that nothing was stored, and not the thread.
fn survive(work: Work) {
    if catch_unwind(AssertUnwindSafe(|| self::work(work))).is_err() {
        tracing::error!("judging filters panicked: the events were refused");
    }
}

fn work(work: Work) {
    let Work { router, table, submission } = work;
    let judged = Box::new(judged(&table, &submission.events));
    drop(router.cast(RouterMessage::SubmitJudged { submission, judged }));
}

fn judged(table: &Table, events: &[NewEvent]) -> Judged {
    let mut judged = Judged { generation: table.generation, targets: Vec::new(), failures: Vec::new() };
    for event in events {
        let targets = targets(table, event, &mut judged.failures);
        judged.targets.push(targets);
    }
    judged
}

fn targets(
    table: &Table,
    event: &NewEvent,
    failures: &mut Vec<(EndpointUid, FilterFailure)>,
) -> Option<Vec<EndpointUid>> {
    let account = event.account.as_deref();
    let candidates = table.candidates(&event.event, &event.product, account);
    if !candidates.filtered() {
        return None;
    }
    let facts = Facts::of_body(&event.event, &event.product, account, &event.body);
    let mut targets = Vec::new();
    for entry in candidates.iter() {
        match entry.spec.filter.as_ref().zip(facts.as_ref().ok()).map(|(filter, facts)| filter.judge(facts)) {
            Some(Judgement::Unwanted) => {}
            Some(Judgement::Failed(failure)) => failures.push((entry.uid, failure)),
            Some(Judgement::Wanted) => targets.push(entry.uid),
            None if entry.spec.filter.is_none() => targets.push(entry.uid),
            None => {
                let reason = "the event cannot be read".into();
                failures.push((entry.uid, FilterFailure { kind: FailureKind::Error, reason }));
            }
        }
    }
    Some(targets)
}
