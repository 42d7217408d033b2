use super::args::{Global, SendArgs};
use super::client::Client;
use super::exit::Failure;
use super::out;
use crate::clock::{SystemClock, unix_ms};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::Read as _;
use std::path::Path;

/// More than any daemon takes.
const MAX_DATA: u64 = 64 * 1024 * 1024;

/// An event as D3 wants it posted.
#[derive(Debug, Serialize)]
pub(super) struct Posted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) event: &'a str,
    pub(super) product: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<&'a str>,
    pub(super) data: &'a RawValue,
}

/// What a daemon says of an event it took.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Receipt {
    pub(super) id: String,
    #[serde(default)]
    pub(super) deliveries: u64,
    #[serde(default)]
    pub(super) duplicate: bool,
}

pub(super) async fn send(args: &SendArgs, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&args.ingress)?.authorization(authorization(args)?);
    let data = match &args.data {
        Some(path) => read_json(path, "--data")?,
        None => data(args)?,
    };
    let posted = Posted {
        id: args.id.as_deref(),
        event: &args.event,
        product: &args.product,
        account: args.account.as_deref(),
        data: &data,
    };
    let (receipt, answer) = post(&client, &posted).await?;
    if global.json {
        return out::line(String::from_utf8_lossy(&answer).trim_end());
    }
    let deliveries = match receipt.deliveries {
        0 => "no deliveries: no endpoint wants it".to_owned(),
        1 => "1 delivery".to_owned(),
        count => format!("{count} deliveries"),
    };
    let again = if receipt.duplicate { ", a repeat: nothing is delivered again" } else { "" };
    out::line(&format!("{}  {deliveries}{again}", receipt.id))
}

/// Posts one event; the receipt, and the answer as it came.
pub(super) async fn post(client: &Client, posted: &Posted<'_>) -> Result<(Receipt, bytes::Bytes), Failure> {
    let body = serde_json::to_vec(posted).map_err(|error| Failure::failed(error.to_string()))?;
    let answer = client.post("/v1/events", body).await?;
    if !matches!(answer.status, 200 | 202) {
        return Err(Failure::answer(answer.status, &answer.body));
    }
    let receipt = serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::failed(format!("the daemon answered something else than a receipt: {error}"))
    })?;
    Ok((receipt, answer.body))
}

/// The JSON text of a file, or of stdin, its bytes left as they are.
pub(super) fn read_json(path: &Path, flag: &str) -> Result<Box<RawValue>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{flag} {}: {error}", path.display()));
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_DATA).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_DATA).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

fn data(args: &SendArgs) -> Result<Box<RawValue>, Failure> {
    #[derive(Serialize)]
    struct Data<'a> {
        message_id: &'a str,
        status: &'a str,
        details: &'a RawValue,
    }
    let details = args.details.as_deref().unwrap_or("{}");
    let details: &RawValue = serde_json::from_str(details)
        .map_err(|error| Failure::usage(format!("--details is no JSON: {error}")))?;
    // The same content for the same id: a repeat is one then.
    let made_up = match &args.id {
        Some(id) => format!("wamid.CLI.{id}"),
        None => format!("wamid.CLI{}", unix_ms(&SystemClock)),
    };
    let message_id = args.message_id.as_deref().unwrap_or(&made_up);
    let status = args.status.as_deref().unwrap_or(&args.event);
    serde_json::value::to_raw_value(&Data { message_id, status, details })
        .map_err(|error| Failure::usage(error.to_string()))
}

fn authorization(args: &SendArgs) -> Result<Option<HeaderValue>, Failure> {
    let value = match (&args.user, &args.bearer) {
        (Some(user), _) => format!("Basic {}", STANDARD.encode(user)),
        (None, Some(token)) => format!("Bearer {token}"),
        (None, None) => return Ok(None),
    };
    HeaderValue::from_str(&value)
        .map(Some)
        .map_err(|_| Failure::usage("the token has characters that no header may have"))
}
