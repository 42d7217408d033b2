use super::*;
use crate::clock::SystemClock;
use crate::config::{AdminConfig, Login};
use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod document;
mod page;

struct Fake {
    unready: Mutex<Option<String>>,
    rejected: bool,
    access: AdminConfig,
    page: Option<Arc<dyn PageBackend>>,
}

impl Default for Fake {
    fn default() -> Self {
        let access = AdminConfig::at(([127, 0, 0, 1], 0).into());
        Self { unready: Mutex::default(), rejected: false, access, page: None }
    }
}

#[async_trait]
impl EndpointBackend for Fake {
    async fn endpoint(&self, _caller: &Caller, name: &str) -> Result<EndpointDetail, EndpointError> {
        Err(EndpointError::NotFound(name.to_owned()))
    }

    async fn put_endpoint(
        &self,
        _caller: &Caller,
        name: &str,
        _settings: Settings,
        _expected: Precondition,
    ) -> Result<(EndpointDetail, bool), EndpointError> {
        Err(EndpointError::NotFound(name.to_owned()))
    }

    async fn delete_endpoint(
        &self,
        _caller: &Caller,
        name: &str,
        _expected: Precondition,
    ) -> Result<(), EndpointError> {
        Err(EndpointError::NotFound(name.to_owned()))
    }

    async fn order(
        &self,
        _caller: &Caller,
        name: &str,
        _order: Order,
        _expected: Precondition,
    ) -> Result<EndpointDetail, EndpointError> {
        Err(EndpointError::NotFound(name.to_owned()))
    }

    async fn test_unsaved(&self, _caller: &Caller, _test: UnsavedTest) -> Result<TestReport, EndpointError> {
        Err(EndpointError::Unfit("nothing is sent here".to_owned()))
    }
}

#[async_trait]
impl AdminBackend for Fake {
    fn access(&self) -> AdminConfig {
        self.access.clone()
    }

    fn ready(&self) -> Result<(), String> {
        self.unready.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn reload(&self) -> ReloadReport {
        let issue = ConfigIssue {
            file: "endpoints/acme.toml".into(),
            line: 3,
            message: "unknown event".into(),
            ..ConfigIssue::default()
        };
        let errors = if self.rejected { vec![issue] } else { Vec::new() };
        let result = if self.rejected { ReloadResult::Partial } else { ReloadResult::Applied };
        ReloadReport { result, generation: 7, errors }
    }

    async fn status(&self) -> Status {
        Status { version: "9.9.9".into(), unready: self.ready().err(), ..Status::default() }
    }

    async fn test(
        &self,
        _caller: &Caller,
        endpoint: &str,
        event: TestEvent,
    ) -> Result<TestReport, TestError> {
        if endpoint != "acme" {
            return Err(TestError::NotFound(endpoint.to_owned()));
        }
        let name = event.event.clone().unwrap_or_else(|| "delivered".into());
        let delivery = event.delivery(&name.into(), &"crm".into(), None, &SystemClock);
        let reason = String::from_utf8(delivery.body.to_vec()).unwrap();
        Ok(TestReport { ok: true, reason, id: delivery.id.to_string(), ..TestReport::default() })
    }

    fn explain(&self, event: &crate::admin::ExplainEvent) -> Result<crate::admin::Explanation, String> {
        crate::admin::Explanation::of(&crate::table::Table::default(), event)
    }

    fn endpoint_schema(&self) -> serde_json::Value {
        crate::config::schema(crate::config::FileKind::Endpoint, &crate::sinks::Sinks::standard())
    }

    fn render_metrics(&self) -> String {
        "postrider_build_info{version=\"9.9.9\"} 1\n".to_owned()
    }

    fn page(&self) -> Option<Arc<dyn PageBackend>> {
        self.page.clone()
    }
}

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

async fn served(backend: Fake) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::new(backend), shutdown.clone()));
    Served { address, shutdown, tasks }
}

