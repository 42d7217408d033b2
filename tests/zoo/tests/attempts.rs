//! One attempt of the real sink, over the real connector, against every behaviour of the table: what comes of it, when,
//! and how much memory it takes at its peak.

use peak_alloc::PeakAlloc;
use postrider::clock::SystemClock;
use postrider::delivery::{Attempt, attempt};
use postrider::net::{Network, NetworkPolicy, SystemResolver};
use postrider::sinks::Sinks;
use postrider_sink::{Delivery, FailureClass, HostContext, Secret, Sink, Table, Value, Verdict, Wait};
use postrider_zoo::{Authority, Behaviour, Expect, Ground, Kept, behaviours, keep};
use std::sync::Arc;
use std::time::Duration;

/// Counts every byte that this process has allocated; the receivers' part included.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const DEADLINE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_millis(600);
/// An attempt may take so much memory.
const MOST: usize = 1 << 20;

fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

async fn sink(url: &str, behaviour: &Behaviour, ca: &str, network: &Arc<Network>) -> Arc<dyn Sink> {
    let basic = table([("username", text("acme")), ("password", text("canary-of-a-password"))]);
    let mut settings = Table::from([("url".into(), text(url)), ("auth".into(), table([("basic", basic)]))]);
    if matches!(behaviour.ground, Ground::Tls(_) | Ground::Raw) {
        let ca = Value::Secret(Secret::new(ca.to_owned()));
        settings.insert("tls".into(), table([("ca", ca)]));
    }
    let plan =
        Sinks::standard().get("http").expect("there").check(&settings).unwrap_or_else(|e| panic!("{e:?}"));
    let host = HostContext {
        endpoint: behaviour.name.into(),
        user_agent: "postrider/zoo".into(),
        connector: network.connector(behaviour.name),
        clock: Arc::new(SystemClock),
        connect_timeout: CONNECT,
        concurrency: 4,
        folder: Arc::from(std::path::Path::new(".")),
        timeout: DEADLINE,
        host: Arc::new(postrider_sink::testkit::TestHost::default()),
    };
    plan.build(&host).await.expect("a sink")
}

fn delivery() -> Delivery {
    Delivery {
        id: "evt_01".into(),
        event: "delivered".into(),
        product: "crm".into(),
        account: None,
        body: r#"{"event":"delivered","timestamp":"2026-11-23T05:00:00Z","data":{"message_id":"m","status":"delivered","details":{}}}"#.into(),
        attempt: 1,
        test: false,
        traceparent: None,
        trail: Arc::default(),
    }
}

fn fits(expect: Expect, verdict: Verdict) -> bool {
    use FailureClass::{Connect, HttpError, Timeout, Tls};
    let failed = |class, breaker| verdict == Verdict::Failed { class, breaker, wait: Wait::None };
    match expect {
        Expect::Delivered => verdict == Verdict::Delivered,
        Expect::Refused => failed(HttpError, true),
        Expect::ThisEvent => failed(HttpError, false),
        Expect::Wait(most) => match verdict {
            Verdict::Failed { class: HttpError, breaker: false, wait: Wait::Endpoint(wait) } => {
                wait.as_secs() <= most && wait.as_secs() + 2 >= most
            }
            _ => false,
        },
        Expect::Gone => verdict == Verdict::Suspend,
        Expect::Broken => failed(Connect, true),
        Expect::Tls => failed(Tls, true),
        Expect::Late | Expect::Unreached => failed(Timeout, true),
    }
}

/// What is wrong with what came of it.
fn judge(behaviour: &Behaviour, made: &Attempt, kept: &Kept, peak: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let (verdict, reason) = (made.outcome.verdict, &made.outcome.reason);
    if !fits(behaviour.expect, verdict) {
        wrong.push(format!("came to {verdict:?} ({reason})"));
    }
    let (least, most) = match behaviour.expect {
        Expect::Late => (DEADLINE, DEADLINE + DEADLINE / 10),
        Expect::Unreached => (CONNECT, CONNECT + CONNECT / 10),
        _ => (Duration::ZERO, DEADLINE / 2),
    };
    if made.took < least || made.took > most {
        wrong.push(format!("took {:?}, not {least:?} to {most:?}", made.took));
    }
    if peak > MOST {
        wrong.push(format!("took {peak} bytes"));
    }
    if kept.canary_hits() > 0 {
        wrong.push("followed a redirect".to_owned());
    }
    if kept.connections() > 1 {
        wrong.push(format!("made {} connections", kept.connections()));
    }
    if reason.contains("canary") || reason.contains(['\n', '\x1b']) || reason.len() > 300 {
        wrong.push(format!("gave a reason that may not be shown: {reason:?}"));
    }
    wrong
}

#[tokio::test]
async fn every_hostile_receiver_comes_to_its_outcome_in_time_and_in_little_memory() {
    let authority = Authority::new().expect("keys");
    let ca = authority.pem();
    let allow = vec!["127.0.0.0/8".parse().expect("a range")];
    let policy = NetworkPolicy { allow, exceptions: Vec::new() };
    let network = Network::new(policy, Vec::new(), Arc::new(SystemResolver::new()));
    assert!(behaviours().len() >= 60, "{}", behaviours().len());
    let (mut wrong, mut largest) = (Vec::new(), (0, ""));
    for behaviour in behaviours() {
        let kept = keep(behaviour, &authority).await.expect("a receiver");
        let sink = sink(&kept.url(behaviour), behaviour, &ca, &network).await;
        let delivery = delivery();
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        let made = attempt(&*sink, &delivery, DEADLINE, &SystemClock).await;
        let peak = HEAP.peak_usage().saturating_sub(before);
        largest = largest.max((peak, behaviour.name));
        for text in judge(behaviour, &made, &kept, peak) {
            wrong.push(format!("{} {text}", behaviour.name));
        }
    }
    println!("{} behaviours; the most memory took {} ({} bytes)", behaviours().len(), largest.1, largest.0);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
