use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use postrider_sink::{Clock, Connection, Trail};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The head of an answer may have so many bytes. hyper's own bound of 100 header lines applies besides.
const MAX_HEAD: usize = 64 * 1024;
/// All that may come in before the head of the answer proper: interim answers count, however small each is.
const MAX_HEADS: usize = 4 * MAX_HEAD;
/// So much of an answer's body is read, to keep the connection; of it only what the trail asks for is used.
const MAX_BODY: u64 = 16 * 1024;

/// Head and body of no more bytes go out as one piece: to copy them costs less than what writev(2) has over send(2).
const FLAT: usize = 4 * 1024;

/// One connection and everything that is needed to drive it. Whoever polls it, drives it: there is no task of its
/// own, so an attempt costs no wake-up of another task, and dropping it closes the connection.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// Gone once the connection has ended.
    connection: Option<Box<http1::Connection<TokioIo<Wire>, Full<Bytes>>>>,
    /// Bytes that may still come in before the head of an answer.
    heads: Arc<AtomicUsize>,
    /// When it was made.
    pub(crate) born: Instant,
    /// The policy under which its address was checked.
    pub(crate) epoch: u64,
    /// It has carried an answer before.
    pub(crate) reused: bool,
}

impl Link {
    pub(crate) async fn open(io: Connection, born: Instant, epoch: u64) -> hyper::Result<Self> {
        let heads = Arc::new(AtomicUsize::new(MAX_HEADS));
        let io = TokioIo::new(Wire { io, heads: Arc::clone(&heads) });
        let (sender, connection) = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(io).await?;
        Ok(Self { sender, connection: Some(Box::new(connection)), heads, born, epoch, reused: false })
    }

    /// Sends a request and waits for the head of its answer. Tells when the request was on its way.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        clock: &dyn Clock,
    ) -> hyper::Result<(Response<Incoming>, Instant)> {
        self.heads.store(MAX_HEADS, Ordering::Relaxed);
        let heads = Arc::clone(&self.heads);
        let mut answer = pin!(self.sender.send_request(request));
        let mut sent = None;
        poll_fn(|cx| {
            drive(&mut self.connection, cx);
            let sent = *sent.get_or_insert_with(|| clock.now());
            answer.as_mut().poll(cx).map_ok(|answer| {
                // The body has a bound of its own.
                heads.store(usize::MAX, Ordering::Relaxed);
                (answer, sent)
            })
        })
        .await
    }

    /// Reads on; what is read goes nowhere but to the trail, if that keeps answers. `true`: the answer is complete and the connection can be used again;
    /// `false`: it cannot.
    pub(crate) fn poll_rest(
        &mut self,
        rest: &mut Rest,
        trail: Option<&Trail>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let mut stalled = false;
        for _ in 0..16 {
            drive(&mut self.connection, cx);
            match Pin::new(&mut rest.body).poll_frame(cx) {
                Poll::Ready(None) => {
                    drive(&mut self.connection, cx);
                    return Poll::Ready(self.is_idle());
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if let (Some(trail), Some(bytes)) = (trail, frame.data_ref()) {
                        trail.body(bytes);
                    }
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    rest.left = match rest.left.checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) {
                        Some(left) => left,
                        None => return Poll::Ready(false),
                    };
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                // Asking for a frame is what lets the connection read it: ask, drive, ask again.
                Poll::Pending if stalled => return Poll::Pending,
                Poll::Pending => stalled = true,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads a body until its end, or until `take` wants no more.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        take: &mut impl FnMut(&[u8]) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut stalled = false;
        loop {
            drive(&mut self.connection, cx);
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    stalled = false;
                    if !take(&frame.into_data().unwrap_or_default()) {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                Poll::Pending if stalled => return Poll::Pending,
                Poll::Pending => stalled = true,
            }
        }
    }

    /// Whether it was open and ready for a request when it was driven last. One that the other side has closed since
    /// cancels the next request before anything of it is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }
}

fn drive(connection: &mut Option<Box<http1::Connection<TokioIo<Wire>, Full<Bytes>>>>, cx: &mut Context<'_>) {
    if let Some(running) = connection
        && Pin::new(running).poll(cx).is_ready()
    {
        // Letting it go answers whatever request it still holds.
        *connection = None;
    }
}

/// The part of an answer that has not been read yet.
pub(crate) struct Rest {
    body: Incoming,
    /// Bytes that may still come.
    left: u64,
    /// When the connection is given up.
    pub(crate) until: Instant,
}

impl Rest {
    /// `Err`: so much is announced that the connection is not worth keeping.
    pub(crate) fn new(body: Incoming, until: Instant) -> Result<Self, Incoming> {
        if body.size_hint().lower() > MAX_BODY {
            return Err(body);
        }
        Ok(Self { body, left: MAX_BODY, until })
    }
}

/// The stream. It breaks where heads do not end.
struct Wire {
    io: Connection,
    heads: Arc<AtomicUsize>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        let (came, left) = (buffer.filled().len() - before, self.heads.load(Ordering::Relaxed));
        if came > left {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        if left < usize::MAX {
            self.heads.store(left - came, Ordering::Relaxed);
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > FLAT {
            return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        }
        let mut room = [const { MaybeUninit::uninit() }; FLAT];
        let mut flat = ReadBuf::uninit(&mut room);
        slices.iter().for_each(|slice| flat.put_slice(slice));
        Pin::new(&mut self.io).poll_write(cx, flat.filled())
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
