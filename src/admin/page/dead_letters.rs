//! *Dead letters*: what will not be tried again by itself, why, and the ways back.

use super::deliveries::SPANS;
use super::parts::{self, Tone, at_text, badge, choice, link, number, segment, title};
use super::words;
use crate::admin::{DeadLetterPage, DeliveryFilter, DeliverySummary, ReplayJob, ReplayState};
use crate::metrics::names::DELIVERY_RESULTS;
use maud::{Markup, html};

/// What the list is narrowed to, as it stands in the address or in a form.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) endpoint: String,
    pub(super) reason: String,
    pub(super) event: String,
    pub(super) product: String,
    pub(super) since: String,
    pub(super) message_id: String,
    pub(super) cursor: String,
    /// What is being asked about: `replay`, `delete`, or `delete-selected`.
    pub(super) ask: String,
    pub(super) done: String,
    /// Those that were ticked, where it is asked about them alone.
    #[serde(skip)]
    pub(super) picked: Vec<String>,
}

impl Wanted {
    /// As the API understands it.
    pub(super) fn filter(&self) -> DeliveryFilter {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        DeliveryFilter {
            endpoint: some(&self.endpoint),
            reason: some(&self.reason),
            event: some(&self.event),
            product: some(&self.product),
            message_id: some(&self.message_id),
            since: some(&self.since),
            ..DeliveryFilter::default()
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("endpoint", &self.endpoint),
            ("reason", &self.reason),
            ("event", &self.event),
            ("product", &self.product),
            ("since", &self.since),
            ("message_id", &self.message_id),
        ]
    }

    /// Its address with one thing more.
    pub(super) fn link(&self, name: &str, value: &str) -> String {
        let mut pairs = self.pairs().to_vec();
        pairs.push((name, value));
        link("/dead-letters", &pairs)
    }

    /// The filters as hidden fields of a form.
    fn fields(&self) -> Markup {
        html! { @for (name, value) in self.pairs() { @if !value.is_empty() { input type="hidden" name=(name) value=(value); } } }
    }
}

/// Everything the screen shows.
pub(super) struct DeadLetters<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) page: &'a Result<DeadLetterPage, String>,
    /// Replays that are under way or ended lately.
    pub(super) jobs: &'a [ReplayJob],
    pub(super) endpoints: &'a [String],
    pub(super) events: &'a [String],
    pub(super) products: &'a [String],
    /// Where the endpoint that is asked for sends now.
    pub(super) destination: Option<&'a str>,
    /// All that the caller may see, those of endpoints that are gone too.
    pub(super) total: u64,
    pub(super) failed: Option<&'a str>,
}

