//! How the endpoint is, beside the form: state, file, changes, and the way to remove it.

use super::{Edit, lifecycle};
use crate::admin::EndpointDetail;
use crate::admin::page::parts::{self, Tone, badge};
use crate::admin::page::{reload, words};
use maud::{Markup, html};

impl Edit<'_> {
    pub(super) fn side(&self, detail: &EndpointDetail) -> Markup {
        let status = &detail.status;
        let state = words::state(&status.state);
        let standing = words::standing(status);
        html! {
            section.card.pad #state-card data-live data-say={(status.name) " is " (state.word)} aria-labelledby="state-title" {
                div.stack {
                    h2 #state-title { (badge(state.icon, state.tone, state.word)) }
                    @if let Some(since) = status.since_ms { p.small.soft { "since " (parts::at(since)) ", " (parts::ago(since, self.now_ms)) } }
                    @if let Some(note) = status.note.as_ref().filter(|_| matches!(&*status.state, "open" | "waiting")) { p { (parts::capital(note)) "." } }
                    p.small { (standing.filter(|said| *said == words::VERSIONLESS).unwrap_or(state.events)) }
                    @if let Some(error) = status.last_error.as_deref().filter(|_| status.state != "active" || status.parked > 0) { p.small.break { strong { "Last failure: " } (error) } }
                    p.small.soft { (state.way_out) }
                    (self.orders(detail))
                    dl.facts {
                        dt { "Waiting" } dd.num { (parts::number(status.ready + status.parked)) }
                        @if let Some(oldest) = status.oldest_ms { dt { "Oldest" } dd.num { (parts::lasting(oldest, self.now_ms)) } }
                        dt { "Sending now" } dd.num { (status.in_flight) }
                        dt { "Dead letters" } dd.num { (parts::number(status.dead)) }
                    }
                }
            }
            @if !detail.errors.is_empty() {
                section.note.bad aria-labelledby="file-title" {
                    h2 #file-title { "The file is rejected" }
                    @if let Some(standing) = standing { p.grow { (standing) } }
                    @for error in &detail.errors {
                        p.grow { span.where { (reload::place(error)) } " " (error.message) @if let Some(help) = &error.help { ". " (help) } }
                    }
                }
            }
            section.card.pad aria-labelledby="file-card" {
                div.stack {
                    h2 #file-card { "File" }
                    p.mono.break { (detail.file) }
                    @if !detail.toml.is_empty() { details {
                        summary { "View TOML" }
                        pre #toml tabindex="0" { (detail.toml) }
                        @if detail.toml.contains("\"fingerprint ") { p.small.soft { "Where a secret is written out, its fingerprint is shown." } }
                        @else { button.slim type="button" data-copy="#toml" hidden { "Copy TOML" } }
                    } }
                    @if !detail.changes.is_empty() {
                        h3 { "Changes" }
                        ul.stack.tight.small {
                            @for change in detail.changes.iter().take(8) {
                                li { (parts::at(change.at_ms)) " by " strong { (change.by) } @for what in &change.what { div.soft.break { (what) } } }
                            }
                        }
                    }
                    @if !detail.etag.is_empty() { a.small.tone-bad href={(self.address()) "?ask=remove"} { "Remove this endpoint" } }
                }
            }
        }
    }

    /// What stands in the form's place where its file is gone.
    pub(super) fn gone(&self) -> Markup {
        let Some(detail) = self.detail else { return html! {} };
        let waiting = detail.status.ready + detail.status.parked;
        html! {
            section.card.pad aria-labelledby="gone-title" {
                div.stack {
                    h2 #gone-title { span.mono { (detail.file) } " is gone" }
                    p {
                        (parts::counted(waiting, "delivery is", "deliveries are"))
                        " held for the grace period (" span.mono { "removed_grace" } " under " span.mono { "[reload]" } "), then dead-lettered."
                    }
                    p { "Put the file back and it goes on as before. Under the same name and account, a new endpoint takes over what waits." }
                    div.row { a.btn href="/new" { "New endpoint" } a.btn.plain href="/" { "Endpoints" } }
                }
            }
        }
    }

    pub(super) fn orders(&self, detail: &EndpointDetail) -> Markup {
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

    pub(super) fn ask_removal(&self) -> Markup {
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
                    "To stop it for a while and lose nothing, pause it instead."
                }
                form.row method="post" action={(self.address()) "/remove"} {
                    input type="hidden" name="base" value=(detail.etag);
                    button.danger { "Remove " (detail.status.name) }
                    a.btn.plain href=(self.address()) { "Keep it" }
                }
            },
        )
    }
}

pub(super) fn hints() -> Markup {
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
