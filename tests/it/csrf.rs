//! What a browser sends for a page of somebody else's changes nothing: every writing route of the API and of the page,
//! with every combination of the headers that say where a request comes from.

use crate::support::{Client, Daemon, Receiver, daemon};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

const LOGIN: &str = "[[admin.login]]\nusername = \"anna\"\npassword = \"anna-password\"";
/// anna:anna-password
const ANNA: &str = "Basic YW5uYTphbm5hLXBhc3N3b3Jk";
const FORM: &str = "application/x-www-form-urlencoded";

/// What `HOST` and `PORT` stand for is this daemon's.
const HOSTS: [&str; 5] =
    ["HOST", "localhost:PORT", "evil.example", "127.0.0.1.evil.example:PORT", "192.0.2.7:PORT"];
const ORIGINS: [&str; 7] = [
    "",
    "http://SAME",
    "null",
    "http://evil.example",
    "http://SAME.evil.example",
    "http://127.0.0.1:1",
    "SAME",
];
const SITES: [&str; 6] = ["", "same-origin", "none", "same-site", "cross-site", "Same-Origin"];
const TYPES: [&str; 6] = [
    "application/json",
    FORM,
    "text/plain",
    "text/plain; application/json",
    "multipart/form-data; boundary=x",
    "",
];

/// One way to send a request.
#[derive(Debug, Clone, Copy)]
struct Sent {
    host: &'static str,
    origin: &'static str,
    site: &'static str,
    kind: &'static str,
    by_session: bool,
}

impl Sent {
    fn all() -> impl Iterator<Item = Self> {
        [true, false].into_iter().flat_map(|by_session| {
            HOSTS.into_iter().flat_map(move |host| {
                ORIGINS.into_iter().flat_map(move |origin| {
                    SITES.into_iter().flat_map(move |site| {
                        TYPES.into_iter().map(move |kind| Self { host, origin, site, kind, by_session })
                    })
                })
            })
        })
    }

    /// Whether nobody but a program, or a page of this daemon, can have sent it.
    fn is_safe(self, path: &str) -> bool {
        let host = ["HOST", "localhost:PORT"].contains(&self.host);
        let origin = ["", "http://SAME"].contains(&self.origin);
        let site = ["", "same-origin", "none"].contains(&self.site);
        let said = !self.origin.is_empty() || !self.site.is_empty();
        let json = self.kind == "application/json";
        let kind = json || (self.kind == FORM && !path.starts_with("/api/") && !path.starts_with("/-/"));
        host && origin && site && kind && (said || !self.by_session || path == "/login")
    }

    async fn ask(self, client: &mut Client, method: Method, path: &str, own: &Own) -> (u16, String) {
        let host = self.host.replace("HOST", &own.host).replace("PORT", &own.port);
        let origin = self.origin.replace("SAME", &host);
        let mut headers = vec![("host", host.as_str())];
        let all = [("origin", origin.as_str()), ("sec-fetch-site", self.site), ("content-type", self.kind)];
        headers.extend(all.into_iter().filter(|(_, value)| !value.is_empty()));
        headers.push(if self.by_session { ("cookie", &own.cookie) } else { ("authorization", ANNA) });
        // What it would do is done to an endpoint that is there, in any version.
        headers.push(("if-match", "*"));
        let body: &[u8] = if self.kind == FORM { b"action=delete&state=paused" } else { b"{}" };
        let answer = client.request(method, path, &headers, Bytes::from_static(body)).await;
        let answer = answer.expect("an answer");
        for (name, value) in [
            ("content-security-policy", "frame-ancestors 'none'"),
            ("content-security-policy", "default-src 'none'"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ] {
            let has = answer.header(name).is_some_and(|text| text.contains(value));
            assert!(has, "{path} with {self:?}: {name} of {answer:?}");
        }
        (answer.status, answer.text())
    }
}

struct Own {
    host: String,
    port: String,
    cookie: String,
}

/// The writing routes: of the API as its document has them, of the page as its router has them.
async fn writing(daemon: &Daemon) -> Vec<(Method, String)> {
    let mut client = Client::new(daemon.admin_address());
    let asked = client
        .request(Method::GET, "/api/v1/openapi.json", &[("authorization", ANNA)], Bytes::new())
        .await
        .expect("an answer");
    let mut found = Vec::new();
    for (path, methods) in asked.json()["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys().filter(|method| *method != "get") {
            found.push((method.to_uppercase().parse().expect("a method"), path.clone()));
        }
    }
    assert!(found.len() >= 14, "{found:?}");
    let routers = [include_str!("../../src/admin/page/routes.rs"), include_str!("../../src/admin/routes.rs")];
    for route in routers.iter().flat_map(|text| text.split(".route(\"").skip(1)) {
        let line = route.lines().next().expect("a line");
        if line.contains("post(") {
            found.push((Method::POST, line.split('"').next().expect("a path").to_owned()));
        }
    }
    assert!(found.len() >= 24, "{found:?}");
    found
}