impl Served {
    /// One request on a connection of its own; the answer's status code and all of its text.
    async fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = request.replace("HOST", &self.address.to_string());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
        (text[9..12].parse().unwrap(), text)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n")).await
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n");
        self.ask(&format!("{head}{headers}\r\n{body}")).await
    }
}

#[tokio::test]
async fn health_and_metrics_are_there_for_a_plain_get() {
    let served = served(Fake::default()).await;
    let (status, text) = served.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    assert!(text.contains("postrider_build_info"), "{text}");
    assert_eq!(served.get("/-/healthy").await.0, 200);
    assert_eq!(served.get("/-/ready").await.0, 200);
    let (status, text) = served.get("/api/v1/status").await;
    assert_eq!(status, 200);
    assert!(text.contains("\"version\":\"9.9.9\""), "{text}");
}

#[tokio::test]
async fn an_unready_daemon_says_why_and_is_still_healthy() {
    let backend = Fake::default();
    *backend.unready.lock().unwrap() = Some("draining".into());
    let served = served(backend).await;
    let (status, text) = served.get("/-/ready").await;
    assert_eq!(status, 503);
    assert!(text.ends_with(r#"{"status":"unready","reason":"draining"}"#), "{text}");
    assert_eq!(served.get("/-/healthy").await.0, 200);
}

#[tokio::test]
async fn a_reload_with_a_rejected_file_is_422_with_the_errors() {
    let good = served(Fake::default()).await;
    let (status, text) = good.post("/-/reload", "host: HOST\r\n", "").await;
    assert_eq!((status, text.contains(r#""result":"applied""#)), (200, true), "{text}");
    let bad = served(Fake { rejected: true, ..Fake::default() }).await;
    let (status, text) = bad.post("/-/reload", "host: HOST\r\n", "").await;
    assert_eq!(status, 422);
    assert!(text.contains(r#""file":"endpoints/acme.toml","line":3"#), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    let served = served(Fake::default()).await;
    for path in ["/nothing", "/metrics/x", "/api/v1/nothing"] {
        let (status, text) = served.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(text.contains("content-type: application/problem+json"), "{text}");
    }
    let (status, text) = served.get("/-/reload").await;
    assert_eq!(status, 405);
    assert!(text.to_ascii_lowercase().contains("allow: post"), "{text}");
}

#[tokio::test]
async fn writes_from_other_sites_are_refused() {
    let served = served(Fake::default()).await;
    for headers in [
        "",
        "host: evil.example\r\n",
        "host: 127.0.0.1.evil.example\r\n",
        "host: localhost\r\nhost: localhost\r\n",
        "host: 192.0.2.7:8081\r\n",
        "host: HOST\r\norigin: http://evil.example\r\n",
        "host: HOST\r\norigin: null\r\n",
        "host: HOST\r\norigin: http://127.0.0.1:1\r\n",
        "host: HOST\r\nsec-fetch-site: cross-site\r\n",
        "host: HOST\r\nsec-fetch-site: same-site\r\n",
    ] {
        let (status, text) = served.post("/-/reload", headers, "").await;
        assert!(status == 403 || (headers.is_empty() && status == 400), "{headers:?}: {text}");
    }
    for headers in [
        "host: HOST\r\n",
        "host: localhost:8081\r\n",
        "host: [::1]:8081\r\n",
        "host: HOST\r\norigin: http://HOST\r\nsec-fetch-site: same-origin\r\n",
        "host: HOST\r\nsec-fetch-site: none\r\n",
    ] {
        let (status, text) = served.post("/-/reload", headers, "").await;
        assert_eq!(status, 200, "{headers:?}: {text}");
    }
}

#[tokio::test]
async fn a_rebound_name_reads_neither_the_api_nor_the_metrics_but_a_probe_may_use_any_name() {
    let alone = served(Fake::default()).await;
    let get = |path: &str, host: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n")
    };
    assert_eq!(alone.ask(&get("/api/v1/status", "evil.example", "")).await.0, 403);
    assert_eq!(alone.ask(&get("/metrics", "evil.example", "")).await.0, 403);
    assert_eq!(alone.ask(&get("/-/ready", "evil.example", "")).await.0, 200);
    for host in ["HOST", "localhost:8081", "127.0.0.1", "[::1]:8081"] {
        assert_eq!(alone.ask(&get("/metrics", host, "")).await.0, 200, "{host}");
    }
    // A scraper that is known, or let in by the operator's word, may use another name.
    let mut named = Fake::default();
    named.access.hosts = vec!["metrics.example".into()];
    assert_eq!(served(named).await.ask(&get("/metrics", "metrics.example:8081", "")).await.0, 200);
    assert_eq!(served(with_logins()).await.ask(&get("/metrics", "evil.example", ANNA)).await.0, 200);
    let mut public = Fake::default();
    public.access.metrics_public = true;
    assert_eq!(served(public).await.ask(&get("/metrics", "evil.example", "")).await.0, 200);
}

#[tokio::test]
async fn a_test_event_has_the_shape_of_a_real_one_and_an_id_of_its_own() {
    let served = served(Fake::default()).await;
    let path = "/api/v1/endpoints/acme/test";
    let json = "host: HOST\r\ncontent-type: application/json\r\n";
    let (status, text) = served.post(path, json, r#"{"event":"read","data":{"a": 1.0}}"#).await;
    assert_eq!(status, 200, "{text}");
    let report: TestReport = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(report.id.starts_with("evt_test_"), "{}", report.id);
    assert!(report.reason.starts_with(r#"{"event":"read","timestamp":"20"#), "{}", report.reason);
    assert!(report.reason.ends_with(r#"Z","data":{"a": 1.0}}"#), "{}", report.reason);
    assert_eq!(served.post(path, "host: HOST\r\n", "").await.0, 200);
    assert_eq!(served.post("/api/v1/endpoints/no/test", "host: HOST\r\n", "").await.0, 404);
    assert_eq!(served.post(path, json, r#"{"evnt":"read"}"#).await.0, 422);
    assert_eq!(served.post(path, json, "{").await.0, 400);
    assert_eq!(served.post(path, "host: HOST\r\ncontent-type: text/plain\r\n", "{}").await.0, 415);
    let large = "x".repeat(300 * 1024);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", large.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(large.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..], b"413");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_cut_off() {
    let served = served(Fake::default()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: lo").await.unwrap();
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("the daemon closes it").unwrap();
}

#[tokio::test]
async fn stopping_waits_for_nobody_who_is_idle_and_leaves_no_task() {
    let mut served = served(Fake::default()).await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    served.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(3), served.tasks.join_next()).await;
    ended.expect("it stops at once").unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

fn with_logins() -> Fake {
    let login = |username: &str, password: &str, account: Option<&str>| Login {
        username: username.into(),
        password: postrider_sink::Secret::new(password.into()),
        account: account.map(Into::into),
    };
    let mut fake = Fake::default();
    fake.access.logins = vec![login("anna", "right", None), login("acme", "their's", Some("acme"))];
    fake
}

const ANNA: &str = "authorization: Basic YW5uYTpyaWdodA==\r\n";
const ACME: &str = "authorization: Basic YWNtZTp0aGVpcidz\r\n";

#[tokio::test]
async fn with_logins_only_health_needs_none() {
    let served = served(with_logins()).await;
    let get = |path: &str, headers: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n{headers}\r\n")
    };
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(served.get(path).await.0, 200, "{path}");
    }
    for path in ["/metrics", "/api/v1/status", "/api/v1/endpoints", "/api/v1/openapi.json", "/", "/nothing"] {
        let (status, text) = served.get(path).await;
        assert_eq!(status, 401, "{path}");
        assert!(text.contains("www-authenticate: Basic"), "{text}");
        let wrong = "authorization: Basic YW5uYTp3cm9uZw==\r\n";
        if path == "/metrics" {
            assert_eq!(served.ask(&get(path, wrong)).await.0, 401);
        }
    }
    assert_eq!(served.ask(&get("/metrics", ANNA)).await.0, 200);
    assert_eq!(served.ask(&get("/api/v1/status", ANNA)).await.0, 200);
    assert_eq!(served.ask(&get("/api/v1/status", ACME)).await.0, 200);
    assert_eq!(served.ask(&get("/metrics", ACME)).await.0, 403, "a customer sees nobody's series");
    assert_eq!(served.ask(&get("/api/v1/deliveries", ACME)).await.0, 404, "there is no history here");
    assert_eq!(served.post("/-/reload", &format!("host: HOST\r\n{ACME}"), "").await.0, 403);
    assert_eq!(served.post("/-/reload", &format!("host: HOST\r\n{ANNA}"), "").await.0, 200);
}

#[tokio::test]
async fn a_session_is_let_in_until_it_ends_and_its_writes_say_where_they_come_from() {
    let served = served(with_logins()).await;
    let json = "host: HOST\r\ncontent-type: application/json\r\n";
    let wrong = r#"{"username":"anna","password":"wrong"}"#;
    assert_eq!(served.post("/login", json, wrong).await.0, 401);
    let (status, text) = served.post("/login", json, r#"{"username":"anna","password":"right"}"#).await;
    assert_eq!(status, 204, "{text}");
    let cookie = text.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());
    let get = format!("GET /api/v1/status HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n{cookie}\r\n");
    assert_eq!(served.ask(&get).await.0, 200);
    let reload =
        async |more: &str| served.post("/-/reload", &format!("host: HOST\r\n{cookie}{more}"), "").await.0;
    assert_eq!(reload("").await, 403, "a cookie alone is no proof of who wrote the page");
    assert_eq!(reload("origin: http://evil.example\r\n").await, 403);
    assert_eq!(reload("sec-fetch-site: cross-site\r\n").await, 403);
    assert_eq!(reload("origin: http://HOST\r\n").await, 200);
    assert_eq!(reload("sec-fetch-site: same-origin\r\n").await, 200);
    let form = "host: HOST\r\norigin: http://HOST\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    // Browsers leave tabs and line ends out of an address.
    for next in ["//evil.example", "/%09/evil.example", "/%0a/evil.example", "/%5cevil.example", "evil"] {
        let entered = format!("username=anna&password=right&next={next}");
        let (status, text) = served.post("/login", form, &entered).await;
        assert!(status == 303 && text.contains("location: /\r\n"), "{next}: {text}");
    }
    let entered = "username=anna&password=right&next=/deliveries%3Fendpoint%3Dacme";
    let (_, text) = served.post("/login", form, entered).await;
    assert!(text.contains("location: /deliveries?endpoint=acme\r\n"), "{text}");
    let out = format!("{form}{cookie}");
    assert_eq!(served.post("/logout", &out, "").await.0, 303);
    assert_eq!(served.ask(&get).await.0, 401);
    assert_eq!(
        served.post("/-/reload", &format!("{form}{ANNA}"), "a=b").await.0,
        415,
        "no form reaches the API"
    );
}

#[tokio::test]
async fn who_guesses_has_to_wait_even_with_the_right_password() {
    let served = served(with_logins()).await;
    let get = |headers: &str| {
        format!("GET /api/v1/status HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n{headers}\r\n")
    };
    for _ in 0..10 {
        assert_eq!(served.ask(&get("authorization: Basic YW5uYTp3cm9uZw==\r\n")).await.0, 401);
    }
    let (status, text) = served.ask(&get(ANNA)).await;
    assert_eq!(status, 429);
    assert!(text.contains("retry-after: "), "{text}");
}

#[tokio::test]
async fn every_answer_forbids_what_no_page_needs() {
    let served = served(Fake::default()).await;
    for path in ["/api/v1/status", "/metrics", "/nothing"] {
        let (_, text) = served.get(path).await;
        for header in [
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
        ] {
            assert!(text.contains(header), "{path}: {text}");
        }
    }
}
