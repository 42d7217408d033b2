//! Why an event goes where it goes: every endpoint, and the condition that decided.

use super::backend::AdminBackend;
use super::caller::{Caller, Scope};
use super::endpoints::parse;
use super::problem::Problem;
use super::status::EndpointStatus;
use crate::table::filter::{Facts, with_stack};
use crate::table::{Condition, Table};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The event that is asked about: as it would be posted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainEvent {
    /// Its name.
    pub event: String,
    /// Its product.
    pub product: String,
    /// Its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its data; without it, an empty object.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub data: serde_json::Map<String, serde_json::Value>,
    /// Of a whole event; they decide nothing.
    #[serde(default, skip_serializing)]
    pub id: Option<String>,
    /// Likewise.
    #[serde(default, skip_serializing)]
    pub timestamp: Option<String>,
}

/// Where an event goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Explanation {
    /// The configuration that decides.
    pub generation: u64,
    /// How many endpoints get it.
    pub deliveries: usize,
    /// Every endpoint, those that get it first.
    pub endpoints: Vec<EndpointExplanation>,
}

/// Whether one endpoint gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EndpointExplanation {
    /// Its name.
    pub name: String,
    /// The account it is for.
    pub account: Option<String>,
    /// Whether it gets it.
    pub matches: bool,
    /// The first condition that says no: `draft`, `event`, `product`, `account`, `filter` or `filter_failed`; else
    /// `match`. `invalid` and `removed` are endpoints that have no file to run, and so get nothing.
    pub condition: String,
    /// The same for people.
    pub reason: String,
}

impl EndpointExplanation {
    /// Of an endpoint that is in no table.
    fn without_a_file(status: EndpointStatus) -> Self {
        let reason = status.note.unwrap_or_else(|| status.state.clone());
        Self { name: status.name, account: status.account, matches: false, condition: status.state, reason }
    }
}

impl Explanation {
    /// Asks a table. Takes time where there are many endpoints or filters.
    ///
    /// # Errors
    /// The event is none of this catalogue, and what would be.
    pub fn of(table: &Table, asked: &ExplainEvent) -> Result<Self, String> {
        let catalogue = &table.catalogue;
        known("event", &asked.event, &catalogue.events)?;
        known("product", &asked.product, &catalogue.products)?;
        if catalogue.accounts_required && asked.account.is_none() {
            return Err("account is missing: every event here names the account it belongs to".to_owned());
        }
        let account = asked.account.as_deref();
        let explained = with_stack(|| {
            let facts = Facts::new(&asked.event, &asked.product, account, asked.data.clone().into());
            let explained = table.explain(&asked.event, &asked.product, account, &facts);
            explained
                .into_iter()
                .map(|explained| {
                    let identity = &explained.entry.spec.identity;
                    EndpointExplanation {
                        name: identity.name.to_string(),
                        account: identity.account.as_deref().map(str::to_owned),
                        matches: explained.condition == Condition::Match,
                        condition: explained.condition.as_str().to_owned(),
                        reason: explained.condition.sentence(),
                    }
                })
                .collect::<Vec<_>>()
        });
        let mut endpoints = explained.ok_or("the filters could not be asked")?;
        endpoints.sort_by(|a, b| (!a.matches, &a.name, &a.account).cmp(&(!b.matches, &b.name, &b.account)));
        let deliveries = endpoints.iter().filter(|endpoint| endpoint.matches).count();
        Ok(Self { generation: table.generation.0, deliveries, endpoints })
    }
}

fn known(what: &str, name: &str, names: &[Arc<str>]) -> Result<(), String> {
    if names.iter().any(|known| known.as_ref() == name) {
        return Ok(());
    }
    Err(format!("{name:?} is no {what} of the catalogue; known: {}", names.join(", ")))
}

/// Which endpoints get an event, and why the others do not
#[utoipa::path(post, path = "/api/v1/explain", tag = "daemon", request_body = ExplainEvent, responses(
    (status = 200, body = Explanation),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "not JSON"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "no event of the catalogue"),
    (status = 500, body = Problem, content_type = "application/problem+json", description = "it could not be explained"),
))]
pub(super) async fn explain(
    State(backend): State<Arc<dyn AdminBackend>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Explanation>, Problem> {
    let asked: ExplainEvent = parse(&body, "event; its members are event, product, account and data")?;
    if let Scope::Account(own) = &caller.scope
        && asked.account.as_deref().is_some_and(|account| account != &**own)
    {
        let detail = format!("this login asks about events of the account {own}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    // With many endpoints and filters this takes a while, which the deliveries of this thread would wait for.
    let asks = Arc::clone(&backend);
    let explained = tokio::task::spawn_blocking(move || asks.explain(&asked)).await;
    let broke = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the event could not be explained");
    let mut explanation =
        explained.map_err(broke)?.map_err(|detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))?;
    let explained = |status: &EndpointStatus| {
        let same = |one: &EndpointExplanation| one.name == status.name && one.account == status.account;
        explanation.endpoints.iter().any(same)
    };
    let out = backend.status().await.endpoints.into_iter();
    let out = out.filter(|status| matches!(&*status.state, "invalid" | "removed") && !explained(status));
    let out: Vec<_> = out.map(EndpointExplanation::without_a_file).collect();
    explanation.endpoints.extend(out);
    explanation.endpoints.retain(|endpoint| caller.sees(endpoint.account.as_deref()));
    explanation.deliveries = explanation.endpoints.iter().filter(|endpoint| endpoint.matches).count();
    Ok(Json(explanation))
}