impl DeadLetters<'_> {
    pub(super) fn draw(&self) -> Markup {
        html! {
            div.head {
                h1 { "Dead letters" }
                p.soft { "Deliveries that are no longer retried. They are kept until their retention ends." }
            }
            (super::list::done(&self.wanted.done))
            @if let Some(text) = self.failed { (parts::note(Tone::Bad, true, &html! { p.grow { (text) } })) }
            div.stack #jobs data-live { @for job in self.jobs { (progress(job)) } }
            @if self.total > 0 || self.wanted.filter() != DeliveryFilter::default() { (self.filters()) }
            @match self.wanted.ask.as_str() {
                "replay" => (self.ask_replay()),
                "delete" => (self.ask_delete()),
                "delete-selected" if !self.wanted.picked.is_empty() => (self.ask_delete_picked()),
                _ => {}
            }
            @match self.page {
                Err(reason) => (parts::note(Tone::Bad, true, &html! { p.grow { (reason) } a.btn.slim href="/dead-letters" { "Clear filters" } })),
                Ok(page) => (self.table(page)),
            }
        }
    }

    fn filters(&self) -> Markup {
        let titled =
            |names: &[String]| names.iter().map(|name| (name.clone(), title(name))).collect::<Vec<_>>();
        let reasons: Vec<(String, String)> = DELIVERY_RESULTS
            .iter()
            .filter(|word| **word != "delivered")
            .map(|word| ((*word).to_owned(), words::dead_reason_short(word).to_owned()))
            .collect();
        let spans = SPANS.map(|(value, words)| (value.to_owned(), words.to_owned()));
        html! {
            form.filters method="get" action="/dead-letters" role="search" aria-label="Dead letters" {
                (parts::which_endpoint(&self.wanted.endpoint, self.endpoints))
                (choice("reason", "Reason", "All reasons", &self.wanted.reason, &reasons))
                (choice("since", "Time", "Any time", &self.wanted.since, &spans))
                (choice("event", "Event", "All events", &self.wanted.event, &titled(self.events)))
                (choice("product", "Product", "All products", &self.wanted.product, &titled(self.products)))
                div.field.grow { label for="message_id" { "Message ID" } input #message_id type="search" name="message_id" value=(self.wanted.message_id) autocomplete="off" spellcheck="false"; }
                (parts::filter_end((self.wanted.filter() != DeliveryFilter::default()).then_some("/dead-letters")))
            }
        }
    }

    fn how_many(&self) -> String {
        let filtered = self.wanted.filter() != DeliveryFilter::default();
        match self.total {
            _ if self.is_one() => "this dead letter".to_owned(),
            _ if filtered => "all dead letters that match".to_owned(),
            // Another one than what was counted is listed: more have died meanwhile.
            0 | 1 => "all dead letters".to_owned(),
            total => format!("all {}", parts::counted(total, "dead letter", "dead letters")),
        }
    }

    /// Whether exactly one is meant for certain: it is listed, and nothing comes before or after it.
    fn is_one(&self) -> bool {
        let alone = |page: &DeadLetterPage| page.dead_letters.len() == 1 && page.cursor.is_none();
        self.wanted.cursor.is_empty() && self.page.as_ref().is_ok_and(alone)
    }

    fn ask_replay(&self) -> Markup {
        let subject = if self.is_one() { "It goes" } else { "They go" };
        let place = match self.destination {
            Some(url) => {
                html! { (subject) " to the current URL " span.mono.break { (url) } " with the current credentials." }
            }
            None if self.is_one() => {
                html! { "It goes to its endpoint's current URL with the current credentials." }
            }
            None => html! { "Each goes to its endpoint's current URL with the current credentials." },
        };
        parts::note(
            Tone::Rest,
            false,
            &html! {
                h2 #ask tabindex="-1" { "Replay " (self.how_many()) "?" }
                p.grow { (place) " Attempts and age start anew; receivers see the same webhook-id." @if !self.is_one() { " Oldest first." } }
                form.row method="post" action="/dead-letters" {
                    (self.wanted.fields())
                    label for="rate" { "Rate" }
                    input.rate #rate name="rate" value="50/s" size="8" autocomplete="off" aria-describedby="rate-hint";
                    span.small.soft #rate-hint { "for example 50/s or 600/m" }
                    button.go name="action" value="replay" { "Replay" }
                    a.btn.plain href=(self.wanted.link("", "")) { "Cancel" }
                }
            },
        )
    }

    fn ask_delete(&self) -> Markup {
        self.ask_deletion(&self.how_many(), self.is_one(), "delete", &html! {})
    }

    fn ask_delete_picked(&self) -> Markup {
        let picked = &self.wanted.picked;
        let one = picked.len() == 1;
        let which = match picked.len() as u64 {
            1 => "the selected dead letter".to_owned(),
            count => format!("the {} selected dead letters", number(count)),
        };
        let ids = html! { @for id in picked { input type="hidden" name="id" value=(id); } };
        self.ask_deletion(&which, one, "delete-picked", &ids)
    }

    fn ask_deletion(&self, which: &str, one: bool, action: &str, more: &Markup) -> Markup {
        let (subject, object) = if one { ("It", "it") } else { ("They", "them") };
        parts::note(
            Tone::Bad,
            false,
            &html! {
                h2 { "Delete " (which) "?" }
                p.grow { (subject) " cannot be replayed afterwards. Export " (object) " first if you may need " (object) "." }
                form.row method="post" action="/dead-letters" {
                    (self.wanted.fields())
                    (more)
                    button.danger name="action" value=(action) { "Delete" }
                    a.btn.plain href=(self.wanted.link("", "")) { "Keep " (object) }
                }
            },
        )
    }

    fn table(&self, page: &DeadLetterPage) -> Markup {
        if page.dead_letters.is_empty() && page.cursor.is_none() {
            let filtered = self.wanted.filter() != DeliveryFilter::default();
            return html! {
                div.card #letters data-live {
                    @if filtered { (parts::empty("No dead letter matches these filters", &html! { a.btn href="/dead-letters" { "Clear filters" } })) }
                    @else { (parts::empty("No dead letters", &html! { p { "Everything was delivered or is still being tried. What is given up shows here, with its reason, ready to be replayed." } })) }
                }
            };
        }
        let mut export = self.wanted.pairs().to_vec();
        export.retain(|(_, value)| !value.is_empty());
        html! {
            form.card #letters method="post" action="/dead-letters" data-live {
                (self.wanted.fields())
                div.section.flat {
                    div.row.tools {
                        label.row.small hidden { input type="checkbox" data-all; span { "Select all" span.hidden { " on this page" } } }
                        button.slim name="action" value="selected" { "Replay selected" }
                        button.slim.danger name="action" value="delete-selected" { "Delete selected" }
                        span.end.row {
                            a.btn.slim href=(link("/dead-letters/export", &export)) download { "Export NDJSON" }
                            a.btn.slim href=(self.wanted.link("ask", "replay")) { "Replay all…" }
                            a.btn.slim.danger href=(self.wanted.link("ask", "delete")) { "Delete all…" }
                        }
                    }
                }
                table role="table" {
                    caption.hidden { "Dead letters, newest first" }
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { span.hidden { "Selected" } }
                        @for head in ["Dead since", "Reason", "Endpoint", "Event", "Attempts", "Last answer"] { th role="columnheader" scope="col" { (head) } }
                    } }
                    tbody role="rowgroup" { @for row in &page.dead_letters { (letter(row, self.wanted.picked.contains(&row.id))) } }
                }
                @if page.cursor.is_some() || !self.wanted.cursor.is_empty() {
                    nav.pager aria-label="Pages" {
                        @if !self.wanted.cursor.is_empty() { a.btn.slim href=(self.wanted.link("", "")) { "Newest" } }
                        @if let Some(cursor) = &page.cursor { a.btn.slim href=(self.wanted.link("cursor", cursor)) { "Older" } }
                    }
                }
            }
        }
    }
}

