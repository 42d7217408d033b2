//! The settings page as a browser without scripts has it: what its forms stand for, and what it says to whom.

use crate::support::{Answer, Client, Daemon, EndpointFile, Receiver, Reply, Way, daemon, until};
use http::Method;
use std::fs;
use std::time::Duration;

const TIME: Duration = Duration::from_secs(30);

const LOGINS: &str = "[[admin.login]]\nusername = \"anna\"\npassword = \"anna-password\"\n\
                      [[admin.login]]\nusername = \"acme\"\npassword = \"acme-password\"\naccount = \"acme\"";
/// anna:anna-password
const ANNA: &str = "Basic YW5uYTphbm5hLXBhc3N3b3Jk";
/// acme:acme-password
const ACME: &str = "Basic YWNtZTphY21lLXBhc3N3b3Jk";

/// Somebody who is signed in.
struct Person {
    client: Client,
    authorization: &'static str,
}

impl Person {
    fn new(daemon: &Daemon, authorization: &'static str) -> Self {
        Self { client: Client::new(daemon.admin_address()), authorization }
    }

    async fn ask(&mut self, method: Method, path: &str, more: &[(&str, &str)], body: String) -> Answer {
        let mut headers = vec![("authorization", self.authorization)];
        headers.extend(more);
        self.client.request(method, path, &headers, body.into()).await.expect("an answer")
    }

    /// The text of a screen.
    async fn see(&mut self, path: &str) -> String {
        let answer = self.ask(Method::GET, path, &[], String::new()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let form = [("content-type", "application/x-www-form-urlencoded")];
        self.ask(Method::POST, path, &form, body).await
    }

    /// Saves an endpoint as its screen shows it, but for these headers. What they were comes along.
    async fn save(&mut self, name: &str, headers: Option<&str>) -> (Answer, String) {
        let path = format!("/endpoints/{name}");
        let screen = self.see(&path).await;
        let value = |field: &str| {
            let rest = between(&screen, &format!(" name=\"{field}\""), ">");
            between(rest, " value=\"", "\"")
        };
        let shown = between(&screen, " name=\"headers\"", "</textarea>").split_once('>').expect("text").1;
        let mut fields = vec![("name", name), ("auth", "keep"), ("action", "activate")];
        fields.extend(["base", "url", "filter", "saved_host"].map(|field| (field, value(field))));
        fields.extend(["sent", "delivered", "read", "failed"].map(|event| ("events", event)));
        let products = ["automation", "crm", "developer-apis", "campaigns"];
        fields.extend(products.map(|product| ("products", product)));
        fields.push(("headers", headers.unwrap_or(shown)));
        (self.send(&path, &fields).await, shown.to_owned())
    }
}

/// What stands between two marks.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{start} in {text}"));
    rest.split_once(end).expect(end).0
}

fn event(product: &str, account: &str, message: &str) -> String {
    let data = format!(r#"{{"message_id":"{message}","status":"sent","details":{{}}}}"#);
    format!(r#"{{"event":"sent","product":"{product}","account":"{account}","data":{data}}}"#)
}

#[tokio::test]
async fn a_save_keeps_secret_headers_and_a_filter_that_were_not_touched() {
    let receiver = Receiver::start().await;
    let filter = "filter = \"data.message_id != 'https://anna@a.example'\"";
    let headers = r#"headers = { x-api-key = "hush-hush", x-other = { file = "other" }, x-team = "orders" }"#;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/in")).key(filter).http(headers);
        })
        .prepared(|folder| fs::write(folder.join("other"), "quiet\n").expect("written"))
        .config(LOGINS)
        .start()
        .await;
    let mut anna = Person::new(&daemon, ANNA);
    let (saved, shown) = anna.save("acme", None).await;
    assert_eq!(saved.status, 303, "{}", saved.text());
    let file = fs::read_to_string(daemon.dir().join("endpoints/acme.toml")).expect("its file");
    assert!(file.contains(filter) && file.contains(headers), "{file}");
    assert!(!daemon.dir().join("secrets").exists(), "no secret was made of what stands for one");
    assert!(shown.contains("x-team: orders") && !shown.contains("hush") && !shown.contains('{'), "{shown}");

    assert_eq!(daemon.post(event("crm", "acme", "m1")).await.json()["deliveries"], 1);
    assert_eq!(daemon.post(event("crm", "acme", "https://anna@a.example")).await.json()["deliveries"], 0);
    let arrived = receiver.wait_for("/in", 1).await;
    assert_eq!((arrived[0].header("x-api-key"), arrived[0].header("x-other")), ("hush-hush", "quiet"));

    // One that is entered anew replaces what was saved; what stands for nothing saved is asked for.
    let (saved, _) = anna.save("acme", Some("x-api-key: another\nx-other: (saved)")).await;
    assert_eq!(saved.status, 303, "{}", saved.text());
    assert_eq!(daemon.post(event("crm", "acme", "m2")).await.json()["deliveries"], 1);
    let arrived = receiver.wait_for("/in", 2).await;
    let sent = ["x-api-key", "x-other", "x-team"].map(|name| arrived[1].header(name));
    assert_eq!(sent, ["another", "quiet", ""]);
    let (refused, _) = anna.save("acme", Some("x-new: (saved)")).await;
    assert!(
        refused.status == 422 && refused.text().contains("x-new has no saved value"),
        "{}",
        refused.text()
    );
}

