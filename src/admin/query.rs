use super::filter::{DeliveryFilter, Wanted};
use super::problem::Problem;
use crate::clock::{SystemClock, unix_ms};
use http::StatusCode;
use std::collections::BTreeMap;

/// The members of a request's query, each at most once, none that is not known.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads it; `allowed` says which members make sense.
    pub(super) fn read(query: Option<&str>, allowed: &[&[&str]]) -> Result<Self, Problem> {
        let allowed: Vec<&str> = allowed.iter().copied().flatten().copied().collect();
        let mut members = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !allowed.contains(&&*name) {
                let detail = format!("unknown query member {name:?}; allowed: {}", allowed.join(", "));
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
            if members.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(bad(format!("the query member {name:?} is there twice")));
            }
        }
        Ok(Self(members))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// `true`, `1` or nothing behind the name; `false` or `0`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(other) => Err(bad(format!("{name} is true or false, not {other:?}"))),
        }
    }

    /// How many rows: at most the first number, the second where nothing is said.
    pub(super) fn limit(&mut self, (most, default): (usize, usize)) -> Result<usize, Problem> {
        let Some(text) = self.take("limit") else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| bad(format!("limit is a whole number from 1 to {most}, not {text:?}")))
    }

    /// What is left: which deliveries are meant.
    pub(super) fn filter(&mut self) -> Result<Wanted, Problem> {
        let mut filter = DeliveryFilter::default();
        for (name, value) in std::mem::take(&mut self.0) {
            filter.set(&name, value);
        }
        filter.understand(unix_ms(&SystemClock)).map_err(bad)
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}
