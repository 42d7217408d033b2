//! What the screens of an endpoint do.

use super::edit::{self, Edit, Notice, Seen};
use super::form::{FieldError, Form, KNOBS};
use super::layout::Tab;
use super::parts::segment;
use super::routes::missing;
use super::{Page, Screen, go};
use crate::admin::caller::{Caller, Way};
use crate::admin::{
    EndpointDetail, EndpointError, Order, Precondition, SettingIssue, TestReport, UnsavedTest,
};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
    ask: String,
}

/// The parts of an edit screen that change from one answer to the next.
#[derive(Default)]
struct Shown {
    errors: Vec<FieldError>,
    notice: Notice,
    test: Option<Result<TestReport, String>>,
    asked: Asked,
}

pub(super) async fn blank(State(page): State<Page>, caller: Caller) -> Response {
    let mut form = Form::default();
    let (events, products) = page.facts.catalogue();
    (form.events, form.products) = (events, products);
    if let Some(account) = caller.scope.account() {
        form.account = account.to_string();
    }
    draw(&page, &caller, &form, None, &Shown::default()).await
}

pub(super) async fn show(
    State(page): State<Page>,
    caller: Caller,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let Some(detail) = read(&page, &caller, &name).await else { return not_there(&page, &caller).await };
    let form = filled(&page, &detail);
    draw(&page, &caller, &form, Some(&detail), &Shown { asked, ..Shown::default() }).await
}

fn filled(page: &Page, detail: &EndpointDetail) -> Form {
    let (events, products) = page.facts.catalogue();
    let settings = Value::Object(detail.settings.clone().unwrap_or_default());
    Form::saved(&detail.status.name, &settings, &detail.etag, (&events, &products))
}

pub(super) async fn create(State(page): State<Page>, caller: Caller, body: Bytes) -> Response {
    act(&page, caller, None, &body).await
}

pub(super) async fn save(
    State(page): State<Page>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let Some(detail) = read(&page, &caller, &name).await else { return not_there(&page, &caller).await };
    act(&page, caller, Some(&detail), &body).await
}

/// Test Event, Save as draft, Save, or Save and Activate: the button that was pressed says which.
async fn act(page: &Page, caller: Caller, detail: Option<&EndpointDetail>, body: &[u8]) -> Response {
    let caller = Caller { way: Way::Page, ..caller };
    let pressed = url::form_urlencoded::parse(body).find(|(name, _)| name == "action");
    let pressed = pressed.map(|(_, action)| action.into_owned()).unwrap_or_default();
    let mut form = Form::posted(body);
    if let Some(detail) = detail {
        form.name.clone_from(&detail.status.name);
    }
    match pressed.as_str() {
        "test" => test(page, &caller, form, detail).await,
        action => store(page, &caller, form, detail, action).await,
    }
}

/// What the file says now.
fn before(detail: Option<&EndpointDetail>) -> Value {
    Value::Object(detail.and_then(|detail| detail.settings.clone()).unwrap_or_default())
}

/// The settings that the form stands for, on top of what the file says now.
fn settings(
    page: &Page,
    form: &Form,
    detail: Option<&EndpointDetail>,
    state: &str,
) -> super::super::Settings {
    let (events, products) = page.facts.catalogue();
    let is_http = detail.is_none_or(edit::is_http);
    match form.settings(&before(detail), state, (&events, &products), is_http) {
        Value::Object(settings) => settings,
        _ => super::super::Settings::new(),
    }
}

