use super::problem::{Kind, Problem};
use super::watch::{Phase, Watch};
use crate::clock::Clock;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection as the HTTP library sees it. On the way in it tells the [`Watch`] what arrives; on the way out it
/// gives the library's own bare refusals the form of ours; and it does not close under a client that still writes,
/// because the reset would take the answer with it.
pub(super) struct Wire<IO> {
    io: IO,
    watch: Arc<Watch>,
    clock: Arc<dyn Clock>,
    /// A refusal of ours that goes out before anything else, and how much of it has gone.
    own: Option<(Vec<u8>, usize)>,
    /// Nothing more is read for the library: what there was to say is said.
    refused: bool,
    begun: bool,
    ended: bool,
    lingered: usize,
}

/// How a client begins that takes HTTP/2 for granted (RFC 9113 section 3.4). The library says nothing to it at all.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Bytes dropped after our side is closed, before we close for good.
const LINGER_BYTES: usize = 1024 * 1024;

impl<IO> Wire<IO> {
    pub(super) fn new(io: IO, watch: Arc<Watch>, clock: Arc<dyn Clock>) -> Self {
        Self { io, watch, clock, own: None, refused: false, begun: false, ended: false, lingered: 0 }
    }
}

impl<IO: AsyncWrite + Unpin> Wire<IO> {
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, gone)) = &mut self.own {
            let rest = bytes.get(*gone..).unwrap_or_default();
            if rest.is_empty() {
                self.own = None;
                break;
            }
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *gone += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Refuses what the library is not to see; to it, it looks as if the client had gone.
    fn poll_refuse(
        &mut self,
        cx: &mut Context<'_>,
        kind: Kind,
        detail: &'static str,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.refused, true) && !std::mem::replace(&mut self.ended, true) {
            self.own = Some((Problem::new(kind, detail).into_bytes(), 0));
        }
        ready!(self.poll_own(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What the library says by itself, without a document, in our words.
fn bare_refusal(bytes: &[u8], watch: &Watch) -> Option<Problem> {
    let status = bytes.strip_prefix(b"HTTP/1.1 4")?.first_chunk::<2>()?;
    if bytes.windows(13).any(|part| part == b"content-type:") {
        return None;
    }
    let problem = match status {
        b"31" if watch.is_endless() => Problem::new(
            Kind::TooLarge,
            "Content-Length is more than any body may have (max_body in [ingress]).",
        ),
        b"31" => Problem::new(
            Kind::HeadTooLarge,
            "The request line and the headers together are too long, or there are more than 100 headers. Send fewer or shorter headers.",
        ),
        b"14" => Problem::new(Kind::TargetTooLong, "Post to /v1/events."),
        _ => Problem::new(
            Kind::BadRequest,
            "The request line or a header is not valid HTTP/1.1. Check the method, the target and the header lines.",
        ),
    };
    Some(problem)
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        const LATE: &str = "The request's head did not arrive in time. Send it at once and try again.";
        const WRONG_VERSION: &str =
            "This is HTTP/2, and only HTTP/1.1 is spoken here. Have the client use that.";
        if self.watch.phase() == Phase::HeadLate {
            return self.poll_refuse(cx, Kind::TooSlow, LATE);
        }
        if self.refused {
            return self.poll_refuse(cx, Kind::BadRequest, WRONG_VERSION);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let arrived = buf.filled().get(before..).unwrap_or_default();
        let begun = std::mem::replace(&mut self.begun, true);
        if arrived.is_empty() {
            self.ended = true;
        } else if !begun && arrived.starts_with(HTTP2) {
            buf.set_filled(before);
            return self.poll_refuse(cx, Kind::BadRequest, WRONG_VERSION);
        } else {
            self.watch.arrived(arrived, self.clock.now());
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_own(cx))?;
        if let Some(problem) = bare_refusal(buf, &self.watch) {
            self.own = Some((problem.into_bytes(), 0));
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_own(cx))?;
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        let clock = &self.clock;
        self.watch.flushed(|| clock.now());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.phase() != Phase::Lingering {
            ready!(self.poll_own(cx))?;
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.watch.enter(Phase::Lingering, self.clock.now());
        }
        let mut room = [0; 8192];
        while !self.ended && self.lingered < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            self.ended = buf.filled().is_empty();
            self.lingered += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
