//! *Endpoints*: who receives what, how it goes, and what is in the way.

use super::chart::{self, Chart, LOOKS, Series};
use super::parts::{self, Tone, badge, choice, link, number, segment, title};
use super::window::{Counts, Point, Window};
use super::words;
use crate::admin::ConfigIssue;
use maud::{Markup, html};

/// One endpoint as the list shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) account: Option<String>,
    /// The daemon's word.
    pub(super) state: String,
    /// Why, and since when.
    pub(super) why: Option<String>,
    pub(super) since_ms: Option<u64>,
    pub(super) destination: Option<String>,
    /// None: all.
    pub(super) events: Option<Vec<String>>,
    pub(super) products: Option<Vec<String>>,
    pub(super) waiting: u64,
    pub(super) oldest_ms: Option<u64>,
    pub(super) dead: u64,
    pub(super) last_error: Option<String>,
    /// Its file is rejected: what becomes of events meanwhile.
    pub(super) standing: Option<&'static str>,
    /// What is wrong with it, for those who may know of files.
    pub(super) issue: Option<ConfigIssue>,
}

impl Row {
    /// A file that is wrong counts as Invalid, whatever its last good version does.
    pub(super) fn word(&self) -> &str {
        if self.standing.is_some() { "invalid" } else { &self.state }
    }
}

/// What the list is narrowed to, as it stands in the address.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) q: String,
    pub(super) state: String,
    pub(super) event: String,
    pub(super) product: String,
    pub(super) page: usize,
    /// What was done just before: a word of [`done`].
    pub(super) done: String,
}

/// Rows on one page.
const PAGE: usize = 50;

impl Wanted {
    fn is_any(&self) -> bool {
        [&self.q, &self.state, &self.event, &self.product].iter().any(|part| !part.is_empty())
    }

    fn takes(&self, row: &Row) -> bool {
        let has = |wanted: &str, names: &Option<Vec<String>>| {
            wanted.is_empty() || names.as_ref().is_none_or(|names| names.iter().any(|name| name == wanted))
        };
        let found = |text: &str| text.to_lowercase().contains(&self.q.trim().to_lowercase());
        (self.q.trim().is_empty()
            || found(&row.name)
            || row.destination.as_deref().is_some_and(found)
            || row.account.as_deref().is_some_and(found))
            && (self.state.is_empty() || words::filter_of(row.word()) == self.state)
            && has(&self.event, &row.events)
            && has(&self.product, &row.products)
    }
}

/// Everything the screen shows.
pub(super) struct List<'a> {
    pub(super) rows: &'a [Row],
    pub(super) wanted: &'a Wanted,
    pub(super) events: &'a [String],
    pub(super) products: &'a [String],
    pub(super) window: &'a Window,
    pub(super) now_ms: u64,
    pub(super) folder: &'a str,
    /// Whether the caller sees every endpoint: the sums of all of them are not for others.
    pub(super) operator: bool,
}

/// The file a new reader copies.
const EXAMPLE: &str = "events = [\"sent\", \"delivered\", \"read\", \"failed\"]\nproducts = \"all\"\n\n[http]\nurl = \"https://hooks.acme.example/whatsapp\"\nauth = { basic = { credentials = { file = \"secrets/acme\" } } }\n";

