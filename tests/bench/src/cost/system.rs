use super::process::{Process, get, wait};
use anyhow::{Context, Result, bail};
use postrider_checker::password;
use postrider_checker::verify::{Subscription, write_subscriptions};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

const ENDPOINT: &str = "bench";
const START: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(60);
const FIRST_MEASURED_MESSAGE: &str = "1000000000";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Daemon,
    Forwarder,
}

/// The programs and the load.
pub(super) struct Load {
    pub(super) postrider: PathBuf,
    pub(super) checker: PathBuf,
    pub(super) own: PathBuf,
    pub(super) seconds: f64,
    pub(super) warm_up: f64,
    pub(super) connections: usize,
    pub(super) rate: Option<f64>,
    pub(super) bytes: usize,
    pub(super) forwarder_threads: usize,
    pub(super) dir: PathBuf,
}

/// What one round showed.
#[derive(Debug, Serialize)]
pub(super) struct Round {
    pub(super) us_per_event: f64,
    pub(super) per_second: f64,
    pub(super) events: u64,
    pub(super) events_per_sync: f64,
    pub(super) threads: u64,
    pub(super) peak_mib: u64,
    pub(super) answer_p50_us: u64,
    pub(super) answer_p99_us: u64,
    pub(super) arrival_p50_us: u64,
    pub(super) arrival_p99_us: u64,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |us: u64| Duration::from_micros(us).as_secs_f64() * 1000.0;
        write!(
            f,
            "{:>8.1}  {:>12.0}  {:>11.1}  {:>7}  {:>8}  {:>8.1} / {:<7.1} {:>8.1} / {:<7.1}",
            self.us_per_event,
            self.per_second,
            self.events_per_sync,
            self.threads,
            self.peak_mib,
            millis(self.answer_p50_us),
            millis(self.answer_p99_us),
            millis(self.arrival_p50_us),
            millis(self.arrival_p99_us)
        )
    }
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

#[derive(Deserialize)]
struct Published {
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

#[derive(Deserialize)]
struct Report {
    endpoints: std::collections::BTreeMap<String, Arrival>,
}

#[derive(Deserialize)]
struct Arrival {
    p50_us: u64,
    p99_us: u64,
}

impl Load {
    pub(super) fn measure(&self, kind: Kind) -> Result<Round> {
        let files = tempfile::Builder::new().prefix("bench-").tempdir_in(&self.dir)?;
        let dir = files.path();
        write_subscriptions(dir, &[Subscription::all(ENDPOINT)])?;
        let (receiver, subscriber) = self.receiver(dir)?;
        let system = Process::start(&mut self.system(kind, dir, subscriber)?)?;
        let ready_file = dir.join("ready.json");
        wait(START, "the system to be ready", || Ok(ready_file.exists()))?;
        let ready: Ready = serde_json::from_slice(&std::fs::read(&ready_file)?)?;

        let before = self.publish(ready.ingress, dir, "warm", self.warm_up, "0")?.deliveries;
        drained(subscriber, before)?;
        let (cpu, syncs, start) = (system.cpu_seconds()?, syncs(&ready)?, Instant::now());
        let published = self.publish(ready.ingress, dir, "main", self.seconds, FIRST_MEASURED_MESSAGE)?;
        drained(subscriber, before + published.deliveries)?;
        let seconds = start.elapsed().as_secs_f64();
        let (cpu, syncs) = (system.cpu_seconds()? - cpu, self::syncs(&ready)? - syncs);
        let (threads, peak) = (system.status("Threads")?, system.status("VmHWM")?);
        if kind == Kind::Daemon {
            system.stop()?;
        } else {
            drop(system);
        }
        receiver.stop()?;
        let arrival = self.verify(kind, dir)?;
        #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
        let (events, syncs) = (published.accepted as f64, syncs as f64);
        Ok(Round {
            us_per_event: cpu * 1e6 / events,
            per_second: events / seconds,
            events: published.accepted,
            events_per_sync: events / syncs,
            threads,
            peak_mib: peak / 1024,
            answer_p50_us: published.p50_us,
            answer_p99_us: published.p99_us,
            arrival_p50_us: arrival.p50_us,
            arrival_p99_us: arrival.p99_us,
        })
    }

