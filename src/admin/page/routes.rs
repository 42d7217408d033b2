use super::layout::{self, Tab};
use super::list::{List, Row, Wanted};
use super::{Known, Page, Screen, assets, bare, endpoint_routes, go, parts, reload, words, work_routes};
use crate::admin::caller::Caller;
use crate::admin::{EndpointStatus, ReloadResult, Status};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use maud::html;
use serde::Deserialize;

/// The paths of the page.
pub(in crate::admin) fn router(page: Page) -> Router {
    Router::new()
        .route("/", get(endpoints))
        .route("/new", get(endpoint_routes::blank).post(endpoint_routes::create))
        .route("/endpoints/{name}", get(endpoint_routes::show).post(endpoint_routes::save))
        .route("/endpoints/{name}/state", post(endpoint_routes::order))
        .route("/endpoints/{name}/remove", post(endpoint_routes::remove))
        .route("/deliveries", get(work_routes::deliveries))
        .route("/deliveries/{id}/retry", post(work_routes::retry))
        .route("/dead-letters", get(work_routes::dead_letters).post(work_routes::act))
        .route("/dead-letters/export", get(work_routes::export))
        .route("/dead-letters/replays/{id}/stop", post(work_routes::stop))
        .route("/reload-status", get(reload_status).post(check_again))
        .route("/login", get(sign_in))
        .route("/assets/{version}/{name}", get(assets::serve))
        .with_state(page)
}

async fn endpoints(State(page): State<Page>, caller: Caller, Query(wanted): Query<Wanted>) -> Response {
    page.look().await;
    let known = page.known(&caller).await;
    let (events, products) = page.facts.catalogue();
    let rows: Vec<Row> = known.status.endpoints.iter().map(|endpoint| row(endpoint, &known.status)).collect();
    let (now_ms, folder) = (page.facts.now_ms(), page.facts.endpoints_folder());
    let body = {
        let window = page.window();
        let list = List {
            rows: &rows,
            wanted: &wanted,
            events: &events,
            products: &products,
            window: &window,
            now_ms,
            folder: &folder,
            operator: caller.scope.account().is_none(),
        };
        list.draw()
    };
    Screen::new("Endpoints", Tab::Endpoints).show(&known, &caller, &body)
}

fn row(endpoint: &EndpointStatus, status: &Status) -> Row {
    let names = |names: &[String]| (!names.iter().any(|name| name == "all")).then(|| names.to_vec());
    let file = format!("{}.toml", endpoint.name);
    let issue =
        status.config.errors.iter().find(|issue| issue.file.rsplit('/').next() == Some(file.as_str()));
    let standing = words::standing(endpoint);
    Row {
        name: endpoint.name.clone(),
        account: endpoint.account.clone(),
        state: endpoint.state.clone(),
        why: endpoint.note.clone(),
        since_ms: endpoint.since_ms,
        destination: endpoint.destination.clone(),
        events: names(&endpoint.events),
        products: names(&endpoint.products),
        waiting: endpoint.ready + endpoint.parked,
        oldest_ms: endpoint.oldest_ms,
        dead: endpoint.dead,
        last_error: endpoint.last_error.clone(),
        issue: issue.filter(|_| standing.is_some()).cloned(),
        standing,
    }
}

/// What was done just before, told by a word in the address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: String,
}

async fn reload_status(State(page): State<Page>, caller: Caller, Query(said): Query<Done>) -> Response {
    let known = page.known(&caller).await;
    if caller.scope.account().is_some() {
        return missing(&known, &caller, Tab::Reload);
    }
    let history = page.facts.reloads().await;
    let mut screen = Screen::new("Reload status", Tab::Reload);
    screen.path.push((String::new(), "Reload status".to_owned()));
    screen.show(&known, &caller, &reload::draw(&known.status, &history, &said.done))
}

async fn check_again(State(page): State<Page>, caller: Caller) -> Response {
    if caller.scope.account().is_some() {
        return missing(&page.known(&caller).await, &caller, Tab::Reload);
    }
    let word = match page.admin.reload().await.result {
        ReloadResult::Applied => "applied",
        ReloadResult::Unchanged => "unchanged",
        ReloadResult::Partial => "partial",
        ReloadResult::Rejected => "rejected",
    };
    go(&format!("/reload-status?done={word}"))
}

/// Why the one before did not get in, and where this one wants to go.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entered {
    failed: String,
    next: String,
}

async fn sign_in(Query(entered): Query<Entered>) -> Response {
    let failed = match entered.failed.as_str() {
        "" => None,
        "often" => Some("Too many wrong passwords came from your address. Wait a minute, then try again"),
        _ => Some("The user name or the password is wrong. Enter both again"),
    };
    let body = html! {
        form.card.pad.signin method="post" action="/login" {
            div.stack {
                p.brand { (layout::mark()) "Postrider" }
                h1 { "Sign in" }
                p.soft { "Developer Tools › Event Forwarding" }
                @if !entered.next.is_empty() { input type="hidden" name="next" value=(entered.next); }
                @if let Some(text) = failed {
                    div.note.bad role="alert" { p #failed { (text) } }
                }
                div.field {
                    label for="username" { "User name" }
                    input #username name="username" autocomplete="username" autocapitalize="off" spellcheck="false" required
                        aria-describedby=[failed.map(|_| "failed")];
                }
                div.field {
                    label for="password" { "Password" }
                    input #password name="password" type="password" autocomplete="current-password" required
                        aria-describedby=[failed.map(|_| "failed")];
                }
                button.go { "Sign in" }
            }
        }
    };
    bare(StatusCode::OK, "Sign in", &body)
}

/// For a person whose session is over: what was to be done was not.
pub(in crate::admin) fn signed_out() -> Response {
    let body = html! {
        div.card.pad.signin {
            div.stack {
                p.brand { (layout::mark()) "Postrider" }
                h1 { "You are signed out" }
                p { "Nothing was changed. A session ends when the daemon starts again, or when it was not used for long." }
                div.row { a.btn.go href="/login" { "Sign in again" } }
            }
        }
    };
    bare(StatusCode::UNAUTHORIZED, "You are signed out", &body)
}

/// What is not there, or not for the caller.
pub(super) fn missing(known: &Known, caller: &Caller, tab: Tab) -> Response {
    let body = html! {
        div.card {
            (parts::empty("Nothing is here", &html! {
                p { "The address is wrong, or what it named was removed." }
                a.btn href="/" { "Endpoints" }
            }))
        }
    };
    let screen = Screen { code: StatusCode::NOT_FOUND, ..Screen::new("Nothing is here", tab) };
    screen.show(known, caller, &body)
}
