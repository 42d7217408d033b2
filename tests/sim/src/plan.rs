//! What a seed decides before anything runs.

use crate::chance::Draws;
use std::time::Duration;

/// The answer that suspends an endpoint until a person resumes it; the delivery is dead.
pub(crate) const GONE: u16 = 410;

/// The longest time between two commits of a slow disk, in milliseconds.
pub(crate) const LONGEST_COMMIT: u64 = 3000;

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With success.
    Takes,
    /// With this status, and `Retry-After` of so many seconds.
    Fails(u16, Option<u64>),
    /// With success, so many milliseconds later.
    Slow(u64),
    /// Not at all.
    Silent,
    /// By closing the connection.
    Closes,
}

/// Whose link to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The publishers'.
    Publishers,
    /// A receiver's.
    Receiver(usize),
}

/// What goes wrong, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything on a link is dropped.
    Partition(Link),
    /// Everything on a link is kept back, and comes in the end.
    Hold(Link),
    /// A link takes so many milliseconds.
    SlowLink(Link, u64),
    /// A receiver's process is gone.
    ReceiverDown(usize),
    /// A receiver behaves like this.
    Behaves(usize, Mode),
    /// The daemon is stopped as by SIGTERM, and started again.
    Stop,
    /// The daemon is killed; what it had written is there.
    Kill,
    /// The daemon's machine has no power; what was not synced may be lost. In the middle of a commit: after so many
    /// writes and syncs.
    PowerCut(Option<u32>),
    /// So many syncs fail.
    SyncsFail(u32),
    /// So many writes fail.
    WritesFail(u32),
    /// The machine's clock is set ahead by so many seconds, or back.
    ClockSet(i64),
    /// An endpoint's file says another concurrency; true: and that it is paused, until the fault is over.
    Reload(usize, bool),
    /// An endpoint's file is gone.
    Removed(usize),
    /// The disk is full.
    Full,
    /// A commit takes up to so many milliseconds.
    SlowDisk(u64),
    /// A person replays all dead letters, at its beginning and at its end.
    Replay,
}

/// A fault, from when and until when.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Since the beginning.
    pub from: Duration,
    /// When it is over.
    pub until: Duration,
    /// What.
    pub fault: Fault,
}

/// An endpoint and its receiver.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `message`, `endpoint` or `none`.
    pub ordering: &'static str,
    /// Attempts at once.
    pub concurrency: u64,
    /// Which events it wants; none: all.
    pub events: Vec<String>,
    /// Of a hundred requests, so many are answered with a failure.
    pub failing: u64,
}

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How long one step of the network is.
    pub tick: Duration,
    /// The longest way of a message, of a quiet link.
    pub latency: Duration,
    /// How many publishers there are.
    pub publishers: usize,
    /// Messages of each publisher, with four events each.
    pub messages: u64,
    /// The longest pause of a publisher between two events.
    pub pause: u64,
    /// Bytes of `data`.
    pub bytes: usize,
    /// Bytes of a segment of the log.
    pub segment: u64,
    /// The longest time between two commits, in milliseconds.
    pub commit: u64,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// What goes wrong, in order.
    pub faults: Vec<Event>,
    /// When nothing goes wrong any more.
    pub heal: Duration,
}

