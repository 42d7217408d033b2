//! The settings page: *Developer Tools › Event Forwarding*.
//!
//! Every screen is a whole page that this module writes from what the backend says, and every change is a form that a
//! browser posts; the script only adds comfort. Filters live in the address, so that a screen can be sent to a
//! colleague. Nothing is fetched from anywhere else, and nothing may be: the content security policy says so.
//!
//! A form's post is let through by the guard only where `Origin` is this host. Text from outside is escaped by the
//! templates; what was done is told by a word in the address, never by text in it.

mod assets;
mod backend;
mod chart;
mod dead_letters;
mod deliveries;
mod edit;
mod endpoint_routes;
mod form;
mod layout;
mod list;
mod parts;
mod reload;
mod routes;
mod test_event;
mod window;
mod words;
mod work_routes;

pub use backend::PageBackend;
pub(super) use routes::{router, signed_out};

use super::backend::{AdminBackend, EndpointBackend};
use super::caller::Caller;
use super::status::Status;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use layout::{Frame, Tab};
use maud::Markup;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use window::Window;

/// Only what comes from here, nothing inline, nothing framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every handler has.
#[derive(Clone)]
pub(super) struct Page {
    admin: Arc<dyn AdminBackend>,
    facts: Arc<dyn PageBackend>,
    endpoints: Arc<dyn EndpointBackend>,
    window: Arc<Mutex<Window>>,
}

impl Page {
    /// None: this daemon has no page.
    pub(super) fn of(admin: &Arc<dyn AdminBackend>) -> Option<Self> {
        Some(Self {
            admin: Arc::clone(admin),
            facts: admin.page()?,
            endpoints: admin.clone(),
            window: Arc::default(),
        })
    }

    /// Takes the counters into the window. Done now and then, and before a screen with pictures is drawn.
    pub(super) async fn look(&self) {
        let facts = Arc::clone(&self.facts);
        let Ok(traffic) = tokio::task::spawn_blocking(move || facts.traffic()).await else { return };
        self.window().feed(traffic, self.facts.now_ms());
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the daemon is, as far as the caller may know.
    async fn known(&self, caller: &Caller) -> Known {
        let mut status = self.admin.status().await;
        let account = caller.scope.account();
        if account.is_some() {
            status.endpoints.retain(|endpoint| caller.sees(endpoint.account.as_deref()));
            status.config = super::ConfigStatus::default();
            status.spool = super::SpoolStatus::default();
            // Why is the operator's to know: it names what is on the machine.
            status.unready = status.unready.map(|_| String::new());
        }
        let (facts, own) = (Arc::clone(&self.facts), account.cloned());
        let letters = tokio::task::spawn_blocking(move || facts.letters(own.as_deref())).await;
        Known { status, letters: letters.unwrap_or_default() }
    }
}

/// What the caller may know.
struct Known {
    status: Status,
    /// Dead letters that are kept, those of endpoints that are gone too.
    letters: u64,
}

/// What a screen puts into the frame.
struct Screen<'a> {
    title: &'a str,
    tab: Tab,
    /// Between Event Forwarding and the screen.
    path: Vec<(String, String)>,
    code: StatusCode,
}

impl<'a> Screen<'a> {
    fn new(title: &'a str, tab: Tab) -> Self {
        Self { title, tab, path: Vec::new(), code: StatusCode::OK }
    }

    fn show(self, known: &Known, caller: &Caller, body: &Markup) -> Response {
        let frame = Frame {
            title: self.title,
            tab: self.tab,
            path: self.path,
            status: &known.status,
            letters: known.letters,
            login: caller.login.as_deref(),
            operator: caller.scope.account().is_none(),
        };
        html(self.code, layout::page(&frame, body))
    }
}

/// A page for those who are not signed in.
fn bare(code: StatusCode, title: &str, body: &Markup) -> Response {
    html(code, layout::bare(title, body))
}

/// A page with the headers that every one has.
fn html(code: StatusCode, page: Markup) -> Response {
    let mut response = (code, page.into_string()).into_response();
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // `no-referrer` would take the Origin from our own forms, which the guard looks at.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Elsewhere, by GET.
fn go(address: &str) -> Response {
    let Ok(place) = HeaderValue::from_str(address) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}
