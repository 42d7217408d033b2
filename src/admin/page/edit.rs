//! *Edit*: the settings of one endpoint, how it is, and what a test event comes to.

mod both_sides;
mod fields;
mod seen;
mod side;

pub(super) use seen::Seen;

use super::form::{Auth, FieldError, Form, KNOBS, SAVED, find, is_open, plain};
use super::parts::{self, Tone, badge, link, segment, title};
use super::{test_event, words};
use crate::admin::{Collision, EndpointDetail, TestReport};
use fields::{anchor, described, field_error};
use maud::{Markup, html};
use serde_json::Value;

/// What stands above the form, beside the mistakes in it.
#[derive(Debug, Default)]
pub(super) enum Notice {
    #[default]
    None,
    /// Somebody changed the file since the form was opened.
    Collision(Box<Collision>),
    /// The folder cannot be written.
    ReadOnly { file: String, reason: String, toml: String },
    /// Anything else that went wrong, for people.
    Failed(String),
}

/// Everything the screen shows.
pub(super) struct Edit<'a> {
    pub(super) form: &'a Form,
    /// None: a new endpoint.
    pub(super) detail: Option<&'a EndpointDetail>,
    pub(super) errors: &'a [FieldError],
    pub(super) notice: &'a Notice,
    pub(super) test: Option<&'a Result<TestReport, String>>,
    pub(super) events: &'a [String],
    pub(super) products: &'a [String],
    pub(super) done: &'a str,
    /// Whether the removal is being asked about.
    pub(super) removing: bool,
    pub(super) now_ms: u64,
    /// What came in lately; none: not for the caller.
    pub(super) seen: Option<&'a Seen>,
}

