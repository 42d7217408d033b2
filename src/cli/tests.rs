use super::receiver::{Access, Arrival, Behaviour, credentials, serve, time};
use super::{Exit, Postrider, deliveries, listen, out};
use crate::admin::{
    self, AdminBackend, Caller, ConfigIssue, DeliveryState, DeliverySummary, EndpointBackend, EndpointDetail,
    EndpointError, EndpointStatus, Order, Precondition, ReloadReport, ReloadResult, Settings, Status,
    TestError, TestEvent, TestReport, UnsavedTest,
};
use crate::config::AdminConfig;
use async_trait::async_trait;
use http::StatusCode;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct Fake(ReloadResult, &'static str);

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
        AdminConfig::at(([127, 0, 0, 1], 0).into())
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    async fn reload(&self) -> ReloadReport {
        let issue = ConfigIssue { file: self.1.to_owned(), ..ConfigIssue::default() };
        let errors = if self.1.is_empty() { Vec::new() } else { vec![issue] };
        ReloadReport { result: self.0, generation: 1, errors }
    }

    async fn status(&self) -> Status {
        let endpoint =
            EndpointStatus { name: "acme".into(), oldest_ms: Some(1), ..EndpointStatus::default() };
        Status { endpoints: vec![endpoint], ..Status::default() }
    }

    async fn test(
        &self,
        _caller: &Caller,
        endpoint: &str,
        _event: TestEvent,
    ) -> Result<TestReport, TestError> {
        match endpoint {
            "acme" => Ok(TestReport { ok: true, ..TestReport::default() }),
            "down" => Ok(TestReport::default()),
            other => Err(TestError::NotFound(other.to_owned())),
        }
    }

    fn explain(&self, event: &crate::admin::ExplainEvent) -> Result<crate::admin::Explanation, String> {
        crate::admin::Explanation::of(&crate::table::Table::default(), event)
    }

    fn endpoint_schema(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn render_metrics(&self) -> String {
        String::new()
    }
}

async fn run(arguments: &[&str]) -> Exit {
    let arguments: Vec<_> =
        std::iter::once("postrider").chain(arguments.iter().copied()).map(Into::into).collect();
    tokio::task::spawn_blocking(|| Postrider::new().run(arguments)).await.unwrap()
}

async fn daemon(result: ReloadResult) -> (String, JoinSet<()>) {
    daemon_whose(result, "").await
}

/// A daemon whose reload comes to this, with an error in this file.
async fn daemon_whose(result: ReloadResult, file: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(admin::serve(listener, Arc::new(Fake(result, file)), CancellationToken::new()));
    (format!("http://{address}"), tasks)
}

#[test]
fn the_arguments_make_sense_to_clap() {
    use clap::CommandFactory as _;
    super::args::Cli::command().debug_assert();
}

#[tokio::test]
async fn what_makes_no_sense_is_2_and_help_is_0() {
    assert_eq!(run(&["--help"]).await, Exit::Done);
    assert_eq!(run(&["completions", "bash"]).await, Exit::Done);
    assert_eq!(run(&["no-such-command"]).await, Exit::Usage);
    assert_eq!(run(&["status", "--admin", "ftp://127.0.0.1"]).await, Exit::Usage);
    assert_eq!(run(&["listen", "--auth", "no-colon"]).await, Exit::Usage);
    assert_eq!(run(&["send", "--event", "read", "--product", "crm", "--details", "{"]).await, Exit::Usage);
}

#[tokio::test]
async fn without_a_daemon_it_is_4() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(run(&["status", "--admin", &url]).await, Exit::Unreachable);
    assert_eq!(run(&["reload", "--admin", &url]).await, Exit::Unreachable);
    let send = ["send", "--event", "read", "--product", "crm", "--ingress", &url];
    assert_eq!(run(&send).await, Exit::Unreachable);
}

#[tokio::test]
async fn the_exit_code_of_a_command_says_what_the_daemon_answered() {
    let (url, _tasks) = daemon(ReloadResult::Applied).await;
    assert_eq!(run(&["status", "--admin", &url]).await, Exit::Done);
    assert_eq!(run(&["status", "--json", "--admin", &url]).await, Exit::Done);
    assert_eq!(run(&["reload", "--admin", &url]).await, Exit::Done);
    assert_eq!(run(&["test", "acme", "--admin", &url]).await, Exit::Done);
    assert_eq!(run(&["test", "down", "--admin", &url]).await, Exit::Failed);
    assert_eq!(run(&["test", "nobody", "--admin", &url]).await, Exit::NotFound);
    assert_eq!(run(&["test", "../status", "--admin", &url]).await, Exit::NotFound);
    let send = ["send", "--event", "read", "--product", "crm", "--ingress", &url];
    assert_eq!(run(&send).await, Exit::NotFound, "the admin listener takes no events");
    let (url, _tasks) = daemon(ReloadResult::Partial).await;
    assert_eq!(run(&["reload", "--admin", &url]).await, Exit::Failed);
    let (url, _tasks) = daemon_whose(ReloadResult::Rejected, "config/postrider.toml").await;
    assert_eq!(run(&["reload", "--admin", &url]).await, Exit::Config);
    for file in ["/etc/postrider/endpoints/acme.toml", "/etc/postrider/endpoints"] {
        let (url, _tasks) = daemon_whose(ReloadResult::Rejected, file).await;
        assert_eq!(run(&["reload", "--admin", &url]).await, Exit::Failed, "{file}");
    }
}