impl Plan {
    /// The longest time between two commits, whatever goes wrong.
    pub(crate) fn longest_commit(&self) -> Duration {
        let slow = self.faults.iter().any(|event| matches!(event.fault, Fault::SlowDisk(_)));
        Duration::from_millis(if slow { LONGEST_COMMIT } else { self.commit })
    }

    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let draws = Draws::of(seed, "plan");
        let receivers = usize::try_from(draws.between(1, 3)).unwrap_or(1);
        let endpoints = (0..receivers).map(|_| endpoint(&draws)).collect();
        let heal = draws.millis(20_000, 60_000);
        let mut faults: Vec<Event> =
            (0..draws.pick(&[0, 3, 6, 12, 20])).map(|_| fault(&draws, receivers, heal)).collect();
        let more = Draws::of(seed, "more faults");
        faults.extend((0..more.pick(&[0, 0, 1, 2, 4])).map(|_| another(&more, receivers, heal)));
        faults.sort_by_key(|event| event.from);
        Self {
            seed,
            tick: draws.pick(&[20, 25, 40].map(Duration::from_millis)),
            latency: draws.pick(&[5, 50, 200].map(Duration::from_millis)),
            publishers: usize::try_from(draws.between(1, 3)).unwrap_or(1),
            messages: draws.between(3, 8),
            pause: draws.pick(&[20, 500, 3000]),
            bytes: usize::try_from(draws.between(150, 1500)).unwrap_or(300),
            segment: draws.pick(&[16, 64]) * 1024,
            commit: draws.pick(&[8, 20, 80]),
            endpoints,
            faults,
            heal,
        }
    }
}

fn endpoint(draws: &Draws) -> Endpoint {
    let events = if draws.percent(70) { Vec::new() } else { vec!["sent".to_owned(), "read".to_owned()] };
    Endpoint {
        ordering: draws.pick(&["message", "message", "message", "endpoint", "none"]),
        concurrency: draws.pick(&[1, 2, 4, 16]),
        events,
        failing: draws.pick(&[0, 0, 10, 30]),
    }
}

fn fault(draws: &Draws, receivers: usize, heal: Duration) -> Event {
    let link = || match draws.index(receivers + 1) {
        0 => Link::Publishers,
        other => Link::Receiver(other - 1),
    };
    let receiver = draws.index(receivers);
    let fault = match draws.index(19) {
        0 => Fault::Partition(link()),
        1 => Fault::Hold(link()),
        2 => Fault::SlowLink(link(), draws.between(100, 3000)),
        3 => Fault::ReceiverDown(receiver),
        4..=6 | 16 => Fault::Behaves(receiver, mode(draws)),
        17 => Fault::Stop,
        18 => Fault::ClockSet(draws.pick(&[-1800, -60, 60, 1800])),
        7 | 8 => Fault::Kill,
        9 => Fault::PowerCut(None),
        10 | 11 => Fault::PowerCut(Some(u32::try_from(draws.between(0, 4)).unwrap_or(0))),
        12 => Fault::SyncsFail(u32::try_from(draws.between(1, 3)).unwrap_or(1)),
        13 => Fault::WritesFail(u32::try_from(draws.between(1, 3)).unwrap_or(1)),
        _ => Fault::Reload(receiver, draws.percent(50)),
    };
    some_time(draws, fault, heal)
}

fn another(draws: &Draws, receivers: usize, heal: Duration) -> Event {
    let fault = match draws.index(6) {
        0 | 1 => Fault::Removed(draws.index(receivers)),
        2 => Fault::Full,
        3 | 4 => Fault::Replay,
        _ => Fault::SlowDisk(draws.between(200, LONGEST_COMMIT)),
    };
    some_time(draws, fault, heal)
}

fn some_time(draws: &Draws, fault: Fault, heal: Duration) -> Event {
    let from = draws.millis(500, u64::try_from(heal.as_millis()).unwrap_or(1000) - 400);
    let until = (from + draws.millis(200, 15_000)).min(heal);
    Event { from, until, fault }
}

fn mode(draws: &Draws) -> Mode {
    match draws.index(8) {
        0 => Mode::Fails(500, None),
        1 => Mode::Fails(503, Some(draws.between(1, 10))),
        2 => Mode::Fails(429, Some(draws.between(1, 10))),
        3 => Mode::Slow(draws.between(100, 8000)),
        4 => Mode::Silent,
        5 => Mode::Fails(400, None),
        6 => Mode::Fails(GONE, None),
        _ => Mode::Closes,
    }
}
