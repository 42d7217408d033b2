//! Dead letters that are replayed at a rate do not delay what comes in meanwhile.

use crate::isolation::{median, p99};
use crate::support::{Daemon, EndpointFile, Load, Scale, Way, daemon, until};
use http::Method;
use postrider_checker::event::Event;
use postrider_checker::verify::{Findings, Subscription};
use serde_json::{Value, json};
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

const REPLAYS: &str = "/api/v1/dead-letters/replays";
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Dead letters.
    letters: u64,
    /// Endpoints with live traffic, beside the one whose letters they are, which has it as well.
    live: usize,
    /// Live events per second.
    rate: f64,
    /// Letters per second.
    replay: u64,
    /// Seconds of one window, of which a pair has two: without a replay, and with one.
    seconds: u64,
    pairs: u64,
}

/// What happened in one window.
struct Window {
    /// The events posted in it.
    numbers: Range<u64>,
    /// Letters that became deliveries, and within which time.
    replayed: Option<(u64, Duration)>,
}

struct House {
    shape: Shape,
    load: Load,
    daemon: Daemon,
    live: Vec<String>,
    windows: u64,
}

impl House {
    /// A daemon with all its letters dead, their endpoint well again, and the live endpoints beside it.
    async fn build(shape: Shape) -> Self {
        let live: Vec<String> = (0..shape.live).map(|number| format!("live-{number:02}")).collect();
        let names = live.iter().map(String::as_str).chain(["acme"]);
        let load = Load::new(&names.map(Subscription::all).collect::<Vec<_>>());
        load.receiver.set_status("acme", 500);
        let mut daemon = daemon()
            .endpoint("acme", |e| {
                e.url(load.url("acme")).retry(&[]).no_breaker().key("concurrency = 64");
            })
            .start()
            .await;
        let publisher = load.publish(daemon.ready_file(), |options| {
            options.connections = 64;
            options.events = Some(shape.letters);
            options.name = "letters".to_owned();
        });
        let summary = load.finish(publisher, PATIENCE + Duration::from_secs(shape.letters / 500)).await;
        assert_eq!(summary.accepted, shape.letters);
        #[expect(clippy::cast_precision_loss, reason = "a count of events")]
        let wanted = shape.letters as f64;
        let patience = PATIENCE + Duration::from_secs(shape.letters / 500);
        until(patience, "all are dead letters", async || {
            daemon.metrics().await.sum("postrider_dead_letters", &[("endpoint", "acme")]) >= wanted
        })
        .await;
        load.receiver.set_status("acme", 200);
        for name in &live {
            let mut file = EndpointFile::new(name);
            file.url(load.url(name));
            daemon.files.write(Way::Rename, name, &file.text());
        }
        assert_eq!(daemon.reload().await.status, 200);
        Self { shape, load, daemon, live, windows: 0 }
    }

    /// Live traffic, with or without a replay beside it; ends when everything of it has arrived.
    async fn window(&mut self, replay: bool) -> Window {
        self.windows += 1;
        // Numbers far enough apart that no window reaches into the next.
        let first_message = self.windows * 1_000_000;
        let from = Event { number: first_message * Event::PER_MESSAGE }.number;
        let job = if replay { Some(self.replay(self.shape.replay).await) } else { None };
        let start = Instant::now();
        let publisher = self.load.publish(self.daemon.ready_file(), |options| {
            options.connections = 32;
            options.rate = Some(self.shape.rate);
            options.time = Some(Duration::from_secs(self.shape.seconds));
            options.first_message = first_message;
            options.name = format!("live-{}", self.windows);
        });
        let patience = Duration::from_secs(self.shape.seconds) + PATIENCE;
        let summary = self.load.finish(publisher, patience).await;
        assert_eq!((summary.refused, summary.unknown), (0, 0), "a replay makes the ingress refuse nothing");
        let replayed = match job {
            Some(job) => Some((self.cancel(&job).await, start.elapsed())),
            None => None,
        };
        self.daemon
            .wait_until("nothing waits", |metrics| metrics.sum("postrider_deliveries_pending", &[]) == 0.0)
            .await;
        Window { numbers: from..from + 1_000_000, replayed }
    }

