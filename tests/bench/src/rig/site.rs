use super::process::{Process, get, wait};
use super::{Rig, Shape};
use anyhow::{Context, Result, bail};
use postrider_checker::verify::Times;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const START: Duration = Duration::from_secs(120);
const DRAIN: Duration = Duration::from_secs(120);
const REST: Duration = Duration::from_secs(120);
/// Nothing to do: less than this part of a processor for so long.
const IDLE: f64 = 0.05;
const LOOK: Duration = Duration::from_secs(1);
/// Messages of one publisher at most: the next begins with another number.
const MESSAGES: u64 = 1_000_000_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Daemon,
    Forwarder,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Forwarder => "forwarder",
        }
    }
}

/// How events are posted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Events a second, due at fixed times; none: as fast as answers come.
    pub(crate) rate: Option<f64>,
    pub(crate) seconds: f64,
    /// Until so many are accepted, in place of the time.
    pub(crate) events: Option<u64>,
    pub(crate) connections: usize,
}

/// A system with its subscriber, and everything they write.
pub(crate) struct Site<'a> {
    rig: &'a Rig,
    kind: Kind,
    shape: Shape,
    receiver: Process,
    /// Where the subscriber listens.
    pub(crate) subscriber: SocketAddr,
    system: Process,
    ready: Ready,
    /// From the start of its process until it was ready.
    pub(crate) start: Duration,
    publishers: u64,
    deliveries: u64,
    /// Last, so that it goes when nothing writes there any more.
    files: TempDir,
}

/// What a load cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) events: f64,
    pub(crate) deliveries: f64,
    pub(crate) seconds: f64,
    pub(crate) syncs: f64,
    pub(crate) answer_p50_us: u64,
    pub(crate) answer_p99_us: u64,
}

#[derive(Deserialize)]
struct Ready {
    ingress: SocketAddr,
    admin: Option<SocketAddr>,
}

#[derive(Deserialize)]
struct Address {
    address: SocketAddr,
}

/// What a publisher says at its end.
#[derive(Deserialize)]
pub(crate) struct Published {
    accepted: u64,
    deliveries: u64,
    p50_us: u64,
    p99_us: u64,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

#[derive(Deserialize)]
struct Syncs {
    syncs: u64,
}

/// What of the comparison is read.
#[derive(Deserialize)]
pub(crate) struct Report {
    times: std::collections::BTreeMap<String, Times>,
}

impl Report {
    /// How long the deliveries of one load took.
    pub(crate) fn times(&self, load: &str) -> Result<Times> {
        self.times.get(load).copied().with_context(|| format!("nothing was posted as {load}"))
    }
}

impl<'a> Site<'a> {
    /// Starts a subscriber and a system that is ready. A forwarder has one endpoint, whatever the shape.
    pub(crate) fn start(rig: &'a Rig, kind: Kind, shape: Shape) -> Result<Self> {
        std::fs::create_dir_all(&rig.dir)?;
        let files = tempfile::Builder::new().prefix("bench-").tempdir_in(&rig.dir)?;
        shape.subscribe(files.path())?;
        let (receiver, subscriber) = receiver(rig, files.path(), shape.down)?;
        if kind == Kind::Daemon {
            shape.configure(files.path(), subscriber)?;
        }
        let (system, ready, start) = system(rig, kind, files.path(), subscriber)?;
        Ok(Self {
            rig,
            kind,
            shape,
            receiver,
            subscriber,
            system,
            ready,
            start,
            publishers: 0,
            deliveries: 0,
            files,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.files.path()
    }

    pub(crate) const fn ingress(&self) -> SocketAddr {
        self.ready.ingress
    }

    /// The daemon's other listener.
    pub(crate) fn admin(&self) -> Result<SocketAddr> {
        self.ready.admin.context("a forwarder has none")
    }

    /// What fills the caches, and the slots of the endpoints.
    pub(crate) fn warm_up(&mut self) -> Result<()> {
        let pace = self.closed();
        self.load("warm", Pace { seconds: self.rig.warm_up, ..pace }, || Ok(()))?;
        Ok(())
    }

    /// As fast as answers come.
    pub(crate) fn closed(&self) -> Pace {
        Pace { rate: None, seconds: self.rig.seconds, events: None, connections: self.rig.connections }
    }

    /// Posts events, meanwhile does something else, waits until all has arrived, and says what it cost.
    pub(crate) fn load<T>(
        &mut self,
        name: &str,
        pace: Pace,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Cost, T)> {
        // What asking for the syncs costs is not a part of the figures: with many endpoints that is much text.
        let syncs = self.syncs()?;
        let (cpu, start) = (self.cpu()?, Instant::now());
        let (published, other) = self.publish(name, pace, meanwhile)?;
        self.deliveries += published.deliveries;
        if !self.shape.down {
            self.drained()?;
        }
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), self.cpu()? - cpu);
        #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
        let (events, deliveries, syncs) =
            (published.accepted as f64, published.deliveries as f64, (self.syncs()? - syncs) as f64);
        let cost = Cost {
            seconds,
            cpu,
            events,
            deliveries,
            syncs,
            answer_p50_us: published.p50_us,
            answer_p99_us: published.p99_us,
        };
        Ok((cost, other))
    }

    /// Processor time of the system so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        self.system.cpu_seconds()
    }

    /// Waits until the system does next to nothing: after its first start it keeps a copy of every endpoint's file.
    pub(crate) fn rest(&self) -> Result<()> {
        let mut used = self.cpu()?;
        wait(REST, "the system to have nothing to do", || {
            std::thread::sleep(LOOK);
            let before = std::mem::replace(&mut used, self.cpu()?);
            Ok(used - before <= IDLE * LOOK.as_secs_f64())
        })
    }

