//! Endpoints over the admin API: their files, their secrets, and who may do what.

use crate::support::{Client, Daemon, Receiver, Reply, daemon};
use http::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Somebody who talks to the admin listener.
struct Person {
    client: Client,
    authorization: Option<&'static str>,
}

/// What was answered: status, version, document.
type Answered = (u16, String, Value);

impl Person {
    fn new(daemon: &Daemon, authorization: Option<&'static str>) -> Self {
        Self { client: Client::new(daemon.admin_address()), authorization }
    }

    async fn ask(&mut self, method: Method, path: &str, more: &[(&str, &str)], body: &Value) -> Answered {
        let mut headers = more.to_vec();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend(self.authorization.map(|value| ("authorization", value)));
        let answer = self.client.request(method, path, &headers, body.into()).await.expect("an answer");
        let etag = answer.header("etag").unwrap_or_default().to_owned();
        (answer.status, etag, answer.json())
    }

    async fn get(&mut self, path: &str) -> Answered {
        self.ask(Method::GET, path, &[], &Value::Null).await
    }

    async fn put(&mut self, name: &str, more: &[(&str, &str)], body: &Value) -> Answered {
        self.ask(Method::PUT, &format!("/api/v1/endpoints/{name}"), more, body).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Answered {
        self.ask(Method::POST, path, &[], body).await
    }
}

const NEW: [(&str, &str); 1] = [("if-none-match", "*")];

fn settings(url: &str, name: &str) -> Value {
    let password = postrider_checker::password(name);
    let basic = json!({ "username": name, "password": password });
    json!({ "events": "all", "products": ["crm"], "http": { "url": url, "auth": { "basic": basic } } })
}

fn event() -> &'static str {
    r#"{"event":"sent","product":"crm","data":{"message_id":"m1","status":"sent","details":{}}}"#
}

#[tokio::test]
async fn an_endpoint_made_over_the_api_delivers_and_its_secret_is_kept_apart() {
    let receiver = Receiver::start().await;
    receiver.want_credentials("/in", "acme");
    let mut daemon = daemon().start().await;
    let mut anna = Person::new(&daemon, None);
    let wanted = settings(&receiver.url("/in"), "acme");
    assert_eq!(anna.put("acme", &[], &wanted).await.0, 428);
    assert_eq!(anna.put("Acme", &NEW, &wanted).await.0, 422);
    let (status, etag, made) = anna.put("acme", &NEW, &wanted).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(daemon.post(event()).await.status, 202);
    receiver.wait_for("/in", 1).await;

    let password = postrider_checker::password("acme");
    let file = fs::read_to_string(daemon.dir().join("endpoints/acme.toml")).expect("its file");
    assert!(!file.contains(&password) && !made.to_string().contains(&password), "{file}\n{made}");
    let secret = &made["settings"]["http"]["auth"]["basic"]["password"];
    let path = daemon.dir().join(secret["file"].as_str().expect("a reference"));
    assert_eq!(fs::read_to_string(&path).expect("the secret"), password);
    assert_eq!(fs::metadata(&path).expect("the secret").permissions().mode() & 0o777, 0o600);
    assert_eq!(secret["fingerprint"].as_str().map(str::len), Some(4), "{secret}");
    assert_eq!(made["changes"][0]["by"], "api", "{made}");

    let (status, _, taken) = anna.put("acme", &NEW, &wanted).await;
    assert_eq!((status, &taken["theirs"]), (412, &made["settings"]), "{taken}");
    assert!(!taken.to_string().contains(&password), "{taken}");
    let gone = anna.ask(Method::DELETE, "/api/v1/endpoints/acme", &[("if-match", &etag)], &Value::Null).await;
    assert_eq!(gone.0, 204, "{}", gone.2);
    assert!(!path.exists(), "the secret goes with its endpoint");
    assert_eq!(anna.get("/api/v1/endpoints/acme").await.0, 404);
}

