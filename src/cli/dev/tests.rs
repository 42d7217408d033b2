use super::super::client::Client;
use super::super::out::Style;
use super::super::receiver::{Access, Behaviour, serve};
use super::files::{self, ENDPOINTS};
use super::samples::{EVENTS, PRODUCTS, samples};
use super::{report, tour};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[test]
fn the_samples_are_every_event_of_every_product_in_the_shape_of_whatsapp_statuses() {
    let samples = samples(1_800_000_000_123);
    let pairs: HashSet<_> = samples.iter().map(|sample| (sample.event, sample.product)).collect();
    assert_eq!(pairs.len(), EVENTS.len() * PRODUCTS.len());
    for sample in &samples {
        let data = &sample.data;
        assert!(data["message_id"].as_str().unwrap().starts_with("wamid.HBgL"), "{data}");
        assert_eq!(data["status"], sample.event);
        let details = &data["details"];
        assert!(details["recipient_id"].as_str().unwrap().starts_with("155501001"), "{data}");
        assert_eq!(details["timestamp"], "1800000000");
        if sample.event == "failed" {
            assert!(details["errors"][0]["code"].is_u64(), "{data}");
            assert_eq!(details.get("pricing"), None);
        } else {
            assert!(details["conversation"]["origin"]["type"].is_string(), "{data}");
            assert!(details["pricing"]["category"].is_string(), "{data}");
        }
        let expires = details["conversation"].get("expiration_timestamp").is_some();
        assert_eq!(expires, sample.event == "sent");
    }
    let ids: HashSet<_> = samples.iter().map(|sample| sample.data["message_id"].as_str()).collect();
    assert_eq!(ids.len(), 2 * PRODUCTS.len(), "sent, delivered and read are about one message");
}

#[test]
fn files_that_are_there_are_kept_and_say_where_the_receiver_is() {
    let dir = tempfile::tempdir().unwrap();
    let first = files::prepare(dir.path(), true).unwrap();
    let file = dir.path().join("endpoints/crm-failures.toml");
    let mine = std::fs::read_to_string(&file).unwrap().replace("[\"failed\"]", "\"all\"");
    std::fs::write(&file, &mine).unwrap();
    let second = files::prepare(dir.path(), true).unwrap();
    assert_eq!(first.receiver, second.receiver);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), mine);
    for path in [dir.path().join("postrider.toml"), file] {
        let text = std::fs::read_to_string(path).unwrap();
        text.parse::<toml::Table>().expect("it is TOML");
    }
}

/// As much of a daemon as the tour sees: takes events and delivers `failed` ones to the second endpoint.
async fn daemon(receiver: SocketAddr, lose: bool) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut count = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count += 1;
            let service = hyper::service::service_fn(move |request| take(request, receiver, lose, count));
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (address, tasks)
}

async fn take(
    request: Request<Incoming>,
    receiver: SocketAddr,
    lose: bool,
    count: u32,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let event: Value =
        serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let wanted = event["event"] == "failed";
    if wanted && !lose {
        deliver(receiver, count, &event).await;
    }
    let receipt = format!(r#"{{"id":"evt_{count}","deliveries":{}}}"#, u8::from(wanted));
    let mut response = Response::new(Full::from(receipt));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

async fn deliver(receiver: SocketAddr, count: u32, event: &Value) {
    let stream = tokio::net::TcpStream::connect(receiver).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let path = "/crm-failures";
    let request = Request::post(path)
        .header(header::HOST, "receiver")
        .header(header::AUTHORIZATION, format!("Basic {}", files::credentials()[path]))
        .header("webhook-id", format!("evt_{count}"))
        .body(Full::<Bytes>::from(event.to_string()))
        .unwrap();
    tokio::select! {
        answer = sender.send_request(request) => assert_eq!(answer.unwrap().status(), StatusCode::OK),
        _ = connection => panic!("the receiver hung up"),
    }
}

async fn toured(lose: bool, patience: Duration) -> tour::Tour {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = listener.local_addr().unwrap();
    let (arrivals, mut arrived) = mpsc::channel(64);
    let behaviour = Behaviour {
        access: Access::ByPath(files::credentials()),
        status: StatusCode::OK,
        fail_percent: 0,
        latency: Duration::ZERO,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, behaviour, arrivals, CancellationToken::new()));
    let (ingress, _daemon) = daemon(receiver, lose).await;
    let client = Client::new(&format!("http://{ingress}")).unwrap();
    tour::tour(&client, &mut arrived, patience).await.unwrap()
}

#[tokio::test]
async fn the_tour_shows_what_arrived_and_what_was_filtered() {
    let tour = toured(false, Duration::from_secs(10)).await;
    assert!(tour.is_complete());
    assert_eq!((tour.events.len(), tour.promised(), tour.arrived()), (16, 4, 4));
    let text = report::table(&tour, Style::stdout());
    assert!(ENDPOINTS.iter().all(|endpoint| text.contains(endpoint.name)), "{text}");
    let arrived = text.lines().filter(|line| line.ends_with(" ms")).count();
    assert_eq!(arrived, 4, "{text}");
    assert!(text.contains("16 events sent, 4 of 4 deliveries arrived, 28 filtered out"), "{text}");
}

#[tokio::test]
async fn a_tour_whose_deliveries_do_not_arrive_ends_and_says_so() {
    let tour = toured(true, Duration::from_millis(50)).await;
    assert!(!tour.is_complete());
    let text = report::table(&tour, Style::stdout());
    assert!(text.contains("only 0 of 4 deliveries arrived here"), "{text}");
}
