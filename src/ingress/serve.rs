use super::Shared;
use super::handler::Handler;
use super::watch::{Phase, Watch};
use super::wire::Wire;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// Serves one connection until it ends, its deadlines pass, or `shutdown` is cancelled and what is in flight is
/// answered.
pub(super) async fn serve_connection<IO>(io: IO, shared: Arc<Shared>, shutdown: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = shared.clock.now();
    let watch = Arc::new(Watch::new(shared.limits.clone(), begun));
    let wire = Wire::new(io, watch.clone(), shared.clock.clone());
    let handler = Handler { shared: shared.clone(), watch: watch.clone() };
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    // Deadlines are the watch's: hyper's own begins after the first request and allocates for each one.
    builder.header_read_timeout(None).half_close(true);
    // Answers are short: one buffer costs less than a list of two.
    builder.writev(false);
    // The one bounds what is kept of a head that does not end, the other one that arrived whole.
    let head_bytes = shared.limits.head_bytes.max(8192);
    builder.max_buf_size(head_bytes).max_header_size(head_bytes);

    let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
    let old = begun.checked_add(shared.limits.age).unwrap_or(begun);
    let mut stopping = pin!(shutdown.cancelled());
    let mut leaving = false;
    let mut armed = watch.deadline().unwrap_or(old).min(old);
    let mut timer = pin!(sleep_until(armed.into()));

    poll_fn(|cx| {
        if !leaving && stopping.as_mut().poll(cx).is_ready() {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        loop {
            // An error here is the client's: it is answered where it can be, and there is nobody else to tell.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if leaving && matches!(watch.phase(), Phase::Connected | Phase::Idle) {
                return Poll::Ready(());
            }
            let next = [watch.deadline(), (!leaving).then_some(old)].into_iter().flatten().min();
            // A deadline that came nearer is armed at once; one that moved away is looked at when it fires.
            if let Some(next) = next
                && next < armed
            {
                armed = next;
                timer.as_mut().reset(armed.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = shared.clock.now();
            if !leaving && old <= now {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            if watch.deadline().is_some_and(|deadline| deadline <= now) {
                match watch.phase() {
                    // Both are answered by who meets the phase next: the socket, and the reader of the body.
                    Phase::Head => watch.enter(Phase::HeadLate, now),
                    Phase::Body => watch.enter(Phase::BodyLate, now),
                    _ => return Poll::Ready(()),
                }
            }
            let next = [watch.deadline(), (!leaving).then_some(old)].into_iter().flatten().min();
            armed = next.unwrap_or_else(|| now.checked_add(shared.limits.idle).unwrap_or(now));
            timer.as_mut().reset(armed.into());
        }
    })
    .await;
}
