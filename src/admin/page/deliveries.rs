//! *Deliveries*: what went where and how, and every attempt of the one that is opened.

use super::chart;
use super::parts::{self, Tone, at_text, badge, choice, link, segment, title};
use super::words;
use crate::admin::{
    AttemptRecord, DeliveryDetail, DeliveryFilter, DeliveryPage, DeliveryState, DeliverySummary,
};
use maud::{Markup, html};

/// What the list is narrowed to, as it stands in the address.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) endpoint: String,
    pub(super) state: String,
    pub(super) event: String,
    pub(super) product: String,
    pub(super) code: String,
    pub(super) message_id: String,
    pub(super) since: String,
    pub(super) cursor: String,
    /// The delivery whose attempts are shown.
    pub(super) open: String,
    pub(super) follow: String,
    pub(super) done: String,
}

/// Spans a filter offers.
pub(super) const SPANS: [(&str, &str); 5] = [
    ("15m", "Last 15 minutes"),
    ("1h", "Last hour"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
];

impl Wanted {
    /// As the API understands it.
    pub(super) fn filter(&self) -> DeliveryFilter {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        DeliveryFilter {
            endpoint: some(&self.endpoint),
            state: some(&self.state),
            event: some(&self.event),
            product: some(&self.product),
            code: some(&self.code),
            message_id: some(&self.message_id),
            since: some(&self.since),
            ..DeliveryFilter::default()
        }
    }

    /// Its address, with another cursor and another one opened.
    pub(super) fn link(&self, cursor: &str, open: &str) -> String {
        let pairs = [
            ("endpoint", self.endpoint.as_str()),
            ("state", &self.state),
            ("event", &self.event),
            ("product", &self.product),
            ("code", &self.code),
            ("message_id", &self.message_id),
            ("since", &self.since),
            ("follow", &self.follow),
            ("cursor", cursor),
            ("open", open),
        ];
        link("/deliveries", &pairs)
    }
}

/// Everything the screen shows.
pub(super) struct Deliveries<'a> {
    pub(super) wanted: &'a Wanted,
    /// The page, or why the filters make no sense.
    pub(super) page: &'a Result<DeliveryPage, String>,
    pub(super) opened: Option<&'a Result<DeliveryDetail, String>>,
    pub(super) endpoints: &'a [String],
    pub(super) events: &'a [String],
    pub(super) products: &'a [String],
    /// What could not be done, for people.
    pub(super) failed: Option<&'a str>,
}

