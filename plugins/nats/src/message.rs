use crate::settings::Mode;
use async_nats::{HeaderMap, HeaderValue};
use postrider_sink::{Delivery, Outcome};

/// The headers of a delivery's message.
pub(crate) fn headers(delivery: &Delivery, mode: &Mode) -> Result<HeaderMap, Outcome> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, text: &str| match text.parse::<HeaderValue>() {
        Ok(value) => {
            headers.insert(name, value);
            Ok(())
        }
        Err(_) => Err(crate::outcome::unfit(format!("{name} of the event cannot stand in a header"))),
    };
    // A stream forgets a repeat of the same id within its duplicate window.
    add("Nats-Msg-Id", &delivery.id)?;
    add("webhook-id", &delivery.id)?;
    add("content-type", "application/json")?;
    add("postrider-event", &delivery.event)?;
    add("postrider-product", &delivery.product)?;
    add("postrider-attempt", &delivery.attempt.to_string())?;
    if let Some(account) = &delivery.account {
        add("postrider-account", account)?;
    }
    if let Some(traceparent) = &delivery.traceparent {
        add("traceparent", traceparent)?;
    }
    if delivery.test {
        add("postrider-test", "true")?;
    }
    if let Mode::JetStream { stream: Some(stream) } = mode {
        add("Nats-Expected-Stream", stream)?;
    }
    Ok(headers)
}
