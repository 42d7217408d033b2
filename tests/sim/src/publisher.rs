//! Publishers: each posts its messages' events one after another, and repeats what may be repeated.

use crate::chance::Draws;
use crate::trace::{Trace, now};
use postrider_checker::event::Event;
use postrider_checker::log::{Attempt, Outcome};
use postrider_checker::wire::Wire;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What all publishers share.
pub(crate) struct Publishers {
    pub(crate) draws: Draws,
    pub(crate) trace: Trace,
    /// The longest pause between two events, in milliseconds.
    pub(crate) pause: u64,
    pub(crate) bytes: usize,
    pub(crate) attempts: RefCell<Vec<Attempt>>,
}

/// One publisher.
pub(crate) struct Publisher {
    shared: Rc<Publishers>,
    name: String,
    wire: Option<Wire<TcpStream>>,
}

impl Publisher {
    pub(crate) fn new(shared: Rc<Publishers>, number: usize) -> Self {
        Self { shared, name: format!("p{number}"), wire: None }
    }

    /// Posts the events of these messages, and ends when all are accepted or nobody knows.
    pub(crate) async fn publish(&mut self, messages: std::ops::Range<u64>) {
        for message in messages {
            for number in message * Event::PER_MESSAGE..(message + 1) * Event::PER_MESSAGE {
                sleep(self.shared.draws.millis(0, self.shared.pause)).await;
                // What may come later must not come after what follows it.
                if !self.event(Event { number }).await {
                    break;
                }
            }
        }
    }

    /// False: nobody knows whether it was accepted, and it must not be repeated.
    async fn event(&mut self, event: Event) -> bool {
        loop {
            let sent = now();
            let answer = self.post(event).await;
            let took = now().saturating_sub(sent);
            let (outcome, status, id, deliveries) = match answer {
                Answer::Accepted { status, id, deliveries } => (Outcome::Ok, status, id, deliveries),
                Answer::Unreachable => (Outcome::Fail, 0, String::new(), 0),
                // A commit that failed may be found on the disk all the same.
                Answer::Refused(status) if status >= 500 => (Outcome::Unknown, status, String::new(), 0),
                Answer::Refused(status) => (Outcome::Fail, status, String::new(), 0),
                Answer::Lost => (Outcome::Unknown, 0, String::new(), 0),
            };
            self.shared.trace.say(&self.name, format_args!("{} {outcome:?} {status} {id}", event.number));
            self.shared.attempts.borrow_mut().push(Attempt {
                number: event.number,
                outcome,
                status,
                id,
                deliveries,
                digest: event.digest(self.shared.bytes),
                sent_us: u64::try_from(sent.as_micros()).unwrap_or(0),
                took_us: u64::try_from(took.as_micros()).unwrap_or(0),
            });
            match outcome {
                Outcome::Ok => return true,
                Outcome::Unknown if !event.keyed() => return false,
                _ => sleep(self.shared.draws.millis(200, 2000)).await,
            }
        }
    }

    async fn post(&mut self, event: Event) -> Answer {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => match timeout(PATIENCE, TcpStream::connect(("daemon", crate::daemon::PORT))).await {
                Ok(Ok(stream)) => Wire::new(stream),
                _ => return Answer::Unreachable,
            },
        };
        let body = event.request(self.shared.bytes, None);
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: daemon\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        match timeout(PATIENCE, exchange(&mut wire, request.as_bytes())).await {
            Ok(Ok((answer, keep))) => {
                self.wire = keep.then_some(wire);
                answer
            }
            _ => Answer::Lost,
        }
    }
}

enum Answer {
    Accepted { status: u16, id: String, deliveries: u32 },
    Refused(u16),
    Unreachable,
    Lost,
}

async fn exchange(wire: &mut Wire<TcpStream>, request: &[u8]) -> io::Result<(Answer, bool)> {
    wire.send(request).await?;
    let message = wire.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let (keep, status) = (!message.closes(), message.status());
    if status != 200 && status != 202 {
        return Ok((Answer::Refused(status), keep));
    }
    let said: serde_json::Value = serde_json::from_slice(message.body)?;
    let id = said.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
    let deliveries =
        said.get("deliveries").and_then(|count| count.as_u64()).and_then(|count| u32::try_from(count).ok());
    Ok((Answer::Accepted { status, id, deliveries: deliveries.unwrap_or(u32::MAX) }, keep))
}