    async fn replay(&mut self, rate: u64) -> String {
        let asked = json!({ "rate": format!("{rate}/s"), "filter": { "endpoint": "acme" } }).to_string();
        let answer = self.daemon.admin(Method::POST, REPLAYS, &asked).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    async fn job(&mut self, id: &str) -> Value {
        self.daemon.admin(Method::GET, &format!("{REPLAYS}/{id}"), "").await.json()
    }

    /// Ends a job, and tells how many letters it made into deliveries.
    async fn cancel(&mut self, id: &str) -> u64 {
        let answer = self.daemon.admin(Method::POST, &format!("{REPLAYS}/{id}/cancel"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.ended(id).await
    }

    async fn ended(&mut self, id: &str) -> u64 {
        let mut job = Value::Null;
        until(PATIENCE + Duration::from_secs(self.shape.letters / 500), "the replay ends", async || {
            job = self.job(id).await;
            !job["ended_at"].is_null()
        })
        .await;
        assert_ne!(job["state"], "failed", "{job}");
        job["replayed"].as_u64().expect("a count")
    }

    /// The live endpoints' figures in a window, and those of the one whose letters were replayed.
    fn figures(&self, window: &Window) -> (Vec<Findings>, Findings) {
        let mut report = self.load.report_part(window.numbers.clone());
        report.verdict(0).unwrap_or_else(|broken| panic!("{broken}"));
        let acme = report.endpoints.remove("acme").expect("its figures");
        let live = self.live.iter().map(|name| report.endpoints.remove(name).expect("its figures"));
        (live.collect(), acme)
    }
}

/// The replay keeps to its rate, a second's worth at the start apart.
fn assert_rate(shape: Shape, (replayed, took): (u64, Duration)) {
    let rate = f64::from(u32::try_from(shape.replay).expect("a rate"));
    let most = rate * (took.as_secs_f64() + 1.0) * 1.05 + 1.0;
    let least = rate * took.as_secs_f64() * 0.85;
    #[expect(clippy::cast_precision_loss, reason = "a count of letters")]
    let count = replayed as f64;
    assert!(count <= most, "{replayed} letters within {took:?} at {rate}/s");
    // A busy machine may hold up a short run: the long one holds the rate.
    assert!(count >= least || shape.pairs == 1 && count >= least / 2.0, "{replayed} letters within {took:?}");
}

/// The long form: 100,000 letters, replayed in every second window; pairs of windows, each half first in turn.
#[tokio::test]
async fn a_replay_loses_and_reorders_nothing_and_does_not_delay_live_traffic() {
    let scale = Scale::of(3000, 100_000);
    let shape = if scale.long {
        let (pairs, replay) = (7, 1000);
        Shape { letters: scale.count, live: 20, rate: 150.0, replay, seconds: 14, pairs }
    } else {
        Shape { letters: scale.count, live: 3, rate: 200.0, replay: 500, seconds: 3, pairs: 1 }
    };
    let mut house = House::build(shape).await;
    let mut windows = Vec::new();
    for pair in 0..shape.pairs {
        // Whoever goes first meets a colder machine: take turns.
        let first = house.window(pair % 2 == 1).await;
        let second = house.window(pair % 2 == 0).await;
        windows.push(if pair % 2 == 0 { (first, second) } else { (second, first) });
    }
    // What no window had the time for.
    let job = house.replay(10_000).await;
    house.ended(&job).await;
    until(PATIENCE, "every letter has arrived", async || {
        house.load.report_part(0..shape.letters).endpoints["acme"].lost == 0
    })
    .await;

    let (mut neighbours, mut own, mut replayed) = (Vec::new(), Vec::new(), Vec::new());
    for (without, with) in &windows {
        let (quiet, beside) = (house.figures(without), house.figures(with));
        neighbours.push((p99(&quiet.0), p99(&beside.0)));
        own.push((p99(&[quiet.1]), p99(&[beside.1])));
        replayed.push(with.replayed.expect("it had a replay"));
    }
    let ratio = |pairs: &[(f64, f64)]| median(pairs.iter().map(|(without, with)| with / without).collect());
    let letters = house.load.report_part(0..shape.letters).endpoints["acme"].clone();
    scale.report(
        "replay",
        &json!({
            "letters": letters, "p99_us_pairs": neighbours, "median_ratio": ratio(&neighbours),
            "own_p99_us_pairs": own, "own_median_ratio": ratio(&own),
            "replayed": replayed.iter().map(|(count, took)| json!([count, took.as_secs_f64()])).collect::<Vec<_>>(),
        }),
    );
    let wrong = (letters.lost, letters.duplicated, letters.disordered, letters.corrupt, letters.unexpected);
    assert_eq!(wrong, (0, 0, 0, 0, 0), "{letters:?}");
    replayed.iter().for_each(|replayed| assert_rate(shape, *replayed));
    if scale.long {
        let (ratio, own) = (ratio(&neighbours), ratio(&own));
        assert!(ratio <= 1.1, "a replay costs others {ratio:.2} times their p99: {neighbours:?}");
        assert!(own <= 1.1, "a replay costs its own endpoint {own:.2} times its p99");
    }
}
