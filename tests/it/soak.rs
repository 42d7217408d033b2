//! Half of what it can take and deliver, for a long time, with everything that happens to a daemon: reloads, endpoints that fail and
//! come back, restarts and kills. Memory, descriptors and disk are as they were, and nothing is lost.

use crate::support::{Daemon, EndpointFile, Load, Scale, Way, daemon, until};
use postrider_checker::verify::Subscription;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const ENDPOINTS: [&str; 3] = ["steady", "reloaded", "down"];
const CONCURRENCY: u64 = 16;
/// A share of all attempts fails.
const SHARE: f64 = 0.02;

/// What the process holds at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Seconds since its start.
    at: f64,
    rss_mib: f64,
    descriptors: usize,
}

fn sample(daemon: &Daemon, since: Instant) -> Sample {
    let process = format!("/proc/{}", daemon.pid());
    let status = fs::read_to_string(format!("{process}/status")).expect("its status");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("in its status");
    let kib: f64 = kib.trim().trim_end_matches(" kB").parse().expect("a number");
    let descriptors = fs::read_dir(format!("{process}/fd")).expect("its descriptors").count();
    Sample { at: since.elapsed().as_secs_f64(), rss_mib: kib / 1024.0, descriptors }
}

/// Bytes on the disk below a folder.
fn bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes(&entry.path()),
            // What was set aside for bad days is not used.
            Ok(meta) if entry.file_name() != "RESERVE" => meta.blocks() * 512,
            _ => 0,
        })
        .sum()
}

fn file(load: &Load, name: &str, version: u64) -> String {
    let mut file = EndpointFile::new(name);
    file.url(load.url(name))
        .retry(&["100ms"; 12])
        .http(&format!("headers = {{ x-version = \"{version}\" }}"));
    file.key("breaker = { open = \"1s\", max_open = \"2s\", probes = 1 }");
    file.text()
}

/// MiB per hour that memory grows by, over the second half of these: the least squares.
fn slope(samples: &[Sample]) -> f64 {
    let samples = &samples[samples.len() / 2..];
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (at, rss) = (mean(|sample| sample.at), mean(|sample| sample.rss_mib));
    let both: f64 = samples.iter().map(|sample| (sample.at - at) * (sample.rss_mib - rss)).sum();
    let square: f64 = samples.iter().map(|sample| (sample.at - at).powi(2)).sum();
    3600.0 * both / square.max(f64::MIN_POSITIVE)
}

#[tokio::test]
async fn half_load_with_reloads_failures_and_restarts_leaves_nothing_behind() {
    let scale = Scale::of(8, 600);
    let load = Load::failing(&ENDPOINTS.map(Subscription::all), SHARE, scale.seed);
    let mut setup = daemon().config(
        "dedup_window = \"5s\"\n[spool]\nkeep_delivered = \"2s\"\nhistory_bytes = \"16 MiB\"\nbacklog = \"8 GiB\"",
    );
    for name in ENDPOINTS {
        setup = setup.file(name, file(&load, name, 0));
    }
    let mut daemon = setup.start().await;
    let spool = daemon.dir().join("data");

    // What it can take, and from then on half of it.
    let start = Instant::now();
    let calibrating = Duration::from_secs(if scale.long { 10 } else { 1 });
    let full = load.publish(daemon.ready_file(), |options| {
        (options.connections, options.time) = (64, Some(calibrating));
        options.name = "full".to_owned();
    });
    let full = load.finish(full, Duration::from_secs(60)).await;
    // Taken is not delivered yet: three deliveries of each event may take longer than to accept it.
    until(Duration::from_secs(120), "all of it is delivered", async || {
        daemon.metrics().await.sum("postrider_deliveries_pending", &[]) < 0.5
    })
    .await;
    #[expect(clippy::cast_precision_loss, reason = "a count of one run")]
    let rate = full.accepted as f64 / start.elapsed().as_secs_f64() / 2.0;
    let calibrating = start.elapsed();
    let time = Duration::from_secs(scale.count);
    let publisher = load.publish(daemon.ready_file(), |options| {
        (options.connections, options.rate, options.time) = (64, Some(rate), Some(time));
        (options.first_message, options.name) = (1 << 40, "half".to_owned());
    });
    let (mut samples, mut kills, mut reloads) = (Vec::new(), 0, 0);
    let (mut since, mut step) = (start, 0_u32);
    let steps = 100;
    while !publisher.is_finished() {
        until(Duration::from_secs(120), "the next step", async || {
            publisher.is_finished() || start.elapsed() > calibrating + time * step / steps
        })
        .await;
        step += 1;
        samples.push(sample(&daemon, since));
        reloads += 1;
        daemon.files.write(Way::Rename, "reloaded", &file(&load, "reloaded", reloads));
        load.receiver.set_status("down", if step / 4 % 3 == 1 { 503 } else { 200 });
        match step {
            // The last four fifths are one life, long enough to tell whether it grows.
            5 | 15 => {
                daemon.term(Duration::from_secs(60)).await;
                daemon.start().await;
                (since, samples) = (Instant::now(), Vec::new());
            }
            10 | 20 => {
                daemon.restart().await;
                (since, samples, kills) = (Instant::now(), Vec::new(), kills + 1);
            }
            _ => {}
        }
    }
    load.receiver.set_status("down", 200);
    let summary = load.finish(publisher, Duration::from_secs(60)).await;
    let report = load.report(Duration::from_secs(120)).await;
    daemon
        .wait_until("nothing waits", |metrics| metrics.sum("postrider_deliveries_pending", &[]) == 0.0)
        .await;
    let growth = slope(&samples);
    let most = samples.iter().map(|sample| sample.descriptors).max().unwrap_or_default();
    let full_disk = bytes(&spool);
    // What is kept for two seconds goes, and with it its room.
    let floor = 96 * 1024 * 1024;
    until(Duration::from_secs(120), "the disk is back at its floor", async || bytes(&spool) <= floor).await;
    let allowed = (kills + 2) * CONCURRENCY * ENDPOINTS.len() as u64;
    scale.report(
        "soak",
        &json!({
            "rate": rate, "accepted": summary.accepted + full.accepted, "lost": report.lost(),
            "duplicated": report.duplicated(), "duplicates_allowed": allowed, "kills": kills, "reloads": reloads,
            "rss_mib_first": samples.first().map(|sample| sample.rss_mib),
            "rss_mib_last": samples.last().map(|sample| sample.rss_mib), "rss_mib_per_hour": growth,
            "descriptors_most": most, "disk_at_the_end": full_disk, "disk_floor": bytes(&spool),
        }),
    );
    report.verdict(allowed).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(most < 400, "{most} descriptors");
    if scale.long {
        let grown = growth * samples.last().map_or(0.0, |sample| sample.at) / 3600.0;
        assert!(grown < 32.0, "{grown} MiB more, {growth} MiB an hour: {samples:?}");
    }
}