#[tokio::test]
async fn an_edit_keeps_comments_and_order_and_meets_another_edit_with_both_sides() {
    let mut daemon = daemon().start().await;
    let text = "# who: Anna\nproducts = [\"crm\"] # theirs\nevents = \"all\"\n\n[http]\nurl = \"https://a.example/in\"\nauth = { basic = { username = \"a\", password = \"hush-hush\" } } # old\n\n[retry]\nschedule = [\"1s\", \"1m\"]\n";
    daemon.files.write(crate::support::Way::Rename, "acme", text);
    let mut anna = Person::new(&daemon, None);
    assert_eq!(anna.post("/-/reload", &Value::Null).await.0, 200);
    let (_, etag, read) = anna.get("/api/v1/endpoints/acme").await;
    assert!(!read.to_string().contains("hush-hush"), "{read}");
    let origin = |key: &str| {
        let all = read["effective"].as_array().expect("values").iter();
        all.clone().find(|value| value["key"] == key).map(|value| value["origin"].clone())
    };
    assert_eq!(origin("retry.schedule"), Some(json!("endpoints/acme.toml:10")));
    assert_eq!(origin("timeout"), Some(json!("default")));

    let mut wanted = read["settings"].clone();
    wanted["products"] = json!(["crm", "campaigns"]);
    wanted["timeout"] = json!("7s");
    let (status, newer, _) = anna.put("acme", &[("if-match", &etag)], &wanted).await;
    assert_eq!(status, 200);
    let written = fs::read_to_string(daemon.dir().join("endpoints/acme.toml")).expect("its file");
    let expected = text
        .replace("[\"crm\"] # theirs", "[\"crm\", \"campaigns\"] # theirs")
        .replace("events = \"all\"\n", "events = \"all\"\ntimeout = \"7s\"\n");
    assert_eq!(written, expected);

    wanted["timeout"] = json!("8s");
    let (status, _, problem) = anna.put("acme", &[("if-match", &etag)], &wanted).await;
    assert_eq!(status, 412);
    assert_eq!(problem["yours"]["timeout"], "8s");
    assert_eq!(problem["theirs"]["timeout"], "7s");
    assert_eq!(problem["base"], read["settings"]);

    wanted["http"]["url"] = json!("https://b.example/in");
    let (status, _, problem) = anna.put("acme", &[("if-match", &newer)], &wanted).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/http/auth/basic/password")));
    let unsaved = json!({ "name": "acme", "settings": wanted });
    assert_eq!(anna.post("/api/v1/test", &unsaved).await.0, 422, "nor is it sent there for a test");
    wanted["http"]["url"] = json!("https://a.example/other");
    wanted["events"] = json!(["deliverd"]);
    let (status, _, problem) = anna.put("acme", &[("if-match", &newer)], &wanted).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/events/0")), "{problem}");
    assert!(
        problem["errors"][0]["help"].as_str().is_some_and(|help| help.contains("delivered")),
        "{problem}"
    );
    let (status, _, paused) = anna.post("/api/v1/endpoints/acme/pause", &Value::Null).await;
    assert_eq!((status, &paused["state"]), (200, &json!("paused")));
    let (_, _, resumed) = anna.post("/api/v1/endpoints/acme/resume", &Value::Null).await;
    assert_eq!(resumed["state"], "active");
    assert_eq!(resumed["changes"][0]["what"], json!(["state: paused -> active"]));
    let files: Vec<&Value> =
        resumed["changes"].as_array().expect("changes").iter().map(|c| &c["by"]).collect();
    assert_eq!(files, ["api", "api", "api", "file"]);

    daemon.restart().await;
    let (_, _, again) = Person::new(&daemon, None).get("/api/v1/endpoints/acme").await;
    assert_eq!(again["changes"], resumed["changes"], "the history outlives the daemon");
}

