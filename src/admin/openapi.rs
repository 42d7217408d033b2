//! The OpenAPI document, made from the routes that answer.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};

/// What the document starts with; the routes add themselves.
pub(super) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Postrider")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The admin API. Errors are problem documents (RFC 9457). Where a login is configured, 401 answers who has \
             none, 403 whose login may not do that, 429 who guessed too often; a login of an account sees that account's \
             endpoints only.",
        ))
        .build();
    let none: [&str; 0] = [];
    let basic = SecurityRequirement::new("basic", none);
    let mut document =
        OpenApiBuilder::new().info(info).security(Some([SecurityRequirement::default(), basic])).build();
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build());
    document.components.get_or_insert_default().add_security_scheme("basic", scheme);
    document
}

/// This document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "daemon", responses((status = 200, body = Object)))]
pub(super) async fn openapi(
    axum::Extension(document): axum::Extension<std::sync::Arc<OpenApi>>,
) -> Json<OpenApi> {
    Json(OpenApi::clone(&document))
}
