use super::endpoint::{Collision, EndpointError, SettingIssue};
use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, HeaderValue};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// A problem document (RFC 9457): what is wrong and what to do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status code's own phrase.
    title: &'static str,
    /// The status code.
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
    /// What is wrong with settings that were sent, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<SettingIssue>,
    /// 409: what the file would say, to be put there by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    toml: Option<Box<str>>,
    /// 412: both sides.
    #[serde(flatten)]
    #[schema(value_type = Collision)]
    collision: Option<Box<Collision>>,
    #[serde(skip)]
    #[expect(clippy::box_collection, reason = "keeps the error small, and few have any")]
    headers: Option<Box<Vec<(HeaderName, HeaderValue)>>>,
}

impl Problem {
    /// The title is the status code's own phrase, as RFC 9457 asks where `type` is `about:blank`.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            toml: None,
            collision: None,
            headers: None,
        }
    }

    /// With a header beside the document.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().push((name, value));
        self
    }
}

impl From<EndpointError> for Problem {
    fn from(error: EndpointError) -> Self {
        use StatusCode as S;
        let detail = error.to_string();
        match error {
            EndpointError::NotFound(_) => Self::new(S::NOT_FOUND, detail),
            EndpointError::NameTaken(_) => Self::new(S::CONFLICT, detail),
            EndpointError::Changed(_, collision) => {
                Self { collision: Some(collision), ..Self::new(S::PRECONDITION_FAILED, detail) }
            }
            EndpointError::Invalid(errors) => Self { errors, ..Self::new(S::UNPROCESSABLE_ENTITY, detail) },
            EndpointError::ReadOnly { toml, .. } => {
                Self { toml: Some(toml.into()), ..Self::new(S::CONFLICT, detail) }
            }
            EndpointError::Unfit(_) => Self::new(S::UNPROCESSABLE_ENTITY, detail),
            EndpointError::Failed(_) => Self::new(S::SERVICE_UNAVAILABLE, detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = self.headers.take().map(|headers| *headers).unwrap_or_default();
        let mut response = (status, axum::Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}