impl Deliveries<'_> {
    pub(super) fn draw(&self) -> Markup {
        html! {
            div.head {
                h1 { "Deliveries" }
                p.soft { "One event for one endpoint, with every attempt." }
                label.row.end { input #follow type="checkbox" form="filters" name="follow" value="on" checked[self.wanted.follow == "on"]; "Follow" }
            }
            (super::list::done(&self.wanted.done))
            @if let Some(text) = self.failed { (parts::note(Tone::Bad, true, &html! { p.grow { (text) } })) }
            (self.filters())
            @match self.page {
                Err(reason) => (parts::note(Tone::Bad, true, &html! { p.grow { (reason) } a.btn.slim href="/deliveries" { "Clear filters" } })),
                Ok(page) => (self.table(page)),
            }
        }
    }

    fn filters(&self) -> Markup {
        let titled =
            |names: &[String]| names.iter().map(|name| (name.clone(), title(name))).collect::<Vec<_>>();
        let states = DeliveryState::ALL
            .map(|state| (state.as_str().to_owned(), words::delivery_state(state.as_str()).2.to_owned()));
        let spans = SPANS.map(|(value, words)| (value.to_owned(), words.to_owned()));
        html! {
            form.filters #filters method="get" action="/deliveries" role="search" aria-label="Deliveries" {
                (parts::which_endpoint(&self.wanted.endpoint, self.endpoints))
                (choice("since", "Time", "Any time", &self.wanted.since, &spans))
                (choice("state", "State", "All states", &self.wanted.state, &states))
                (choice("event", "Event", "All events", &self.wanted.event, &titled(self.events)))
                (choice("product", "Product", "All products", &self.wanted.product, &titled(self.products)))
                div.field.short { label for="code" { "Code" } input #code name="code" value=(self.wanted.code) placeholder="503, 5xx" autocomplete="off"; }
                div.field.grow { label for="message_id" { "Message ID" } input #message_id type="search" name="message_id" value=(self.wanted.message_id) autocomplete="off" spellcheck="false"; }
                (parts::filter_end((self.wanted.filter() != DeliveryFilter::default()).then_some("/deliveries")))
            }
        }
    }

    fn table(&self, page: &DeliveryPage) -> Markup {
        html! {
            div.card #deliveries data-live {
                @if page.deliveries.is_empty() && page.cursor.is_none() {
                    (self.nothing())
                } @else {
                    table role="table" {
                        caption.hidden { "Deliveries, what waits first, then the newest" }
                        thead role="rowgroup" { tr role="row" {
                            @for head in ["When", "State", "Endpoint", "Event", "Attempts", "Last answer", "Delivery"] {
                                th role="columnheader" scope="col" { (head) }
                            }
                        } }
                        tbody role="rowgroup" {
                            @for row in &page.deliveries {
                                (self.row(row))
                                @if row.id == self.wanted.open { (self.opened(row)) }
                            }
                        }
                    }
                    // One that is not on this page is shown all the same.
                    @if !self.wanted.open.is_empty() && !page.deliveries.iter().any(|row| row.id == self.wanted.open)
                        && let Some(Ok(detail)) = self.opened {
                        table role="table" { caption.hidden { "The delivery that was opened" } tbody role="rowgroup" { (self.row(&detail.delivery)) (self.opened(&detail.delivery)) } }
                    }
                    @if page.deliveries.is_empty() { p.pad.soft { "None among the newest that were looked at so far." } }
                    @if page.cursor.is_some() || !self.wanted.cursor.is_empty() {
                        nav.pager aria-label="Pages" {
                            @if !self.wanted.cursor.is_empty() { a.btn.slim href=(self.wanted.link("", "")) { "Newest" } }
                            @if let Some(cursor) = &page.cursor { a.btn.slim href=(self.wanted.link(cursor, "")) { @if page.deliveries.is_empty() { "Look further back" } @else { "Older" } } }
                        }
                    }
                }
            }
        }
    }

    fn nothing(&self) -> Markup {
        if self.wanted.filter() == DeliveryFilter::default() {
            parts::empty(
                "No deliveries yet",
                &html! {
                    p { "They appear here as soon as an event comes in that an endpoint subscribed to. To try an endpoint first, open it and send a Test Event." }
                    a.btn href="/" { "Endpoints" }
                },
            )
        } else {
            parts::empty(
                "No delivery matches these filters",
                &html! { a.btn href="/deliveries" { "Clear filters" } },
            )
        }
    }

    fn row(&self, row: &DeliverySummary) -> Markup {
        let (icon, tone, word) = words::delivery_state(row.state.as_str());
        let is_open = row.id == self.wanted.open;
        let address = self.wanted.link(&self.wanted.cursor, if is_open { "" } else { &row.id });
        html! {
            tr.item id=(row.id) role="row" {
                td.half.num.nowrap role="cell" data-label="When" { (at_text(row.ended_at.as_deref().unwrap_or(&row.accepted_at))) }
                td.half role="cell" { (badge(icon, tone, word)) }
                td role="cell" { a href={"/endpoints/" (segment(&row.endpoint))} { (row.endpoint) } }
                td role="cell" { (title(&row.event)) " " span.soft { (title(&row.product)) } p.url { (row.message_id) } }
                td.num role="cell" data-label="Attempts" { (row.attempts) }
                td role="cell" data-label="Last answer" { (answer(row)) }
                td role="cell" {
                    a.small href={(address) "#" (row.id)} aria-expanded=(if is_open { "true" } else { "false" }) aria-label={(if is_open { "Close " } else { "Open " }) (row.id)} {
                        @if is_open { "Close" } @else { "Open" }
                    }
                }
            }
        }
    }

    fn opened(&self, row: &DeliverySummary) -> Markup {
        html! {
            tr.opened role="row" {
                td colspan="7" role="cell" {
                    @match self.opened {
                        None => { p.soft { "It is not kept any more." } }
                        Some(Err(reason)) => { p.soft { (reason) } }
                        Some(Ok(detail)) => (detail_of(detail, self.wanted)),
                    }
                    @if self.opened.is_none() { span.hidden { (row.id) } }
                }
            }
        }
    }
}