impl List<'_> {
    pub(super) fn draw(&self) -> Markup {
        html! {
            div.head {
                h1 { "Endpoints" }
                p.soft { "Each receives the events it subscribed to, over HTTP." }
                div.end { a.btn.go href="/new" { "New endpoint" } }
            }
            (done(&self.wanted.done))
            @if self.rows.is_empty() {
                div.card { (self.nothing_yet()) }
            } @else {
                div.charts #charts data-live {
                    @if self.operator { (flow(&self.window.hour(self.now_ms))) }
                    @if self.operator || self.rows.iter().any(|row| row.waiting > 0) { (self.waiting()) }
                }
                (self.filters())
                (self.table())
            }
        }
    }

    /// What waits, of the endpoints that the caller sees.
    #[expect(clippy::cast_precision_loss, reason = "for a picture")]
    fn waiting(&self) -> Markup {
        let seen: std::collections::HashSet<(&str, Option<&str>)> =
            self.rows.iter().map(|row| (row.name.as_str(), row.account.as_deref())).collect();
        let waiting: Vec<Series> = self
            .window
            .fullest(LOOKS.len(), self.now_ms, |name, account| seen.contains(&(name, account)))
            .into_iter()
            .zip(LOOKS)
            .map(|((name, values), look)| Series {
                name,
                look,
                values: values.into_iter().map(|count| Some(count as f64)).collect(),
            })
            .collect();
        let words = if waiting.is_empty() {
            "Nothing waited in the last hour.".to_owned()
        } else {
            let names: Vec<&str> = waiting.iter().map(|series| series.name.as_str()).collect();
            format!("Deliveries that waited in the last hour, most at {}.", names.join(", "))
        };
        Chart {
            title: "Deliveries waiting",
            series: &waiting,
            say: count,
            whole: true,
            nothing: "Nothing waits",
            words,
        }
        .draw()
    }

    fn nothing_yet(&self) -> Markup {
        if !self.operator {
            let text = html! { p { "Create the first one for your account." } div.row { a.btn.go href="/new" { "New endpoint" } } };
            return parts::empty("No endpoints yet", &text);
        }
        parts::empty(
            "No endpoints yet",
            &html! {
                p { "Create one here, or put a file that ends in " code { ".toml" } " into " code { (self.folder) } ". Save it, and the next event follows it." }
                pre #example tabindex="0" { (EXAMPLE) }
                div.row { a.btn.go href="/new" { "New endpoint" } button type="button" data-copy="#example" hidden { "Copy example" } }
            },
        )
    }

    fn filters(&self) -> Markup {
        let options = |names: &[String]| -> Vec<(String, String)> {
            names.iter().map(|name| (name.clone(), title(name))).collect()
        };
        let states: Vec<(String, String)> =
            words::FILTER.iter().map(|(value, text)| ((*value).to_owned(), (*text).to_owned())).collect();
        html! {
            form.filters method="get" action="/" role="search" aria-label="Endpoints" {
                div.field.grow {
                    label for="q" { "Search name, URL or account" }
                    input #q type="search" name="q" value=(self.wanted.q) autocomplete="off";
                }
                (choice("state", "State", "All states", &self.wanted.state, &states))
                (choice("event", "Event", "All events", &self.wanted.event, &options(self.events)))
                (choice("product", "Product", "All products", &self.wanted.product, &options(self.products)))
                (parts::filter_end(self.wanted.is_any().then_some("/")))
            }
        }
    }

    fn table(&self) -> Markup {
        let found: Vec<&Row> = self.rows.iter().filter(|row| self.wanted.takes(row)).collect();
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = self.wanted.page.min(pages - 1);
        let said = format!(
            "{} of {}",
            number(found.len() as u64),
            parts::counted(self.rows.len() as u64, "endpoint", "endpoints")
        );
        html! {
            div.card #endpoints data-live data-say=(said) {
                @if found.is_empty() {
                    (parts::empty("No endpoint matches these filters", &html! { p { a.btn href="/" { "Clear filters" } } }))
                } @else {
                    div {
                    table role="table" {
                        caption.hidden { "Endpoints, " (said) }
                        thead role="rowgroup" { tr role="row" {
                            th role="columnheader" scope="col" { "State" }
                            th role="columnheader" scope="col" { "Endpoint" }
                            th role="columnheader" scope="col" { "Events and products" }
                            th role="columnheader" scope="col" { "Last 24 hours" }
                            th.num role="columnheader" scope="col" { "Waiting" }
                        } }
                        tbody role="rowgroup" { @for row in found.iter().skip(page * PAGE).take(PAGE) { (self.row(row)) } }
                    }
                    }
                    @if pages > 1 { (self.pager(page, pages)) }
                }
            }
        }
    }

    fn pager(&self, page: usize, pages: usize) -> Markup {
        let to = |page: usize| {
            let page = page.to_string();
            let wanted = self.wanted;
            link(
                "/",
                &[
                    ("q", &wanted.q),
                    ("state", &wanted.state),
                    ("event", &wanted.event),
                    ("product", &wanted.product),
                    ("page", &page),
                ],
            )
        };
        html! {
            nav.pager aria-label="Pages" {
                @if page > 0 { a.btn.slim href=(to(page - 1)) { "Previous" } }
                span.small { "Page " (page + 1) " of " (pages) }
                @if page + 1 < pages { a.btn.slim href=(to(page + 1)) { "Next" } }
            }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        let state = words::state(row.word());
        let address = format!("/endpoints/{}", segment(&row.name));
        let day = self.window.day(&row.name, row.account.as_deref(), self.now_ms);
        html! {
            tr.item role="row" {
                td.half role="cell" {
                    (badge(state.icon, state.tone, state.word))
                    @if let Some(since) = row.since_ms { p.why.nowrap { "since " (parts::at(since)) } }
                }
                td role="cell" {
                    a.name href=(address) { (row.name) }
                    @if let Some(account) = &row.account { " " span.tag { (account) } }
                    @match &row.destination {
                        Some(url) => { p.url { (url) } }
                        None => { p.why { "No URL yet" } }
                    }
                    (reason(row))
                }
                td role="cell" {
                    p { (names(row.events.as_deref(), self.events, "events")) }
                    p.soft.small { (names(row.products.as_deref(), self.products, "products")) }
                }
                td role="cell" data-label="Last 24 hours" { (self.day(row, day.as_deref())) }
                td.num role="cell" data-label="Waiting" {
                    @if row.waiting == 0 { span.soft { "none" } } @else {
                        (number(row.waiting))
                        @if let Some(oldest) = row.oldest_ms { span.soft.small { " oldest " (parts::lasting(oldest, self.now_ms)) } }
                    }
                }
            }
        }
    }

    fn day(&self, row: &Row, day: Option<&[Counts]>) -> Markup {
        let day = day.unwrap_or_default();
        let sum = |of: fn(&Counts) -> u64| day.iter().map(of).sum::<u64>();
        let (good, bad) = (sum(|counts| counts.delivered), sum(|counts| counts.failed));
        let words = format!(
            "Last 24 hours: {} delivered, {} failed",
            number(good),
            parts::counted(bad, "attempt", "attempts")
        );
        let bars = |of: fn(&Counts) -> u64| day.iter().map(of).collect::<Vec<_>>();
        html! {
            @if good + bad > 0 {
                (chart::spark(&bars(|counts| counts.delivered), &bars(|counts| counts.failed), &words))
            }
            p.small.num {
                @if good + bad == 0 { span.soft { "nothing sent" } }
                @else {
                    (number(good)) " delivered"
                    @if bad > 0 { ", " span.tone-bad { (number(bad)) " failed" } }
                }
            }
            @if row.dead > 0 {
                a.small href=(link("/dead-letters", &[("endpoint", &row.name)])) { (parts::counted(row.dead, "dead letter", "dead letters")) }
            }
        }
    }
}