    /// A number of the system's `/proc/PID/status`.
    pub(crate) fn status(&self, name: &str) -> Result<u64> {
        self.system.status(name)
    }

    /// Memory of the system, in MiB: `VmRSS` now, or `VmHWM` at most.
    pub(crate) fn mib(&self, name: &str) -> Result<f64> {
        #[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
        let kib = self.status(name)? as f64;
        Ok(kib / 1024.0)
    }

    /// Kills the system and starts it again.
    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        self.system.kill()?;
        std::fs::remove_file(self.dir().join("ready.json"))?;
        (self.system, self.ready, self.start) =
            system(self.rig, self.kind, self.files.path(), self.subscriber)?;
        Ok(())
    }

    /// Stops everything, and compares what was sent with what arrived: figures of a daemon that loses something mean
    /// nothing. The forwarder passes on what was posted, not what a subscriber should get, so that only its times
    /// are taken.
    pub(crate) fn finish(self) -> Result<Report> {
        if self.kind == Kind::Daemon {
            self.system.stop()?;
        } else {
            drop(self.system);
        }
        self.receiver.stop()?;
        let checker = self.rig.program(self.rig.checker.as_ref(), "checker")?;
        let output = Command::new(checker).args(["verify", "--json"]).arg(self.files.path()).output()?;
        if self.kind == Kind::Daemon && !output.status.success() {
            bail!("the daemon did not keep its promises: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn publish<T>(
        &mut self,
        name: &str,
        pace: Pace,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Published, T)> {
        let checker = self.rig.program(self.rig.checker.as_ref(), "checker")?;
        let first = self.publishers * MESSAGES;
        self.publishers += 1;
        let mut command = Command::new(checker);
        command.args(["publish", "--to", &self.ready.ingress.to_string(), "--name", name]);
        command.args(["--first-message", &first.to_string(), "--connections", &pace.connections.to_string()]);
        command.args(["--bytes", &self.rig.bytes.to_string(), "--dir"]).arg(self.files.path());
        match pace.events {
            Some(events) => command.args(["--events", &events.to_string()]),
            None => command.args(["--seconds", &pace.seconds.to_string()]),
        };
        if let Some(accounts) = self.shape.of_accounts() {
            command.args(["--accounts", &accounts.to_string()]);
        }
        if let Some(rate) = pace.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let mut publisher = Process::start(command.stdout(Stdio::piped()))?;
        let other = meanwhile()?;
        let output = publisher.child().stdout.take().context("the publisher has an output")?;
        let published = serde_json::from_reader(output).context("the publisher failed")?;
        publisher.ended()?;
        Ok((published, other))
    }

    fn drained(&self) -> Result<()> {
        let what = format!("{} deliveries to arrive", self.deliveries);
        wait(DRAIN, &what, || {
            Ok(serde_json::from_str::<Count>(&get(self.subscriber, "/-/count")?)?.count >= self.deliveries)
        })
    }

    fn syncs(&self) -> Result<u64> {
        const NAME: &str = "postrider_spool_sync_duration_seconds_count";
        let Some(admin) = self.ready.admin else {
            return Ok(serde_json::from_str::<Syncs>(&get(self.ready.ingress, "/")?)?.syncs);
        };
        let metrics = get(admin, "/metrics")?;
        let line =
            metrics.lines().find(|line| line.starts_with(NAME)).with_context(|| format!("no {NAME}"))?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    }
}

impl Cost {
    /// CPU of an event.
    pub(crate) fn us_per_event(&self) -> f64 {
        self.cpu * 1e6 / self.events
    }

    /// CPU of a delivery.
    pub(crate) fn us_per_delivery(&self) -> f64 {
        self.cpu * 1e6 / self.deliveries
    }
}

fn receiver(rig: &Rig, dir: &Path, down: bool) -> Result<(Process, SocketAddr)> {
    let mut command = Command::new(rig.program(rig.checker.as_ref(), "checker")?);
    command.args(["receive", "--dir"]).arg(dir).stdout(Stdio::piped());
    if down {
        command.args(["--fail-share", "1"]);
    }
    let mut receiver = Process::start(&mut command)?;
    let output = receiver.child().stdout.take().context("the receiver has an output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = serde_json::from_str::<Address>(&line).context("the receiver says no address")?.address;
    Ok((receiver, address))
}

fn system(rig: &Rig, kind: Kind, dir: &Path, subscriber: SocketAddr) -> Result<(Process, Ready, Duration)> {
    let mut command;
    if kind == Kind::Daemon {
        command = Command::new(rig.program(rig.postrider.as_ref(), "postrider")?);
        command.args(["run", "-c"]).arg(dir.join("postrider.toml")).env("POSTRIDER_LOG", "warn");
    } else {
        command = Command::new(std::env::current_exe()?);
        command
            .args(["forward", "--to", &subscriber.to_string(), "--log"])
            .arg(dir.join("log"))
            .args(["--threads", &rig.forwarder_threads.to_string()])
            .args(["--connections", &rig.connections.to_string()]);
    }
    let ready_file = dir.join("ready.json");
    command.arg("--ready-file").arg(&ready_file).stdin(Stdio::null());
    let start = Instant::now();
    let system = Process::start(&mut command)?;
    wait(START, "the system to be ready", || Ok(ready_file.exists()))?;
    let start = start.elapsed();
    Ok((system, serde_json::from_slice(&std::fs::read(&ready_file)?)?, start))
}