#[tokio::test]
async fn a_test_of_unsaved_settings_shows_both_sides_and_no_credential() {
    let receiver = Receiver::start().await;
    receiver.want_credentials("/in", "acme");
    receiver.script("/refused", [Reply::with(401, "x-why", "no")]);
    let daemon = daemon().start().await;
    let mut anna = Person::new(&daemon, None);
    let (status, _, good) =
        anna.post("/api/v1/test", &json!({ "settings": settings(&receiver.url("/in"), "acme") })).await;
    assert_eq!((status, &good["ok"]), (200, &json!(true)), "{good}");
    let sent = &receiver.wait_for("/in", 1).await[0];
    assert_eq!(sent.header("postrider-test"), "true");
    let bad = json!({ "settings": settings(&receiver.url("/refused"), "acme") });
    let (_, _, bad) = anna.post("/api/v1/test", &bad).await;
    assert_eq!(bad["advice"], "401: the server refused the user name or password", "{bad}");
    assert!(bad["response"]["headers"].to_string().contains("x-why"), "{bad}");
    let curl = bad["curl"].as_str().expect("a command");
    assert!(curl.starts_with("curl ") && curl.contains("-u 'USERNAME:PASSWORD'"), "{curl}");
    let basic = sent.header("authorization").trim_start_matches("Basic ");
    for secret in [basic, &postrider_checker::password("acme")] {
        assert!(!good.to_string().contains(secret) && !bad.to_string().contains(secret), "{good} {bad}");
    }
    for (state, expected) in [(json!("draft"), 200), (json!("asleep"), 422), (json!({}), 422)] {
        let mut settings = settings(&receiver.url("/in"), "acme");
        settings["state"] = state;
        let (status, _, told) = anna.post("/api/v1/test", &json!({ "settings": settings })).await;
        assert_eq!(status, expected, "{told}");
    }
    assert_eq!(fs::read_dir(daemon.dir().join("endpoints")).expect("the folder").count(), 0);
    assert!(!daemon.dir().join("secrets").exists(), "nothing was saved");
}

/// acme:acme-password
const ACME: &str = "Basic YWNtZTphY21lLXBhc3N3b3Jk";

#[tokio::test]
async fn a_customer_finds_nothing_of_anybody_else_and_reaches_no_file_of_the_machine() {
    let receiver = Receiver::start().await;
    receiver.want_credentials("/theirs", "theirs");
    receiver.want_credentials("/own", "own");
    let login = "[[admin.login]]\nusername = \"anna\"\npassword = \"anna-password\"\n[[admin.login]]\nusername = \"acme\"\npassword = \"acme-password\"\naccount = \"acme\"";
    let daemon = daemon()
        .endpoint("theirs", |e| {
            e.url(receiver.url("/theirs")).key("account = \"globex\"");
        })
        .endpoint("everybodys", |e| {
            e.url(receiver.url("/theirs"));
        })
        .endpoint("own", |e| {
            e.url(receiver.url("/own")).key("account = \"acme\"");
        })
        .config(login)
        .start()
        .await;
    assert_eq!(Person::new(&daemon, None).get("/api/v1/endpoints").await.0, 401);
    let mut acme = Person::new(&daemon, Some(ACME));
    let (_, _, list) = acme.get("/api/v1/endpoints").await;
    assert_eq!((&list["total"], &list["endpoints"][0]["name"]), (&json!(1), &json!("own")));
    let (_, _, status) = acme.get("/api/v1/status").await;
    assert_eq!(status["endpoints"].as_array().map(Vec::len), Some(1));
    assert_eq!((&status["spool"]["path"], &status["config"]["path"]), (&json!(""), &json!("")));
    let asked = json!({ "event": "sent", "product": "crm" });
    let (_, _, explained) = acme.post("/api/v1/explain", &asked).await;
    assert_eq!(explained["endpoints"].as_array().map(Vec::len), Some(1), "{explained}");

    let body = settings(&receiver.url("/own"), "own");
    for name in ["theirs", "everybodys", "nothing"] {
        let path = format!("/api/v1/endpoints/{name}");
        let any = [("if-match", "*")];
        let calls = [
            acme.get(&path).await,
            acme.ask(Method::PUT, &path, &any, &body).await,
            acme.ask(Method::DELETE, &path, &any, &Value::Null).await,
            acme.post(&format!("{path}/activate"), &Value::Null).await,
            acme.post(&format!("{path}/pause"), &Value::Null).await,
            acme.post(&format!("{path}/resume"), &Value::Null).await,
            acme.post(&format!("{path}/test"), &Value::Null).await,
            acme.post("/api/v1/test", &json!({ "name": name, "settings": body })).await,
        ];
        for (call, (status, _, problem)) in calls.iter().enumerate() {
            assert_eq!(*status, 404, "call {call} on {name}: {problem}");
            assert_eq!(problem["detail"], format!("no endpoint is called {name:?}"), "call {call}");
        }
    }
    assert_eq!(acme.get("/metrics").await.0, 403);
    assert_eq!(acme.post("/-/reload", &Value::Null).await.0, 403);

    let with = |pointer: &str, value: Value| {
        let mut changed = body.clone();
        let (above, key) = pointer.rsplit_once('/').expect("a pointer");
        let above = if above.is_empty() { Some(&mut changed) } else { changed.pointer_mut(above) };
        above.expect("a table")[key] = value;
        changed
    };
    for wanted in [
        with("/account", json!("globex")),
        with("/http/auth/basic/password", json!({ "file": "/etc/hostname" })),
        with("/http/auth/basic/password", json!({ "env": "PATH" })),
        with("/http/headers", json!({ "x-a": { "file": "postrider.toml" } })),
        with("/file", json!({ "path": "/tmp/x" })),
    ] {
        assert_eq!(acme.put("new", &NEW, &wanted).await.0, 422, "{wanted}");
        assert_eq!(acme.post("/api/v1/test", &json!({ "settings": wanted })).await.0, 422, "{wanted}");
    }
    assert_eq!(acme.put("theirs", &NEW, &body).await.0, 409);
    let (status, _, made) = acme.put("new", &NEW, &body).await;
    assert_eq!(
        (status, &made["account"], &made["changes"][0]["by"]),
        (201, &json!("acme"), &json!("api: acme"))
    );
    assert_eq!(acme.post("/api/v1/endpoints/own/test", &Value::Null).await.2["ok"], true);
    assert!(!made.to_string().contains(&daemon.dir().display().to_string()), "{made}");
}

