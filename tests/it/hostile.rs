//! Every behaviour of the zoo at once, as the endpoints of one daemon.

use crate::support::{Metrics, Receiver, daemon, until};
use postrider_zoo::{Authority, Behaviour, Expect, Ground, behaviours, keep};
use std::time::Duration;

const SEE: Duration = Duration::from_secs(20);
/// Events for the healthy neighbour, before and beside the others.
const NEIGHBOURLY: usize = 20;

fn event(product: &str, number: usize) -> String {
    format!(r#"{{"event":"sent","product":"{product}","data":{{"message_id":"m{number}","status":"sent"}}}}"#)
}

fn attempts(metrics: &Metrics, endpoint: &str, result: &str) -> f64 {
    metrics.sum("postrider_attempts_total", &[("endpoint", endpoint), ("result", result)])
}

fn in_state(metrics: &Metrics, endpoint: &str, state: &str) -> bool {
    metrics.sum("postrider_endpoint_state", &[("endpoint", endpoint), ("state", state)]) > 0.0
}

/// What the daemon shows of a behaviour that it has met once.
fn shown(behaviour: &Behaviour, metrics: &Metrics) -> Result<(), String> {
    let (result, state) = match behaviour.expect {
        Expect::Delivered => ("ok", "active"),
        Expect::Refused | Expect::ThisEvent | Expect::Wait(0) => ("http_error", "active"),
        Expect::Wait(_) => ("http_error", "waiting"),
        Expect::Gone => ("http_error", "gone"),
        Expect::Broken => ("connect", "active"),
        Expect::Tls => ("tls", "active"),
        Expect::Late | Expect::Unreached => ("timeout", "active"),
    };
    let name = behaviour.name;
    let (all, fitting) =
        (metrics.sum("postrider_attempts_total", &[("endpoint", name)]), attempts(metrics, name, result));
    if (all, fitting) != (1.0, 1.0) || !in_state(metrics, name, state) {
        let results = ["ok", "http_error", "timeout", "dns", "connect", "tls", "sink_error"];
        let had: Vec<&str> = results.into_iter().filter(|it| attempts(metrics, name, it) > 0.0).collect();
        return Err(format!(
            "{name}: {all} attempts that came to {had:?}, wanted one, {result}, and {state}"
        ));
    }
    Ok(())
}

#[tokio::test]
async fn hostile_receivers_change_nothing_for_each_other_or_for_a_healthy_neighbour() {
    let authority = Authority::new().expect("keys");
    let receiver = Receiver::start().await;
    let mut setup = daemon().endpoint("healthy", |e| {
        e.url(receiver.url("/healthy")).products(&["campaigns"]).key("timeout = \"2s\"");
    });
    let mut kept = Vec::new();
    for behaviour in behaviours() {
        let animal = keep(behaviour, &authority).await.expect("a receiver");
        let url = animal.url(behaviour);
        setup = setup.endpoint(behaviour.name, |e| {
            e.url(url).products(&["crm"]).retry(&["1h"]);
            // A busy machine shakes hands with all of them at once.
            e.key("timeout = \"4s\"").key("connect_timeout = \"3s\"");
            if matches!(behaviour.ground, Ground::Tls(_) | Ground::Raw) {
                e.http(&format!("tls = {{ ca = {:?} }}", authority.pem()));
            }
        });
        kept.push(animal);
    }
    let mut daemon = setup.start().await;
    // What any first events cost is not theirs.
    for number in 0..NEIGHBOURLY {
        assert_eq!(daemon.post(event("campaigns", number)).await.status, 202);
        receiver.wait_for("/healthy", number + 1).await;
    }
    let before = daemon.peak_mib();
    let answer = daemon.post(event("crm", 0)).await;
    assert_eq!(answer.json()["deliveries"], behaviours().len(), "{}", answer.text());
    for number in NEIGHBOURLY..2 * NEIGHBOURLY {
        assert_eq!(daemon.post(event("campaigns", number)).await.status, 202);
        receiver.wait_for("/healthy", number + 1).await;
    }

    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let healthy = (2 * NEIGHBOURLY) as f64;
    let mut wrong = Vec::new();
    until(SEE, "every hostile receiver has been met", async || {
        let metrics = daemon.metrics().await;
        let met = |b: &Behaviour| metrics.sum("postrider_attempts_total", &[("endpoint", b.name)]) > 0.0;
        behaviours().iter().all(met) && attempts(&metrics, "healthy", "ok") >= healthy
    })
    .await;
    let metrics = daemon.metrics().await;
    for (behaviour, animal) in behaviours().iter().zip(&kept) {
        wrong.extend(shown(behaviour, &metrics).err());
        if animal.canary_hits() > 0 {
            wrong.push(format!("{}: a redirect was followed", behaviour.name));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!((attempts(&metrics, "healthy", "ok") - healthy).abs() < f64::EPSILON);
    assert_eq!(receiver.requests("/healthy").len(), 2 * NEIGHBOURLY);
    let grown = daemon.peak_mib() - before;
    println!("{} behaviours at once: {grown} MiB more at the peak", behaviours().len());
    // Alone each of them stays below a MiB; all at once they may not cost more.
    let most = u64::try_from(behaviours().len()).expect("a small number");
    assert!(grown < most, "{grown} MiB");
}
