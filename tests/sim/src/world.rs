//! Lets a plan happen.

mod faults;

use crate::Outcome;
use crate::chance::Draws;
use crate::daemon::{BEGIN, Machine};
use crate::disk::SimDisk;
use crate::files::{Files, name};
use crate::judge::{Death, Excuse, Notes, Verdict, judge};
use crate::plan::{Fault, Mode, Plan};
use crate::publisher::{Publisher, Publishers};
use crate::receiver::Receiver;
use crate::trace::Trace;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;
use turmoil::Sim;

const DAEMON: &str = "daemon";
const PUBLISHERS: &str = "publishers";
/// How long the daemon may take to deliver everything once nothing goes wrong any more, but that a receiver may still
/// turn away three in ten: its breaker then wants three in a row, with eight seconds between them.
const DRAIN: Duration = Duration::from_secs(1200);

/// How often a person looks whether an endpoint is suspended.
const LOOK: Duration = Duration::from_secs(4);

struct World<'a> {
    plan: &'a Plan,
    sim: Sim<'a>,
    machine: Arc<Machine>,
    receivers: Vec<Rc<Receiver>>,
    publishers: Rc<Publishers>,
    left: Rc<Cell<usize>>,
    files: Files,
    trace: Trace,
    draws: Draws,
    /// What begins and what ends, and when.
    agenda: Vec<(Duration, bool, Fault)>,
    /// When the daemon is started again.
    restart: Option<Duration>,
    excuses: Vec<Excuse>,
    /// When an endpoint's file was gone.
    absences: Vec<Excuse>,
    deaths: Vec<Death>,
    starts: u64,
    /// Endpoints whose receiver has said that it is gone, and when a person looked at them last.
    gone: BTreeSet<usize>,
    looked: Duration,
}

pub(crate) fn run(plan: &Plan) -> Outcome {
    let trace = Trace::default();
    let mut verdict = Verdict::default();
    match happen(plan, &trace, &mut verdict) {
        Ok(notes) => judge(plan, &notes, &mut verdict),
        Err(reason) => verdict.wrong.push(reason),
    }
    Outcome { trace: trace.take(), verdict }
}

fn happen(plan: &Plan, trace: &Trace, verdict: &mut Verdict) -> Result<Notes, String> {
    // A folder in memory: the syncs that count are the simulated disk's.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.map_err(|error| error.to_string())?;
    let mut world = World::build(plan, trace, &folder).map_err(|error| error.to_string())?;
    let ended = world.live();
    verdict.took = world.sim.elapsed();
    verdict.starts = world.starts;
    ended?;
    let left = world.machine.waiting().unwrap_or_default();
    Ok(Notes {
        dead: left.iter().map(|backlog| (backlog.identity.name.to_string(), backlog.dead)).collect(),
        attempts: world.publishers.attempts.take(),
        receipts: world.receivers.first().map(|receiver| receiver.receipts.take()).unwrap_or_default(),
        excuses: world.excuses,
        absences: world.absences,
        deaths: world.deaths,
    })
}

