//! The API's document against the routes that there are.

use super::*;

#[tokio::test]
async fn the_document_has_every_route_and_every_route_is_there() {
    let served = served(Fake::default()).await;
    let (status, text) = served.get("/api/v1/openapi.json").await;
    assert_eq!(status, 200);
    let document: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let (mut found, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let asked = path.replace("{name}", "acme").replace("{id}", "x");
            let method = method.to_uppercase();
            let (status, text) = served
                .ask(&format!("{method} {asked} HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
                .await;
            assert!(status != 405 && !text.contains("nothing is here"), "{method} {asked}: {text}");
            assert!(
                operation["responses"][status.to_string()].is_object(),
                "{method} {asked} answered {status}"
            );
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "two are called {id}");
            found.push(format!("{method} {path}"));
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            "DELETE /api/v1/dead-letters",
            "DELETE /api/v1/dead-letters/{id}",
            "DELETE /api/v1/deliveries",
            "DELETE /api/v1/endpoints/{name}",
            "GET /-/healthy",
            "GET /-/ready",
            "GET /api/v1/dead-letters",
            "GET /api/v1/dead-letters/export",
            "GET /api/v1/dead-letters/replays",
            "GET /api/v1/dead-letters/replays/{id}",
            "GET /api/v1/dead-letters/{id}",
            "GET /api/v1/deliveries",
            "GET /api/v1/deliveries/{id}",
            "GET /api/v1/endpoints",
            "GET /api/v1/endpoints/{name}",
            "GET /api/v1/events/{id}",
            "GET /api/v1/openapi.json",
            "GET /api/v1/status",
            "GET /metrics",
            "POST /-/reload",
            "POST /api/v1/dead-letters/replays",
            "POST /api/v1/dead-letters/replays/{id}/cancel",
            "POST /api/v1/deliveries/{id}/retry",
            "POST /api/v1/endpoints/{name}/activate",
            "POST /api/v1/endpoints/{name}/pause",
            "POST /api/v1/endpoints/{name}/resume",
            "POST /api/v1/endpoints/{name}/test",
            "POST /api/v1/explain",
            "POST /api/v1/test",
            "PUT /api/v1/endpoints/{name}",
        ]
    );
}

#[test]
fn no_route_of_the_api_is_added_beside_the_document() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin");
    let mut added = 0;
    for file in ["routes.rs", "page/routes.rs"].map(|name| folder.join(name)) {
        let text = std::fs::read_to_string(&file).unwrap();
        for route in text.split(".route(").skip(1) {
            let path = route.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap();
            let documented = ["/api", "/-/", "/metrics"].iter().any(|start| path.starts_with(start));
            assert!(!documented, "{path} is added in {} and not documented", file.display());
            added += 1;
        }
    }
    assert!(added > 10, "the page's routes are added like that");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("routes.rs") && !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(".route("), "{} adds a route", path.display());
        }
    }
}

#[tokio::test]
async fn the_document_describes_every_answer_and_refers_only_to_what_it_has() {
    let served = served(with_logins()).await;
    let get = format!("GET /api/v1/openapi.json HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n{ANNA}\r\n");
    let (_, text) = served.ask(&get).await;
    let document: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    let mut below = vec![&document];
    while let Some(value) = below.pop() {
        if let Some(reference) = value.get("$ref").and_then(serde_json::Value::as_str) {
            let there = document.pointer(reference.trim_start_matches('#'));
            assert!(there.is_some(), "{reference} leads nowhere");
        }
        match value {
            serde_json::Value::Object(members) => below.extend(members.values()),
            serde_json::Value::Array(elements) => below.extend(elements),
            _ => {}
        }
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let named = path.matches('{').count();
            let parameters = operation["parameters"].as_array().map_or(0, |all| {
                all.iter().filter(|one| one["in"] == "path" && one["required"] == true).count()
            });
            assert_eq!(parameters, named, "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            let health = path.starts_with("/-/") && method == "get";
            for status in
                if health { &["400", "413"][..] } else { &["400", "401", "403", "408", "413", "429"] }
            {
                assert!(answers.contains_key(*status), "{method} {path} without {status}");
            }
            assert_eq!(answers.contains_key("415"), method != "get", "{method} {path}");
            assert_eq!(operation["security"] == serde_json::json!([]), health, "{method} {path}");
            for (status, answer) in answers {
                let problem = answer["content"]["application/problem+json"].is_object();
                let report =
                    matches!((path.as_str(), status.as_str()), ("/-/reload", "422") | ("/-/ready", "503"));
                assert_eq!(problem, status.starts_with(['4', '5']) && !report, "{method} {path} {status}");
            }
        }
    }
    let settings = &document["components"]["schemas"]["Settings"]["properties"];
    assert!(settings["http"]["properties"]["url"].is_object(), "{settings}");
    assert_eq!(document["security"], serde_json::json!([{ "basic": [] }, { "session": [] }]));
}
