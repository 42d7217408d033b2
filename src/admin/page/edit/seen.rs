//! How many events of the last day the chosen events and products would have matched.

use super::Edit;
use crate::admin::page::parts::{self, number};
use maud::{Markup, html};
use std::fmt::Write as _;

/// Events that were accepted in the last day. Only operators see it: it counts those of every account.
#[derive(Debug, Clone, Default)]
pub(in crate::admin::page) struct Seen {
    /// Event, product, how many.
    pub(in crate::admin::page) kinds: Vec<(String, String, u64)>,
    /// Since when they are counted, milliseconds since the Unix epoch.
    pub(in crate::admin::page) since_ms: u64,
}

impl Seen {
    /// What an endpoint with these events and products would have matched, and how many there were.
    fn matched(&self, events: &[String], products: &[String]) -> (u64, u64) {
        let all = self.kinds.iter().map(|(_, _, count)| count).sum();
        let wanted = |(event, product, _): &&(String, String, u64)| {
            events.contains(event) && products.contains(product)
        };
        (self.kinds.iter().filter(wanted).map(|(_, _, count)| count).sum(), all)
    }

    /// For the script, which counts again when something else is chosen.
    fn line(&self) -> String {
        let mut line = String::new();
        for (event, product, count) in &self.kinds {
            let _ = write!(line, "{event} {product} {count};");
        }
        line
    }
}

impl Edit<'_> {
    /// The sentence below the choice of events and products.
    pub(super) fn would_match(&self) -> Markup {
        const DAY_MS: u64 = 86_400_000;
        let Some(seen) = self.seen else { return html! {} };
        let (matched, all) = seen.matched(&self.form.events, &self.form.products);
        if all == 0 {
            return html! { p.small.matches { "No event has come in yet to compare with." } };
        }
        let known_ms = self.now_ms.saturating_sub(seen.since_ms);
        html! {
            p.small.matches {
                "Would have matched " strong #matches.num data-seen=(seen.line()) { (number(matched)) }
                " of " (parts::counted(all, "event", "events"))
                @if known_ms >= DAY_MS { " in the last 24 hours." }
                @else { " since the start, " (parts::ago(seen.since_ms, self.now_ms)) "." }
                @if !self.form.account.is_empty() || !self.form.filter.is_empty() {
                    span.soft { " Account and filter are not counted in." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_of_a_chosen_product_are_counted() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let kind = |event: &str, product: &str, count| (event.to_owned(), product.to_owned(), count);
        let seen = Seen {
            kinds: vec![kind("sent", "crm", 4), kind("sent", "api", 2), kind("read", "crm", 1)],
            since_ms: 0,
        };
        assert_eq!(seen.matched(&names(&["sent"]), &names(&["crm"])), (4, 7));
        assert_eq!(seen.matched(&names(&["sent", "read"]), &names(&["crm", "api"])), (7, 7));
        assert_eq!(seen.matched(&[], &names(&["crm"])), (0, 7));
        assert_eq!(seen.line(), "sent crm 4;sent api 2;read crm 1;");
    }
}