#[tokio::test]
async fn no_request_of_another_site_changes_anything() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/in")).key("state = \"paused\"");
        })
        .config(LOGIN)
        .start()
        .await;
    let event = r#"{"event":"sent","product":"crm","data":{"message_id":"m1","status":"sent","details":{}}}"#;
    assert_eq!(daemon.post(event).await.status, 202);
    let mut client = Client::new(daemon.admin_address());
    let entered = r#"{"username":"anna","password":"anna-password"}"#;
    let json = [("content-type", "application/json")];
    let login = client.request(Method::POST, "/login", &json, entered.into()).await.expect("an answer");
    let cookie = login.header("set-cookie").expect("a session").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(&format!("; {attribute}")), "{cookie}");
    }
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let address = daemon.admin_address();
    let own = Own { host: address.to_string(), port: address.port().to_string(), cookie };

    let mut get = async |path: &str| -> Value {
        let answer = client.request(Method::GET, path, &[("authorization", ANNA)], Bytes::new()).await;
        answer.expect("an answer").json()
    };
    let state = ["/api/v1/endpoints", "/api/v1/endpoints/acme", "/api/v1/deliveries"];
    let mut before = Vec::new();
    for path in state {
        before.push(get(path).await);
    }
    let delivery = before[2]["deliveries"][0]["id"].as_str().expect("it is held").to_owned();
    let routes = writing(&daemon).await;
    let mut other = Client::new(address);
    let mut counts = [0_u32; 2];
    for (method, route) in &routes {
        let path = route.replace("{name}", "acme").replace("{id}", &delivery);
        for sent in Sent::all().filter(|sent| !sent.is_safe(&path)) {
            let (status, text) = sent.ask(&mut other, method.clone(), &path, &own).await;
            assert!(matches!(status, 403 | 415), "{method} {path} with {sent:?}: {status} {text}");
            counts[0] += 1;
        }
    }
    for (path, before) in state.iter().zip(&before) {
        assert_eq!(get(path).await, *before, "something was done to {path}");
    }
    assert_eq!(receiver.requests("/in").len(), 0, "nor was anything sent");

    // The same requests, but from a program or from the page, are no strangers.
    for (method, route) in &routes {
        let path = route.replace("{name}", "nobody").replace("{id}", "nothing");
        let unscathed = !matches!(path.as_str(), "/logout" | "/login");
        for sent in Sent::all().filter(|sent| sent.is_safe(&path)) {
            let (status, text) = sent.ask(&mut other, method.clone(), &path, &own).await;
            let refused = if unscathed { [401, 403, 415] } else { [403, 403, 415] };
            assert!(!refused.contains(&status), "{method} {path} with {sent:?}: {status} {text}");
            counts[1] += u32::from(unscathed);
            if route == "/logout" {
                break;
            }
        }
    }
    println!("{{\"refused\":{},\"let in\":{}}}", counts[0], counts[1]);
    assert!(counts[0] > 40_000 && counts[1] > 400, "{counts:?}");
}
