//! Fields with their labels, hints and mistakes.

use super::Edit;
use crate::admin::page::form::{Kind, Knob};
use crate::admin::page::parts::title;
use maud::{Markup, html};

impl Edit<'_> {
    pub(super) fn knob(&self, knob: &Knob) -> Markup {
        let value = self.form.knob(knob.key);
        let effective =
            self.detail.and_then(|detail| detail.effective.iter().find(|known| known.key == knob.key));
        let holds = effective.map_or(String::new(), |known| toml_plain(&known.value));
        let from = effective.map_or("", |known| known.origin.as_str());
        let from = if from == "default" { "built in" } else { from };
        let id = anchor(knob.key);
        let error = self.error(knob.key);
        let described = described(&id, true, error.is_some());
        let invalid = error.map(|_| "true");
        html! {
            div.field {
                label for=(id) { (knob.label) }
                (field_error(&id, error))
                @match knob.kind {
                    Kind::Choice(options) => {
                        select id=(id) name=(knob.key) aria-describedby=[described] aria-invalid=[invalid] {
                            option value="" selected[value.is_empty()] { "As the defaults say" }
                            @for (option, words) in options { option value=(option) selected[value == *option] { (words) } }
                        }
                    }
                    _ => {
                        input.mono id=(id) name=(knob.key) value=(value) placeholder=(if holds.is_empty() { "none" } else { holds.as_str() })
                            aria-describedby=[described] aria-invalid=[invalid] spellcheck="false" autocomplete="off";
                    }
                }
                span.hint id={(id) "-hint"} {
                    (knob.hint)
                    @if !from.is_empty() { @if !knob.hint.is_empty() { ". " } "From " (from) }
                }
            }
        }
    }

    /// A field of one line.
    pub(super) fn text(&self, id: &str, label: &str, value: &str, hint: Option<&str>, free: bool) -> Markup {
        let error = self.error(id);
        let described = described(id, hint.is_some(), error.is_some());
        let kind = if id == "url" { "url" } else { "text" };
        html! {
            div.field {
                label for=(id) { (label) }
                @if let Some(hint) = hint { span.hint id={(id) "-hint"} { (hint) } }
                (field_error(id, error))
                input id=(id) name=(id) type=(kind) value=(value) readonly[!free] spellcheck="false" autocapitalize="off" autocomplete="off"
                    aria-describedby=[described] aria-invalid=[error.map(|_| "true")];
            }
        }
    }

    /// A field that is never filled in by us.
    pub(super) fn secret(&self, id: &str, label: &str, hint: &str) -> Markup {
        let error = self.error(id);
        html! {
            div.field {
                label for=(id) { (label) }
                @if !hint.is_empty() { span.hint id={(id) "-hint"} { (hint) } }
                (field_error(id, error))
                input.mono id=(id) name=(id) type="password" autocomplete="new-password" spellcheck="false"
                    aria-describedby=[described(id, !hint.is_empty(), error.is_some())] aria-invalid=[error.map(|_| "true")];
            }
        }
    }

    pub(super) fn picks(
        &self,
        id: &str,
        label: &str,
        hint: &str,
        known: &[String],
        chosen: &[String],
    ) -> Markup {
        let error = self.error(id);
        html! {
            fieldset id=(id) aria-describedby=[error.map(|_| format!("{id}-error"))] {
                div.legend {
                    legend { (label) }
                    span.hint { (hint) }
                    span.end {
                        button.plain.slim type="button" data-pick="all" hidden aria-label={"All " (label.to_lowercase())} { "All" }
                        button.plain.slim type="button" data-pick="none" hidden aria-label={"None of the " (label.to_lowercase())} { "None" }
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

pub(super) fn field_error(id: &str, error: Option<&str>) -> Markup {
    html! { @if let Some(text) = error { span.error id={(id) "-error"} { (text) } } }
}

/// A field's id: keys have dots, which style sheets and fragments read otherwise.
pub(super) fn anchor(field: &str) -> String {
    field.replace('.', "-")
}

/// `"5s"` as `5s`; anything longer without quotes too.
pub(super) fn toml_plain(value: &str) -> String {
    value.replace(['"', '[', ']'], "")
}

/// What describes a field: its hint and its mistake, where they are.
pub(super) fn described(id: &str, hint: bool, error: bool) -> Option<String> {
    match (hint, error) {
        (false, false) => None,
        (true, false) => Some(format!("{id}-hint")),
        (false, true) => Some(format!("{id}-error")),
        (true, true) => Some(format!("{id}-hint {id}-error")),
    }
}
