//! What a customer's login is told of somebody else's things: for every call of the API, and every screen of the page,
//! exactly what it is told of things that do not exist.

use crate::support::{Answer, Client, Receiver, Reply, daemon, until};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const LOGINS: &str = "[[admin.login]]\nusername = \"anna\"\npassword = \"anna-password\"\n\
                      [[admin.login]]\nusername = \"acme\"\npassword = \"acme-password\"\naccount = \"acme\"";
/// anna:anna-password
const ANNA: &str = "Basic YW5uYTphbm5hLXBhc3N3b3Jk";
/// acme:acme-password
const ACME: &str = "Basic YWNtZTphY21lLXBhc3N3b3Jk";

/// The names of things: those of another account, of endpoints for every account, or of nobody.
#[derive(Debug, Clone)]
struct Names {
    endpoint: String,
    delivery: String,
    letter: String,
    event: String,
    replay: String,
    account: String,
    message: String,
}

impl Names {
    /// Written like the others, and known to nobody. The endpoint's number is beyond any that was given.
    fn of_nobody() -> Self {
        Self {
            endpoint: "ghost-orders".to_owned(),
            delivery: "dlv_00ffff000000000000000001".to_owned(),
            letter: "dlv_00ffff000000000000000002".to_owned(),
            event: "evt_01890000000070008000000000000001".to_owned(),
            replay: "rpl_01890000000070008000000000000001".to_owned(),
            account: "ghostly".to_owned(),
            message: "ghost-1".to_owned(),
        }
    }

    /// Every name replaced by what it is, so that two answers can be compared.
    fn hide(&self, text: &str) -> String {
        let all = [
            (&self.endpoint, "ENDPOINT"),
            (&self.delivery, "DELIVERY"),
            (&self.letter, "LETTER"),
            (&self.event, "EVENT"),
            (&self.replay, "REPLAY"),
            (&self.account, "ACCOUNT"),
            (&self.message, "MESSAGE"),
        ];
        all.into_iter().fold(text.to_owned(), |text, (name, what)| text.replace(name.as_str(), what))
    }
}

/// One call about things of these names.
struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// Every way to ask an operation of the document about somebody's things. None: it is about nobody's.
fn calls(operation: &str, n: &Names) -> Option<Vec<Call>> {
    let Names { endpoint, delivery, letter, event, replay, account, message } = n;
    let call = |method: &str, path: String, body: Value| Call {
        method: method.parse().expect("a method"),
        path: format!("/api/v1/{path}"),
        headers: Vec::new(),
        body: if body.is_null() { String::new() } else { body.to_string() },
    };
    let get = |path: String| vec![call("GET", path, Value::Null)];
    let post = |path: String| vec![call("POST", path, Value::Null)];
    let delete = |path: String| vec![call("DELETE", path, Value::Null)];
    let at = |call: Call, name: &'static str, value: &str| {
        let mut call = call;
        call.headers.push((name, value.to_owned()));
        call
    };
    let filters = |path: &str, method: &str| {
        let of = [
            format!("endpoint={endpoint}"),
            format!("account={account}"),
            format!("message_id={message}"),
            format!("endpoint={endpoint}&account={account}"),
        ];
        of.iter().map(|filter| call(method, format!("{path}?{filter}"), Value::Null)).collect::<Vec<_>>()
    };
    let basic = json!({ "username": "u", "password": "p" });
    let settings = json!({ "events": "all", "products": "all", "http": { "url": "http://127.0.0.1:1/", "auth": { "basic": basic } } });
    let replays =
        [json!({ "endpoint": endpoint }), json!({ "account": account }), json!({ "message_id": message })];
    Some(match operation {
        "list_endpoints" => vec![
            call("GET", format!("endpoints?account={account}"), Value::Null),
            call("GET", format!("endpoints?search={endpoint}"), Value::Null),
        ],
        "show_endpoint" => get(format!("endpoints/{endpoint}")),
        "put_endpoint" => ["*", "\"x\""]
            .into_iter()
            .map(|version| {
                at(call("PUT", format!("endpoints/{endpoint}"), settings.clone()), "if-match", version)
            })
            .collect(),
        "remove_endpoint" => ["*", "\"x\""]
            .into_iter()
            .map(|version| {
                at(call("DELETE", format!("endpoints/{endpoint}"), Value::Null), "if-match", version)
            })
            .collect(),
        "activate" | "pause" | "resume" => post(format!("endpoints/{endpoint}/{operation}")),
        "test_endpoint" => post(format!("endpoints/{endpoint}/test")),
        "test_unsaved" => {
            vec![call("POST", "test".to_owned(), json!({ "name": endpoint, "settings": settings }))]
        }
        "explain" => {
            vec![call(
                "POST",
                "explain".to_owned(),
                json!({ "event": "sent", "product": "crm", "account": account }),
            )]
        }
        "show_event" => get(format!("events/{event}")),
        "list_deliveries" => filters("deliveries", "GET"),
        "show_delivery" => {
            [delivery, letter].map(|id| call("GET", format!("deliveries/{id}"), Value::Null)).into()
        }
        "retry_delivery" => {
            [delivery, letter].map(|id| call("POST", format!("deliveries/{id}/retry"), Value::Null)).into()
        }
        "erase" => vec![
            call("DELETE", format!("deliveries?message_id={message}"), Value::Null),
            call("DELETE", format!("deliveries?account={account}"), Value::Null),
        ],
        "list_dead_letters" => filters("dead-letters", "GET"),
        "export_dead_letters" => filters("dead-letters/export", "GET"),
        "delete_dead_letters" => filters("dead-letters", "DELETE"),
        "show_dead_letter" => {
            [delivery, letter].map(|id| call("GET", format!("dead-letters/{id}"), Value::Null)).into()
        }
        "delete_dead_letter" => delete(format!("dead-letters/{letter}")),
        "start_replay" => replays
            .map(|filter| {
                call("POST", "dead-letters/replays".to_owned(), json!({ "filter": filter, "dry_run": true }))
            })
            .into(),
        "list_replays" => get("dead-letters/replays".to_owned()),
        "show_replay" => get(format!("dead-letters/replays/{replay}")),
        "cancel_replay" => post(format!("dead-letters/replays/{replay}/cancel")),
        "metrics" | "healthy" | "ready" | "reload" | "status" | "openapi" => return None,
        new => panic!("say here how {new} is asked about somebody else's things"),
    })
}

