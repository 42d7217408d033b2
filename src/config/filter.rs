//! An endpoint file's `filter`, and the `[[test]]` tables that say what the endpoint must and must not get.

use super::section::Section;
use super::source::{Problems, Span};
use super::tree::{Item, Node};
use crate::table::filter::{Facts, FilterError, with_stack};
use crate::table::{Catalogue, Condition, EndpointSpec, Filter};
use std::sync::Arc;

/// Compiles `filter`, if it is there.
pub(super) fn filter(file: &mut Section<'_>) -> Option<Arc<Filter>> {
    let (text, span) = file.string("filter")?;
    match Filter::compile(text) {
        Ok(filter) => Some(Arc::new(filter)),
        Err(error) => {
            report(file, text, &span, error);
            None
        }
    }
}

fn report(file: &Section<'_>, text: &str, span: &Span, wrong: FilterError) {
    let problems = file.problems();
    let span = within(problems, text, span, &wrong.span);
    if let Some((word, known)) = &wrong.unknown {
        return file.unknown(span, &format!("{} in the filter", wrong.message), word, known);
    }
    let error = problems.error(span, wrong.message);
    problems.add(match wrong.help {
        Some(help) => error.help(help),
        None => error,
    });
}

/// The bytes of the file that a part of a string was written with; the whole string where it has escapes.
fn within(problems: &Problems, text: &str, span: &Span, part: &Span) -> Span {
    let raw = problems.slice(span);
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let inside = raw.get(quotes..).unwrap_or_default();
    let cut = if quotes == 1 { 0 } else { inside.len() - inside.trim_start_matches(['\r', '\n']).len() };
    let from = span.start + quotes + cut;
    if inside.get(cut..).is_some_and(|inside| inside.starts_with(text)) {
        from + part.start..from + part.end.max(part.start)
    } else {
        span.clone()
    }
}

/// One `[[test]]`.
pub(super) struct EndpointTest {
    event: Arc<str>,
    product: Arc<str>,
    account: Option<Arc<str>>,
    data: serde_json::Value,
    matches: bool,
    at: Span,
}

/// Reads the `[[test]]` tables.
pub(super) fn tests(file: &mut Section<'_>, catalogue: &Catalogue) -> Vec<EndpointTest> {
    let mut tests = Vec::new();
    for mut table in file.tables("test") {
        let event = known(&mut table, "event", &catalogue.events);
        let product = known(&mut table, "product", &catalogue.products);
        let account = table.name("account").map(|(account, _)| account);
        let data = match table.entry("data").map(|entry| &entry.node) {
            None => Some(serde_json::json!({})),
            Some(node) if matches!(node.item, Item::Table(_)) => Some(json(node)),
            Some(node) => table.wrong(node, "a table"),
        };
        let matches = table.boolean("matches");
        if table.entry("matches").is_none() {
            table.missing("matches is missing", "Say matches = true, or false for an event it must not get.");
        }
        table.finish();
        if let (Some(event), Some(product), Some(data), Some((matches, at))) = (event, product, data, matches)
        {
            tests.push(EndpointTest { event, product, account, data, matches, at });
        }
    }
    tests
}

fn known(table: &mut Section<'_>, key: &'static str, names: &[Arc<str>]) -> Option<Arc<str>> {
    let all: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if table.entry(key).is_none() {
        table.missing(format!("{key} is missing"), format!("Known: {}.", all.join(", ")));
    }
    let (text, span) = table.string(key)?;
    let found = names.iter().find(|name| name.as_ref() == text);
    if found.is_none() {
        table.unknown(span, &format!("unknown {key} {text:?}"), text, &all);
    }
    found.cloned()
}

/// Runs the tests of an endpoint, as if it were none that is still a draft.
pub(super) fn run(tests: &[EndpointTest], spec: &EndpointSpec, problems: &Problems) {
    for test in tests {
        let account = test.account.as_deref();
        let judged = with_stack(|| {
            let facts = Facts::new(&test.event, &test.product, account, test.data.clone());
            spec.subscribes(&test.event, &test.product, account, &facts)
        });
        let Some(condition) = judged else {
            problems.at(test.at.clone(), "the test could not be run");
            continue;
        };
        let matches = condition == Condition::Match;
        if matches != test.matches {
            let found = if matches { "it gets this event".to_owned() } else { condition.sentence() };
            let error = problems.error(test.at.clone(), format!("the test fails: {found}"));
            problems.add(error.help("Change what the endpoint subscribes to, or what the test expects."));
        }
    }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.item {
        Item::String(text) | Item::Datetime(text) => text.as_str().into(),
        Item::Integer(number) => (*number).into(),
        Item::Float(number) => (*number).into(),
        Item::Boolean(truth) => (*truth).into(),
        Item::Array(elements) => elements.iter().map(json).collect(),
        Item::Table(entries) => {
            let members = entries.iter().map(|entry| (entry.key.clone(), json(&entry.node)));
            serde_json::Value::Object(members.collect())
        }
    }
}
