//! What goes wrong, when it begins and when it is over.

use super::{DAEMON, PUBLISHERS, World};
use crate::files::name;
use crate::judge::{Death, Excuse};
use crate::plan::{Fault, GONE, Link, Mode};
use std::sync::atomic::Ordering;
use std::time::Duration;
use turmoil::Sim;

/// What a power cut forgets of settlements: they are synced within 100 ms, at the next commit.
const FORGETS: Duration = Duration::from_millis(200);

impl<'a> World<'a> {
    pub(super) fn begin(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Partition(link) => self.sim.partition(DAEMON, host(link)),
            Fault::Hold(link) => self.sim.hold(DAEMON, host(link)),
            Fault::SlowLink(link, millis) => {
                self.sim.set_link_latency(DAEMON, host(link), Duration::from_millis(millis));
            }
            Fault::ReceiverDown(number) => self.sim.crash(name(number)),
            Fault::Behaves(number, mode) => self.mode(number, mode),
            Fault::ClockSet(seconds) => self.machine.off.store(seconds, Ordering::Relaxed),
            Fault::Stop => self.machine.stop.store(self.restart.is_none(), Ordering::Relaxed),
            Fault::Kill => self.dies(false)?,
            Fault::PowerCut(None) => self.dies(true)?,
            Fault::PowerCut(Some(calls)) => self.machine.disk.cut_after(calls),
            Fault::SyncsFail(count) => self.machine.disk.fail_syncs(count),
            Fault::WritesFail(count) => self.machine.disk.fail_writes(count),
            Fault::Reload(number, paused) => self.reload(number, true, paused)?,
            Fault::Removed(number) => {
                self.files.remove(number).map_err(|error| error.to_string())?;
                self.machine.reload.store(true, Ordering::Relaxed);
            }
            Fault::Full => self.machine.disk.fill(true),
            Fault::Replay => self.machine.replay.store(true, Ordering::Relaxed),
            Fault::SlowDisk(millis) => self.machine.commit.store(millis, Ordering::Relaxed),
        }
        Ok(())
    }

    pub(super) fn end(&mut self, fault: Fault, now: Duration) -> Result<(), String> {
        let from = self.plan.faults.iter().find(|event| event.fault == fault && event.until <= now);
        let from = from.map_or(Duration::ZERO, |event| event.from);
        let endpoint = match fault {
            Fault::Partition(link) => {
                self.sim.repair(DAEMON, host(link));
                of(link)
            }
            Fault::Hold(link) => {
                self.sim.release(DAEMON, host(link));
                of(link)
            }
            Fault::SlowLink(link, _) => {
                self.sim.set_link_latency(DAEMON, host(link), self.plan.latency / 2);
                of(link)
            }
            Fault::ReceiverDown(number) => {
                if !self.sim.is_host_running(name(number)) {
                    self.sim.bounce(name(number));
                }
                Some(number)
            }
            Fault::Behaves(number, mode) => {
                self.mode(number, Mode::Takes);
                if matches!(mode, Mode::Fails(GONE, _)) {
                    self.gone.insert(number);
                }
                matches!(mode, Mode::Slow(_)).then_some(number)
            }
            Fault::Reload(number, _) => {
                self.reload(number, false, false)?;
                None
            }
            Fault::Removed(number) => {
                self.reload(number, false, false)?;
                self.absences.push(Excuse { endpoint: Some(number), from, until: now });
                None
            }
            Fault::Full => {
                self.machine.disk.fill(false);
                None
            }
            Fault::Replay => {
                self.machine.replay.store(true, Ordering::Relaxed);
                None
            }
            Fault::SlowDisk(_) => {
                self.machine.commit.store(self.plan.commit, Ordering::Relaxed);
                None
            }
            Fault::SyncsFail(_) | Fault::WritesFail(_) => {
                self.machine.disk.fail_syncs(0);
                self.machine.disk.fail_writes(0);
                None
            }
            Fault::ClockSet(_) | Fault::Stop | Fault::Kill | Fault::PowerCut(_) => None,
        };
        // What it was asked last is answered that much later.
        let until = match fault {
            Fault::Behaves(_, Mode::Slow(millis)) => now + Duration::from_millis(millis),
            _ => now,
        };
        if let Some(endpoint) = endpoint {
            self.excuses.push(Excuse { endpoint: Some(endpoint), from, until });
        }
        Ok(())
    }

    /// The daemon's process ends, with or without its machine.
    pub(super) fn dies(&mut self, power: bool) -> Result<(), String> {
        let now = self.sim.elapsed();
        if self.restart.is_some() {
            return Ok(());
        }
        if power {
            // Nobody is told: what the others hear is silence.
            self.links(|sim, host| sim.partition(DAEMON, host));
        }
        self.sim.crash(DAEMON);
        self.machine.stop.store(false, Ordering::Relaxed);
        drop(self.machine.spool.lock().map(|mut spool| spool.take()));
        if power {
            self.links(|sim, host| sim.repair(DAEMON, host));
            let (kept, sectors) = self.machine.disk.cut(&self.draws).map_err(|error| error.to_string())?;
            self.trace.at(
                now,
                "disk",
                format_args!("{kept} of {sectors} sectors are left of what was not synced"),
            );
        } else {
            self.machine.disk.killed();
        }
        let forgets = if power { FORGETS + self.plan.longest_commit() } else { Duration::ZERO };
        self.deaths.push(Death { at: now, forgets });
        self.trace.at(now, "world", "the daemon is gone");
        self.restart = Some(now + self.draws.millis(50, 5000));
        Ok(())
    }

    /// The daemon's process has ended by itself, as it was told.
    pub(super) fn has_stopped(&mut self) {
        let now = self.sim.elapsed();
        self.machine.stop.store(false, Ordering::Relaxed);
        drop(self.machine.spool.lock().map(|mut spool| spool.take()));
        self.deaths.push(Death { at: now, forgets: Duration::ZERO });
        self.trace.at(now, "world", "the daemon has stopped");
        self.restart = Some(now + self.draws.millis(50, 2000));
    }

    fn links(&self, change: impl Fn(&Sim<'a>, String)) {
        change(&self.sim, PUBLISHERS.to_owned());
        (0..self.receivers.len()).for_each(|number| change(&self.sim, name(number)));
    }

    fn mode(&self, number: usize, mode: Mode) {
        if let Some(receiver) = self.receivers.get(number) {
            receiver.mode.set(mode);
        }
    }

    fn reload(&self, number: usize, other: bool, paused: bool) -> Result<(), String> {
        let Some(endpoint) = self.plan.endpoints.get(number) else { return Ok(()) };
        let concurrency = if other { 8 } else { endpoint.concurrency };
        let written = self.files.endpoint(number, endpoint, concurrency, paused);
        self.machine.reload.store(true, Ordering::Relaxed);
        written.map_err(|error| error.to_string())
    }
}

fn host(link: Link) -> String {
    match link {
        Link::Publishers => PUBLISHERS.to_owned(),
        Link::Receiver(number) => name(number),
    }
}

const fn of(link: Link) -> Option<usize> {
    match link {
        Link::Publishers => None,
        Link::Receiver(number) => Some(number),
    }
}