/// The screens and forms of the page that name something.
fn screens(n: &Names) -> Vec<Call> {
    let Names { endpoint, delivery, letter, replay, message, .. } = n;
    let call = |path: String, body: Option<String>| Call {
        method: if body.is_some() { Method::POST } else { Method::GET },
        path,
        headers: body
            .iter()
            .flat_map(|_| {
                [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")]
            })
            .map(|(name, value)| (name, value.to_owned()))
            .collect(),
        body: body.unwrap_or_default(),
    };
    let id = letter;
    vec![
        call(format!("/endpoints/{endpoint}"), None),
        call(format!("/endpoints/{endpoint}"), Some("action=save&version=x".to_owned())),
        call(format!("/endpoints/{endpoint}"), Some("action=test".to_owned())),
        call(format!("/endpoints/{endpoint}/state"), Some("order=pause".to_owned())),
        call(format!("/endpoints/{endpoint}/remove"), Some(String::new())),
        call(format!("/deliveries?endpoint={endpoint}"), None),
        call(format!("/deliveries?message_id={message}"), None),
        call(format!("/deliveries?open={delivery}"), None),
        call(format!("/deliveries/{delivery}/retry"), Some(String::new())),
        call(format!("/deliveries/{letter}/retry"), Some(String::new())),
        call(format!("/dead-letters?endpoint={endpoint}"), None),
        call(format!("/dead-letters/export?endpoint={endpoint}"), None),
        call("/dead-letters".to_owned(), Some(format!("action=selected&id={id}"))),
        call("/dead-letters".to_owned(), Some(format!("action=delete-selected&id={id}"))),
        call("/dead-letters".to_owned(), Some(format!("action=delete-picked&id={id}"))),
        call("/dead-letters".to_owned(), Some(format!("action=delete&endpoint={endpoint}"))),
        call(format!("/dead-letters/replays/{replay}/stop"), Some(String::new())),
    ]
}

async fn ask(client: &mut Client, call: &Call) -> Answer {
    let mut headers: Vec<(&str, &str)> = vec![("authorization", ACME)];
    headers.extend(call.headers.iter().map(|(name, value)| (*name, value.as_str())));
    if call.path.starts_with("/api/") && !call.body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    let body = Bytes::from(call.body.clone());
    client.request(call.method.clone(), &call.path, &headers, body).await.expect("an answer")
}

/// What of an answer may not differ: everything but the names, the time, and what a replay is called.
fn seen(answer: &Answer, names: &Names) -> (u16, Vec<(String, String)>, String) {
    let hide = |text: &str| names.hide(text);
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "content-length"))
        .map(|(name, value)| (name.to_string(), hide(value.to_str().expect("text"))))
        .collect();
    headers.sort();
    let mut body = answer.json();
    if let Some(job) = body.as_object_mut().filter(|job| job.contains_key("dry_run")) {
        for member in ["id", "created_at", "ended_at"] {
            job.remove(member);
        }
        headers.retain(|(name, _)| name != "location");
    }
    let mut text = if body.is_null() { answer.text() } else { body.to_string() };
    // How long the daemon runs, on every screen: a second may pass between two of them.
    if let Some((before, after)) = text.split_once("Running for ") {
        let after = after.split_once('<').map_or("", |(_, after)| after);
        text = format!("{before}<{after}");
    }
    (answer.status, headers, hide(&text))
}