/// Why it is as it is: the file's error before the state's note before the last failure.
fn reason(row: &Row) -> Markup {
    html! {
        @if let Some(standing) = row.standing {
            p.why {
                @if let Some(issue) = &row.issue { span.where { (super::reload::place(issue)) } " " (issue.message) ". " }
                @else { "Its file is rejected. " }
                (standing)
            }
        } @else if let Some(why) = &row.why {
            p.why { (why) @if row.state != "active" { @if let Some(error) = &row.last_error { ". Last: " (error) } } }
        } @else if row.waiting > 0 {
            @if let Some(error) = &row.last_error { p.why { "Last failure: " (error) } }
        }
    }
}

fn names(names: Option<&[String]>, all: &[String], what: &str) -> String {
    match names {
        Some([]) => format!("no {what}"),
        Some(names) if !all.iter().all(|name| names.contains(name)) => {
            names.iter().map(|name| title(name)).collect::<Vec<_>>().join(", ")
        }
        _ => format!("all {what}"),
    }
}

/// What ended in the last hour, and how old it was.
#[expect(clippy::cast_precision_loss, reason = "for a picture")]
fn flow(hour: &[Point]) -> Markup {
    let line = |name: &str, look, of: &dyn Fn(&Point) -> Option<f64>| Series {
        name: name.to_owned(),
        look,
        values: hour.iter().map(of).collect(),
    };
    let delivered: u64 = hour.iter().map(|point| point.counts.delivered).sum();
    let failed: u64 = hour.iter().map(|point| point.counts.failed).sum();
    let flow = [
        line("delivered", chart::GOOD, &|point| Some(point.counts.delivered as f64)),
        line("failed attempts", chart::BAD, &|point| Some(point.counts.failed as f64)),
    ];
    let age =
        [line("half under", LOOKS[0], &|point| point.p50), line("99 % under", LOOKS[1], &|point| point.p99)];
    let last_age = hour.iter().rev().find_map(|point| Some((point.p50?, point.p99?)));
    html! {
        (Chart {
            title: "Deliveries per minute", series: &flow, say: count, whole: true, nothing: "Nothing in the last hour",
            words: format!("In the last hour {} delivered, {} failed.", number(delivered), parts::counted(failed, "attempt", "attempts")),
        }.draw())
        (Chart {
            title: "Age at delivery", series: &age, say: seconds, whole: false, nothing: "No delivery in the last hour",
            words: last_age.map_or_else(|| "No delivery in the last hour.".to_owned(), |(p50, p99)| {
                format!("Of what was delivered last, half was younger than {}, 99 of 100 younger than {}.", seconds(p50), seconds(p99))
            }),
        }.draw())
    }
}

fn count(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{}k", value / 1000.0)
    } else if value.fract() == 0.0 || value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn seconds(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value < 1.0 {
        format!("{:.0} ms", value * 1000.0)
    } else if value < 120.0 {
        format!("{} s", (value * 10.0).round() / 10.0)
    } else {
        format!("{:.0} min", value / 60.0)
    }
}

/// What was just done, from a word in the address: never text from outside.
pub(super) fn done(word: &str) -> Markup {
    let (tone, text) = match word {
        "active" => (Tone::Good, "Saved and active. The next event follows these settings."),
        "tested" => (Tone::Good, "Saved and active. Tested with these settings."),
        "draft" => (Tone::Rest, "Saved as a draft. It collects nothing until it is activated."),
        "saved" => (Tone::Good, "Saved. The next event follows these settings."),
        "paused" => (Tone::Rest, "Paused. Deliveries are collected and held on disk."),
        "resumed" => (Tone::Good, "Resumed. What was held is sent first."),
        "removed" => (Tone::Rest, "Removed. What was waiting for it is a dead letter now."),
        "queued" => (Tone::Good, "Queued. The result shows here as soon as it is known."),
        "deleted" => (Tone::Rest, "Deleted."),
        "stopped" => (Tone::Rest, "Stopped. What was not replayed stays here."),
        "replaying" => (Tone::Good, "Replaying. Progress shows below."),
        _ => return html! {},
    };
    html! { div class=(tone.note()) role="status" { p.grow { (text) } } }
}
