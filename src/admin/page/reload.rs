//! *Reload status*: what runs, what the last change came to, and what is wrong where.

use super::parts::{self, Icon, Tone, badge};
use crate::admin::{ConfigIssue, Status};
use crate::reload::Change;
use maud::{Markup, html};

/// `file:line:column`, as far as it is known.
pub(super) fn place(issue: &ConfigIssue) -> String {
    match (issue.line, issue.column) {
        (0, _) => issue.file.clone(),
        (line, 0) => format!("{}:{line}", issue.file),
        (line, column) => format!("{}:{line}:{column}", issue.file),
    }
}

fn result(word: &str) -> (Icon, Tone, &'static str) {
    match word {
        "applied" => (Icon::Tick, Tone::Good, "Applied"),
        "partial" => (Icon::Bang, Tone::Hold, "Partly applied"),
        "rejected" => (Icon::Cross, Tone::Bad, "Rejected"),
        _ => (Icon::Clock, Tone::Rest, "Unchanged"),
    }
}

/// The screen.
pub(super) fn draw(status: &Status, history: &[Change], done: &str) -> Markup {
    let errors = &status.config.errors;
    html! {
        div.head {
            h1 { "Reload status" }
            form.end method="post" action="/reload-status" { button { "Check again" } }
        }
        (checked(done))
        div.stack #reload data-live {
            @if errors.is_empty() {
                (parts::note(Tone::Good, false, &html! { p.grow { strong { "The files are what runs." } " Every file was accepted." } }))
            } @else {
                (problems(errors))
            }
            (running(status))
            section.card aria-labelledby="history-title" {
                div.section { h2 #history-title { "Changes" } }
                @if history.is_empty() {
                    p.pad.soft { "No file has changed since the start, " (parts::span(status.uptime_seconds * 1000)) " ago." }
                } @else {
                    ol.log { @for entry in history { (change(entry)) } }
                }
            }
        }
    }
}

fn checked(done: &str) -> Markup {
    let (tone, text) = match done {
        "applied" => (Tone::Good, "Checked: what had changed is in force."),
        "unchanged" => (Tone::Rest, "Checked: nothing had changed."),
        "partial" => (Tone::Hold, "Checked: part of it is in force, the rest was rejected. See below."),
        "rejected" => (Tone::Bad, "Checked: it was rejected. See below."),
        _ => return html! {},
    };
    html! { div class=(tone.note()) role="status" { p.grow { (text) } } }
}

fn problems(errors: &[ConfigIssue]) -> Markup {
    html! {
        section.card aria-labelledby="problems-title" {
            div.section {
                div.row {
                    h2 #problems-title { (badge(Icon::Bang, Tone::Bad, &parts::counted(errors.len() as u64, "problem in the files", "problems in the files"))) }
                    button.slim type="button" data-copy="#problems-text" hidden { "Copy as text" }
                }
                p.soft { "What was accepted before keeps running while you correct this. What never was receives nothing until it is right." }
            }
            ol.log {
                @for error in errors {
                    li.wide-item {
                        div.stack.tight.all {
                            p.where.tone-bad.break { (place(error)) }
                            p { strong { (error.message) } }
                            @if let Some(help) = &error.help { p.soft.pre { (help) } }
                            @if let Some(note) = &error.note { p.small { (note) "." } }
                        }
                    }
                }
            }
            pre #problems-text hidden { @for error in errors { (place(error)) ": " (error.message) "\n" } }
        }
    }
}

fn running(status: &Status) -> Markup {
    html! {
        section.card.pad aria-labelledby="running-title" {
            div.stack {
                h2 #running-title { "Running" }
                dl.facts.long {
                    dt { "Configuration" } dd.num { (status.generation) }
                    dt { "File" } dd.mono { (status.config.path) }
                    @if let Some(at) = status.config.last_reload_ms { dt { "Last fully accepted" } dd { (parts::at(at)) } }
                    dt { "Watching" } dd { "The daemon's file, the endpoints folder and every secret file. A saved file applies by itself within a second or two." }
                    dt { "Undelivered" } dd.num { (bytes(status.spool.bytes)) " of " (bytes(status.spool.max_bytes)) " in " span.mono { (status.spool.path) } }
                }
            }
        }
    }
}

fn change(entry: &Change) -> Markup {
    let (icon, tone, word) = result(entry.result);
    html! {
        li {
            span { (parts::at(entry.at_ms)) }
            (badge(icon, tone, word))
            div.stack.tight {
                @for line in &entry.changes { p.break { (line) } }
                @for line in &entry.errors { p.break.tone-bad { (line) } }
                @if entry.changes.is_empty() && entry.errors.is_empty() { p.soft { "Nothing had changed" } }
                p.soft.small { (in_force(entry)) }
            }
        }
    }
}

/// Which configuration counts since a change, and how the change stands to it.
fn in_force(entry: &Change) -> String {
    let number = entry.generation;
    match entry.result {
        "applied" => format!("Configuration {number} came into force"),
        "partial" => format!("Configuration {number} came into force, without what was rejected"),
        "rejected" => format!("Configuration {number} is in force, without this"),
        _ => format!("Configuration {number} stayed in force"),
    }
}

/// `1.5 GiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(super) fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = "bytes";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value.fract() < 0.05 || unit == "bytes" {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}
