//! Receivers: each stands for one endpoint, writes down what arrives, and answers as it is told.

use crate::chance::Draws;
use crate::plan::Mode;
use crate::trace::{Trace, now};
use postrider_checker::event::{digest, number_in};
use postrider_checker::log::Receipt;
use postrider_checker::wire::{Message, Wire};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

/// One receiver. It survives its process.
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) draws: Draws,
    pub(crate) trace: Trace,
    pub(crate) mode: Cell<Mode>,
    /// Of a hundred requests, so many are answered with a failure.
    pub(crate) failing: Cell<u64>,
    pub(crate) receipts: Rc<RefCell<Vec<Receipt>>>,
}

impl Receiver {
    /// Takes connections for as long as its process lives.
    pub(crate) async fn serve(self: Rc<Self>) -> io::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            let this = Rc::clone(&self);
            connections.spawn_local(async move {
                // The other side may end it at any time.
                let _ = this.connection(stream).await;
            });
        }
    }

    async fn connection(&self, stream: TcpStream) -> io::Result<()> {
        let mut wire = Wire::new(stream);
        loop {
            let Some(message) = wire.next().await? else { return Ok(()) };
            let mode = match self.mode.get() {
                Mode::Takes if self.draws.percent(self.failing.get()) => Mode::Fails(500, None),
                mode => mode,
            };
            let mut receipt = self.receipt(&message);
            let (wait, status, retry_after) = match mode {
                Mode::Takes => (0, 200, None),
                Mode::Slow(millis) => (millis, 200, None),
                Mode::Fails(status, retry_after) => (0, status, retry_after),
                Mode::Silent | Mode::Closes => (0, 0, None),
            };
            if wait > 0 {
                sleep(Duration::from_millis(wait)).await;
            }
            receipt.answered = status;
            let number = receipt.number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            self.trace.say(
                &self.name,
                format_args!("{number} attempt {} answered {status} {}", receipt.attempt, receipt.id),
            );
            receipt.at_us = u64::try_from(now().as_micros()).unwrap_or(0);
            self.receipts.borrow_mut().push(receipt);
            match mode {
                Mode::Silent => std::future::pending().await,
                Mode::Closes => return Ok(()),
                _ => {}
            }
            let after = retry_after.map_or_else(String::new, |seconds| format!("retry-after: {seconds}\r\n"));
            let answer = format!("HTTP/1.1 {status} As Told\r\n{after}content-length: 0\r\n\r\n");
            wire.send(answer.as_bytes()).await?;
        }
    }

    fn receipt(&self, message: &Message<'_>) -> Receipt {
        let authorization = postrider_checker::authorization(&self.name);
        Receipt {
            endpoint: message.word(1).trim_start_matches('/').to_owned(),
            number: number_in(message.body),
            id: message.header("webhook-id").unwrap_or_default().to_owned(),
            attempt: message.header("postrider-attempt").and_then(|text| text.parse().ok()).unwrap_or(0),
            digest: digest(message.body),
            answered: 0,
            authorized: message.header("authorization") == Some(authorization.as_str()),
            at_us: 0,
        }
    }
}
