//! What the screens of deliveries and dead letters do.

use super::dead_letters::{self, DeadLetters};
use super::deliveries::{self, Deliveries};
use super::layout::Tab;
use super::parts::segment;
use super::routes::missing;
use super::{Page, Screen, go};
use crate::admin::caller::Caller;
use crate::admin::dead_letter_routes::letters_file;
use crate::admin::scoped::{self, narrowed};
use crate::admin::{
    DeliveriesBackend, DeliveryDetail, DeliveryError, DeliveryFilter, ReplayJob, ReplayRequest, Status,
    Wanted,
};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use std::sync::Arc;

/// Rows on one page.
const ROWS: usize = 50;

/// Replays that are shown: those under way, and so many that ended.
const ENDED: usize = 2;

/// The filter as the API understands it, and never wider than what the caller may see.
fn understood(page: &Page, caller: &Caller, filter: DeliveryFilter) -> Result<Wanted, String> {
    narrowed(caller, filter).understand(page.facts.now_ms())
}

fn names(status: &Status) -> Vec<String> {
    status.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect()
}

/// A delivery, if the caller may see it: of others not even the existence is told.
async fn seen(
    backend: &Arc<dyn DeliveriesBackend>,
    caller: &Caller,
    id: &str,
) -> Result<DeliveryDetail, DeliveryError> {
    scoped::delivery(&**backend, caller, id).await.map_err(|error| match error {
        DeliveryError::NotFound(_) => DeliveryError::NotFound("It is not kept any more.".to_owned()),
        other => other,
    })
}

pub(super) async fn deliveries(
    State(page): State<Page>,
    caller: Caller,
    Query(wanted): Query<deliveries::Wanted>,
) -> Response {
    let Some(backend) = page.admin.deliveries() else {
        return missing(&page.known(&caller).await, &caller, Tab::Deliveries);
    };
    draw_deliveries(&page, &caller, &backend, &wanted, None).await
}

