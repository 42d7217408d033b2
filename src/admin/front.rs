use super::backend::AdminBackend;
use super::door::Peer;
use super::guard::HEALTH;
use super::page::Page;
use super::problem::Problem;
use super::routes::{health, router};
use crate::net::ServerTls;
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// What answers at the admin listener: while the daemon starts, it says so itself; from then on the backend does, on
/// connections that were made before as well.
pub struct Front {
    listen: SocketAddr,
    /// What the listener proves itself with until there is a backend.
    tls: Option<Arc<ServerTls>>,
    house: OnceLock<House>,
    pub(super) opened: Notify,
}

/// What is behind it.
struct House {
    backend: Arc<dyn AdminBackend>,
    page: Option<Page>,
    routes: TowerToHyperService<Router>,
}

impl Front {
    /// Of a daemon that is starting. `listen` is where its listener is.
    #[must_use]
    pub fn new(listen: SocketAddr, tls: Option<Arc<ServerTls>>) -> Self {
        Self { listen, tls, house: OnceLock::new(), opened: Notify::new() }
    }

    /// The daemon is ready: this one answers from now on.
    pub fn open(&self, backend: Arc<dyn AdminBackend>) {
        let page = Page::of(&backend);
        let routes = TowerToHyperService::new(router(Arc::clone(&backend), self.listen, page.clone()));
        drop(self.house.set(House { backend, page, routes }));
        self.opened.notify_one();
    }

    /// What the listener proves itself with now; none: it speaks plainly.
    pub(super) fn tls(&self) -> Option<Arc<ServerTls>> {
        self.house.get().map_or_else(|| self.tls.clone(), |house| house.backend.tls())
    }

    /// The settings page, once there is one.
    pub(super) fn page(&self) -> Option<&Page> {
        self.house.get().and_then(|house| house.page.as_ref())
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        peer: Peer,
        mut request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        let Some(house) = self.house.get() else { return Ok(starting(&request)) };
        request.extensions_mut().insert(peer);
        house.routes.call(request).await
    }
}

/// That the daemon is starting. It tells nobody anything, so everybody may hear it.
fn starting<T>(request: &Request<T>) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let [healthy, ready] = HEALTH;
    let mut answer = match request.uri().path() {
        path if reads && path == healthy => health(Ok(())),
        path if reads && path == ready => health(Err("starting".to_owned())),
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is starting: ask again in a moment")
            .header(RETRY_AFTER, HeaderValue::from_static("1"))
            .into_response(),
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