async fn test(page: &Page, caller: &Caller, form: Form, detail: Option<&EndpointDetail>) -> Response {
    let is_http = detail.is_none_or(edit::is_http);
    let matters = ["url", "auth", "credentials", "username", "password", "headers"];
    let mut errors = form.problems(&before(detail), false, is_http);
    errors
        .retain(|(field, _)| matters.contains(&field.as_str()) || KNOBS.iter().any(|knob| knob.key == field));
    let data = match form.test_data.as_str() {
        "" => None,
        text => match RawValue::from_string(text.to_owned()) {
            Ok(data) => Some(data),
            Err(error) => {
                errors.push(("test_data".to_owned(), format!("This is not JSON: {error}")));
                None
            }
        },
    };
    if !errors.is_empty() {
        return draw(page, caller, &form, detail, &Shown { errors, ..Shown::default() }).await;
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let asked = UnsavedTest {
        name: detail.map(|detail| detail.status.name.clone()),
        settings: settings(page, &form, detail, "active"),
        event: some(&form.test_event),
        product: some(&form.test_product),
        data,
    };
    let mut shown = Shown::default();
    match page.endpoints.test_unsaved(caller, asked).await {
        Ok(report) => shown.test = Some(Ok(report)),
        Err(EndpointError::Invalid(issues)) => shown.errors = on_fields(&issues),
        Err(error) => shown.test = Some(Err(error.to_string())),
    }
    draw(page, caller, &form, detail, &shown).await
}

async fn store(
    page: &Page,
    caller: &Caller,
    mut form: Form,
    detail: Option<&EndpointDetail>,
    action: &str,
) -> Response {
    let state = match action {
        "activate" => "active",
        "save" => detail.map_or("draft", edit::lifecycle),
        _ => "draft",
    };
    let is_http = detail.is_none_or(edit::is_http);
    let errors = form.problems(&before(detail), state == "draft", is_http);
    if !errors.is_empty() {
        return draw(page, caller, &form, detail, &Shown { errors, ..Shown::default() }).await;
    }
    let settings = settings(page, &form, detail, state);
    let expected = if form.base.is_empty() {
        Precondition::Absent
    } else {
        Precondition::Match(vec![form.base.clone()])
    };
    let Err(error) = page.endpoints.put_endpoint(caller, &form.name, settings, expected).await else {
        let done = match state {
            "active" => "active",
            "draft" => "draft",
            _ => "saved",
        };
        return go(&format!("/endpoints/{}?done={done}", segment(&form.name)));
    };
    let mut shown = Shown::default();
    match error {
        EndpointError::Invalid(issues) => shown.errors = on_fields(&issues),
        EndpointError::Changed(_, collision) if detail.is_none() => {
            let name = &form.name;
            let text = format!("{name} is already used in endpoints/{name}.toml. Enter another name");
            shown.errors.push(("name".to_owned(), text));
            drop(collision);
        }
        EndpointError::Changed(_, collision) => {
            // Saved again, it goes over what is on disk now.
            form.base = collision.etag.clone().unwrap_or_default();
            shown.notice = Notice::Collision(collision);
        }
        EndpointError::NameTaken(name) => {
            shown.errors.push(("name".to_owned(), format!("{name} cannot be used. Enter another name")));
        }
        EndpointError::ReadOnly { file, reason, toml } => {
            shown.notice = Notice::ReadOnly { file, reason, toml }
        }
        other => shown.notice = Notice::Failed(other.to_string()),
    }
    draw(page, caller, &form, detail, &shown).await
}

/// The daemon's own checks, put beside the field they are about.
fn on_fields(issues: &[SettingIssue]) -> Vec<FieldError> {
    let field = |key: &str| -> String {
        let known = ["events", "products", "account", "filter"];
        if let Some(name) = known.iter().find(|name| key == **name || key.starts_with(&format!("{name}."))) {
            return (*name).to_owned();
        }
        if let Some(knob) =
            KNOBS.iter().find(|knob| key == knob.key || key.starts_with(&format!("{}.", knob.key)))
        {
            return knob.key.to_owned();
        }
        let http = [
            ("http.url", "url"),
            ("http.auth.basic.credentials", "credentials"),
            ("http.auth.basic.username", "username"),
            ("http.auth.basic.password", "password"),
            ("http.auth", "auth"),
            ("http.signing", "signing"),
            ("http.headers", "headers"),
        ];
        let found = http.iter().find(|(path, _)| key == *path || key.starts_with(&format!("{path}.")));
        found.map_or_else(|| "edit".to_owned(), |(_, field)| (*field).to_owned())
    };
    let said = |issue: &SettingIssue| match &issue.help {
        Some(help) => format!("{}. {help}", issue.detail),
        None => issue.detail.clone(),
    };
    issues.iter().map(|issue| (field(&issue.key), said(issue))).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ordered {
    order: String,
    base: String,
}

fn ordered(body: &[u8]) -> Ordered {
    let mut found = Ordered::default();
    for (name, value) in url::form_urlencoded::parse(body) {
        match name.as_ref() {
            "order" => found.order = value.into_owned(),
            "base" => found.base = value.into_owned(),
            _ => {}
        }
    }
    found
}

pub(super) async fn order(
    State(page): State<Page>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let caller = Caller { way: Way::Page, ..caller };
    let (order, done) = match ordered(&body).order.as_str() {
        "pause" => (Order::Pause, "paused"),
        "resume" => (Order::Resume, "resumed"),
        _ => (Order::Activate, "active"),
    };
    match page.endpoints.order(&caller, &name, order, Precondition::None).await {
        Ok(_) => go(&format!("/endpoints/{}?done={done}", segment(&name))),
        Err(error) => failed(&page, &caller, &name, error).await,
    }
}

pub(super) async fn remove(
    State(page): State<Page>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let caller = Caller { way: Way::Page, ..caller };
    let expected = Precondition::Match(vec![ordered(&body).base]);
    match page.endpoints.delete_endpoint(&caller, &name, expected).await {
        Ok(()) => go("/?done=removed"),
        Err(error) => failed(&page, &caller, &name, error).await,
    }
}

async fn failed(page: &Page, caller: &Caller, name: &str, error: EndpointError) -> Response {
    let Some(detail) = read(page, caller, name).await else { return not_there(page, caller).await };
    let notice = match error {
        EndpointError::ReadOnly { file, reason, toml } => Notice::ReadOnly { file, reason, toml },
        other => Notice::Failed(other.to_string()),
    };
    let form = filled(page, &detail);
    draw(page, caller, &form, Some(&detail), &Shown { notice, ..Shown::default() }).await
}

async fn read(page: &Page, caller: &Caller, name: &str) -> Option<EndpointDetail> {
    page.endpoints.endpoint(caller, name).await.ok()
}

async fn not_there(page: &Page, caller: &Caller) -> Response {
    missing(&page.known(caller).await, caller, Tab::Endpoints)
}

/// What came in lately, for those who may know of every account.
async fn seen(page: &Page, caller: &Caller) -> Option<Seen> {
    caller.operator().ok()?;
    page.look().await;
    let (window, now_ms) = (page.window(), page.facts.now_ms());
    let kinds = window.accepted(now_ms).into_iter();
    let kinds = kinds.map(|(event, product, count)| (event.to_owned(), product.to_owned(), count)).collect();
    Some(Seen { kinds, since_ms: window.since_ms()? })
}

async fn draw(
    page: &Page,
    caller: &Caller,
    form: &Form,
    detail: Option<&EndpointDetail>,
    shown: &Shown,
) -> Response {
    let known = page.known(caller).await;
    let (events, products) = page.facts.catalogue();
    let seen = seen(page, caller).await;
    let body = Edit {
        form,
        detail,
        errors: &shown.errors,
        notice: &shown.notice,
        test: shown.test.as_ref(),
        events: &events,
        products: &products,
        done: &shown.asked.done,
        removing: shown.asked.ask == "remove",
        now_ms: page.facts.now_ms(),
        seen: seen.as_ref(),
    }
    .draw();
    let title = detail.map_or("New endpoint", |detail| detail.status.name.as_str());
    let mut screen = Screen::new(title, Tab::Endpoints);
    screen.path.push((String::new(), title.to_owned()));
    screen.code = match (&shown.notice, shown.errors.is_empty()) {
        (Notice::Collision(_), _) => StatusCode::PRECONDITION_FAILED,
        (Notice::ReadOnly { .. }, _) => StatusCode::CONFLICT,
        (Notice::Failed(_), _) | (_, false) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    screen.show(&known, caller, &body)
}
