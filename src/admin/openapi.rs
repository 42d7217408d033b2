//! The OpenAPI document, made from the routes that answer.
//!
//! Each route says what it answers itself. What the guard may answer in its place is added here to every route, and the
//! settings of an endpoint are described by the table of keys that reads the files, so that neither can be forgotten.

use super::door::{COOKIE_NAME, Door};
use super::guard::HEALTH;
use super::problem::Problem;
use axum::Json;
use http::Method;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa::{IntoResponses, ToSchema as _};

/// What the document starts with; the routes add themselves.
pub(super) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Postrider")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The admin API. Errors are problem documents (RFC 9457). A login of an account sees what belongs to that \
             account only; of anything else not even the existence is told.",
        ))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Answers that several routes share: a type for each, to be named in a route's `responses`.
macro_rules! answers {
    ($($name:ident: $status:literal, $what:literal;)*) => { $(
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
                let schema = Ref::from_schema_name(Problem::name());
                let content = ContentBuilder::new().schema(Some(schema)).build();
                let answer = ResponseBuilder::new().description($what).content(PROBLEM, content).build();
                [($status.to_owned(), answer.into())].into()
            }
        }
    )* };
}

const PROBLEM: &str = "application/problem+json";

answers! {
    Invalid: "400", "what is asked makes no sense; the detail says which part of it";
    Missing: "404", "it does not exist (any more), or is not the caller's";
    Conflicting: "409", "not as things are now";
    Failing: "503", "the store fails";
}

/// What the guard may answer in place of any route: status, whether only to writes, and when.
const GUARD: [(&str, bool, &str); 7] = [
    ("400", false, "the request is no HTTP/1.1"),
    ("401", false, "there is a login, and none was given, or a wrong one"),
    ("403", false, "the request may come from another site, or the login may not do that"),
    ("408", false, "the body took longer than 10 s"),
    ("413", false, "the body has more than 256 KiB"),
    ("415", true, "there is a body, and it is not application/json"),
    ("429", false, "too many wrong passwords came from the caller's address"),
];

/// The document, but for what the configuration decides.
pub(super) struct Document(Value);

impl Document {
    /// Completes what the routes have said of themselves; `settings` is the JSON Schema of an endpoint's file.
    pub(super) fn new(routes: &OpenApi, settings: &Value) -> Self {
        let mut document = serde_json::to_value(routes).expect("the document is plain data");
        let example = json!({
            "events": "all", "products": ["campaigns", "crm"],
            "http": {
                "url": "https://hooks.acme.example/whatsapp",
                "auth": { "basic": { "username": "acme", "password": "a secret" } },
            },
        });
        let event =
            json!({ "event": "delivered", "product": "campaigns", "data": { "message_id": "wamid.42" } });
        let schemas = ["components", "schemas"];
        set(&mut document, schemas, "Settings", as_sent(settings.clone()));
        for (name, example) in
            [("UnsavedTest", json!({ "settings": example })), ("Settings", example), ("ExplainEvent", event)]
        {
            set(&mut document, schemas.into_iter().chain([name]), "examples", json!([example]));
        }
        let schemes = json!({
            "basic": { "type": "http", "scheme": "basic" },
            "session": {
                "type": "apiKey", "in": "cookie", "name": COOKIE_NAME,
                "description": "From POST /login. A write also needs Origin or Sec-Fetch-Site, as browsers send them.",
            },
        });
        set(&mut document, ["components"], "securitySchemes", schemes);
        for (path, method, operation) in operations(&mut document) {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                if let Some(schema) = parameter.get_mut("schema") {
                    without_null(schema);
                }
                if parameter.get("name").is_some_and(|name| name == "if-none-match") {
                    set(parameter, [], "schema", json!({ "type": "string", "enum": ["*"] }));
                }
            }
            let writes = method != "get";
            let open = HEALTH.contains(&path) && !writes;
            for (status, of_writes, when) in GUARD {
                if (of_writes && !writes) || (open && matches!(status, "401" | "403" | "429")) {
                    continue;
                }
                let content = json!({ PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } });
                let fresh = || json!({ "description": when, "content": content });
                let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
                let answer = responses.map(|responses| responses.entry(status).or_insert_with(fresh));
                let header = match status {
                    "401" => "www-authenticate",
                    "429" => "retry-after",
                    _ => continue,
                };
                if let Some(answer) = answer {
                    set(answer, ["headers"], header, json!({ "schema": { "type": "string" } }));
                }
            }
            if open {
                set(operation, [], "security", json!([]));
            }
        }
        Self(document)
    }

    /// As it holds now: whether a login is needed.
    fn now(&self, door: &Door) -> Value {
        let access = door.access();
        let mut document = self.0.clone();
        let open = access.logins.is_empty();
        let schemes = [json!({}), json!({ "basic": [] }), json!({ "session": [] })];
        set(&mut document, [], "security", schemes.into_iter().skip(usize::from(!open)).collect());
        if access.metrics_public {
            set(&mut document, ["paths", "/metrics", "get"], "security", json!([]));
        }
        document
    }
}

/// Gives the object that `path` leads to this member; whatever is missing on the way is made.
fn set<'a>(value: &mut Value, path: impl IntoIterator<Item = &'a str>, member: &'a str, is: Value) {
    let mut place = value;
    for name in path.into_iter().chain([member]) {
        if !place.is_object() {
            *place = json!({});
        }
        let Some(members) = place.as_object_mut() else { return };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = is;
}

/// What is left out of a head or a query is not there; there is no null in either.
fn without_null(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if kinds.len() == 1 {
            schema["type"] = kinds.remove(0);
        }
    }
}

/// Every operation with its path and method.
fn operations(document: &mut Value) -> impl Iterator<Item = (&str, &str, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object_mut().into_iter().flatten();
        let known = methods.filter(|(method, _)| method.to_uppercase().parse::<Method>().is_ok());
        known.map(|(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// The keys of a file as the API takes them: a secret that is to stay is sent as its fingerprint, beside where it is
/// kept.
fn as_sent(mut schema: Value) -> Value {
    schema.as_object_mut().map(|schema| schema.remove("$schema"));
    let mut below = vec![&mut schema];
    while let Some(value) = below.pop() {
        if let Some(reference) = value.get_mut("properties").filter(|properties| is_reference(properties)) {
            reference["fingerprint"] = json!({ "type": "string" });
            value["maxProperties"] = json!(2);
        }
        match value {
            Value::Object(members) => below.extend(members.values_mut()),
            Value::Array(elements) => below.extend(elements),
            _ => {}
        }
    }
    schema
}

fn is_reference(properties: &Value) -> bool {
    let names =
        |members: &Map<String, Value>| members.keys().map(String::as_str).eq(["credential", "env", "file"]);
    properties.as_object().is_some_and(names)
}

/// This document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "daemon", responses((status = 200, body = Object)))]
pub(super) async fn openapi(
    axum::Extension(document): axum::Extension<Arc<Document>>,
    axum::Extension(door): axum::Extension<Arc<Door>>,
) -> Json<Value> {
    Json(document.now(&door))
}