fn letter(row: &DeliverySummary, picked: bool) -> Markup {
    let reason = words::dead_reason(row.reason.as_deref().unwrap_or_default());
    // Most notes begin with the code.
    let told = |code: u16| row.note.as_deref().is_some_and(|note| note.starts_with(&code.to_string()));
    html! {
        tr.item role="row" {
            td.half role="cell" { input type="checkbox" name="id" value=(row.id) checked[picked] aria-label={"Select " (row.id)}; }
            td.half.num.nowrap role="cell" data-label="Dead since" { (at_text(row.ended_at.as_deref().unwrap_or(&row.accepted_at))) }
            td role="cell" { (badge(parts::Icon::Cross, Tone::Bad, reason)) }
            td role="cell" { a href={"/endpoints/" (segment(&row.endpoint))} { (row.endpoint) } }
            td role="cell" { (title(&row.event)) " " span.soft { (title(&row.product)) } p.url { (row.message_id) } }
            td.num role="cell" data-label="Attempts" { (row.attempts) }
            td role="cell" data-label="Last answer" {
                @if let Some(code) = row.code.filter(|code| !told(*code)) { span.num { (code) } " " }
                @if let Some(note) = &row.note { p.why { (note) } }
                a.small href={(link("/deliveries", &[("open", &row.id)])) "#" (row.id)} aria-label={"Attempts of " (row.id)} { "Attempts" }
            }
        }
    }
}

/// A replay with how far it is.
fn progress(job: &ReplayJob) -> Markup {
    let (tone, word) = match job.state {
        ReplayState::Counting => (Tone::Rest, "Counting"),
        ReplayState::Running => (Tone::Rest, "Replaying"),
        ReplayState::Done => (Tone::Good, "Replayed"),
        ReplayState::Cancelled => (Tone::Hold, "Stopped"),
        ReplayState::Failed => (Tone::Bad, "Failed"),
    };
    let words = format!("{word}: {} of {}", number(job.replayed), number(job.matched));
    parts::note(
        tone,
        false,
        &html! {
            div.grow.stack.tight {
                p { strong { (words) } @if job.skipped > 0 { ", " (number(job.skipped)) " stay dead: their endpoint or body is gone" } }
                @if job.state.is_live() && job.matched > 0 { progress max=(job.matched) value=(job.replayed + job.skipped) aria-label=(words) {} }
                p.small.soft {
                    (which(&job.filter)) ", " (per(&job.rate)) ", started " (at_text(&job.created_at))
                    @if let Some(ended) = &job.ended_at { ", ended " (at_text(ended)) }
                    @if let Some(note) = &job.note { ". " (note) }
                }
            }
            @if job.state.is_live() {
                form.row method="post" action={"/dead-letters/replays/" (segment(&job.id)) "/stop"} { button.slim { "Stop" } span.small.soft { "The rest stays here" } }
            }
        },
    )
}

