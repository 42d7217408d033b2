//! `endpoints`: the same API that the page uses.

use super::args::{AddArgs, EndpointsCommand, Global};
use super::client::{Answer, Client};
use super::exit::{Exit, Failure};
use super::operate::{endpoint_path, issue_line, read};
use super::out::{self, Style};
use crate::admin::{EndpointDetail, EndpointList, EndpointStatus, Settings};
use crate::clock::{SystemClock, unix_ms};
use http::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// The most a password's file is read.
const MAX_PASSWORD: u64 = 64 * 1024;

pub(super) async fn endpoints(command: &EndpointsCommand, global: &Global) -> Result<(), Failure> {
    match command {
        EndpointsCommand::List { search, state } => list(search.as_deref(), state.as_deref(), global).await,
        EndpointsCommand::Show { name, effective } => show(name, *effective, global).await,
        EndpointsCommand::Add(args) => add(args, global).await,
        EndpointsCommand::Rename { name, new } => rename(name, new, global).await,
        EndpointsCommand::Pause { name } => order(name, "pause", global).await,
        EndpointsCommand::Resume { name } => order(name, "resume", global).await,
        EndpointsCommand::Activate { name } => order(name, "activate", global).await,
        EndpointsCommand::Remove { name, yes } => remove(name, *yes, global).await,
    }
}

async fn list(search: Option<&str>, state: Option<&str>, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&global.admin)?;
    let mut all: Vec<EndpointStatus> = Vec::new();
    let mut after = None;
    loop {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("search", search), ("state", state), ("after", after.as_deref())] {
            value.map(|value| query.append_pair(key, value));
        }
        let answer = client.get(&format!("/api/v1/endpoints?{}", query.finish())).await?;
        let page: EndpointList = read(&answer, &[200])?;
        all.extend(page.endpoints);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if global.json {
        return out::json(&all);
    }
    if all.is_empty() {
        out::say("no endpoint matches");
        return Ok(());
    }
    let mut rows = vec![["NAME", "STATE", "WAITING", "DEAD", "OLDEST", "NOTE"].map(str::to_owned).to_vec()];
    let now = unix_ms(&SystemClock);
    rows.extend(all.iter().map(|endpoint| {
        let oldest = endpoint.oldest_ms.map(|at| out::duration(now.saturating_sub(at) / 1000));
        let note = endpoint.note.as_ref().or(endpoint.last_error.as_ref()).or(endpoint.destination.as_ref());
        let rejected = if endpoint.rejected { " (file rejected)" } else { "" };
        vec![
            endpoint.name.clone(),
            format!("{}{rejected}", endpoint.state),
            (endpoint.ready + endpoint.parked).to_string(),
            endpoint.dead.to_string(),
            oldest.unwrap_or_else(|| "-".to_owned()),
            note.cloned().unwrap_or_default(),
        ]
    }));
    let style = Style::stdout();
    for (position, row) in out::table(&rows).iter().enumerate() {
        out::line(&if position == 0 { style.bold(row) } else { row.clone() })?;
    }
    Ok(())
}

async fn show(name: &str, effective: bool, global: &Global) -> Result<(), Failure> {
    let answer = Client::new(&global.admin)?.get(&endpoint_path(name)?).await?;
    let endpoint: EndpointDetail = read(&answer, &[200])?;
    if global.json {
        return raw(&answer);
    }
    if effective {
        let lines: Vec<Vec<String>> = endpoint
            .effective
            .iter()
            .map(|value| {
                // As it stands in its file, over several lines perhaps.
                let text = value.value.replace(['\n', '\r', '\t'], " ");
                vec![format!("{} = {text}", value.key), format!("# {}", value.origin)]
            })
            .collect();
        return out::table(&lines).iter().try_for_each(|line| out::line(line));
    }
    let status = &endpoint.status;
    let note = status.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    out::say(&format!("{}  {}{note}  ({})", status.name, status.state, endpoint.file));
    for issue in &endpoint.errors {
        out::say(&issue_line(issue));
    }
    for change in endpoint.changes.iter().take(5) {
        let ago = out::duration(unix_ms(&SystemClock).saturating_sub(change.at_ms) / 1000);
        out::say(&format!("{ago} ago by {}: {}", change.by, change.what.join(", ")));
    }
    out::text(&endpoint.toml)
}

async fn add(args: &AddArgs, global: &Global) -> Result<(), Failure> {
    let path = endpoint_path(&args.name).map_err(|failure| Failure { exit: Exit::Usage, ..failure })?;
    let password = first_line(&args.password_file)?;
    let chosen = |names: &[String]| if names.is_empty() { json!("all") } else { json!(names) };
    let mut settings = json!({
        "state": if args.draft { "draft" } else { "active" },
        "events": chosen(&args.events),
        "products": chosen(&args.products),
        "http": { "url": args.url, "auth": { "basic": { "username": args.username, "password": password } } },
    });
    if let (Some(account), Value::Object(settings)) = (&args.account, &mut settings) {
        settings.insert("account".to_owned(), json!(account));
    }
    let client = Client::new(&global.admin)?.expecting(IF_NONE_MATCH, "*")?;
    let answer = client.put(&path, settings.to_string()).await?;
    // Another account's is told as a conflict; a folder that cannot be written, with what to put there.
    let taken = answer.status == 409
        && serde_json::from_slice::<Value>(&answer.body).is_ok_and(|problem| problem.get("toml").is_none());
    if answer.status == 412 || taken {
        let hint = "Choose another name, or edit its file.";
        return Err(Failure::new(Exit::Changed, format!("{} is there already", args.name)).hint(hint));
    }
    changed(&answer, "added", global)
}

