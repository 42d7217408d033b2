use postrider_sink::Delivery;
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    event: &'a str,
    product: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    attempt: u32,
    body: &'a RawValue,
}

/// A delivery as one line, its line feed included.
///
/// The body keeps the publisher's bytes, except that a line break between two tokens becomes a space: within a
/// string JSON has none.
pub(crate) fn write(delivery: &Delivery) -> Result<Vec<u8>, serde_json::Error> {
    let body: &RawValue = serde_json::from_slice(&delivery.body)?;
    let mut line = Vec::with_capacity(delivery.body.len() + 256);
    let fields = Line {
        id: &delivery.id,
        event: &delivery.event,
        product: &delivery.product,
        account: delivery.account.as_deref(),
        attempt: delivery.attempt,
        body,
    };
    serde_json::to_writer(&mut line, &fields)?;
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}
