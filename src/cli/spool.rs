//! `spool`: a spool that no daemon holds.

use super::args::{SpoolArgs, SpoolCommand};
use super::exit::{Exit, Failure};
use super::out::{self, Style};
use crate::app::{self, EffectiveError};
use crate::clock::{SystemClock, unix_ms};
use crate::spool::{self, Content, Damage, Exported, OpenError};
use postrider_sink::SinkFactory;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn spool(
    command: &SpoolCommand,
    sinks: &[Arc<dyn SinkFactory>],
    json: bool,
) -> Result<(), Failure> {
    match command {
        SpoolCommand::Check { spool } => check(&folder(spool, sinks)?, json),
        SpoolCommand::Repair { spool } => repair(&folder(spool, sinks)?, json),
        SpoolCommand::Export { spool, dead, endpoint } => {
            export(&folder(spool, sinks)?, *dead, endpoint.as_deref())
        }
    }
}

fn folder(args: &SpoolArgs, sinks: &[Arc<dyn SinkFactory>]) -> Result<PathBuf, Failure> {
    match &args.path {
        Some(path) => Ok(path.clone()),
        None => app::spool_path(&args.config, sinks)
            .map_err(|error: EffectiveError| Failure::new(Exit::Config, error.to_string())),
    }
}

fn failure(error: &OpenError) -> Failure {
    match error {
        OpenError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Failure::new(Exit::NotFound, error.to_string())
        }
        OpenError::Locked { .. } => Failure::failed(error.to_string())
            .hint("A spool is looked at while no daemon runs on it; stop the daemon, or copy its folder."),
        _ => Failure::failed(error.to_string()),
    }
}

fn check(path: &std::path::Path, json: bool) -> Result<(), Failure> {
    let checked = spool::check(path).map_err(|error| failure(&error))?;
    if json {
        out::json(&checked)?;
    } else {
        print(&checked.damage)?;
        out::line(&told(&checked.content))?;
        for folder in &checked.aside {
            out::line(&format!(
                "{folder}  set aside by a start; `postrider spool repair` brings back what is readable"
            ))?;
        }
    }
    if checked.damage.is_empty() && checked.aside.is_empty() {
        return Ok(());
    }
    let found = match checked.damage.len() {
        0 => "nothing damaged, but rows were set aside".to_owned(),
        1 => "1 thing is damaged".to_owned(),
        count => format!("{count} things are damaged"),
    };
    out::say(&format!("{found}; `postrider spool repair` keeps what is readable"));
    Err(Failure::said(Exit::Failed))
}

fn repair(path: &std::path::Path, json: bool) -> Result<(), Failure> {
    let repaired = spool::repair(path, unix_ms(&SystemClock)).map_err(|error| failure(&error))?;
    if json {
        return out::json(&repaired);
    }
    print(&repaired.damage)?;
    out::line(&told(&repaired.kept))?;
    if repaired.brought_back + repaired.lost_aside > 0 {
        let (back, lost) = (repaired.brought_back, repaired.lost_aside);
        out::line(&format!("{back} brought back of what a start had set aside, {lost} of it not readable"))?;
    }
    for folder in &repaired.aside {
        out::line(&format!("{folder}  what it was, kept aside; nothing needs it any more"))?;
    }
    out::say(if repaired.mended { "repaired" } else { "nothing to repair" });
    Ok(())
}

fn print(damage: &[Damage]) -> Result<(), Failure> {
    let style = Style::stdout();
    for damage in damage {
        let place = damage.at.map_or_else(String::new, |at| format!(" from byte {at}"));
        let Damage { file, what, cost, .. } = damage;
        out::line(&format!("{}  {file}{place}: {what} (costs: {cost})", style.red("damaged")))?;
    }
    Ok(())
}

fn told(content: &Content) -> String {
    let Content { waiting, dead_letters, dedup_keys, history_blocks, endpoints, lost, set_aside } = content;
    let aside =
        if *set_aside == 0 { String::new() } else { format!(", {set_aside} records set aside as damaged") };
    format!(
        "{waiting} deliveries wait, {dead_letters} dead letters, {dedup_keys} idempotency keys, \
         {history_blocks} blocks of history, {endpoints} endpoints; {lost} known to be lost{aside}"
    )
}

/// An event as D3 wants it posted.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    event: &'a str,
    product: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    timestamp: &'a RawValue,
    data: &'a RawValue,
}

/// What only the stored body has.
#[derive(serde::Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn export(path: &std::path::Path, dead: bool, endpoint: Option<&str>) -> Result<(), Failure> {
    let mut count = 0_u64;
    let mut ended = None;
    let lost = spool::export(path, dead, &mut |exported| {
        let for_it = |name: &str| exported.waiting.iter().chain(&exported.dead).any(|known| known == name);
        if endpoint.is_some_and(|name| !for_it(name)) {
            return Ok(());
        }
        count += 1;
        line(&exported).and_then(|text| {
            out::line(&text).map_err(|failure| {
                ended = Some(failure);
                io::Error::from(io::ErrorKind::BrokenPipe)
            })
        })
    });
    if let Some(failure) = ended {
        return Err(failure);
    }
    let lost = lost.map_err(|error| failure(&error))?;
    out::say(&format!("{count} events exported"));
    if lost > 0 {
        out::say(&format!("{lost} deliveries are damaged and left out; `postrider spool check` says where"));
        return Err(Failure::said(Exit::Failed));
    }
    Ok(())
}

fn line(exported: &Exported) -> io::Result<String> {
    let event = &exported.event;
    let Body { timestamp, data } = serde_json::from_slice(&event.body)?;
    let line = Line {
        id: event.id.to_string(),
        event: &event.event,
        product: &event.product,
        account: event.account.as_deref(),
        timestamp,
        data,
    };
    let text = serde_json::to_string(&line)?;
    // Between the members of `data` a publisher may have put line ends; in strings there are none.
    Ok(text.replace(['\n', '\r'], " "))
}