    fn receiver(&self, dir: &Path) -> Result<(Process, SocketAddr)> {
        let mut command = Command::new(&self.checker);
        command.args(["receive", "--endpoint", ENDPOINT, "--dir"]).arg(dir).stdout(Stdio::piped());
        let mut receiver = Process::start(&mut command)?;
        let output = receiver.child().stdout.take().context("the receiver has an output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = serde_json::from_str::<Address>(&line).context("the receiver says no address")?.address;
        Ok((receiver, address))
    }

    fn system(&self, kind: Kind, dir: &Path, subscriber: SocketAddr) -> Result<Command> {
        let mut command;
        if kind == Kind::Daemon {
            configure(dir, subscriber, self.connections)?;
            command = Command::new(&self.postrider);
            command.args(["run", "-c"]).arg(dir.join("postrider.toml")).env("RUST_LOG", "warn");
        } else {
            command = Command::new(&self.own);
            command
                .args(["forward", "--to", &subscriber.to_string(), "--log"])
                .arg(dir.join("log"))
                .args(["--threads", &self.forwarder_threads.to_string()])
                .args(["--connections", &self.connections.to_string()]);
        }
        command.arg("--ready-file").arg(dir.join("ready.json")).stdin(Stdio::null());
        Ok(command)
    }

    fn publish(
        &self,
        to: SocketAddr,
        dir: &Path,
        name: &str,
        seconds: f64,
        first: &str,
    ) -> Result<Published> {
        let mut command = Command::new(&self.checker);
        command.args(["publish", "--to", &to.to_string(), "--name", name, "--first-message", first]);
        command.args(["--seconds", &seconds.to_string(), "--connections", &self.connections.to_string()]);
        command.args(["--bytes", &self.bytes.to_string(), "--dir"]).arg(dir);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("the publisher failed");
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Figures of a system that loses something mean nothing. The forwarder passes on what was posted, not what a
    /// subscriber should get, so that only its latency is taken.
    fn verify(&self, kind: Kind, dir: &Path) -> Result<Arrival> {
        let output = Command::new(&self.checker).args(["verify", "--json"]).arg(dir).output()?;
        if kind == Kind::Daemon && !output.status.success() {
            bail!(
                "the daemon did not keep its promises: {}{}",
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&output.stdout)
            );
        }
        let mut report: Report = serde_json::from_slice(&output.stdout)?;
        report.endpoints.remove(ENDPOINT).context("the report has no endpoint")
    }
}

fn configure(dir: &Path, subscriber: SocketAddr, concurrency: usize) -> Result<()> {
    std::fs::write(
        dir.join("postrider.toml"),
        "version = 1\n[ingress]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [network]\nallow = [\"127.0.0.0/8\"]\n",
    )?;
    std::fs::create_dir(dir.join("endpoints"))?;
    let endpoint = format!(
        "events = \"all\"\nproducts = \"all\"\nconcurrency = {concurrency}\n[http]\nurl = \"http://{subscriber}/{ENDPOINT}\"\n\
         auth = {{ basic = {{ username = \"{ENDPOINT}\", password = \"{}\" }} }}\n",
        password(ENDPOINT)
    );
    std::fs::write(dir.join(format!("endpoints/{ENDPOINT}.toml")), endpoint)?;
    Ok(())
}

fn drained(subscriber: SocketAddr, deliveries: u64) -> Result<()> {
    let what = format!("{deliveries} deliveries to arrive");
    wait(DRAIN, &what, || {
        Ok(serde_json::from_str::<Count>(&get(subscriber, "/-/count")?)?.count >= deliveries)
    })
}

fn syncs(ready: &Ready) -> Result<u64> {
    const NAME: &str = "postrider_spool_sync_duration_seconds_count";
    let Some(admin) = ready.admin else {
        return Ok(serde_json::from_str::<Syncs>(&get(ready.ingress, "/")?)?.syncs);
    };
    let metrics = get(admin, "/metrics")?;
    let line = metrics.lines().find(|line| line.starts_with(NAME)).with_context(|| format!("no {NAME}"))?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}