/// Which dead letters a replay takes: `Endpoint acme, reason Gone (410)`.
fn which(filter: &DeliveryFilter) -> String {
    let said = |(name, value): (&str, &str)| {
        let value = if name == "reason" { words::dead_reason_short(value) } else { value };
        format!("{} {value}", name.replace('_', " "))
    };
    let members: Vec<String> = filter.members().into_iter().map(said).collect();
    if members.is_empty() { "All".to_owned() } else { parts::capital(&members.join(", ")) }
}

/// A rate in words: `6/m` is `6 per minute`.
fn per(rate: &str) -> String {
    match rate.split_once('/') {
        Some((count, "s")) => format!("{count} per second"),
        Some((count, "m")) => format!("{count} per minute"),
        Some((count, "h")) => format!("{count} per hour"),
        _ => rate.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::DeliveryState;

    #[test]
    fn one_dead_letter_is_meant_only_where_it_is_listed_alone() {
        let letter = DeliverySummary {
            id: "dlv_1".to_owned(),
            endpoint: "acme".to_owned(),
            event_id: String::new(),
            event: "sent".to_owned(),
            product: "crm".to_owned(),
            account: None,
            message_id: "m".to_owned(),
            state: DeliveryState::Dead,
            reason: Some("gone".to_owned()),
            note: None,
            attempts: 1,
            code: None,
            accepted_at: String::new(),
            ended_at: None,
            due_at: None,
            took_ms: None,
            took_us: None,
        };
        let asked = |wanted: Wanted, rows: usize, next: Option<&str>, total: u64| {
            let dead_letters = vec![letter.clone(); rows];
            let page = Ok(DeadLetterPage { dead_letters, cursor: next.map(str::to_owned) });
            let screen = DeadLetters {
                wanted: &wanted,
                page: &page,
                jobs: &[],
                endpoints: &[],
                events: &[],
                products: &[],
                destination: None,
                total,
                failed: None,
            };
            (screen.how_many(), screen.draw().into_string())
        };
        let delete = || Wanted { ask: "delete".to_owned(), ..Wanted::default() };
        let of_acme = || Wanted { endpoint: "acme".to_owned(), ..delete() };
        let later = || Wanted { cursor: "d1".to_owned(), ..delete() };
        for (wanted, rows, next, total, said) in [
            (delete(), 1, None, 1, "this dead letter"),
            (of_acme(), 1, None, 501, "this dead letter"),
            (delete(), 50, Some("d2"), 501, "all 501 dead letters"),
            // Counted before the others died.
            (delete(), 50, Some("d2"), 1, "all dead letters"),
            (later(), 1, None, 51, "all 51 dead letters"),
            (of_acme(), 1, Some("d2"), 501, "all dead letters that match"),
            (of_acme(), 2, None, 501, "all dead letters that match"),
        ] {
            let (how_many, drawn) = asked(wanted, rows, next, total);
            assert_eq!(how_many, said);
            assert!(drawn.contains(&format!("Delete {said}?")), "{said}");
        }
    }

    #[test]
    fn a_replay_says_in_words_what_it_takes_and_how_fast() {
        assert_eq!(which(&DeliveryFilter::default()), "All");
        let some = |text: &str| Some(text.to_owned());
        let filter =
            DeliveryFilter { endpoint: some("acme"), reason: some("gone"), ..DeliveryFilter::default() };
        assert_eq!(which(&filter), "Endpoint acme, reason Gone (410)");
        assert_eq!(
            [per("6/m"), per("50/s"), per("1/h"), per("7")],
            ["6 per minute", "50 per second", "1 per hour", "7"]
        );
    }
}
