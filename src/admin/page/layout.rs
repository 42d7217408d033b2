//! The frame around every screen.

use super::assets;
use super::parts::{self, Icon, Tone, badge};
use crate::admin::Status;
use maud::{DOCTYPE, Markup, html};

/// The screens of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Endpoints,
    Deliveries,
    DeadLetters,
    Reload,
}

impl Tab {
    const ALL: [Self; 4] = [Self::Endpoints, Self::Deliveries, Self::DeadLetters, Self::Reload];

    const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Endpoints => ("/", "Endpoints"),
            Self::Deliveries => ("/deliveries", "Deliveries"),
            Self::DeadLetters => ("/dead-letters", "Dead letters"),
            Self::Reload => ("/reload-status", "Reload status"),
        }
    }
}

/// What the frame says.
pub(super) struct Frame<'a> {
    /// Of the window and of the last part of the path.
    pub(super) title: &'a str,
    pub(super) tab: Tab,
    /// Parts of the path after Event Forwarding: address and words. The current screen is the last.
    pub(super) path: Vec<(String, String)>,
    pub(super) status: &'a Status,
    /// Dead letters, beside their tab.
    pub(super) letters: u64,
    /// Who is signed in, where somebody must be.
    pub(super) login: Option<&'a str>,
    /// Whether it is an operator's: others have nothing to see of the files and the daemon.
    pub(super) operator: bool,
}

/// A whole page.
pub(super) fn page(frame: &Frame<'_>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(frame.title))
            body {
                a.skip href="#main" { "Skip to content" }
                div.airmail aria-hidden="true" {}
                header.top {
                    div.wide {
                        div.bar { (path(frame)) (running(frame)) }
                        (tabs(frame))
                    }
                }
                main #main.wide tabindex="-1" {
                    div #away.note.bad role="alert" hidden {}
                    div #said.hidden role="status" {}
                    @if let Some(trouble) = &frame.status.unready {
                        (parts::note(Tone::Bad, true, &html! {
                            p.grow {
                                strong { "No events are taken now" @if !trouble.is_empty() { ": " } }
                                (trouble) ". Publishers are told to repeat."
                            }
                        }))
                    }
                    (body)
                }
                footer.foot {
                    div.wide {
                        span { "Postrider " (frame.status.version) }
                        span { "Running for " (parts::lasting(0, frame.status.uptime_seconds * 1000)) }
                        @if frame.operator {
                            span.break { (frame.status.config.path) }
                            a href="/metrics" { "Metrics" }
                        }
                        button.plain.slim #keys-open type="button" hidden { "Keyboard shortcuts" }
                    }
                }
                (keys())
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Event Forwarding" }
            link rel="icon" type="image/svg+xml" href=(assets::link("mark.svg"));
            link rel="stylesheet" href=(assets::link("style.css"));
            script defer src=(assets::link("page.js")) {}
        }
    }
}

/// The sign of the house: an envelope.
pub(super) fn mark() -> Markup {
    html! {
        svg width="26" height="26" viewBox="0 0 26 26" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" {
            rect x="2" y="6" width="22" height="15" rx="2.500" {}
            path d="M2.800 7.500L13 15l10.200-7.500" {}
        }
    }
}

fn path(frame: &Frame<'_>) -> Markup {
    let last = frame.path.len();
    html! {
        a.brand href="/" { (mark()) "Postrider" }
        nav aria-label="Path" {
            ol.path {
                li { "Developer Tools" }
                li { a href="/" aria-current=[(last == 0).then_some("page")] { "Event Forwarding" } }
                @for (position, (address, words)) in frame.path.iter().enumerate() {
                    li {
                        @if position + 1 == last { span aria-current="page" { (words) } } @else { a href=(address) { (words) } }
                    }
                }
            }
        }
    }
}

/// Whether the files are what runs, and who is signed in.
fn running(frame: &Frame<'_>) -> Markup {
    let config = &frame.status.config;
    let wrong = config.errors.len() as u64;
    html! {
        div.end {
            @if frame.operator { a href="/reload-status" #config data-live {
                @if wrong == 0 {
                    span.state.tone-good { (Icon::Tick.draw()) span { "Configuration " (frame.status.generation) span.roomy { " in force" } } }
                } @else {
                    (badge(Icon::Bang, Tone::Bad, &parts::counted(wrong, "file problem", "file problems")))
                }
            } }
            @if let Some(login) = frame.login {
                form method="post" action="/logout" { span.soft { (login) " " } button.slim { "Sign out" } }
            }
        }
    }
}

fn tabs(frame: &Frame<'_>) -> Markup {
    html! {
        nav.tabs aria-label="Event Forwarding" {
            @for tab in Tab::ALL.into_iter().filter(|tab| frame.operator || *tab != Tab::Reload) {
                @let (address, words) = tab.link();
                a href=(address) aria-current=[(tab == frame.tab).then_some("page")] {
                    (words)
                    @if tab == Tab::DeadLetters && frame.letters > 0 { span.count #dead-count { (parts::number(frame.letters)) } }
                }
            }
        }
    }
}

/// What keys do, shown by `?`.
fn keys() -> Markup {
    let keys = [
        ("/", "Search"),
        ("j  k", "Next and previous row"),
        ("Enter", "Open the row"),
        ("t", "Test Event"),
        ("r", "Send again"),
        ("?", "This list"),
    ];
    html! {
        dialog #keys aria-labelledby="keys-title" {
            div.stack {
                h2 #keys-title { "Keyboard shortcuts" }
                dl.facts { @for (key, does) in keys { dt { kbd { (key) } } dd { (does) } } }
                label.row { input #keys-on type="checkbox" checked; "Use these keys" }
                form method="dialog" { button { "Close" } }
            }
        }
    }
}

/// A page without navigation: signing in, and what went wrong before anything is known.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                div.airmail aria-hidden="true" {}
                main #main.wide tabindex="-1" { (body) }
            }
        }
    }
}
