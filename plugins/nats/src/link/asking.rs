//! Asks the server what it has read: what is sent to a subject of our own comes back, or is refused, behind everything that
//! was sent before.
//!
//! A request of the client's would leave a place in it for each answer that never comes, for as long as the connection
//! lives, and it gets no answer where somebody listens to everything. An inbox is used again, for one question at a time.

use super::Link;
use crate::outcome::{broken, not_read, not_sent};
use async_nats::Subscriber;
use futures_util::StreamExt as _;
use postrider_sink::Outcome;
use std::sync::{MutexGuard, PoisonError};

/// A subject of our own. Nothing is on its way to it while nobody has it.
pub(super) struct Inbox {
    subject: String,
    answers: Subscriber,
}

impl Link {
    /// Waits until the server has read everything that was sent before.
    pub(crate) async fn ask(&self) -> Result<(), Outcome> {
        let Inbox { subject, mut answers } = self.inbox().await?;
        let seen = self.refusals();
        let asked = self.client.publish(subject.clone(), "".into()).await;
        asked.map_err(|error| not_sent(&error))?;
        tokio::select! {
            answer = tokio::time::timeout(self.patience, answers.next()) => match answer {
                Ok(Some(_)) => {}
                Ok(None) => return Err(broken()),
                // It may still come, so that nobody else may have this inbox.
                Err(_) => return Err(not_read()),
            },
            () = self.refusal(&subject, seen) => {}
        }
        self.inboxes().push(Inbox { subject, answers });
        Ok(())
    }

    async fn inbox(&self) -> Result<Inbox, Outcome> {
        let unused = self.inboxes().pop();
        if let Some(inbox) = unused {
            return Ok(inbox);
        }
        let subject = self.client.new_inbox();
        let answers = self.client.subscribe(subject.clone()).await.map_err(|_| broken())?;
        Ok(Inbox { subject, answers })
    }

    fn inboxes(&self) -> MutexGuard<'_, Vec<Inbox>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
