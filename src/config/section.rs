//! Reads one table of a file key by key, and notes every error. A key that nobody asked for is an error in the end.

use super::secrets::{self, Resolver};
use super::source::{Problems, Span, near};
use super::tree::{Entry, Item, Node};
use super::units;
use crate::ids::is_name;
use crate::policy::Rate;
use postrider_sink::Secret;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What a name is.
pub(super) const NAME: &str =
    "A name has 1 to 128 characters, no white space around them and no control characters.";

/// A table that is being read.
pub(super) struct Section<'a> {
    entries: &'a [Entry],
    span: Span,
    path: String,
    asked: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self::new(node, String::new(), problems)
    }

    fn new(node: &'a Node, path: String, problems: &'a Problems) -> Self {
        Self { entries: node.entries(), span: node.span.clone(), path, asked: Vec::new(), problems }
    }

    pub(super) const fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Where the table stands, for what is missing in it.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Something is missing in this table.
    pub(super) fn missing(&self, message: impl Into<String>, help: impl Into<String>) {
        self.problems.add(self.problems.error(self.span(), message).help(help));
    }

    /// The entry of a key, whatever it is.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        #[cfg(test)]
        self.problems.asked.borrow_mut().insert(format!("{}{key}", self.path));
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Entries that are none of the keys asked for so far.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a Entry> + use<'a, '_> {
        self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str()))
    }

    /// A table, if it is there.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Section<'a>> {
        let entry = self.entry(key)?;
        if !matches!(entry.node.item, Item::Table(_)) {
            let found = format!("expected a table, found {}", entry.node.describe());
            let error = self.problems.error(entry.node.span.clone(), found);
            self.problems.add(error.help(format!("Write [{}{key}] in a line of its own, once.", self.path)));
            return None;
        }
        Some(Self::new(&entry.node, format!("{}{key}.", self.path), self.problems))
    }

    /// The tables of a list of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Item::Array(elements) = &entry.node.item else {
            let found = format!("expected a list of tables, found {}", entry.node.describe());
            let error = self.problems.error(entry.node.span.clone(), found);
            self.problems.add(
                error.help(format!("Write [[{}{key}]] in a line of its own, once for each.", self.path)),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in elements {
            if matches!(element.item, Item::Table(_)) {
                tables.push(Self::new(element, format!("{}{key}.", self.path), self.problems));
            } else {
                self.wrong::<()>(element, "a table");
            }
        }
        tables
    }

    /// A string.
    pub(super) fn string(&mut self, key: &'static str) -> Option<(&'a str, Span)> {
        let entry = self.entry(key)?;
        match &entry.node.item {
            Item::String(text) => Some((text, entry.node.span.clone())),
            _ => self.wrong(&entry.node, "a string"),
        }
    }

    /// A name: 1 to 128 characters, none of them a control character, no white space around them.
    pub(super) fn name(&mut self, key: &'static str) -> Option<(Arc<str>, Span)> {
        let (text, span) = self.string(key)?;
        is_name(text).then(|| (Arc::from(text), span.clone())).or_else(|| {
            self.problems.add(self.problems.error(span, "not a name").help(NAME));
            None
        })
    }

    /// A list of strings, each with its place.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<(&'a str, Span)>> {
        let entry = self.entry(key)?;
        let Item::Array(elements) = &entry.node.item else { return self.wrong(&entry.node, "a list") };
        let mut texts: Vec<(&str, Span)> = Vec::new();
        for element in elements {
            match &element.item {
                Item::String(text) => texts.push((text, element.span.clone())),
                _ => {
                    self.wrong::<()>(element, "a string");
                }
            }
        }
        Some(texts)
    }

    /// `true` or `false`, with its place.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<(bool, Span)> {
        let entry = self.entry(key)?;
        match entry.node.item {
            Item::Boolean(truth) => Some((truth, entry.node.span.clone())),
            _ => self.wrong(&entry.node, "true or false"),
        }
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let (text, span) = self.string(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.unknown(span, &format!("unknown {key} {text:?}"), text, &names);
        None
    }

    /// A whole number within a range, or the default.
    pub(super) fn integer(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(entry) = self.entry(key) else { return default };
        match entry.node.item {
            Item::Integer(number) => {
                let number = u64::try_from(number).ok();
                self.within(number, range, &entry.node.span, u64::to_string).unwrap_or(default)
            }
            _ => self.wrong(&entry.node, "a whole number").unwrap_or(default),
        }
    }

    /// A number for which `fits` holds, or the default.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: f64,
        fits: impl Fn(f64) -> bool,
        allowed: &str,
    ) -> f64 {
        let Some(entry) = self.entry(key) else { return default };
        let number = match entry.node.item {
            Item::Float(number) => number,
            Item::Integer(number) => i32::try_from(number).map_or(f64::NAN, f64::from),
            _ => return self.wrong(&entry.node, "a number").unwrap_or(default),
        };
        if fits(number) {
            return number;
        }
        self.problems.add(
            self.problems.error(entry.node.span.clone(), "out of range").help(format!("Allowed: {allowed}.")),
        );
        default
    }

    /// A duration within a range, or the default.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(entry) = self.entry(key) else { return default };
        self.duration_of(&entry.node, range).unwrap_or(default)
    }

    /// A list of durations within a range, at most `most`; or the default.
    pub(super) fn durations(
        &mut self,
        key: &'static str,
        default: &[Duration],
        range: &RangeInclusive<Duration>,
        most: usize,
    ) -> Vec<Duration> {
        let Some(entry) = self.entry(key) else { return default.to_vec() };
        let Item::Array(elements) = &entry.node.item else {
            return self.wrong(&entry.node, "a list").unwrap_or_else(|| default.to_vec());
        };
        if elements.len() > most {
            self.problems.at(entry.node.span.clone(), format!("more than {most} entries"));
        }
        elements.iter().filter_map(|element| self.duration_of(element, range.clone())).collect()
    }

    fn duration_of(&self, node: &Node, range: RangeInclusive<Duration>) -> Option<Duration> {
        const HELP: &str = "Write a whole number and a unit: \"250ms\", \"5s\", \"5m\", \"2h\" or \"7d\".";
        match &node.item {
            Item::String(text) => match units::duration(text) {
                Some(time) => self.within(Some(time), range, &node.span, |time| units::show_duration(*time)),
                None => {
                    self.problems.add(self.problems.error(node.span.clone(), "not a duration").help(HELP));
                    None
                }
            },
            Item::Integer(_) => {
                let error = self.problems.error(node.span.clone(), "a duration needs a unit");
                self.problems.add(error.help(HELP));
                None
            }
            _ => self.wrong(node, "a duration like \"5s\""),
        }
    }

    /// A number of bytes within a range, or the default.
    pub(super) fn size(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(entry) = self.entry(key) else { return default };
        let span = &entry.node.span;
        let bytes = match &entry.node.item {
            Item::Integer(number) => u64::try_from(*number).ok(),
            Item::String(text) => match units::size(text) {
                Some(bytes) => Some(bytes),
                None => {
                    self.problems.add(self.problems.error(span.clone(), "not a size").help(
                        "Write a whole number and a unit: \"256 KiB\", \"10 GiB\"; or a number of bytes.",
                    ));
                    return default;
                }
            },
            _ => return self.wrong(&entry.node, "a size like \"10 GiB\"").unwrap_or(default),
        };
        self.within(bytes, range, span, |bytes| units::show_size(*bytes)).unwrap_or(default)
    }

    /// A rate like `"50/s"`, or the default; `"none"` takes a default away.
    pub(super) fn rate(&mut self, key: &'static str, default: Option<Rate>) -> Option<Rate> {
        let Some((text, span)) = self.string(key) else { return default };
        if text == "none" {
            return None;
        }
        let rate = units::rate(text);
        if rate.is_none() {
            let help = "Write a count and s, m or h: \"50/s\", \"1000/m\"; or \"none\" for no limit.";
            self.problems.add(self.problems.error(span, "not a rate").help(help));
        }
        rate.or(default)
    }

    /// A secret: a string, or a reference that is resolved.
    pub(super) fn secret(&mut self, key: &'static str, resolver: &mut Resolver<'_>) -> Option<Secret> {
        let entry = self.entry(key)?;
        match (&entry.node.item, secrets::reference(&entry.node)) {
            (Item::String(text), _) if text.is_empty() => {
                self.problems.at(entry.node.span.clone(), "the secret is empty");
                None
            }
            (Item::String(text), _) => Some(Secret::new(text.clone())),
            (_, Some(reference)) => resolver.resolve(&reference, self.problems),
            _ => {
                let found = format!("expected a secret, found {}", entry.node.describe());
                let error = self.problems.error(entry.node.span.clone(), found);
                self.problems.add(error.help(
                    "Write a string, or a table with one key: { file = \"secrets/name\" }, { env = \"NAME\" } or \
                     { credential = \"name\" }.",
                ));
                None
            }
        }
    }

    /// Notes what is unknown.
    pub(super) fn finish(self) {
        for entry in self.others() {
            let table = if self.path.is_empty() { "" } else { self.path.trim_end_matches('.') };
            let place = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
            let message = format!("unknown key {:?}{place}", entry.key);
            self.unknown(entry.key_span.clone(), &message, &entry.key, &self.asked);
        }
    }

    /// Notes an unknown word, with what is allowed and what was probably meant.
    pub(super) fn unknown(&self, span: Span, message: &str, word: &str, known: &[&str]) {
        let mut error = self.problems.error(span, message);
        if let Some(meant) = near(word, known.iter().copied()) {
            error = error.label(format!("did you mean {meant:?}?"));
        }
        self.problems.add(error.help(format!("Allowed: {}.", known.join(", "))));
    }

    fn within<T: PartialOrd>(
        &self,
        value: Option<T>,
        range: RangeInclusive<T>,
        span: &Span,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let fitting = value.filter(|value| range.contains(value));
        if fitting.is_none() {
            let help = format!("Allowed: {} to {}.", show(range.start()), show(range.end()));
            self.problems.add(self.problems.error(span.clone(), "out of range").help(help));
        }
        fitting
    }

    /// Notes a value of the wrong type.
    pub(super) fn wrong<T>(&self, node: &Node, wanted: impl Display) -> Option<T> {
        self.problems.at(node.span.clone(), format!("expected {wanted}, found {}", node.describe()));
        None
    }
}