struct Receiver {
    address: SocketAddr,
    arrived: mpsc::Receiver<Arrival>,
    _tasks: JoinSet<()>,
}

async fn receiver(access: Access, fail_percent: u8) -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrivals, arrived) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    let behaviour =
        Behaviour { access, status: StatusCode::NO_CONTENT, fail_percent, latency: Duration::ZERO };
    tasks.spawn(serve(listener, behaviour, arrivals, CancellationToken::new()));
    Receiver { address, arrived, _tasks: tasks }
}

impl Receiver {
    /// Posts an event; the answer, and what the receiver reported.
    async fn post(&mut self, path: &str, authorization: Option<&str>) -> (u16, Arrival) {
        let client = super::client::Client::new(&format!("http://{}", self.address)).unwrap();
        let client = client.authorization(authorization.map(|value| value.parse().unwrap()));
        let answer = client.post(path, r#"{"event":"read","data":{}}"#).await.unwrap();
        (answer.status, self.arrived.recv().await.unwrap())
    }
}

#[tokio::test]
async fn a_receiver_lets_in_only_who_shows_the_password_of_the_path() {
    let paths = HashMap::from([("/a".to_owned(), credentials("a:1").unwrap())]);
    let mut receiver = receiver(Access::ByPath(paths), 0).await;
    let basic = |text: &str| format!("Basic {}", credentials(text).unwrap());
    assert_eq!(receiver.post("/a", Some(&basic("a:1"))).await.0, 204);
    assert_eq!(receiver.post("/a", Some(&basic("a:2"))).await.0, 401);
    assert_eq!(receiver.post("/a", None).await.0, 401);
    assert_eq!(receiver.post("/a", Some("Basic")).await.0, 401);
    assert_eq!(receiver.post("/b", Some(&basic("a:1"))).await.0, 404);
}

#[tokio::test]
async fn a_receiver_reports_what_it_answered_and_that_it_failed_on_purpose() {
    let mut healthy = receiver(Access::Open, 0).await;
    let (status, arrival) = healthy.post("/in", None).await;
    assert_eq!((status, arrival.status, arrival.injected), (204, 204, false));
    assert_eq!((arrival.event.as_str(), arrival.bytes), ("read", 26));
    let text = listen::line(&arrival);
    assert!(text.contains("204") && text.contains("POST /in") && text.contains("read"), "{text}");
    let mut failing = receiver(Access::Open, 100).await;
    let (status, arrival) = failing.post("/in", None).await;
    assert_eq!((status, arrival.injected), (503, true));
}

#[tokio::test]
async fn what_arrives_cannot_steer_the_terminal() {
    let arrival = Arrival {
        at_ms: 45_296_000,
        method: "POST".into(),
        path: "/in".into(),
        status: 200,
        injected: false,
        event: "\u{1b}[2Jread".into(),
        product: String::new(),
        webhook_id: String::new(),
        attempt: "2".into(),
        bytes: 3,
    };
    let text = listen::line(&arrival);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.starts_with("12:34:56") && text.ends_with("attempt 2"), "{text}");
}

#[test]
fn what_a_publisher_wrote_stays_in_its_line_and_cannot_steer_the_terminal() {
    let row = DeliverySummary {
        id: "dlv_1".into(),
        endpoint: "acme".into(),
        event_id: "evt_1".into(),
        event: "sent".into(),
        product: "crm".into(),
        account: None,
        message_id: "m\n\u{1b}[2J\u{9b}2Jforged  delivered".into(),
        state: DeliveryState::Dead,
        reason: Some("rejected".into()),
        note: Some("no\rsuch \u{7f}table".into()),
        attempts: 1,
        code: None,
        accepted_at: String::new(),
        ended_at: None,
        due_at: None,
        took_ms: None,
        took_us: None,
    };
    let line = deliveries::followed(&row);
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(line.contains("forged  delivered") && line.contains("dead (rejected)"), "{line}");
    let cells = [vec!["a\nb".to_owned(), "c".to_owned()], vec!["\u{1b}[2Jwide".to_owned(), "d".to_owned()]];
    let lines = out::table(&cells);
    assert_eq!(lines, ["a\u{fffd}b       c", "\u{fffd}[2Jwide  d"]);
}

#[test]
fn figures_are_written_for_people() {
    assert_eq!(out::duration(59), "59s");
    assert_eq!(out::duration(7_500), "2h 5m");
    assert_eq!(out::duration(90_000), "1d 1h");
    assert_eq!(out::bytes(1023), "1023 B");
    assert_eq!(out::bytes(10 << 30), "10 GiB");
    assert_eq!(out::bytes(1_572_864), "1.5 MiB");
    assert!(out::bytes(u64::MAX).ends_with("TiB"));
    let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
    assert_eq!(out::table(&rows), ["A     B", "long  x"]);
}

#[test]
fn a_short_time_has_a_unit() {
    assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
    assert_eq!(time("2s"), Ok(Duration::from_secs(2)));
    assert!(time("2").is_err() && time("-1s").is_err() && time("").is_err());
}
