//! What a test event came to: the verdict, the remedy, where the time went, both sides of the exchange.

use super::chart;
use super::parts::{self, Icon, Tone, badge};
use crate::admin::{TestMessage, TestReport};
use maud::{Markup, html};
use std::time::Duration;

/// The result, or why it could not be sent.
pub(super) fn draw(result: &Result<TestReport, String>) -> Markup {
    match result {
        Err(reason) => html! {
            div.note.bad role="alert" { p.grow { strong data-verdict { "Not sent. " } (reason) } }
        },
        Ok(report) => html! {
            div class={"note " (verdict_class(report))} role=[(!report.ok).then_some("alert")] {
                div.stack.grow {
                    (verdict(report))
                    (timing(report))
                    p.small.soft.break { "To " span.mono { (report.destination) } " as " span.mono { (report.id) } }
                    (exchange(report))
                    p.small.soft { "Not counted in success rates, never retried, never opens the breaker." }
                }
            }
        },
    }
}

fn verdict_class(report: &TestReport) -> &'static str {
    if report.ok { "good" } else { "bad" }
}

fn verdict(report: &TestReport) -> Markup {
    let (icon, tone) = if report.ok { (Icon::Tick, Tone::Good) } else { (Icon::Cross, Tone::Bad) };
    let status = report.status.map(|status| status.to_string()).unwrap_or_default();
    let word = if report.ok { "OK" } else { "Not OK" };
    html! {
        div.row data-verdict {
            (badge(icon, tone, word))
            span.num { (status) " in " (parts::took(us(report.took))) }
        }
        @if let Some(advice) = &report.advice { p { strong { (advice) } } }
        @else if !report.ok { p { strong { (report.reason) } } }
    }
}

fn timing(report: &TestReport) -> Markup {
    let steps = &report.steps;
    chart::stages(
        &[
            ("DNS", "s-soft", steps.dns.map(us)),
            ("connect", "s-blue", steps.connect.map(us)),
            ("TLS", "s-hold", steps.tls.map(us)),
            ("wait", "s-good", steps.wait.map(us)),
        ],
        us(report.took),
    )
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn exchange(report: &TestReport) -> Markup {
    html! {
        @if let Some(request) = &report.request { (side("Request", "test-request", request)) }
        @if let Some(response) = &report.response { (side("Response", "test-response", response)) }
        @if let Some(curl) = &report.curl {
            details {
                summary { "As curl" }
                pre #test-curl tabindex="0" { (curl) }
                button.slim type="button" data-copy="#test-curl" hidden { "Copy as curl" }
            }
        }
    }
}

fn side(title: &str, id: &str, message: &TestMessage) -> Markup {
    html! {
        details open[title == "Response" && !message.body.is_empty()] {
            summary { (title) }
            pre id=(id) tabindex="0" aria-label=(title) {
                @for (name, value) in &message.headers { (name) ": " (value) "\n" }
                @if !message.body.is_empty() { "\n" (message.body) }
                @if message.truncated { "\n…" }
            }
        }
    }
}
