//! *Edit*: the settings of one endpoint, how it is, and what a test event comes to.

use super::form::{Auth, FieldError, Form, KNOBS, Kind, Knob, find, is_open, plain};
use super::parts::{self, Tone, badge, link, segment, title};
use super::{test_event, words};
use crate::admin::{Collision, EndpointDetail, TestReport};
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
}

impl Edit<'_> {
    fn is_new(&self) -> bool {
        self.detail.is_none()
    }

    /// Whether its sink is the one this form has fields for.
    fn is_http(&self) -> bool {
        self.detail.is_none_or(|detail| is_http(detail))
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
                form.card #edit method="post" action=(self.address()) data-guard novalidate autocomplete="off" {
                    input type="hidden" name="base" value=(self.form.base);
                    input type="hidden" name="saved_host" value=(self.form.saved_host);
                    (self.what())
                    (self.where_to())
                    (self.limits())
                    (self.test_section())
                    (self.actions())
                }
                div.stack {
                    @if let Some(detail) = self.detail { (self.side(detail)) } @else { (hints()) }
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
                                "Dead letters" @if detail.status.dead > 0 { " " (parts::number(detail.status.dead)) }
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
                    p.grow { span.mono { (file) } " cannot be written: " (reason) ". Secrets are not in this text: add them there." }
                    button.slim type="button" data-copy="#toml-copy" hidden { "Copy TOML" }
                    div.versions { pre #toml-copy tabindex="0" { (toml) } }
                },
            ),
            Notice::Collision(collision) => self.collision(collision),
        }
    }

    /// Both sides of an edit that met another one, line against line.
    fn collision(&self, collision: &Collision) -> Markup {
        let file =
            self.detail.map_or_else(|| format!("{}.toml", self.form.name), |detail| detail.file.clone());
        let base = collision.base.clone().map(Value::Object);
        let theirs = collision.theirs.clone().map(Value::Object);
        let yours = collision.yours.clone().map(Value::Object);
        let side = |value: Option<&Value>, other: Option<&Value>| {
            let (mine, others) = (flat(value), flat(other));
            html! {
                pre tabindex="0" {
                    @for line in &mine {
                        @if others.contains(line) { (line) "\n" } @else { mark.diff-add { (line) } "\n" }
                    }
                    @if mine.is_empty() { "(no file)" }
                }
            }
        };
        parts::note(
            Tone::Hold,
            true,
            &html! {
                h2 { (file) " changed on disk after you opened this page. Compare before you save" }
                p.grow {
                    "What differs is marked. Save again to write your version over it, or discard yours."
                    @if base.is_none() { " The version you started from is not known any more." }
                }
                div.versions {
                    section { h3 { "On disk now" } (side(theirs.as_ref(), yours.as_ref())) }
                    section { h3 { "Yours, not saved" } (side(yours.as_ref(), theirs.as_ref())) }
                }
            },
        )
    }

    fn what(&self) -> Markup {
        html! {
            div.section {
                (self.text("name", "Name", &self.form.name, Some("Names the file. Lower-case letters, digits and hyphens"), self.is_new()))
                (self.picks("events", "Events", "Which statuses of a message it receives", self.events, &self.form.events))
                (self.picks("products", "Products", "From which parts of the platform", self.products, &self.form.products))
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
                (self.text("url", "Endpoint URL", &self.form.url, Some("Each event is posted here, for example https://example.com/webhooks"), true))
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
                (self.secret("credentials", "Encoded credentials", "Base64 of username:password. A pasted “Basic ” in front is fine"))
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
                        span.hint #headers-hint { "One on each line, for example x-team: orders" }
                        (field_error("headers", self.error("headers")))
                        textarea #headers name="headers" rows="3" spellcheck="false" aria-describedby="headers-hint" { (self.form.headers) }
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
                    summary { "Retry and limits " span.hint { @if own == 0 { "all as the defaults say" } @else { (own) " of its own" } } }
                    p.small.soft { "A field left empty takes the value shown in it. Where that comes from stands below." }
                    div.grid2 { @for knob in &KNOBS { (self.knob(knob)) } }
                }
            }
        }
    }

    fn knob(&self, knob: &Knob) -> Markup {
        let value = self.form.knob(knob.key);
        let effective =
            self.detail.and_then(|detail| detail.effective.iter().find(|known| known.key == knob.key));
        let holds = effective.map_or(String::new(), |known| toml_plain(&known.value));
        let from = effective.map_or("", |known| known.origin.as_str());
        let from = if from == "default" { "built in" } else { from };
        let id = anchor(knob.key);
        let error = self.error(knob.key);
        let describe = format!("{id}-hint");
        html! {
            div.field {
                label for=(id) { (knob.label) }
                (field_error(&id, error))
                @match knob.kind {
                    Kind::Choice(options) => {
                        select id=(id) name=(knob.key) aria-describedby=(describe) {
                            option value="" selected[value.is_empty()] { "As the defaults say" }
                            @for (option, words) in options { option value=(option) selected[value == *option] { (words) } }
                        }
                    }
                    _ => {
                        input.mono id=(id) name=(knob.key) value=(value) placeholder=(if holds.is_empty() { "none" } else { holds.as_str() })
                            aria-describedby=(describe) aria-invalid=[error.map(|_| "true")] spellcheck="false" autocomplete="off";
                    }
                }
                span.hint id=(describe) {
                    (knob.hint)
                    @if !from.is_empty() { @if !knob.hint.is_empty() { ". " } "From " (from) }
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
        html! {
            div.section #test {
                div.legend { h2 { "Test Event" } span.hint { "With what stands above, saved or not. Not counted, never retried" } }
                div.grid2 {
                    (select("test_event", "Event", self.events, &self.form.test_event, &self.form.events))
                    (select("test_product", "Product", self.products, &self.form.test_product, &self.form.products))
                }
                details open[self.error("test_data").is_some()] {
                    summary { "Data of your own " span.hint { "else a sample in a real event's shape" } }
                    div.field {
                        label for="test_data" { "data, as JSON" }
                        (field_error("test_data", self.error("test_data")))
                        textarea #test_data name="test_data" rows="4" spellcheck="false" placeholder="{\"message_id\":\"wamid.42\",\"status\":\"delivered\"}" { (self.form.test_data) }
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

    fn side(&self, detail: &EndpointDetail) -> Markup {
        let status = &detail.status;
        let state = words::state(&status.state);
        html! {
            section.card.pad #state-card data-live data-say={(status.name) " is " (state.word)} aria-labelledby="state-title" {
                div.stack {
                    h2 #state-title { (badge(state.icon, state.tone, state.word)) }
                    @if let Some(since) = detail.since_ms { p.small.soft { "since " (parts::at(since)) ", " (parts::ago(since, self.now_ms)) } }
                    @if let Some(note) = &status.note { p { (capital(note)) "." } }
                    p.small { (state.events) }
                    @if let Some(error) = status.last_error.as_deref().filter(|_| status.state != "active" || status.parked > 0) { p.small.break { strong { "Last failure: " } (error) } }
                    p.small.soft { (state.way_out) }
                    (self.orders(detail))
                    dl.facts {
                        dt { "Waiting" } dd.num { (parts::number(status.ready + status.parked)) }
                        @if let Some(oldest) = status.oldest_ms { dt { "Oldest" } dd.num { (parts::span(self.now_ms.saturating_sub(oldest) / 1000 * 1000)) } }
                        dt { "Sending now" } dd.num { (status.in_flight) }
                        dt { "Dead letters" } dd.num { (parts::number(status.dead)) }
                    }
                }
            }
            @if !detail.errors.is_empty() {
                section.note.bad aria-labelledby="file-title" {
                    h2 #file-title { "The file is rejected; its last good version runs" }
                    @for error in &detail.errors {
                        p.grow { span.where { (super::reload::place(error)) } " " (error.message) @if let Some(help) = &error.help { ". " (help) } }
                    }
                }
            }
            section.card.pad aria-labelledby="file-card" {
                div.stack {
                    h2 #file-card { "File" }
                    p.mono.break { (detail.file) }
                    details {
                        summary { "View TOML" }
                        pre #toml tabindex="0" { (detail.toml) }
                        button.slim type="button" data-copy="#toml" hidden { "Copy TOML" }
                    }
                    @if !detail.changes.is_empty() {
                        h3 { "Changes" }
                        ul.stack.tight.small {
                            @for change in detail.changes.iter().take(8) {
                                li { (parts::at(change.at_ms)) " by " (change.by) @for what in &change.what { div.soft.break { (what) } } }
                            }
                        }
                    }
                    a.small.tone-bad href={(self.address()) "?ask=remove"} { "Remove this endpoint" }
                }
            }
        }
    }

    fn orders(&self, detail: &EndpointDetail) -> Markup {
        let (order, words) = match detail.status.state.as_str() {
            "active" => ("pause", "Pause"),
            "draft" | "removed" | "invalid" => return html! {},
            _ => ("resume", "Resume now"),
        };
        html! {
            form.row method="post" action={(self.address()) "/state"} {
                button.slim name="order" value=(order) { (words) }
                @if order == "resume" && lifecycle(detail) != "paused" { button.slim name="order" value="pause" { "Pause" } }
            }
        }
    }

    fn ask_removal(&self) -> Markup {
        let Some(detail) = self.detail else { return html! {} };
        let waiting = detail.status.ready + detail.status.parked;
        parts::note(
            Tone::Bad,
            false,
            &html! {
                h2 { "Remove " (detail.status.name) "?" }
                p.grow {
                    "Its file is deleted. "
                    @if waiting > 0 { (parts::counted(waiting, "delivery that waits becomes a dead letter", "deliveries that wait become dead letters")) ". " }
                    "To keep them waiting, pause it instead."
                }
                form.row method="post" action={(self.address()) "/remove"} {
                    input type="hidden" name="base" value=(detail.etag);
                    button.danger { "Remove " (detail.status.name) }
                    a.btn.plain href=(self.address()) { "Keep it" }
                }
            },
        )
    }

    /// A field of one line.
    fn text(&self, id: &str, label: &str, value: &str, hint: Option<&str>, free: bool) -> Markup {
        let error = self.error(id);
        let described = [(hint.is_some(), "hint"), (error.is_some(), "error")];
        let described: Vec<String> =
            described.iter().filter(|(is, _)| *is).map(|(_, what)| format!("{id}-{what}")).collect();
        let kind = if id == "url" { "url" } else { "text" };
        html! {
            div.field {
                label for=(id) { (label) }
                @if let Some(hint) = hint { span.hint id={(id) "-hint"} { (hint) } }
                (field_error(id, error))
                input id=(id) name=(id) type=(kind) value=(value) readonly[!free] spellcheck="false" autocapitalize="off" autocomplete="off"
                    aria-describedby=[(!described.is_empty()).then(|| described.join(" "))] aria-invalid=[error.map(|_| "true")];
            }
        }
    }

    /// A field that is never filled in by us.
    fn secret(&self, id: &str, label: &str, hint: &str) -> Markup {
        let error = self.error(id);
        html! {
            div.field {
                label for=(id) { (label) }
                @if !hint.is_empty() { span.hint id={(id) "-hint"} { (hint) } }
                (field_error(id, error))
                input.mono id=(id) name=(id) type="password" autocomplete="new-password" spellcheck="false"
                    aria-describedby=[(!hint.is_empty()).then(|| format!("{id}-hint"))] aria-invalid=[error.map(|_| "true")];
            }
        }
    }

    fn picks(&self, id: &str, label: &str, hint: &str, known: &[String], chosen: &[String]) -> Markup {
        let error = self.error(id);
        html! {
            fieldset id=(id) aria-describedby=[error.map(|_| format!("{id}-error"))] {
                div.legend {
                    legend { (label) }
                    span.hint { (hint) }
                    span.end {
                        button.plain.slim type="button" data-pick="all" hidden aria-label={"All " (label.to_lowercase())} { "All" }
                        button.plain.slim type="button" data-pick="none" hidden aria-label={"No " (label.to_lowercase())} { "None" }
                    }
                }
                (field_error(id, error))
                div.picks {
                    @for name in known {
                        label.pick { input type="checkbox" name=(id) value=(name) checked[chosen.contains(name)]; (title(name)) }
                    }
                }
            }
        }
    }
}

fn field_error(id: &str, error: Option<&str>) -> Markup {
    html! { @if let Some(text) = error { span.error id={(id) "-error"} { (text) } } }
}

fn hints() -> Markup {
    html! {
        section.card.pad aria-labelledby="hints-title" {
            div.stack {
                h2 #hints-title { "What happens" }
                p.small { "Saved and activated, it receives every event that fits, from the next one on. What it cannot take now is kept and tried again for days." }
                p.small { "As a draft it collects nothing and may be incomplete." }
                p.small.soft { "This page writes a file. You can write it yourself as well; whatever is on disk holds." }
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

/// A field's id: keys have dots, which style sheets and fragments read otherwise.
fn anchor(field: &str) -> String {
    field.replace('.', "-")
}

/// `"5s"` as `5s`; anything longer without quotes too.
fn toml_plain(value: &str) -> String {
    value.replace(['"', '[', ']'], "")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
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

/// Settings as lines that can be compared: `http.url = …`.
fn flat(value: Option<&Value>) -> Vec<String> {
    fn add(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(members) if !members.is_empty() && !members.contains_key("fingerprint") => {
                for (key, value) in members {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    add(value, &path, out);
                }
            }
            other => out.push(format!("{path} = {other}")),
        }
    }
    let mut lines = Vec::new();
    if let Some(value) = value {
        add(value, "", &mut lines);
    }
    lines.sort();
    lines
}
