//! Sessions for the page: `POST /login` and `POST /logout`.

use super::door::{COOKIE_NAME, Door, Peer};
use super::problem::Problem;
use axum::Extension;
use axum::body::Bytes;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};
use serde::Deserialize;
use std::sync::Arc;

/// What a person enters.
#[derive(Deserialize)]
struct Entered {
    username: String,
    password: String,
    /// Where to go then: a path of this listener.
    #[serde(default)]
    next: Option<String>,
}

/// From a form: answers with the way to the next page. From JSON: 204, or a problem.
pub(super) async fn login(
    Extension(door): Extension<Arc<Door>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = is_form(&headers);
    let entered: Option<Entered> = if form { read_form(&body) } else { serde_json::from_slice(&body).ok() };
    let Some(entered) = entered else {
        let detail = "send username and password";
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into_response();
    };
    let access = door.access();
    let token = match door.check(&access, &entered.username, &entered.password, peer) {
        Err(_) if form && is_person(&headers) => return again("often", entered.next.as_deref()),
        Err(problem) => return problem.into_response(),
        Ok(None) if form => return again("wrong", entered.next.as_deref()),
        Ok(None) => {
            let detail = "the user name or password is wrong";
            return Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
        }
        Ok(Some(login)) => door.open(login),
    };
    let secure = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let answer = if form {
        Redirect::to(entered.next.as_deref().filter(|next| is_local(next)).unwrap_or("/")).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    };
    with_cookie(answer, &token, secure, "")
}

/// Back to the page that asks, with the reason.
fn again(why: &str, next: Option<&str>) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("failed", why);
    if let Some(next) = next {
        query.append_pair("next", next);
    }
    Redirect::to(&format!("/login?{}", query.finish())).into_response()
}

fn is_person(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|kinds| kinds.to_str().ok()).is_some_and(|kinds| kinds.contains("text/html"))
}

/// Ends the session.
pub(super) async fn logout(Extension(door): Extension<Arc<Door>>, headers: HeaderMap) -> Response {
    door.close(&headers);
    let answer = if is_form(&headers) {
        Redirect::to("/login").into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    };
    with_cookie(answer, "", false, "; Max-Age=0")
}

fn with_cookie(mut answer: Response, token: &str, secure: bool, more: &str) -> Response {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    if let Ok(value) = HeaderValue::try_from(text) {
        answer.headers_mut().insert(SET_COOKIE, value);
    }
    answer
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

fn read_form(body: &[u8]) -> Option<Entered> {
    let (mut username, mut password, mut next) = (None, None, None);
    for (key, value) in url::form_urlencoded::parse(body) {
        match &*key {
            "username" => username = Some(value.into_owned()),
            "password" => password = Some(value.into_owned()),
            "next" => next = Some(value.into_owned()),
            _ => {}
        }
    }
    Some(Entered { username: username?, password: password?, next })
}

/// A path of this listener: nothing that leads a person elsewhere. Browsers leave tabs and line ends out of an address,
/// so that `//` may come of what does not begin so.
fn is_local(next: &str) -> bool {
    let misread = |c: char| c == '\\' || c.is_control();
    next.starts_with('/') && !next.starts_with("//") && !next.contains(misread)
}
