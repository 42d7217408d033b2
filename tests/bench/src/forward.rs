//! The bare forwarder: what any program has to do that answers only for what is on disk.
//!
//! Reads a request, has its body appended to a preallocated log by the one writer thread, which takes everything that
//! is queued and syncs it at once, answers 202, and posts the body on. Nothing is parsed, matched, ordered or retried.

mod log;
pub(crate) mod out;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use log::Log;
use out::Out;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Where it listens, writes and posts to.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The subscriber.
    #[arg(long)]
    to: SocketAddr,
    /// The name of the endpoint there.
    #[arg(long, default_value = "bench")]
    endpoint: String,
    /// The file that bodies are appended to.
    #[arg(long)]
    log: PathBuf,
    /// Written once it listens: {"ingress": "ADDRESS"}.
    #[arg(long)]
    ready_file: PathBuf,
    /// Threads of the runtime, beside the writer's.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Connections to the subscriber.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

struct State {
    log: Log,
    out: Out,
}

/// Runs until the process is killed.
pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = if options.threads == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?
    };
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<()> {
    let mut tasks = JoinSet::new();
    let log = Log::open(&options.log).with_context(|| format!("cannot open {}", options.log.display()))?;
    let out =
        Out::start(&mut tasks, options.to, &[options.endpoint], options.connections, &HeaderMap::new())?;
    let state = Arc::new(State { log, out });
    let listener = TcpListener::bind(options.listen).await?;
    announce(&options.ready_file, listener.local_addr()?)?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _peer) = accepted?;
                stream.set_nodelay(true)?;
                let state = Arc::clone(&state);
                tasks.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    // Its end is the publisher's business.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_ended) = tasks.join_next() => {}
        }
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == hyper::Method::GET {
        let (syncs, events) = state.log.counts();
        let body = format!("{{\"syncs\":{syncs},\"events\":{events}}}");
        return Ok(Response::new(Full::new(Bytes::from(body))));
    }
    let Ok(body) = request.into_body().collect().await else {
        return Ok(plain(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    let body = body.to_bytes();
    let Some(number) = state.log.append(body.clone()).await else {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, Bytes::new()));
    };
    state.out.post(body);
    Ok(plain(StatusCode::ACCEPTED, Bytes::from(format!("{{\"id\":\"evt_{number}\",\"deliveries\":1}}"))))
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

fn announce(path: &Path, address: SocketAddr) -> Result<()> {
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, format!("{{\"ingress\":\"{address}\"}}"))?;
    std::fs::rename(unfinished, path).context("cannot write the ready file")
}
