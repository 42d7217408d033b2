//! Both sides of an edit that met another one.

use super::Edit;
use crate::admin::Collision;
use crate::admin::page::parts::{self, Tone};
use maud::{Markup, html};
use serde_json::Value;

impl Edit<'_> {
    /// Both sides of an edit that met another one, line against line.
    pub(super) fn collision(&self, collision: &Collision) -> Markup {
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
                        @if others.contains(line) { (line) "\n" } @else { mark { (line) } "\n" }
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