#[tokio::test]
async fn the_command_line_does_what_the_api_does() {
    let receiver = Receiver::start().await;
    receiver.want_credentials("/in", "acme");
    let daemon = daemon().start().await;
    let password = daemon.dir().join("password");
    fs::write(&password, postrider_checker::password("acme")).expect("written");
    let admin = format!("http://{}", daemon.admin_address());
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_postrider"))
            .args(["endpoints", "--admin", &admin])
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it ran");
        (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (url, file) = (receiver.url("/in"), password.display().to_string());
    let add =
        ["add", "acme", "--url", &url, "--event", "sent", "--username", "acme", "--password-file", &file];
    assert_eq!(run(&add).0, 0);
    assert_eq!(run(&add).0, 5, "it is there already");
    assert_eq!(run(&["pause", "acme"]).1, "acme paused: paused  (endpoints/acme.toml)\n");
    assert_eq!(run(&["rename", "acme", "acme-orders"]).0, 0);
    assert_eq!(run(&["show", "acme"]).0, 6);
    assert_eq!(run(&["resume", "acme-orders"]).0, 0);
    let (code, list) = run(&["list", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!((code, &list[0]["name"], &list[0]["state"]), (0, &json!("acme-orders"), &json!("active")));
    let mut anna = Person::new(&daemon, None);
    let (_, _, report) = anna.post("/api/v1/endpoints/acme-orders/test", &Value::Null).await;
    assert_eq!(report["ok"], true, "its secret moved along: {report}");
    assert_eq!(run(&["remove", "acme-orders"]).0, 0);
    assert_eq!(run(&["list"]), (0, String::new()), "that there is nothing is no data");
}

#[tokio::test]
async fn a_name_leads_to_the_endpoint_that_its_file_is_for_now() {
    let receiver = Receiver::start().await;
    receiver.want_credentials("/in", "acme");
    let daemon = daemon().start().await;
    let mut anna = Person::new(&daemon, None);
    let mut wanted = settings(&receiver.url("/in"), "acme");
    wanted["account"] = json!("one");
    let (status, etag, made) = anna.put("acme", &NEW, &wanted).await;
    assert_eq!((status, &made["account"]), (201, &json!("one")), "{made}");
    let mut moved = made["settings"].clone();
    moved["account"] = json!("two");
    let (status, _, moved) = anna.put("acme", &[("if-match", &etag)], &moved).await;
    assert_eq!(
        (status, &moved["account"], &moved["state"]),
        (200, &json!("two"), &json!("active")),
        "{moved}"
    );
    let (_, _, shown) = anna.get("/api/v1/endpoints/acme").await;
    assert_eq!((&shown["account"], &shown["state"]), (&json!("two"), &json!("active")), "{shown}");
    assert_eq!(shown["sink"], "http", "{shown}");
}

#[tokio::test]
async fn a_test_with_data_of_ones_own_is_held_to_what_an_event_is() {
    let receiver = Receiver::start().await;
    receiver.want_credentials("/in", "acme");
    let daemon = daemon().file("broken", "x = [").start().await;
    let mut anna = Person::new(&daemon, None);
    let (status, _, told) = anna.post("/api/v1/endpoints/broken/test", &json!({})).await;
    assert_eq!(status, 422, "it is listed, and has nothing to test: {told}");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("is rejected")), "{told}");
    assert_eq!(anna.post("/api/v1/endpoints/nobody/test", &json!({})).await.0, 404);
    assert_eq!(anna.put("acme", &NEW, &settings(&receiver.url("/in"), "acme")).await.0, 201);
    let path = "/api/v1/endpoints/acme/test";
    let data = json!({ "message_id": "mine", "status": "x", "n": 1.0 });
    let (status, _, good) = anna.post(path, &json!({ "data": data })).await;
    assert_eq!((status, &good["ok"]), (200, &json!(true)), "{good}");
    let sent: Value = serde_json::from_slice(&receiver.wait_for("/in", 1).await[0].body).expect("JSON");
    assert_eq!(sent["data"], json!({ "message_id": "mine", "status": "x", "n": 1.0, "details": {} }));
    for (data, at) in [
        (json!({}), "/data/status"),
        (json!({ "message_id": 1, "status": "x" }), "/data/message_id"),
        (json!({ "message_id": "", "status": "x" }), "/data/message_id"),
        (json!({ "message_id": "m", "status": "x", "details": [] }), "/data/details"),
        (json!([]), "/data"),
    ] {
        let (status, _, told) = anna.post(path, &json!({ "data": data })).await;
        assert_eq!(status, 422, "{told}");
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(at)), "{told}");
    }
}

