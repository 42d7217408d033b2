//! Test events: the way that deliveries take, and in words what came of it.

use crate::admin::{TestEvent, TestMessage, TestReport, TestTimings};
use crate::clock::Clock;
use crate::config::is_secret_name;
use crate::delivery::{Attempt, attempt};
use crate::ingress;
use crate::router::RouterHandle;
use crate::table::{Catalogue, EndpointSpec, Selection};
use postrider_sink::{Delivery, Exchange, FailureClass, Trail, Verdict};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// Makes one attempt.
///
/// # Errors
/// Why none can be made.
pub(super) async fn trial(
    router: &RouterHandle,
    spec: &EndpointSpec,
    event: &TestEvent,
    clock: &dyn Clock,
) -> Result<TestReport, String> {
    let name = &spec.identity.name;
    let incomplete = || format!("{name} names no complete sink yet: a URL and credentials, for example");
    let sink = spec.sink.as_ref().ok_or_else(incomplete)?;
    let (word, product) = chosen(&router.table().catalogue, spec, event)?;
    let data = event.data.as_ref().map(|data| ingress::test_data(data.get())).transpose()?;
    let data = data.map(RawValue::from_string).transpose().map_err(|error| error.to_string())?;
    let event = TestEvent { data, ..event.clone() };
    let host = router.host(name, &spec.delivery);
    let built = sink.plan()?.build(&host).await.map_err(|error| error.to_string())?;
    let mut delivery = event.delivery(&word, &product, spec.identity.account.clone(), clock);
    delivery.trail = Arc::new(Trail::listening());
    let made = attempt(&*built, &delivery, spec.delivery.timeout, clock).await;
    Ok(report(&made, sink.destination.to_string(), &delivery, spec.delivery.timeout))
}

/// The event and the product of a test: what was asked for, or the first the endpoint subscribed to.
fn chosen(
    catalogue: &Catalogue,
    spec: &EndpointSpec,
    event: &TestEvent,
) -> Result<(Arc<str>, Arc<str>), String> {
    let pick = |asked: Option<&str>, known: &[Arc<str>], wanted: &Selection, what: &str| {
        let found = match asked {
            Some(name) => known.iter().find(|known| known.as_ref() == name),
            None => known.iter().find(|name| wanted.contains(name)).or_else(|| known.first()),
        };
        found.cloned().ok_or_else(|| {
            let allowed: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
            format!("unknown {what} {:?}; allowed: {}", asked.unwrap_or_default(), allowed.join(", "))
        })
    };
    Ok((
        pick(event.event.as_deref(), &catalogue.events, &spec.events, "event")?,
        pick(event.product.as_deref(), &catalogue.products, &spec.products, "product")?,
    ))
}

fn report(made: &Attempt, destination: String, delivery: &Delivery, deadline: Duration) -> TestReport {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // A sink that keeps no record of what it says leaves the exchange empty.
    let exchange = delivery.trail.exchange().filter(|exchange| !exchange.request.is_empty());
    let answered = made.timings.status.is_some();
    TestReport {
        ok: made.outcome.verdict == Verdict::Delivered,
        status: made.timings.status,
        reason: made.outcome.reason.to_string(),
        advice: advice(made, deadline),
        destination,
        id: delivery.id.to_string(),
        timings: TestTimings {
            total_ms: ms(made.took),
            dns_ms: made.timings.dns.map(ms),
            connect_ms: made.timings.connect.map(ms),
            tls_ms: made.timings.tls.map(ms),
            wait_ms: made.timings.wait.map(ms),
        },
        took: made.took,
        steps: made.timings,
        curl: exchange.as_ref().map(|exchange| curl(exchange, &delivery.body)),
        request: exchange.as_ref().map(|exchange| TestMessage {
            headers: exchange.request.iter().map(|header| (header.0.clone(), shown(header))).collect(),
            body: String::from_utf8_lossy(&delivery.body).into_owned(),
            truncated: false,
        }),
        response: exchange.filter(|_| answered).map(|exchange| TestMessage {
            body: String::from_utf8_lossy(&exchange.body).into_owned(),
            truncated: exchange.truncated,
            headers: exchange.response,
        }),
    }
}

/// A header's value, unless it may be a secret.
fn shown((name, value): &(String, Option<String>)) -> String {
    match value {
        Some(value) if !is_secret_name(name) => value.clone(),
        _ if name == "authorization" => "Basic (hidden)".to_owned(),
        _ => "(hidden)".to_owned(),
    }
}

/// The same request for a shell. The credential is left for the person to enter.
fn curl(exchange: &Exchange, body: &[u8]) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut command = format!("curl -i -X POST {}", quote(&exchange.url));
    for header in &exchange.request {
        match header.0.as_str() {
            "host" | "content-length" => {}
            "authorization" => command.push_str(" -u 'USERNAME:PASSWORD'"),
            name => command.push_str(&format!(" -H {}", quote(&format!("{name}: {}", shown(header))))),
        }
    }
    command.push_str(&format!(" --data-binary {}", quote(&String::from_utf8_lossy(body))));
    command
}

/// Cause and remedy in a sentence; none where it landed.
fn advice(made: &Attempt, deadline: Duration) -> Option<String> {
    let reason = &made.outcome.reason;
    let class = match made.outcome.verdict {
        Verdict::Delivered => return None,
        Verdict::Blocked => {
            return Some(format!(
                "{reason}. Allow the range in [network] of postrider.toml, or use a public address"
            ));
        }
        Verdict::Reject => return Some(format!("{reason}. The destination will never take this event")),
        Verdict::Suspend => {
            return Some(
                "410: the endpoint is gone for good, so deliveries would be held. Is the URL right?".into(),
            );
        }
        Verdict::Failed { class, .. } => class,
    };
    Some(match (class, made.timings.status) {
        (FailureClass::Timeout, _) => {
            format!(
                "No answer within {} s. The server may still have handled the event",
                deadline.as_secs_f32()
            )
        }
        (FailureClass::Dns, _) => format!("No such host: {reason}. Check the spelling"),
        (FailureClass::Connect, None) => format!("{reason}. Is the server running?"),
        (FailureClass::Tls, _) => format!("{reason}. The certificate must be valid for the host of the URL"),
        (_, Some(status)) => match status {
            300..=399 => format!("{reason}: enter that URL"),
            400 | 422 => format!("{status}: the server does not accept this event's content"),
            401 => "401: the server refused the user name or password".into(),
            403 => "403: the server knows the user, who may not post here".into(),
            404 => "404: the host answers, but not on this path".into(),
            405 => "405: the path is there, but takes no POST".into(),
            413 => "413: the server takes no body of this size".into(),
            415 => "415: the server does not take application/json".into(),
            429 => format!("{reason}. The server wants fewer requests: set a rate"),
            500 => "500: the server failed while handling the event".into(),
            501..=599 => format!("{reason}. The server cannot take events now: it would be tried again"),
            _ => reason.to_string(),
        },
        (_, None) => reason.to_string(),
    })
}