/// A name is who an endpoint is: the new one starts without the old one's deliveries.
async fn rename(name: &str, new: &str, global: &Global) -> Result<(), Failure> {
    let (from, to) = (endpoint_path(name)?, endpoint_path(new)?);
    let client = Client::new(&global.admin)?;
    let old: EndpointDetail = read(&client.get(&from).await?, &[200])?;
    nothing_waits(&old, "pause its events or wait until it has them")?;
    let missing = || Failure::failed(format!("{} is no valid TOML: put it right first", old.file));
    let mut settings: Settings = old.settings.clone().ok_or_else(missing)?;
    let mut draft = settings.clone();
    draft.insert("state".to_owned(), json!("draft"));
    settings.values_mut().try_for_each(by_reference)?;
    let body = Value::Object(settings).to_string();
    let made = client.clone().expecting(IF_NONE_MATCH, "*")?.put(&to, body).await?;
    read::<EndpointDetail>(&made, &[201])?;
    let still_there = |answer: &Answer| {
        let both = format!("{new} was added, but {name} is still there");
        Failure { message: both, ..Failure::answer(answer.status, &answer.body) }
    };
    // Both get what comes now. A draft gets nothing more, so this is all that could be lost with it: what came before the
    // new one was there.
    let expecting = |etag: &str| client.clone().expecting(IF_MATCH, &format!("\"{etag}\""));
    let held = expecting(&old.etag)?.put(&from, Value::Object(draft).to_string()).await?;
    if held.status != 200 {
        return Err(still_there(&held));
    }
    let held: EndpointDetail = read(&held, &[200])?;
    let waiting = held.status.ready + held.status.parked;
    if waiting > 0 {
        let message = format!("{new} was added, {name} is a draft now, and {waiting} deliveries wait for it");
        let hint = format!(
            "`postrider endpoints activate {name}` sends them, and both get what comes until {name} is removed."
        );
        return Err(Failure::failed(message).hint(hint));
    }
    let gone = expecting(&held.etag)?.delete(&from).await?;
    if gone.status != 204 {
        return Err(still_there(&gone));
    }
    changed(&made, "renamed", global)
}

/// Names secrets where they are kept already; one that is written out cannot be read.
fn by_reference(value: &mut Value) -> Result<(), Failure> {
    match value {
        Value::Object(object) => {
            let saved = object.remove("fingerprint").is_some();
            if saved && object.is_empty() {
                let message = "a secret is written out in the file, and cannot be read from here";
                return Err(Failure::failed(message).hint("Rename the file by hand, with mv."));
            }
            object.values_mut().try_for_each(by_reference)
        }
        Value::Array(elements) => elements.iter_mut().try_for_each(by_reference),
        _ => Ok(()),
    }
}

async fn order(name: &str, word: &str, global: &Global) -> Result<(), Failure> {
    let path = format!("{}/{word}", endpoint_path(name)?);
    let answer = Client::new(&global.admin)?.post(&path, "").await?;
    changed(&answer, word, global)
}

async fn remove(name: &str, yes: bool, global: &Global) -> Result<(), Failure> {
    let path = endpoint_path(name)?;
    let client = Client::new(&global.admin)?;
    let endpoint: EndpointDetail = read(&client.get(&path).await?, &[200])?;
    if !yes {
        nothing_waits(&endpoint, "add --yes to make it dead")?;
    }
    let client = client.expecting(IF_MATCH, &format!("\"{}\"", endpoint.etag))?;
    let answer = client.delete(&path).await?;
    if answer.status != 204 {
        return Err(Failure::answer(answer.status, &answer.body));
    }
    if global.json {
        return out::json(&json!({ "removed": name }));
    }
    out::line(&format!("{name} removed"))
}

fn nothing_waits(endpoint: &EndpointDetail, way_out: &str) -> Result<(), Failure> {
    let waiting = endpoint.status.ready + endpoint.status.parked;
    if waiting == 0 {
        return Ok(());
    }
    let message = format!("{waiting} deliveries wait for {}", endpoint.status.name);
    Err(Failure::failed(message).hint(format!("Nothing was changed: {way_out}.")))
}

/// Says what came of a change.
fn changed(answer: &Answer, word: &str, global: &Global) -> Result<(), Failure> {
    let endpoint: EndpointDetail = read(answer, &[200, 201])?;
    if global.json {
        return raw(answer);
    }
    let word = match word {
        "pause" => "paused",
        "resume" => "resumed",
        "activate" => "activated",
        word => word,
    };
    out::line(&format!("{} {word}: {}  ({})", endpoint.status.name, endpoint.status.state, endpoint.file))
}

fn raw(answer: &Answer) -> Result<(), Failure> {
    out::line(String::from_utf8_lossy(&answer.body).trim_end())
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let mut line = String::new();
    if path == Path::new("-") {
        out::say("The password, one line:");
        std::io::stdin().lock().take(MAX_PASSWORD).read_line(&mut line).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        BufReader::new(file.take(MAX_PASSWORD)).read_line(&mut line).map_err(failed)?;
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
