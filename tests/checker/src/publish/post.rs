use super::To;
use crate::wire::Wire;
use serde::Deserialize;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a post was answered.
pub(super) enum Answer {
    /// 202, or 200 for a repeat.
    Accepted { status: u16, id: String, deliveries: u32 },
    /// Any other status.
    Refused { status: u16 },
    /// Nothing was sent.
    Unreachable,
    /// Sent, and no answer.
    Lost,
}

/// A connection that is made again whenever it ends.
pub(super) struct Target {
    to: To,
    host: Option<SocketAddr>,
    wire: Option<Wire<TcpStream>>,
    request: Vec<u8>,
}

#[derive(Deserialize)]
struct Accepted<'a> {
    id: &'a str,
    deliveries: u32,
}

#[derive(Deserialize)]
struct Ready {
    ingress: SocketAddr,
}

impl Target {
    pub(super) fn new(to: To) -> Self {
        Self { to, host: None, wire: None, request: Vec::new() }
    }

    pub(super) async fn post(&mut self, body: &str) -> Answer {
        if self.wire.is_none() && self.connect().await.is_err() {
            return Answer::Unreachable;
        }
        let Some(mut wire) = self.wire.take() else { return Answer::Unreachable };
        self.request.clear();
        let host = self.host.map(|address| address.to_string()).unwrap_or_default();
        let _ = write!(
            self.request,
            "POST /v1/events HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        match tokio::time::timeout(DEADLINE, exchange(&mut wire, &self.request)).await {
            Ok(Ok((answer, keep))) => {
                if keep {
                    self.wire = Some(wire);
                }
                answer
            }
            Ok(Err(_)) | Err(_) => Answer::Lost,
        }
    }

    async fn connect(&mut self) -> io::Result<()> {
        let address = match &self.to {
            To::Address(address) => *address,
            To::ReadyFile(path) => serde_json::from_slice::<Ready>(&std::fs::read(path)?)?.ingress,
        };
        self.host = Some(address);
        let stream = TcpStream::connect(address).await?;
        // Only latency would suffer.
        let _ = stream.set_nodelay(true);
        self.wire = Some(Wire::new(stream));
        Ok(())
    }
}

async fn exchange(wire: &mut Wire<TcpStream>, request: &[u8]) -> io::Result<(Answer, bool)> {
    wire.send(request).await?;
    let message = wire.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let keep = !message.closes();
    let status = message.status();
    if status != 200 && status != 202 {
        return Ok((Answer::Refused { status }, keep));
    }
    let accepted: Accepted<'_> = serde_json::from_slice(message.body)?;
    Ok((Answer::Accepted { status, id: accepted.id.to_owned(), deliveries: accepted.deliveries }, keep))
}