impl Edit<'_> {
    fn is_new(&self) -> bool {
        self.detail.is_none()
    }

    /// Whether its sink is the one this form has fields for.
    fn is_http(&self) -> bool {
        self.detail.is_none_or(is_http)
    }

    /// Whether its file is gone while deliveries still wait for it: there is nothing to edit.
    fn is_gone(&self) -> bool {
        self.detail.is_some_and(|detail| detail.settings.is_none() && detail.etag.is_empty())
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|(of, _)| of == field).map(|(_, text)| text.as_str())
    }

    /// Where the form goes.
    fn address(&self) -> String {
        match self.detail {
            Some(detail) => format!("/endpoints/{}", segment(&detail.status.name)),
            None => "/new".to_owned(),
        }
    }

    pub(super) fn draw(&self) -> Markup {
        html! {
            (self.heading())
            (super::list::done(self.done))
            div #summary { (self.summary()) }
            (self.notice())
            @if self.removing { (self.ask_removal()) }
            div.columns {
                @if self.is_gone() { (self.gone()) } @else {
                form.card #edit method="post" action=(self.address()) data-guard novalidate autocomplete="off" {
                    input type="hidden" name="base" value=(self.form.base);
                    input type="hidden" name="saved_host" value=(self.form.saved_host);
                    (self.what())
                    (self.where_to())
                    (self.limits())
                    (self.test_section())
                    (self.actions())
                }
                }
                div.stack {
                    @if let Some(detail) = self.detail { (self.side(detail)) } @else { (side::hints()) }
                }
            }
        }
    }

    fn heading(&self) -> Markup {
        html! {
            div.head {
                @match self.detail {
                    None => { h1 { "New endpoint" } }
                    Some(detail) => {
                        h1 { (detail.status.name) }
                        @let state = words::state(&detail.status.state);
                        (badge(state.icon, state.tone, state.word))
                        @if let Some(account) = &detail.status.account { span.tag { "account " (account) } }
                        div.end {
                            a.btn.slim href=(link("/deliveries", &[("endpoint", &detail.status.name)])) { "Deliveries" }
                            a.btn.slim href=(link("/dead-letters", &[("endpoint", &detail.status.name)])) {
                                "Dead letters" @if detail.status.dead > 0 { " " span.count { (parts::number(detail.status.dead)) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn summary(&self) -> Markup {
        if self.errors.is_empty() {
            return html! {};
        }
        html! {
            div.note.bad tabindex="-1" role="alert" aria-labelledby="summary-title" {
                h2 #summary-title { "There is a problem" }
                ul.stack.tight {
                    @for (field, text) in self.errors { li { a href={"#" (anchor(field))} { (text) } } }
                }
            }
        }
    }

    fn notice(&self) -> Markup {
        match self.notice {
            Notice::None => html! {},
            Notice::Failed(text) => parts::note(Tone::Bad, true, &html! { p.grow { (text) } }),
            Notice::ReadOnly { file, reason, toml } => parts::note(
                Tone::Hold,
                true,
                &html! {
                    h2 { "This directory is read-only. Copy the TOML and commit it where your files come from" }
                    p.grow { span.mono { (file) } " cannot be written: " (reason) ". Secrets are not in this text: put each in yourself, or a reference to where it is kept." }
                    button.slim type="button" data-copy="#toml-copy" hidden { "Copy TOML" }
                    div.versions { pre #toml-copy tabindex="0" { (toml) } }
                },
            ),
            Notice::Collision(collision) => self.collision(collision),
        }
    }

    fn what(&self) -> Markup {
        html! {
            div.section {
                (self.text("name", "Name", &self.form.name, Some(if self.is_new() { "Names the file. Lower-case letters, digits and hyphens" } else { "Cannot be changed" }), self.is_new()))
                (self.picks("events", "Events", "Which statuses of a message it receives", self.events, &self.form.events))
                (self.picks("products", "Products", "From which parts of the platform", self.products, &self.form.products))
                (self.would_match())
            }
        }
    }

    fn where_to(&self) -> Markup {
        if !self.is_http() {
            let sink = self.detail.and_then(|detail| detail.status.sink.as_deref()).unwrap_or("another");
            return html! {
                div.section {
                    h2 { "Where it goes" }
                    p.soft { "This endpoint uses the sink " strong { (sink) } ". Its own settings are edited in the file; what is here applies to every sink." }
                }
            };
        }
        html! {
            div.section {
                (self.text("url", "Endpoint URL", &self.form.url, Some("Each event is posted here, such as https://example.com/webhooks"), true))
                @if is_open(&self.form.url) {
                    p.small.tone-hold { "Use https. Over http anyone on the way can read the password" }
                }
                (self.credentials())
                (self.more_http())
            }
        }
    }

    fn credentials(&self) -> Markup {
        let saved = self
            .detail
            .and_then(|detail| detail.settings.as_ref())
            .and_then(|settings| settings.get("http"))
            .and_then(|http| find(http, &["auth"]));
        let way = |way: Auth, words: &Markup| {
            html! {
                label.pick {
                    input type="radio" name="auth" value=(way.value()) checked[self.form.auth == way];
                    (words)
                }
            }
        };
        let error = self.error("auth");
        html! {
            fieldset #auth aria-describedby=[error.map(|_| "auth-error")] {
                div.legend { legend { "Basic authentication" } span.hint { "Kept in a file only the daemon reads. Never shown again" } }
                (field_error("auth", error))
                div.picks {
                    @if let Some(saved) = saved {
                        (way(Auth::Keep, &html! { "Keep what is saved " @for print in fingerprints(saved) { span.tag.mono { (print) } } }))
                    }
                    (way(Auth::Encoded, &html! { "Encoded credentials" }))
                    (way(Auth::Basic, &html! { "User name and password" }))
                }
            }
            div data-auth="encoded" {
                (self.secret("credentials", "Encoded credentials", "Base64 of username:password. A pasted “Basic” in front is fine"))
            }
            div.grid2 data-auth="basic" {
                (self.text("username", "User name", &self.form.username, None, true))
                (self.secret("password", "Password", ""))
            }
        }
    }

    fn more_http(&self) -> Markup {
        let signed = self
            .detail
            .and_then(|detail| detail.settings.as_ref())
            .and_then(|settings| settings.get("http"))
            .and_then(|http| find(http, &["signing"]));
        let open =
            ["signing", "headers", "account", "filter"].iter().any(|field| self.error(field).is_some());
        let headers = self.error("headers");
        html! {
            details open[open] {
                summary { "Account, filter, signing, headers " span.hint { (self.said_more(signed.is_some())) } }
                div.stack {
                    div.grid2 {
                        (self.text("account", "Account", &self.form.account, Some("Only this customer's events; empty is every one"), true))
                        (self.text("filter", "Filter", &self.form.filter, Some("Only events for which this is true, for example data.details.country == \"DE\""), true))
                    }
                    (self.secret("signing", "Signing secret", "whsec_… signs every request as Standard Webhooks says; empty keeps what is saved"))
                    @if let Some(signed) = signed {
                        div.row {
                            span.small { "Saved: " @for print in fingerprints(signed) { span.tag.mono { (print) } " " } }
                            label.row { input type="checkbox" name="drop_signing"; "Stop signing" }
                        }
                    }
                    div.field {
                        label for="headers" { "Headers of your own" }
                        span.hint #headers-hint {
                            "One on each line, for example x-team: orders"
                            @if self.form.headers.contains(SAVED) { ". " (SAVED) " keeps a value that is not shown; enter another in its place to change it" }
                        }
                        (field_error("headers", headers))
                        textarea #headers name="headers" rows="3" spellcheck="false"
                            aria-describedby=[described("headers", true, headers.is_some())] aria-invalid=[headers.map(|_| "true")] { (self.form.headers) }
                    }
                }
            }
        }
    }

    fn said_more(&self, signed: bool) -> String {
        let mut said = Vec::new();
        if !self.form.account.is_empty() {
            said.push("one account".to_owned());
        }
        if !self.form.filter.is_empty() {
            said.push("filtered".to_owned());
        }
        if signed {
            said.push("signed".to_owned());
        }
        let headers = self.form.headers.lines().filter(|line| !line.trim().is_empty()).count() as u64;
        if headers > 0 {
            said.push(parts::counted(headers, "header", "headers"));
        }
        if said.is_empty() { "none set".to_owned() } else { said.join(", ") }
    }

    fn limits(&self) -> Markup {
        let own = KNOBS.iter().filter(|knob| !self.form.knob(knob.key).is_empty()).count() as u64;
        let open = KNOBS.iter().any(|knob| self.error(knob.key).is_some());
        html! {
            div.section {
                details open[open] {
                    summary { "Retry and limits " span.hint { @if own == 0 { "all defaults" } @else { (own) " set here" } } }
                    p.small.soft { "A field left empty takes the value shown in it. Where that comes from stands below." }
                    div.grid2 { @for knob in &KNOBS { (self.knob(knob)) } }
                }
            }
        }
    }

    fn test_section(&self) -> Markup {
        let select = |name: &str, label: &str, known: &[String], now: &str, chosen: &[String]| {
            let first = known.iter().find(|name| chosen.contains(name)).map_or("", String::as_str);
            let now = if now.is_empty() { first } else { now };
            html! {
                div.field {
                    label for=(name) { (label) }
                    select id=(name) name=(name) { @for option in known { option value=(option) selected[now == option.as_str()] { (title(option)) } } }
                }
            }
        };
        let data = self.error("test_data");
        html! {
            div.section #test {
                div.legend { h2 { "Test Event" } span.hint { "Uses the settings above, saved or not. Not counted, never retried" } }
                div.grid2 {
                    (select("test_event", "Event", self.events, &self.form.test_event, &self.form.events))
                    (select("test_product", "Product", self.products, &self.form.test_product, &self.form.products))
                }
                details open[data.is_some()] {
                    summary { "Data of your own " span.hint { "otherwise a sample shaped like a real event" } }
                    div.field {
                        label for="test_data" { "data, as JSON" }
                        (field_error("test_data", data))
                        textarea #test_data name="test_data" rows="4" spellcheck="false" placeholder="{\"message_id\":\"wamid.42\",\"status\":\"delivered\"}"
                            aria-describedby=[described("test_data", false, data.is_some())] aria-invalid=[data.map(|_| "true")] { (self.form.test_data) }
                    }
                }
                div #test-result {
                    @if let Some(result) = self.test { (test_event::draw(result)) }
                }
            }
        }
    }

    /// What is active is saved as active; what is paused or a draft is saved as it is, or activated.
    fn actions(&self) -> Markup {
        let state = self.detail.map_or("draft", |detail| lifecycle(detail));
        html! {
            div.actions {
                button name="action" value="test" data-test formaction={(self.address()) "#test"} { "Test Event" }
                div.end {
                    a.btn.plain href=(if self.is_new() { "/".to_owned() } else { self.address() }) data-discard { @if self.is_new() { "Discard" } @else { "Discard changes" } }
                    @if state == "paused" { button name="action" value="save" { "Save, stay paused" } }
                    @else { button name="action" value="draft" { "Save as draft" } }
                    button.go name="action" value="activate" { "Save and Activate" }
                }
            }
        }
    }
}

/// The state that its file asks for.
pub(super) fn lifecycle(detail: &EndpointDetail) -> &str {
    let written = detail.settings.as_ref().and_then(|settings| settings.get("state")).and_then(Value::as_str);
    written.unwrap_or("active")
}

/// Whether the form has fields for its sink. A draft may have none yet.
pub(super) fn is_http(detail: &EndpointDetail) -> bool {
    detail.status.sink.as_deref().is_none_or(|sink| sink == "http")
}

/// The fingerprints of the secrets in a part of the settings.
fn fingerprints(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => match members.get("fingerprint") {
            Some(print) => vec![plain(print)],
            None => members.values().flat_map(fingerprints).collect(),
        },
        Value::Array(items) => items.iter().flat_map(fingerprints).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