/// Its deliveries are dead after two attempts.
fn failing(url: String, account: &str, product: &str) -> impl FnOnce(&mut EndpointFile) {
    let account = format!("account = \"{account}\"");
    move |e: &mut EndpointFile| {
        e.url(url).key(&account).products(&[product]).retry(&["1ms"]).no_breaker();
    }
}

#[tokio::test]
async fn what_is_asked_before_deleting_counts_the_letters_of_endpoints_that_are_gone() {
    let receiver = Receiver::start().await;
    receiver.script("/in", [Reply::status(422)]);
    let mut daemon = daemon()
        .endpoint("leaver", failing(receiver.url("/in"), "acme", "crm"))
        .endpoint("stayer", failing(receiver.url("/in"), "acme", "campaigns"))
        .endpoint("theirs", failing(receiver.url("/in"), "globex", "crm"))
        .config(LOGINS)
        .start()
        .await;
    for (product, account) in [("crm", "acme"), ("crm", "acme"), ("campaigns", "acme"), ("crm", "globex")] {
        let posted = daemon.post(event(product, account, "m")).await.json();
        assert_eq!(posted["deliveries"], 1, "{posted}");
    }
    let (mut anna, mut acme) = (Person::new(&daemon, ANNA), Person::new(&daemon, ACME));
    until(TIME, "all are dead", async || anna.see("/dead-letters").await.contains("id=\"dead-count\">4<"))
        .await;
    let removed = anna.ask(Method::DELETE, "/api/v1/endpoints/leaver", &[("if-match", "*")], String::new());
    assert_eq!(removed.await.status, 204);

    let asked = anna.see("/dead-letters?ask=delete").await;
    assert!(
        asked.contains("Delete all 4 dead letters?") && asked.contains("id=\"dead-count\">4<"),
        "{asked}"
    );
    let asked = acme.see("/dead-letters?ask=replay").await;
    assert!(
        asked.contains("Replay all 3 dead letters?") && asked.contains("id=\"dead-count\">3<"),
        "{asked}"
    );
    let asked = acme.see("/dead-letters?endpoint=stayer&ask=delete").await;
    assert!(asked.contains("Delete this dead letter?"), "{asked}");
    assert_eq!(acme.send("/dead-letters", &[("action", "delete")]).await.status, 303);
    let asked = anna.see("/dead-letters?ask=delete").await;
    assert!(asked.contains("Delete this dead letter?") && asked.contains("id=\"dead-count\">1<"), "{asked}");
}

#[tokio::test]
async fn a_rejected_file_is_said_to_run_only_where_a_version_of_it_does() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("own", |e| {
            e.url(receiver.url("/own")).key("account = \"acme\"");
        })
        .file("broken", "events = [\"deliverd\"]\nproducts = \"all\"\n")
        .config(LOGINS)
        .start()
        .await;
    let (mut anna, mut acme) = (Person::new(&daemon, ANNA), Person::new(&daemon, ACME));
    for path in ["/", "/endpoints/broken", "/reload-status"] {
        let said = anna.see(path).await;
        assert!(said.contains("no version to run"), "{path}: {said}");
        assert!(!said.contains("last good version") && !said.contains("nothing is lost"), "{path}: {said}");
    }
    assert!(!acme.see("/?state=invalid").await.contains("href=\"/endpoints/own\""));
    daemon.files.write(Way::Rename, "own", "account = \"acme\"\nevents = 5\n");
    assert_eq!(anna.ask(Method::POST, "/-/reload", &[], String::new()).await.status, 422);
    let said = acme.see("/?state=invalid").await;
    assert!(said.contains("href=\"/endpoints/own\""), "{said}");
    assert!(said.contains("Its file is rejected. Its last good version runs."), "{said}");
    assert!(!said.contains("own.toml"), "where files are is the operator's to know: {said}");
    let said = anna.see("/reload-status").await;
    assert!(said.contains("own keeps its last good version"), "{said}");
}

#[tokio::test]
async fn numbers_of_a_name_are_not_told_to_the_account_that_has_it_next() {
    let receiver = Receiver::start().await;
    let file = |account: &str| {
        let mut file = EndpointFile::new("orders");
        file.url(receiver.url("/in")).key(&format!("account = \"{account}\""));
        file.text()
    };
    let mut daemon = daemon().file("orders", file("globex")).config(LOGINS).start().await;
    let (mut anna, mut acme) = (Person::new(&daemon, ANNA), Person::new(&daemon, ACME));
    for message in ["m1", "m2", "m3"] {
        assert_eq!(daemon.post(event("crm", "globex", message)).await.json()["deliveries"], 1);
    }
    until(TIME, "they are counted", async || anna.see("/").await.contains("3 delivered")).await;
    daemon.files.write(Way::Rename, "orders", &file("acme"));
    assert_eq!(anna.ask(Method::POST, "/-/reload", &[], String::new()).await.status, 200);
    let said = acme.see("/").await;
    assert!(said.contains("href=\"/endpoints/orders\"") && said.contains("nothing sent"), "{said}");
    assert!(!said.contains("3 delivered"), "{said}");
    assert_eq!(daemon.post(event("crm", "acme", "m4")).await.json()["deliveries"], 1);
    until(TIME, "its own is counted", async || acme.see("/").await.contains("1 delivered")).await;
    let said = anna.see("/").await;
    assert!(said.contains("In the last hour 4 delivered"), "of all together nothing is lost: {said}");
}
