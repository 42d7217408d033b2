//! The members of a request's query: as they are read, and as the document describes them.

use super::caller::Caller;
use super::delivery_routes::LIMITS;
use super::filter::{DeliveryFilter, Wanted, member};
use super::problem::Problem;
use super::scoped::narrowed;
use crate::clock::{SystemClock, unix_ms};
use http::StatusCode;
use std::collections::BTreeMap;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    /// What is left: which deliveries are meant, and never more than the caller may see.
    pub(super) fn filter(&mut self, caller: &Caller) -> Result<Wanted, Problem> {
        let mut filter = DeliveryFilter::default();
        for (name, value) in std::mem::take(&mut self.0) {
            filter.set(&name, value);
        }
        narrowed(caller, filter).understand(unix_ms(&SystemClock)).map_err(bad)
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// Types that stand for queries in the document: which members each has.
macro_rules! queries {
    ($($name:ident: $members:expr;)*) => { $(
        pub(super) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                $members.iter().map(|name| parameter(name)).collect()
            }
        }
    )* };
}

queries! {
    DeliveryQuery: [&DeliveryFilter::DELIVERIES[..], &["limit", "cursor", "follow"]].concat();
    LetterQuery: [&DeliveryFilter::DEAD_LETTERS[..], &["limit", "letters"]].concat();
    ExportQuery: DeliveryFilter::DEAD_LETTERS;
    DeletionQuery: [&DeliveryFilter::DEAD_LETTERS[..], &["all"]].concat();
    ErasureQuery: ErasureQuery::MEMBERS;
}

impl ErasureQuery {
    pub(super) const MEMBERS: [&str; 2] = ["message_id", "account"];
}

fn parameter(name: &str) -> Parameter {
    let (name, schema): (&str, Schema) = match name {
        "limit" => {
            let count = ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(LIMITS.0))
                .default(Some(LIMITS.1.into()))
                .description(Some("At most so many."));
            (name, count.into())
        }
        "cursor" => (name, cursor("^(w[0-9a-f]{1,16}\\.[0-9a-f]{1,8}|e[0-9a-f]{1,16}\\.[0-9a-f]{1,16})$")),
        "letters" => ("cursor", cursor("^d[0-9a-f]{1,16}$")),
        "follow" => (name, flag("What ends from now on, as it ends, as server-sent events.")),
        "all" => (name, flag("All of them: said where no filter is.")),
        name => (name, member(name)),
    };
    ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).schema(Some(schema)).build()
}

fn cursor(pattern: &str) -> Schema {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    text.description(Some("Where to go on: the `cursor` of the page before.")).into()
}

fn flag(what: &str) -> Schema {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(what)).into()
}
