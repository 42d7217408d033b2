//! A bare client loop: the POSTs that a daemon would make, at fixed times, with nothing before them.

use crate::forward::out::Out;
use anyhow::Result;
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use postrider_checker::event::Event;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What of an event's headers has its own value in every request; here they only have the length.
const HEADERS: [(&str, &str); 6] = [
    ("user-agent", concat!("postrider/", env!("CARGO_PKG_VERSION"))),
    ("webhook-id", "evt_0197a0c4f1c87d0e9d5f3c2b1a090807"),
    ("webhook-timestamp", "1795000000"),
    ("postrider-product", "automation"),
    ("postrider-attempt", "1"),
    ("traceparent", "00-0197a0c4f1c87d0e9d5f3c2b1a090807-3c2b1a0908070605-00"),
];
/// Connections at least, as many as the publisher of the other side has.
const CONNECTIONS: usize = 64;

/// What to post.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The subscriber.
    #[arg(long)]
    to: SocketAddr,
    /// How many POSTs each event makes.
    #[arg(long)]
    endpoints: usize,
    /// Events a second.
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    warm_up: f64,
    /// Bytes of data.
    #[arg(long)]
    bytes: usize,
}

/// What it came to, without the warm-up.
#[derive(Serialize, Deserialize)]
pub(crate) struct Posted {
    pub(crate) posts: f64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Posts, and prints what it came to as JSON.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let posted = runtime.block_on(posts(options))?;
    println!("{}", serde_json::to_string(&posted)?);
    Ok(())
}

async fn posts(options: &Options) -> Result<Posted> {
    let mut headers = HeaderMap::new();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let names: Vec<String> = match options.endpoints {
        1 => vec!["bench".to_owned()],
        endpoints => (0..endpoints).map(|number| format!("bench-{number}")).collect(),
    };
    // One after another they go round all endpoints.
    let connections = CONNECTIONS.next_multiple_of(options.endpoints);
    let mut tasks = JoinSet::new();
    let out = Out::start(&mut tasks, options.to, &names, connections, &headers)?;
    let (warm, main) = (bodies(options, options.warm_up), bodies(options, options.seconds));
    post(&out, &warm, options).await;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    post(&out, &main, options).await;
    #[expect(clippy::cast_precision_loss, reason = "a count of one run")]
    let posts = (main.len() * options.endpoints) as f64;
    Ok(Posted { posts, seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() - cpu })
}

/// Made before they are needed: the other side's are not made by it either.
fn bodies(options: &Options, seconds: f64) -> Vec<Bytes> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of one run")]
    let count = (options.rate * seconds) as u64;
    (0..count).map(|number| Bytes::from(Event { number }.delivered(options.bytes))).collect()
}

/// Every event at its time to every endpoint, until all are answered.
async fn post(out: &Out, bodies: &[Bytes], options: &Options) {
    let (start, before) = (Instant::now(), out.answered());
    for (number, body) in bodies.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a count of one run")]
        tokio::time::sleep_until(start + Duration::from_secs_f64(number as f64 / options.rate)).await;
        for _ in 0..options.endpoints {
            out.post(body.clone());
        }
    }
    while out.answered() - before < bodies.len() * options.endpoints {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of one run")]
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    seconds
}
