//! A list of a file, changed element by element: what stays in it keeps the space and the comments around it.
//!
//! A comment belongs to the element on whose line it stands, behind the comma, or else to the element below it.

use super::same;
use serde_json::Value;
use toml_edit::{Array, Decor, RawString};

/// For each element that is wanted, the one of the file whose place it takes: the same one, wherever it stands, or else one
/// that is wanted no more and that comes after the place of the element before.
pub(super) fn places(shown: &[Value], wanted: &[Value]) -> Vec<Option<usize>> {
    let mut free = vec![true; shown.len()];
    let mut take = |at: usize| free.get_mut(at).is_some_and(std::mem::take);
    let mut places = Vec::with_capacity(wanted.len());
    let mut next = 0;
    for element in wanted {
        // What was not changed is found at once.
        let mut all = std::iter::once(next).chain(0..shown.len());
        let place = all.find(|at| same(shown.get(*at), element) && take(*at));
        next = place.map_or(next, |at| at + 1);
        places.push(place);
    }
    let mut next = 0;
    for place in &mut places {
        *place = place.or_else(|| take(next).then_some(next));
        next = place.map_or(next, |at| at + 1);
    }
    places
}

/// An element of the file.
struct Slot {
    /// What is between the line of the element before and this one; without a line break they share a line.
    above: String,
    /// What is between it and its comma.
    suffix: String,
    /// What is behind its comma on the same line.
    beside: String,
}

/// What is between and around the elements of a list.
#[derive(Default)]
struct Layout {
    /// Behind the bracket, on its line.
    open: String,
    slots: Vec<Slot>,
    /// Below the line of the last element.
    tail: String,
}

impl Layout {
    fn of(array: &Array) -> Self {
        let mut layout = Self::default();
        for value in array {
            let between = if layout.slots.is_empty() { "" } else { " " };
            let (beside, above) = split(text(value.decor().prefix(), between));
            beside.clone_into(layout.end_of_line());
            let (above, suffix) = (above.to_owned(), text(value.decor().suffix(), "").to_owned());
            layout.slots.push(Slot { above, suffix, beside: String::new() });
        }
        let mut rest = String::new();
        // Without a comma behind it, the last element has all that follows.
        if !array.trailing_comma()
            && let Some(last) = layout.slots.last_mut()
        {
            rest = std::mem::take(&mut last.suffix);
        }
        rest.push_str(text(Some(array.trailing()), ""));
        let (beside, tail) = split(&rest);
        beside.clone_into(layout.end_of_line());
        tail.clone_into(&mut layout.tail);
        layout
    }

    /// The rest of the line on which the last element stands, or the bracket.
    fn end_of_line(&mut self) -> &mut String {
        self.slots.last_mut().map_or(&mut self.open, |slot| &mut slot.beside)
    }
}

/// The list of these elements, each with the place in the old one that it takes.
pub(super) fn arrange(old: &Array, elements: Vec<(toml_edit::Value, Option<usize>)>) -> Array {
    let Layout { open, slots, tail } = Layout::of(old);
    // How an element begins that has a line of its own, if any has.
    let line = slots.iter().find_map(|slot| last_line(&slot.above));
    let first = slots.first().map_or("", |slot| last_line(&slot.above).unwrap_or(&slot.above));
    let was_bare = slots.is_empty() && !open.contains('#');
    let mut array = Array::new();
    let mut before = open;
    for (mut value, place) in elements {
        let slot = place.and_then(|at| slots.get(at));
        let above = match slot {
            Some(slot) if slot.above.contains('\n') => slot.above.as_str(),
            _ if array.is_empty() => first,
            Some(slot) if place != Some(0) => slot.above.as_str(),
            _ => line.unwrap_or(" "),
        };
        let beside = slot.map(|slot| slot.beside.clone()).unwrap_or_default();
        let mut prefix = std::mem::replace(&mut before, beside);
        // A comment ends with its line.
        let breaks = prefix.contains('#') && !above.contains('\n');
        prefix.push_str(if breaks { line.unwrap_or("\n    ") } else { above });
        let suffix = slot.map_or("", |slot| slot.suffix.as_str());
        *value.decor_mut() = Decor::new(prefix, suffix);
        array.push_formatted(value);
    }
    let mut rest = before;
    if rest.contains('#') && !tail.contains('\n') {
        rest.push('\n');
    }
    rest.push_str(&tail);
    // The space in an empty list is nobody's.
    if rest.contains('#') || !(was_bare || array.is_empty()) {
        array.set_trailing(rest);
    }
    array.set_trailing_comma(old.trailing_comma() && !array.is_empty());
    array
}

fn text<'a>(raw: Option<&'a RawString>, default: &'a str) -> &'a str {
    raw.and_then(RawString::as_str).unwrap_or(default)
}

/// What stands on the line that was begun, and what comes after it. What has no line break is all of the latter.
fn split(text: &str) -> (&str, &str) {
    text.find('\n').map_or(("", text), |at| text.split_at(at))
}

/// The last line break, and the space behind it.
fn last_line(text: &str) -> Option<&str> {
    text.rfind('\n').and_then(|at| text.get(at..))
}
