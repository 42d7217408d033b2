use super::filter::{Facts, FilterFailure, Judgement};
use super::{EndpointSpec, Entry, Lifecycle, Table};

/// Why an endpoint gets an event or not: the first condition that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It gets it.
    Match,
    /// It is a draft.
    Draft,
    /// It did not subscribe to this event,
    Event,
    /// or not of this product.
    Product,
    /// It is for another account.
    Account,
    /// Its filter says no,
    Filter,
    /// or cannot tell.
    FilterFailed(FilterFailure),
}

/// An endpoint with the condition that decided.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// The endpoint.
    pub entry: &'a Entry,
    /// The condition.
    pub condition: Condition,
}

impl Condition {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Draft => "draft",
            Self::Event => "event",
            Self::Product => "product",
            Self::Account => "account",
            Self::Filter => "filter",
            Self::FilterFailed(_) => "filter_failed",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Match => "it gets this event".to_owned(),
            Self::Draft => "it is a draft, and gets nothing".to_owned(),
            Self::Event => "it did not subscribe to this event".to_owned(),
            Self::Product => "it did not subscribe to this product".to_owned(),
            Self::Account => "it is for another account".to_owned(),
            Self::Filter => "its filter does not hold".to_owned(),
            Self::FilterFailed(failure) => format!("its filter cannot tell: {}", failure.reason),
        }
    }
}

impl EndpointSpec {
    /// What decides about an event, its filter included. `facts` are the same event's.
    #[must_use]
    pub fn decide(&self, event: &str, product: &str, account: Option<&str>, facts: &Facts) -> Condition {
        if self.lifecycle == Lifecycle::Draft {
            return Condition::Draft;
        }
        self.subscribes(event, product, account, facts)
    }

    /// The same for what a draft says already.
    #[must_use]
    pub fn subscribes(&self, event: &str, product: &str, account: Option<&str>, facts: &Facts) -> Condition {
        if !self.events.contains(event) {
            return Condition::Event;
        }
        if !self.products.contains(product) {
            return Condition::Product;
        }
        if self.identity.account.is_some() && self.identity.account.as_deref() != account {
            return Condition::Account;
        }
        match self.filter.as_ref().map(|filter| filter.judge(facts)) {
            None | Some(Judgement::Wanted) => Condition::Match,
            Some(Judgement::Unwanted) => Condition::Filter,
            Some(Judgement::Failed(failure)) => Condition::FilterFailed(failure),
        }
    }
}

impl Table {
    /// Every endpoint, with the condition that decides about this event. Takes time: never call it in an actor.
    #[must_use]
    pub fn explain(
        &self,
        event: &str,
        product: &str,
        account: Option<&str>,
        facts: &Facts,
    ) -> Vec<Explained<'_>> {
        let explained = |entry| {
            let entry: &Entry = entry;
            Explained { entry, condition: entry.spec.decide(event, product, account, facts) }
        };
        self.entries().iter().map(explained).collect()
    }
}