async fn draw_deliveries(
    page: &Page,
    caller: &Caller,
    backend: &Arc<dyn DeliveriesBackend>,
    wanted: &deliveries::Wanted,
    failed: Option<&str>,
) -> Response {
    let known = page.known(caller).await;
    let cursor = (!wanted.cursor.is_empty()).then(|| wanted.cursor.clone());
    let found = match understood(page, caller, wanted.filter()) {
        Ok(understood) => backend.list(understood, cursor, ROWS).await.map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    let opened = if wanted.open.is_empty() {
        None
    } else {
        Some(seen(backend, caller, &wanted.open).await.map_err(|error| error.to_string()))
    };
    let (events, products) = page.facts.catalogue();
    let body = Deliveries {
        wanted,
        page: &found,
        opened: opened.as_ref(),
        endpoints: &names(&known.status),
        events: &events,
        products: &products,
        failed,
    }
    .draw();
    let mut screen = Screen::new("Deliveries", Tab::Deliveries);
    screen.path.push((String::new(), "Deliveries".to_owned()));
    screen.show(&known, caller, &body)
}

pub(super) async fn retry(State(page): State<Page>, caller: Caller, Path(id): Path<String>) -> Response {
    let Some(backend) = page.admin.deliveries() else {
        return missing(&page.known(&caller).await, &caller, Tab::Deliveries);
    };
    let retried = match seen(&backend, &caller, &id).await {
        Ok(_) => backend.retry(&id).await,
        Err(error) => Err(error),
    };
    match retried {
        Ok(retried) => {
            let id = segment(&retried.id);
            go(&format!("/deliveries?done=queued&open={id}#{id}"))
        }
        Err(error) => {
            let wanted = deliveries::Wanted { open: id, ..deliveries::Wanted::default() };
            draw_deliveries(&page, &caller, &backend, &wanted, Some(&error.to_string())).await
        }
    }
}

pub(super) async fn dead_letters(
    State(page): State<Page>,
    caller: Caller,
    Query(wanted): Query<dead_letters::Wanted>,
) -> Response {
    let Some(backend) = page.admin.deliveries() else {
        return missing(&page.known(&caller).await, &caller, Tab::DeadLetters);
    };
    draw(&page, &caller, &backend, &wanted, None).await
}

async fn draw(
    page: &Page,
    caller: &Caller,
    backend: &Arc<dyn DeliveriesBackend>,
    wanted: &dead_letters::Wanted,
    failed: Option<&str>,
) -> Response {
    let known = page.known(caller).await;
    let cursor = (!wanted.cursor.is_empty()).then(|| wanted.cursor.clone());
    let found = match understood(page, caller, wanted.filter()) {
        Ok(understood) => backend.letters(understood, cursor, ROWS).await.map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    let jobs = jobs(caller, backend);
    let (events, products) = page.facts.catalogue();
    let endpoint = known.status.endpoints.iter().find(|endpoint| endpoint.name == wanted.endpoint);
    let body = DeadLetters {
        wanted,
        page: &found,
        jobs: &jobs,
        endpoints: &names(&known.status),
        events: &events,
        products: &products,
        destination: endpoint.and_then(|endpoint| endpoint.destination.as_deref()),
        total: known.letters,
        failed,
    }
    .draw();
    let mut screen = Screen::new("Dead letters", Tab::DeadLetters);
    screen.path.push((String::new(), "Dead letters".to_owned()));
    screen.show(&known, caller, &body)
}

/// The dead letters that match, with their bodies.
pub(super) async fn export(
    State(page): State<Page>,
    caller: Caller,
    Query(wanted): Query<dead_letters::Wanted>,
) -> Response {
    let Some(backend) = page.admin.deliveries() else {
        return missing(&page.known(&caller).await, &caller, Tab::DeadLetters);
    };
    let lines = match understood(&page, &caller, wanted.filter()) {
        Ok(understood) => backend.export(understood).await.map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    match lines {
        Ok(lines) => letters_file(lines),
        Err(reason) => draw(&page, &caller, &backend, &wanted, Some(&reason)).await,
    }
}

/// The replays worth showing to the caller.
fn jobs(caller: &Caller, backend: &Arc<dyn DeliveriesBackend>) -> Vec<ReplayJob> {
    let mut jobs = scoped::replays(&**backend, caller);
    jobs.retain(|job| !job.dry_run);
    let mut ended = 0;
    jobs.retain(|job| {
        ended += usize::from(!job.state.is_live());
        job.state.is_live() || ended <= ENDED
    });
    jobs
}

/// Replay or delete, those that were picked or all that match.
pub(super) async fn act(State(page): State<Page>, caller: Caller, body: Bytes) -> Response {
    let Some(backend) = page.admin.deliveries() else {
        return missing(&page.known(&caller).await, &caller, Tab::DeadLetters);
    };
    let mut asked = Asked::read(&body);
    if asked.action == "delete-selected" && !asked.ids.is_empty() {
        asked.ids.truncate(ROWS);
        asked.wanted.picked = asked.ids;
        asked.wanted.ask = asked.action;
        return draw(&page, &caller, &backend, &asked.wanted, None).await;
    }
    let filter = narrowed(&caller, asked.wanted.filter());
    let done = match asked.action.as_str() {
        "replay" => {
            let rate = (!asked.rate.is_empty()).then(|| asked.rate.clone());
            let request = ReplayRequest { filter, rate, dry_run: false };
            backend.start_replay(request).await.map(|_| "replaying")
        }
        "delete" => match filter.understand(page.facts.now_ms()) {
            Ok(understood) => backend.delete_letters(understood).await.map(|_| "deleted"),
            Err(reason) => Err(DeliveryError::Invalid(reason)),
        },
        "selected" => each(&backend, &caller, &asked.ids, true).await.map(|()| "queued"),
        "delete-selected" | "delete-picked" => {
            each(&backend, &caller, &asked.ids, false).await.map(|()| "deleted")
        }
        _ => Err(DeliveryError::Invalid("Choose what to do with them".to_owned())),
    };
    match done {
        Ok(done) => go(&asked.wanted.link("done", done)),
        Err(error) => draw(&page, &caller, &backend, &asked.wanted, Some(&error.to_string())).await,
    }
}

async fn each(
    backend: &Arc<dyn DeliveriesBackend>,
    caller: &Caller,
    ids: &[String],
    replay: bool,
) -> Result<(), DeliveryError> {
    if ids.is_empty() {
        return Err(DeliveryError::Invalid("Select at least one dead letter".to_owned()));
    }
    for id in ids.iter().take(ROWS) {
        seen(backend, caller, id).await?;
        if replay {
            backend.retry(id).await?;
        } else {
            backend.delete_letter(id).await?;
        }
    }
    Ok(())
}

/// A form of the dead letters.
#[derive(Default)]
struct Asked {
    wanted: dead_letters::Wanted,
    ids: Vec<String>,
    action: String,
    rate: String,
}

impl Asked {
    fn read(body: &[u8]) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            let value = value.into_owned();
            match name.as_ref() {
                "id" => asked.ids.push(value),
                "action" => asked.action = value,
                "rate" => asked.rate = value.trim().to_owned(),
                "endpoint" => asked.wanted.endpoint = value,
                "reason" => asked.wanted.reason = value,
                "event" => asked.wanted.event = value,
                "product" => asked.wanted.product = value,
                "since" => asked.wanted.since = value,
                "message_id" => asked.wanted.message_id = value,
                _ => {}
            }
        }
        asked
    }
}

pub(super) async fn stop(State(page): State<Page>, caller: Caller, Path(id): Path<String>) -> Response {
    let Some(backend) = page.admin.deliveries() else {
        return missing(&page.known(&caller).await, &caller, Tab::DeadLetters);
    };
    if !jobs(&caller, &backend).iter().any(|job| job.id == id) {
        return missing(&page.known(&caller).await, &caller, Tab::DeadLetters);
    }
    match backend.cancel_replay(&id) {
        Ok(_) => go("/dead-letters?done=stopped"),
        Err(error) => {
            let wanted = dead_letters::Wanted::default();
            draw(&page, &caller, &backend, &wanted, Some(&error.to_string())).await
        }
    }
}
