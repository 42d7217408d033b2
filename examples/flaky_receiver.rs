//! A subscriber that fails now and then: start it, point an endpoint at it, and watch the retries.
//!
//! ```sh
//! cargo run --example flaky_receiver -- 127.0.0.1:9000 0.3
//! ```
//! The first argument is where it listens, the second the share of requests that it answers with 500. It prints every
//! request: what it answered, which attempt it was, who sent it, and the body.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const MAX_BODY: usize = 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:9000").parse()?;
    let share: f64 = arguments.next().as_deref().unwrap_or("0.3").parse()?;
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}, failing {:.0} % of requests", listener.local_addr()?, share * 100.0);

    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _peer)) = listener.accept() => {
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, share));
                    let served = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    if let Err(error) = served {
                        eprintln!("a connection ended: {error}");
                    }
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    share: f64,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await?.to_bytes();
    let status =
        if rand::random::<f64>() < share { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    println!(
        "{} {} {} attempt {} of {}\n    {}",
        status.as_u16(),
        head.method,
        head.uri.path(),
        header(&head.headers, "postrider-attempt"),
        header(&head.headers, "webhook-id"),
        String::from_utf8_lossy(&body)
    );
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    Ok(response)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?")
}
