//! `deliveries`: what became of events, delivery by delivery.

use super::args::{DeliveriesCommand, FilterArgs, Global};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::operate::read;
use super::out::{self, Style};
use crate::admin::{DeliveryDetail, DeliveryFilter, DeliveryPage, DeliveryState, DeliverySummary, Retried};

/// The longest page the daemon gives.
pub(super) const PAGE: usize = 500;

pub(super) async fn deliveries(command: &DeliveriesCommand, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&global.admin)?;
    match command {
        DeliveriesCommand::List { filter, state, limit } => {
            let filter = DeliveryFilter { state: state.clone(), ..wanted(filter) };
            list(&client, &filter, *limit, global.json).await
        }
        DeliveriesCommand::Show { id } => show(&client, id, global.json).await,
        DeliveriesCommand::Retry { ids } => retry(&client, ids, global.json).await,
        DeliveriesCommand::Tail { filter, state } => {
            let filter = DeliveryFilter { state: state.clone(), ..wanted(filter) };
            tail(&client, &filter, global.json).await
        }
    }
}

/// The filter that these arguments name.
pub(super) fn wanted(args: &FilterArgs) -> DeliveryFilter {
    DeliveryFilter {
        endpoint: args.endpoint.clone(),
        event: args.event.clone(),
        product: args.product.clone(),
        code: args.code.clone(),
        message_id: args.message_id.clone(),
        account: args.account.clone(),
        since: args.since.clone(),
        until: args.until.clone(),
        ..DeliveryFilter::default()
    }
}

/// A path with a query.
pub(super) fn path(base: &str, filter: &DeliveryFilter, more: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filter.members()).extend_pairs(more);
    let query = query.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// An id that goes into a path: what cannot be one is not asked for.
pub(super) fn id_path(base: &str, id: &str, rest: &str) -> Result<String, Failure> {
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits {
        Ok(format!("{base}/{id}{rest}"))
    } else {
        Err(Failure::new(Exit::NotFound, format!("nothing can have the id {id:?}")))
    }
}

async fn list(client: &Client, filter: &DeliveryFilter, limit: usize, json: bool) -> Result<(), Failure> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    while rows.len() < limit {
        let page = (limit - rows.len()).min(PAGE).to_string();
        let mut more = vec![("limit", page.as_str())];
        more.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = client.get(&path("/api/v1/deliveries", filter, &more)).await?;
        let page: DeliveryPage = read(&answer, &[200])?;
        rows.extend(page.deliveries);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json {
        return out::json(&DeliveryPage { deliveries: rows, cursor });
    }
    print(&rows, "no deliveries match")
}

/// A table of deliveries, or what there is instead.
pub(super) fn print(rows: &[DeliverySummary], nothing: &str) -> Result<(), Failure> {
    if rows.is_empty() {
        out::say(nothing);
        return Ok(());
    }
    let heads = ["TIME", "ENDPOINT", "EVENT", "PRODUCT", "MESSAGE", "STATE", "TRIES", "CODE", "ID", "NOTE"];
    let mut table = vec![heads.map(str::to_owned).to_vec()];
    table.extend(rows.iter().map(cells));
    let style = Style::stdout();
    for (position, row) in out::table(&table).iter().enumerate() {
        out::line(&if position == 0 { style.bold(row) } else { row.clone() })?;
    }
    Ok(())
}

fn cells(row: &DeliverySummary) -> Vec<String> {
    let state = match (&row.reason, row.state) {
        (Some(reason), DeliveryState::Dead | DeliveryState::Held) => {
            format!("{} ({reason})", row.state.as_str())
        }
        _ => row.state.as_str().to_owned(),
    };
    vec![
        row.ended_at.as_ref().unwrap_or(&row.accepted_at).clone(),
        row.endpoint.clone(),
        row.event.clone(),
        row.product.clone(),
        row.message_id.clone(),
        state,
        row.attempts.to_string(),
        row.code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
        row.id.clone(),
        row.note.clone().unwrap_or_default(),
    ]
}

/// The line of a delivery among those that are followed.
pub(super) fn followed(row: &DeliverySummary) -> String {
    out::printable(cells(row).join("  ").trim_end())
}

/// One delivery in full.
pub(super) async fn show(client: &Client, id: &str, json: bool) -> Result<(), Failure> {
    let answer = client.get(&id_path("/api/v1/deliveries", id, "")?).await?;
    let detail: DeliveryDetail = read(&answer, &[200])?;
    if json {
        return out::line(String::from_utf8_lossy(&answer.body).trim_end());
    }
    let row = &detail.delivery;
    let line = |name: &str, value: &str| out::line(&format!("{name:<9} {}", out::printable(value)));
    line("delivery", &row.id)?;
    line("endpoint", &row.endpoint)?;
    line("event", &format!("{} {} {}", row.event, row.product, row.event_id))?;
    line("message", &row.message_id)?;
    let reason = row.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    line("state", &format!("{}{reason}", row.state.as_str()))?;
    line("accepted", &row.accepted_at)?;
    for (name, time) in [("ended", &row.ended_at), ("due", &row.due_at)] {
        if let Some(time) = time {
            line(name, time)?;
        }
    }
    for id in &detail.replayed_as {
        line("replayed", &format!("as {id}"))?;
    }
    for attempt in &detail.attempts {
        let code = attempt.code.map(|code| format!("{code} ")).unwrap_or_default();
        let note = attempt.note.as_deref().unwrap_or(if attempt.ok { "delivered" } else { "failed" });
        let took = attempt.took_us / 1000;
        line("attempt", &format!("{}  {}  {took} ms  {code}{note}", attempt.number, attempt.ended_at))?;
        if let Some(answer) = &attempt.answer {
            line("answer", &format!("{answer:?}"))?;
        }
    }
    if let Some(body) = &detail.body {
        // Between its members there may be line ends; in strings there are none.
        line("body", &body.get().replace(['\n', '\r', '\t'], " "))?;
    }
    Ok(())
}

async fn retry(client: &Client, ids: &[String], json: bool) -> Result<(), Failure> {
    let mut worst = None;
    for id in ids {
        let asked = match id_path("/api/v1/deliveries", id, "/retry") {
            Ok(path) => client.post(&path, "").await.and_then(|answer| read::<Retried>(&answer, &[202])),
            Err(failure) => Err(failure),
        };
        match asked {
            Ok(retried) if json => out::json(&retried)?,
            Ok(retried) if retried.replayed => out::line(&format!("{id} replayed as {}", retried.id))?,
            Ok(retried) => out::line(&format!("{} is tried now", retried.id))?,
            Err(failure) if ids.len() == 1 || failure.exit == Exit::Unreachable => return Err(failure),
            Err(failure) => {
                out::say(&format!("{id}: {}", failure.message));
                worst = Some(failure.exit);
            }
        }
    }
    worst.map_or(Ok(()), |exit| Err(Failure::said(exit)))
}

async fn tail(client: &Client, filter: &DeliveryFilter, json: bool) -> Result<(), Failure> {
    let path = path("/api/v1/deliveries", filter, &[("follow", "true")]);
    let each = |line: &str| {
        let Some(data) = line.strip_prefix("data:").map(str::trim_start) else { return Ok(()) };
        if json {
            return out::line(data);
        }
        let row: DeliverySummary =
            serde_json::from_str(data).map_err(|error| Failure::failed(error.to_string()))?;
        out::line(&followed(&row))
    };
    client.lines(&path, each).await
}
