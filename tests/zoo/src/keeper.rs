//! Plays a behaviour on a listener of its own.

use crate::{Authority, Behaviour, Ground, Step};
use jiff::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A behaviour that is being played. It ends with this value.
pub struct Kept {
    /// Where.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    canary: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
    _waiting: Vec<TcpStream>,
}

impl Kept {
    /// Connections that were taken.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections to where nobody may connect.
    #[must_use]
    pub fn canary_hits(&self) -> usize {
        self.canary.load(Ordering::SeqCst)
    }

    /// The URL to deliver to.
    #[must_use]
    pub fn url(&self, behaviour: &Behaviour) -> String {
        let scheme = match behaviour.ground {
            Ground::Plain | Ground::Full => "http",
            Ground::Raw | Ground::Tls(_) => "https",
        };
        format!("{scheme}://{}/in", self.address)
    }
}

/// Starts to play a behaviour; certificates are made by `authority`.
///
/// # Errors
/// No port, or a certificate that cannot be made.
pub async fn keep(behaviour: &'static Behaviour, authority: &Authority) -> io::Result<Kept> {
    let connections = Arc::new(AtomicUsize::new(0));
    let canary = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let trap = TcpListener::bind("127.0.0.1:0").await?;
    let trap_at = trap.local_addr()?;
    tasks.spawn(count(trap, Arc::clone(&canary)));
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(if behaviour.ground == Ground::Full { 0 } else { 64 })?;
    let address = listener.local_addr()?;
    let mut waiting = Vec::new();
    if behaviour.ground == Ground::Full {
        // They are answered by the system until there is no more room.
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(150), TcpStream::connect(address)).await
        {
            waiting.push(stream?);
        }
        tasks.spawn(async move {
            let _kept = listener;
            std::future::pending::<()>().await;
        });
    } else {
        let acceptor = match behaviour.ground {
            Ground::Tls(flaw) => Some(TlsAcceptor::from(authority.server(flaw)?)),
            _ => None,
        };
        let player = Player { steps: behaviour.steps, canary: trap_at, acceptor };
        tasks.spawn(accept(listener, player, Arc::clone(&connections)));
    }
    Ok(Kept { address, connections, canary, _tasks: tasks, _waiting: waiting })
}

async fn count(listener: TcpListener, hits: Arc<AtomicUsize>) {
    while listener.accept().await.is_ok() {
        hits.fetch_add(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, player: Player, connections: Arc<AtomicUsize>) {
    let mut running = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        while running.try_join_next().is_some() {}
        running.spawn(player.clone().play(stream));
    }
}

#[derive(Clone)]
struct Player {
    steps: &'static [Step],
    canary: SocketAddr,
    acceptor: Option<TlsAcceptor>,
}

impl Player {
    /// However the other side ends it, that is the end.
    async fn play(self, mut stream: TcpStream) {
        let result = match &self.acceptor {
            None => self.steps(&mut stream).await,
            Some(acceptor) => match acceptor.accept(&mut stream).await {
                Ok(mut secured) => self.steps(&mut secured).await,
                Err(_) => Ok(false),
            },
        };
        if matches!(result, Ok(true)) {
            let _ = stream.set_zero_linger();
        }
    }

    /// `true`: to be ended with a reset.
    async fn steps<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<bool> {
        for step in self.steps {
            match *step {
                Step::Request => read_request(stream).await?,
                Step::Read(count) => {
                    for _ in 0..count {
                        stream.read_u8().await?;
                    }
                }
                Step::Send(text) => stream.write_all(filled(text, self.canary).as_bytes()).await?,
                Step::Bytes(bytes) => stream.write_all(bytes).await?,
                Step::Repeat(bytes, times) => {
                    for _ in 0..times {
                        stream.write_all(bytes).await?;
                    }
                }
                Step::Flood(bytes) => loop {
                    stream.write_all(bytes).await?;
                },
                Step::Drip(text) => {
                    for byte in text.bytes() {
                        stream.write_u8(byte).await?;
                        stream.flush().await?;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Step::Hang => std::future::pending().await,
                Step::Finish => stream.shutdown().await?,
                Step::Reset => return Ok(true),
            }
        }
        stream.flush().await?;
        Ok(false)
    }
}

/// Reads a request as we send them: with a length.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = (&mut *stream).take(length.unwrap_or_default());
    tokio::io::copy(&mut body, &mut tokio::io::sink()).await.map(|_| ())
}

/// A text with its placeholders filled in.
fn filled(text: &str, canary: SocketAddr) -> String {
    let mut text = text.replace("{canary}", &canary.to_string());
    for form in ["", "rfc850 ", "asctime "] {
        let open = format!("{{{form}in ");
        while let Some((before, rest)) = text.split_once(&open) {
            let Some((seconds, after)) = rest.split_once('}') else { break };
            let seconds = seconds.parse().unwrap_or_default();
            text = format!("{before}{}{after}", date(form, seconds));
        }
    }
    text
}

fn date(form: &str, seconds: i64) -> String {
    let Ok(at) = Timestamp::from_second(Timestamp::now().as_second() + seconds) else { return String::new() };
    let format = match form {
        "rfc850 " => "%A, %d-%b-%y %H:%M:%S GMT",
        "asctime " => "%a %b %e %H:%M:%S %Y",
        _ => "%a, %d %b %Y %H:%M:%S GMT",
    };
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string()
}
