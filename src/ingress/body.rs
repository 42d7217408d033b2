use super::admission::{Admission, Permit};
use super::answer;
use super::problem::{Kind, Problem};
use super::watch::{Phase, Watch};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// The refusal of a body over the limit.
pub(super) fn too_large(max: u64) -> Problem {
    let detail = format!(
        "The body may have at most {max} bytes (max_body in [ingress]). Send fewer events at once or smaller ones."
    );
    Problem::new(Kind::TooLarge, detail).closing()
}

/// Reads a whole body of at most `max` bytes, until the watch says that it came too slowly. A body that arrived
/// together with its head is not copied.
pub(super) async fn read(
    mut body: Incoming,
    max: u64,
    watch: &Watch,
    admission: &Admission,
) -> Result<(Bytes, Option<Permit>), Problem> {
    let mut permit = None;
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| {
            if watch.phase() == Phase::BodyLate {
                return Poll::Ready(Err(late()));
            }
            Pin::new(&mut body).poll_frame(cx).map(|frame| frame.transpose().map_err(|_| broken()))
        });
        let Some(frame) = frame.await? else { break };
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + whole.len() + data.len();
        if u64::try_from(length).unwrap_or(u64::MAX) > max {
            return Err(too_large(max));
        }
        // What is left of it is not read any more.
        let admitted = admission.bytes(data.len(), body.is_end_stream(), max, permit);
        permit = Some(admitted.ok_or_else(|| answer::overloaded().closing())?);
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                let hint = body.size_hint().exact().unwrap_or(0);
                whole.reserve(length.saturating_add(usize::try_from(hint).unwrap_or(0)));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok((if whole.is_empty() { first } else { whole.freeze() }, permit))
}

fn late() -> Problem {
    Problem::new(
        Kind::TooSlow,
        "The body did not arrive in time. Nothing of it was stored: send it again, at once.",
    )
    .closing()
}

fn broken() -> Problem {
    Problem::new(
        Kind::BadRequest,
        "The body ended early or its chunks are malformed. Nothing of it was stored.",
    )
    .closing()
}