#[tokio::test]
async fn an_answer_that_repeats_the_credentials_is_shown_without_them() {
    let receiver = Receiver::start().await;
    let daemon = daemon().start().await;
    let mut anna = Person::new(&daemon, None);
    let wanted = json!({ "settings": settings(&receiver.url("/in"), "acme") });
    assert_eq!(anna.post("/api/v1/test", &wanted).await.0, 200);
    let sent = receiver.wait_for("/in", 1).await[0].header("authorization").to_owned();
    let decoded = format!("acme:{}", postrider_checker::password("acme"));
    for secret in [&*sent, sent.trim_start_matches("Basic "), &decoded, &decoded[5..]] {
        receiver.script("/in", [Reply::with(200, "x-echo", &format!("<{secret}>"))]);
        let (status, _, told) = anna.post("/api/v1/test", &wanted).await;
        assert_eq!((status, &told["ok"]), (200, &json!(true)), "{told}");
        let headers = told["response"]["headers"].to_string();
        assert!(headers.contains("<(hidden)>"), "{headers}");
        assert!(!told.to_string().contains(secret), "{told}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_kept_change_nothing_and_the_error_names_the_key() {
    let daemon = daemon().start().await;
    let mut anna = Person::new(&daemon, None);
    let mut long = settings("http://127.0.0.1:9999/", "acme");
    long["http"]["auth"]["basic"]["password"] = json!("x".repeat(70_000));
    let (status, _, told) = anna.put("acme", &NEW, &long).await;
    assert_eq!((status, &told["errors"][0]["pointer"]), (422, &json!("/http/auth/basic/password")), "{told}");
    let (status, _, told) = anna.put("acme", &NEW, &json!({ "events": "all" })).await;
    assert_eq!((status, &told["errors"][0]["pointer"]), (422, &json!("/products")), "{told}");
    assert_eq!(told["errors"][1]["pointer"], "", "{told}");
    assert_eq!(anna.get("/api/v1/endpoints/acme").await.0, 404);
    let mut placeholder = settings("http://127.0.0.1:9999/", "acme");
    placeholder["http"]["auth"]["basic"]["password"] = json!("");
    let (status, _, made) = anna.put("acme", &NEW, &placeholder).await;
    assert_eq!((status, &made["state"]), (201, &json!("active")), "{made}");
}

#[tokio::test]
async fn the_series_of_events_are_there_before_the_first_event() {
    let daemon = daemon().start().await;
    let answer = Client::new(daemon.admin_address()).get("/metrics").await.expect("an answer");
    let metrics = answer.text();
    for result in ["accepted", "duplicate"] {
        let series = format!(r#"{{event="sent",product="crm",result="{result}"}} 0"#);
        assert!(metrics.contains(&format!("postrider_events_received_total{series}")), "{metrics}");
    }
    assert!(
        metrics.contains(r#"postrider_events_unmatched_total{event="read",product="campaigns"} 0"#),
        "{metrics}"
    );
}