fn answer(row: &DeliverySummary) -> Markup {
    html! {
        @if let Some(code) = row.code { span.num { (code) } " " }
        @if let Some(took) = row.took_us { span.soft.num { "in " (parts::took(took)) } }
        @if row.state == DeliveryState::Dead {
            p.why { (words::dead_reason(row.reason.as_deref().unwrap_or_default())) }
        } @else if row.state == DeliveryState::Held {
            p.why { (words::state(row.reason.as_deref().unwrap_or_default()).events) }
        } @else if row.state == DeliveryState::Parked {
            @if let Some(note) = &row.note { p.why { (note) } }
            @if let Some(due) = &row.due_at { p.why { "next " (at_text(due)) } }
        }
    }
}

fn detail_of(detail: &DeliveryDetail, wanted: &Wanted) -> Markup {
    let row = &detail.delivery;
    html! {
        div.stack {
            div.row {
                dl.facts {
                    dt { "Delivery" } dd.mono #ids { (row.id) }
                    dt { "Event" } dd.mono { (row.event_id) }
                    dt { "Accepted" } dd { (at_text(&row.accepted_at)) }
                    @if let Some(account) = &row.account { dt { "Account" } dd { (account) } }
                    @if let Some(due) = &row.due_at { dt { "Next attempt" } dd { (at_text(due)) } }
                    @if let Some(reason) = row.reason.as_deref().filter(|_| row.state == DeliveryState::Dead) { dt { "Dead because" } dd { (words::dead_reason(reason)) } }
                    @if !detail.replayed_as.is_empty() { dt { "Replayed as" } dd.mono { @for id in &detail.replayed_as { a href=(wanted.link("", id)) { (id) } " " } } }
                }
            }
            @if detail.attempts.is_empty() {
                p.soft.small { @if row.attempts == 0 { "No attempt yet." } @else { "It landed at attempt " (row.attempts) ". The attempts before it left no record that is still kept." } }
            } @else {
                ol.attempts { @for attempt in detail.attempts.iter().rev() { li.attempt { (attempt_of(attempt)) } } }
            }
            @if let Some(body) = &detail.body {
                details { summary { "Request body" } pre id={"body-" (row.id)} tabindex="0" { (body.get()) } }
            }
            @if let Some(words) = again(row.state) {
                form.row method="post" action={"/deliveries/" (segment(&row.id)) "/retry"} {
                    button.slim data-again { (words) }
                    span.small.soft { "Goes to the endpoint's current URL with its current credentials" }
                }
            } @else if row.state == DeliveryState::Delivered {
                p.small.soft { "It landed. The body of what landed is not kept, so it cannot be sent again." }
            }
        }
    }
}

/// What the button that sends it says; none: it cannot be sent by hand now.
const fn again(state: DeliveryState) -> Option<&'static str> {
    match state {
        DeliveryState::Dead => Some("Send again"),
        DeliveryState::Parked => Some("Send now"),
        _ => None,
    }
}

fn attempt_of(attempt: &AttemptRecord) -> Markup {
    let (icon, tone) =
        if attempt.ok { (parts::Icon::Tick, Tone::Good) } else { (parts::Icon::Cross, Tone::Bad) };
    let said = attempt.note.as_deref().or_else(|| attempt.class.as_deref().map(words::failure)).unwrap_or("");
    html! {
        div.row {
            (badge(icon, tone, &format!("Attempt {}", attempt.number)))
            @if let Some(code) = attempt.code { span.num { (code) } }
            span.num.soft { "in " (parts::took(attempt.took_us)) }
            span.small.soft { (at_text(&attempt.ended_at)) }
            @if attempt.generation > 0 { span.tag { "configuration " (attempt.generation) } }
        }
        @if !said.is_empty() { p.small.break { (said) } }
        (chart::stages(
            &[
                ("DNS", "s-soft", attempt.dns_us),
                ("connect", "s-blue", attempt.connect_us),
                ("TLS", "s-hold", attempt.tls_us),
                ("wait", "s-good", attempt.wait_us),
            ],
            attempt.took_us,
        ))
        @if let Some(answer) = &attempt.answer {
            details { summary { "Response" } pre tabindex="0" aria-label={"Response to attempt " (attempt.number)} { (answer) } }
        }
    }
}