impl<'a> World<'a> {
    fn build(plan: &'a Plan, trace: &Trace, folder: &TempDir) -> std::io::Result<Self> {
        let files = Files::write(folder.path(), plan)?;
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .epoch(UNIX_EPOCH + BEGIN)
            .simulation_duration(Duration::from_secs(100_000))
            .tick_duration(plan.tick)
            .max_message_latency(plan.latency)
            .tcp_capacity(4096)
            .build();
        let receipts = Rc::default();
        let receivers: Vec<Rc<Receiver>> = plan
            .endpoints
            .iter()
            .enumerate()
            .map(|(number, endpoint)| {
                Rc::new(Receiver {
                    name: name(number),
                    draws: Draws::of(plan.seed, &name(number)),
                    trace: trace.clone(),
                    mode: Cell::new(Mode::Takes),
                    failing: Cell::new(endpoint.failing),
                    receipts: Rc::clone(&receipts),
                })
            })
            .collect();
        let machine = Arc::new(Machine {
            draws: Draws::of(plan.seed, "commits"),
            chance: Arc::new(Draws::of(plan.seed, "chance")),
            trace: trace.clone(),
            disk: Arc::new(SimDisk::new(trace.clone())),
            root: files.root(),
            segment: plan.segment,
            commit: AtomicU64::new(plan.commit),
            names: receivers.iter().map(|one| (one.name.clone(), sim.lookup(one.name.as_str()))).collect(),
            own: sim.lookup(DAEMON),
            reload: Default::default(),
            replay: Default::default(),
            off: Default::default(),
            failed: Default::default(),
            stop: Default::default(),
            resume: Default::default(),
            spool: Default::default(),
        });
        for receiver in &receivers {
            let receiver = Rc::clone(receiver);
            sim.host(receiver.name.clone(), move || {
                let receiver = Rc::clone(&receiver);
                async move { Ok(receiver.serve().await?) }
            });
        }
        let process = Arc::clone(&machine);
        sim.host(DAEMON, move || Arc::clone(&process).run());
        let publishers = Rc::new(Publishers {
            draws: Draws::of(plan.seed, "publishers"),
            trace: trace.clone(),
            pause: plan.pause,
            bytes: plan.bytes,
            attempts: RefCell::default(),
        });
        let left = Rc::new(Cell::new(plan.publishers));
        sim.client(PUBLISHERS, publish(plan.clone(), Rc::clone(&publishers), Rc::clone(&left)));
        let both =
            |event: &crate::plan::Event| [(event.from, true, event.fault), (event.until, false, event.fault)];
        let mut agenda: Vec<_> = plan.faults.iter().flat_map(both).collect();
        agenda.sort_by_key(|(when, begins, _)| std::cmp::Reverse((*when, *begins)));
        Ok(Self {
            plan,
            sim,
            machine,
            receivers,
            publishers,
            left,
            files,
            trace: trace.clone(),
            draws: Draws::of(plan.seed, "world"),
            agenda,
            restart: None,
            excuses: Vec::new(),
            absences: Vec::new(),
            deaths: Vec::new(),
            starts: 1,
            gone: BTreeSet::new(),
            looked: Duration::ZERO,
        })
    }

    /// Until everything is delivered.
    fn live(&mut self) -> Result<(), String> {
        loop {
            let now = self.sim.elapsed();
            while self.agenda.last().is_some_and(|(when, ..)| *when <= now) {
                let Some((_, begins, fault)) = self.agenda.pop() else { break };
                self.trace.at(now, "world", format_args!("{} {fault:?}", if begins { "+" } else { "-" }));
                if begins { self.begin(fault) } else { self.end(fault, now) }?;
            }
            if self.restart.is_some_and(|at| at <= now) {
                self.restart = None;
                self.starts += 1;
                self.trace.at(now, "world", "the daemon starts");
                self.sim.bounce(DAEMON);
            }
            self.sim.step().map_err(|error| format!("a host failed: {error}"))?;
            if self.machine.disk.is_dark() {
                self.dies(true)?;
            }
            if self.machine.failed.swap(false, Ordering::Relaxed) {
                self.dies(false)?;
            }
            if self.machine.stop.load(Ordering::Relaxed) && !self.sim.is_host_running(DAEMON) {
                self.has_stopped();
            }
            if now > self.looked + LOOK {
                self.looked = now;
                let names = self.gone.iter().map(|number| name(*number));
                self.machine.resume.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
            }
            if self.is_done() {
                return Ok(());
            }
            if now > self.plan.heal + DRAIN {
                return Err(format!("not all is delivered in the end: {:?}", self.machine.waiting()));
            }
        }
    }

    fn is_done(&self) -> bool {
        self.agenda.is_empty()
            && self.restart.is_none()
            && self.left.get() == 0
            && !self.machine.stop.load(Ordering::Relaxed)
            && !self.machine.replay.load(Ordering::Relaxed)
            && self.machine.resume.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            && self
                .machine
                .waiting()
                .is_some_and(|waiting| waiting.iter().all(|backlog| backlog.ready + backlog.parked == 0))
    }
}

/// All publishers, each with messages of its own.
async fn publish(plan: Plan, shared: Rc<Publishers>, left: Rc<Cell<usize>>) -> turmoil::Result {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..plan.publishers {
        let first = number as u64 * plan.messages;
        let (shared, left, messages) = (Rc::clone(&shared), Rc::clone(&left), plan.messages);
        tasks.spawn_local(async move {
            Publisher::new(shared, number).publish(first..first + messages).await;
            left.set(left.get() - 1);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