#[tokio::test]
async fn a_customer_is_told_of_others_things_what_it_is_told_of_things_that_do_not_exist() {
    let receiver = Receiver::start().await;
    for path in ["/theirs", "/everybodys"] {
        receiver.script(path, std::iter::repeat_n(Reply::status(422), 100));
    }
    let mut daemon = daemon()
        .endpoint("zeta-orders", |e| {
            e.url(receiver.url("/theirs")).key("account = \"globex\"").retry(&["1ms"]).no_breaker();
        })
        .endpoint("omnibus", |e| {
            e.url(receiver.url("/everybodys")).retry(&["1ms"]).no_breaker();
        })
        .endpoint("zeta-held", |e| {
            e.url(receiver.url("/held")).key("account = \"globex\"").key("state = \"paused\"");
        })
        .endpoint("own", |e| {
            e.url(receiver.url("/own")).key("account = \"acme\"").key("state = \"paused\"");
        })
        .config(LOGINS)
        .start()
        .await;
    let event = |account: &str, message: &str| {
        format!(
            r#"{{"event":"sent","product":"crm","account":"{account}","data":{{"message_id":"{message}","status":"sent","details":{{}}}}}}"#
        )
    };
    let theirs = daemon.post(event("globex", "secret-1")).await.id();
    let own = daemon.post(event("acme", "mine-1")).await.id();
    let mut anna = Client::new(daemon.admin_address());
    let mut get = async |path: &str| {
        let answer = anna.request(Method::GET, path, &[("authorization", ANNA)], Bytes::new()).await;
        answer.expect("an answer").json()
    };
    // globex's event, and acme's, are dead at the endpoints that fail.
    until(Duration::from_secs(30), "three are dead", async || {
        get("/api/v1/dead-letters").await["dead_letters"].as_array().is_some_and(|all| all.len() == 3)
    })
    .await;
    let document = get("/api/v1/openapi.json").await;
    let deliveries = get("/api/v1/deliveries").await;
    let id = |endpoint: &str, message: &str| {
        let all = deliveries["deliveries"].as_array().expect("deliveries").iter();
        let mut found = all.filter(|one| one["endpoint"] == endpoint && one["message_id"] == message);
        found.next().and_then(|one| one["id"].as_str()).expect("a delivery").to_owned()
    };
    let replay = {
        let headers = [("authorization", ANNA), ("content-type", "application/json")];
        let body = r#"{"dry_run":true,"filter":{"account":"globex"}}"#;
        let mut anna = Client::new(daemon.admin_address());
        let job = anna.request(Method::POST, "/api/v1/dead-letters/replays", &headers, body.into()).await;
        job.expect("an answer").json()["id"].as_str().expect("a job").to_owned()
    };
    let of_others = Names {
        endpoint: "zeta-orders".to_owned(),
        delivery: id("zeta-held", "secret-1"),
        letter: id("zeta-orders", "secret-1"),
        event: theirs,
        replay,
        account: "globex".to_owned(),
        message: "secret-1".to_owned(),
    };
    // An endpoint for every account is the operator's, even what it got of the customer's own events.
    let of_all = Names {
        endpoint: "omnibus".to_owned(),
        delivery: id("omnibus", "secret-1"),
        letter: id("omnibus", "mine-1"),
        ..of_others.clone()
    };
    let nobody = Names::of_nobody();
    let mut acme = Client::new(daemon.admin_address());
    let mut operations = BTreeSet::new();
    for methods in document["paths"].as_object().expect("paths").values() {
        for operation in methods.as_object().expect("methods").values() {
            operations.insert(operation["operationId"].as_str().expect("a name").to_owned());
        }
    }
    let mut compared = 0;
    let all = operations.iter().map(|operation| (operation.as_str(), true)).chain([("page", false)]);
    for (operation, is_api) in all {
        let calls = |names: &Names| if is_api { calls(operation, names) } else { Some(screens(names)) };
        let Some(unknown) = calls(&nobody) else { continue };
        for names in [&of_others, &of_all] {
            for (call, unknown) in calls(names).into_iter().flatten().zip(&unknown) {
                let answered = seen(&ask(&mut acme, &call).await, names);
                let expected = seen(&ask(&mut acme, unknown).await, &nobody);
                assert_eq!(answered, expected, "{operation}: {} {} {}", call.method, call.path, call.body);
                let (status, _, text) = &answered;
                let empty = [
                    "\"deliveries\":[]",
                    "\"dead_letters\":[]",
                    "\"endpoints\":[]",
                    "\"deleted\":0",
                    "\"matched\":0",
                    "\"replays\":",
                ];
                let nothing =
                    *status >= 400 || !is_api || text.is_empty() || empty.iter().any(|e| text.contains(e));
                assert!(nothing, "{operation}: {} {status} {text}", call.path);
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");

    let after = get("/api/v1/deliveries").await;
    assert_eq!(after, deliveries, "nothing of it was touched");
    let asked = calls("show_event", &Names { event: own, ..nobody.clone() }).expect("it is asked");
    let shown = ask(&mut acme, &asked[0]).await.json();
    let endpoints: Vec<&Value> =
        shown["deliveries"].as_array().expect("its own").iter().map(|one| &one["endpoint"]).collect();
    assert_eq!(endpoints, ["own"], "of its own event it sees its own delivery");

    // Nor does the time tell.
    for operation in ["show_endpoint", "show_delivery", "show_dead_letter", "show_event", "show_replay"] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..50 {
            for (names, times) in [&of_others, &nobody].into_iter().zip(&mut times) {
                let call = &calls(operation, names).expect("it is asked")[0];
                let begun = Instant::now();
                ask(&mut acme, call).await;
                times.push(begun.elapsed());
            }
        }
        let [theirs, none] = times.map(|mut times| {
            times.sort();
            times[times.len() / 2]
        });
        assert!(theirs.abs_diff(none) < Duration::from_millis(5), "{operation}: {theirs:?} and {none:?}");
    }
}

#[tokio::test]
async fn a_customers_replays_leave_room_for_others_and_are_its_own() {
    let receiver = Receiver::start().await;
    receiver.script("/own", std::iter::repeat_n(Reply::status(422), 100));
    let mut daemon = daemon()
        .endpoint("own", |e| {
            e.url(receiver.url("/own")).key("account = \"acme\"").retry(&["1ms"]).no_breaker();
        })
        .config(LOGINS)
        .start()
        .await;
    for n in 0..5 {
        let data = format!(r#"{{"message_id":"m{n}","status":"sent","details":{{}}}}"#);
        let event = format!(r#"{{"event":"sent","product":"crm","account":"acme","data":{data}}}"#);
        assert_eq!(daemon.post(event).await.status, 202);
    }
    let mut client = Client::new(daemon.admin_address());
    let mut ask = async |who: &str, method: Method, path: &str, body: &str| {
        let headers = [("authorization", who), ("content-type", "application/json")];
        let body = Bytes::copy_from_slice(body.as_bytes());
        client.request(method, &format!("/api/v1/{path}"), &headers, body).await.expect("an answer")
    };
    until(Duration::from_secs(30), "all are dead", async || {
        let letters = ask(ACME, Method::GET, "dead-letters", "").await.json();
        letters["dead_letters"].as_array().is_some_and(|all| all.len() == 5)
    })
    .await;
    let (slow, replays) = (r#"{"rate":"1/h"}"#, "dead-letters/replays");
    for _ in 0..2 {
        assert_eq!(ask(ACME, Method::POST, replays, slow).await.status, 202);
    }
    assert_eq!(ask(ACME, Method::POST, replays, slow).await.status, 429);
    let theirs = ask(ANNA, Method::POST, replays, slow).await;
    assert_eq!(theirs.status, 202, "the operator's has room");
    let seen = ask(ACME, Method::GET, replays, "").await.json();
    assert_eq!(seen["replays"].as_array().map(Vec::len), Some(2), "{seen}");
    let path = format!("{replays}/{}/cancel", theirs.json()["id"].as_str().expect("a job"));
    assert_eq!(ask(ACME, Method::POST, &path, "").await.status, 404);
    let path = format!("{replays}/{}/cancel", seen["replays"][0]["id"].as_str().expect("a job"));
    assert_eq!(ask(ACME, Method::POST, &path, "").await.status, 200);
    until(Duration::from_secs(10), "there is room again", async || {
        ask(ACME, Method::POST, replays, slow).await.status == 202
    })
    .await;
}
