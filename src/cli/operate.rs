//! Commands that ask a running daemon: `status`, `reload`, `test`.

use super::args::{Global, TestArgs};
use super::client::{Answer, Client};
use super::exit::{Exit, Failure};
use super::out::{self, Style};
use super::send::read_json;
use crate::admin::{ConfigIssue, ReloadReport, ReloadResult, Status, TestEvent, TestReport};
use crate::clock::{SystemClock, unix_ms};
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::path::Path;

pub(super) async fn status(global: &Global) -> Result<(), Failure> {
    let answer = Client::new(&global.admin)?.get("/api/v1/status").await?;
    let status: Status = read(&answer, &[200])?;
    if global.json {
        return out::line(String::from_utf8_lossy(&answer.body).trim_end());
    }
    let ready =
        status.unready.as_ref().map_or_else(|| "ready".to_owned(), |why| format!("TAKES NO EVENTS: {why}"));
    let Status { version, uptime_seconds, generation, .. } = &status;
    let up = out::duration(*uptime_seconds);
    out::line(&format!("postrider {version}  up {up}  configuration {generation}  {ready}"))?;
    let spool = &status.spool;
    let trouble = spool.trouble.as_ref().map(|trouble| format!("  {trouble}")).unwrap_or_default();
    let (used, most) = (out::bytes(spool.bytes), out::bytes(spool.max_bytes));
    out::line(&format!("spool {used} of {most}  {}{trouble}", spool.path))?;
    for issue in &status.config.errors {
        out::line(&issue_line(issue))?;
    }
    let mut rows = vec![
        ["ENDPOINT", "STATE", "READY", "PARKED", "DEAD", "OLDEST", "IN FLIGHT", "NOTE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let now = unix_ms(&SystemClock);
    rows.extend(status.endpoints.iter().map(|endpoint| {
        let oldest = endpoint.oldest_ms.map(|at| out::duration(now.saturating_sub(at) / 1000));
        let note = endpoint.note.as_ref().or(endpoint.last_error.as_ref()).or(endpoint.destination.as_ref());
        vec![
            endpoint.name.clone(),
            endpoint.state.clone(),
            endpoint.ready.to_string(),
            endpoint.parked.to_string(),
            endpoint.dead.to_string(),
            oldest.unwrap_or_else(|| "-".to_owned()),
            endpoint.in_flight.to_string(),
            note.cloned().unwrap_or_default(),
        ]
    }));
    if rows.len() == 1 {
        out::say("no endpoints: put a .toml file into the endpoints folder");
        return Ok(());
    }
    out::line("")?;
    let style = Style::stdout();
    for (position, row) in out::table(&rows).iter().enumerate() {
        out::line(&if position == 0 { style.bold(row) } else { row.clone() })?;
    }
    Ok(())
}

/// What was rejected is 1; where nothing was applied and the daemon's own file is among it, 78.
pub(super) async fn reload(global: &Global) -> Result<(), Failure> {
    let answer = Client::new(&global.admin)?.post("/-/reload", "").await?;
    let report: ReloadReport = read(&answer, &[200, 422])?;
    if global.json {
        out::line(String::from_utf8_lossy(&answer.body).trim_end())?;
    } else {
        let words = match report.result {
            ReloadResult::Applied => "applied",
            ReloadResult::Unchanged => "nothing had changed",
            ReloadResult::Partial => "partly applied; what is rejected runs as before",
            ReloadResult::Rejected => "rejected; everything runs as before",
        };
        out::line(&format!("configuration {}: {words}", report.generation))?;
        for issue in &report.errors {
            out::line(&issue_line(issue))?;
        }
    }
    match report.result {
        _ if report.is_ok() => Ok(()),
        ReloadResult::Rejected if report.errors.iter().any(is_of_daemon) => Err(Failure::said(Exit::Config)),
        _ => Err(Failure::said(Exit::Failed)),
    }
}

pub(super) async fn test(args: &TestArgs, global: &Global) -> Result<(), Failure> {
    let name = &args.endpoint;
    let path = endpoint_path(name)?;
    let data = args.data.as_ref().map(|path| read_json(path, "--data")).transpose()?;
    let event = TestEvent { event: args.event.clone(), product: args.product.clone(), data };
    let body = serde_json::to_vec(&event).map_err(|error| Failure::failed(error.to_string()))?;
    let answer = Client::new(&global.admin)?.post(&format!("{path}/test"), body).await?;
    let report: TestReport = read(&answer, &[200])?;
    if global.json {
        out::line(String::from_utf8_lossy(&answer.body).trim_end())?;
    } else {
        print_test(&report)?;
    }
    if report.ok { Ok(()) } else { Err(Failure::said(Exit::Failed)) }
}

/// Where an endpoint is found. A name that none can have is not asked for.
pub(super) fn endpoint_path(name: &str) -> Result<String, Failure> {
    if crate::config::is_endpoint_name(name) {
        return Ok(format!("/api/v1/endpoints/{name}"));
    }
    Err(Failure::new(Exit::NotFound, format!("no endpoint can be called {name:?}")))
}

fn print_test(report: &TestReport) -> Result<(), Failure> {
    let style = Style::stdout();
    let times = report.timings;
    let steps = [
        ("dns", times.dns_ms),
        ("connect", times.connect_ms),
        ("tls", times.tls_ms),
        ("wait", times.wait_ms),
    ];
    let steps: Vec<String> =
        steps.iter().filter_map(|(step, ms)| ms.map(|ms| format!("{step} {ms}"))).collect();
    let steps = if steps.is_empty() { String::new() } else { format!(" ({})", steps.join(", ")) };
    let word = if report.ok { style.green("ok") } else { style.red("NOT OK") };
    out::line(&format!("-> {}  {}", report.destination, report.id))?;
    out::line(&format!("<- {word}  {}  {} ms{steps}", out::printable(&report.reason), times.total_ms))?;
    if let Some(advice) = &report.advice {
        out::line(advice)?;
    }
    out::say("A test event: counted nowhere, never retried, and the breaker does not see it.");
    Ok(())
}

/// Whether it is about the daemon's file: those of endpoints are in the folder `endpoints` next to it.
fn is_of_daemon(issue: &ConfigIssue) -> bool {
    let path = Path::new(&issue.file);
    let folder = path.parent().and_then(Path::file_name);
    ![path.file_name(), folder].contains(&Some(OsStr::new("endpoints")))
}

pub(super) fn issue_line(issue: &ConfigIssue) -> String {
    let place = if issue.line == 0 {
        issue.file.clone()
    } else {
        format!("{}:{}:{}", issue.file, issue.line, issue.column)
    };
    let more: String =
        [&issue.help, &issue.note].into_iter().flatten().map(|text| format!("\n  {text}")).collect();
    format!("{place}: {}{more}", issue.message)
}

/// The answer as data, if its status code is one of these.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer, good: &[u16]) -> Result<T, Failure> {
    if !good.contains(&answer.status) {
        return Err(Failure::answer(answer.status, &answer.body));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::failed(format!(
            "the answer is not what a Postrider daemon says ({error}); is --admin right?"
        ))
    })
}
