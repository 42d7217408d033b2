//! Deliveries as the API shows them, from what history has and what the endpoints do just now.

use crate::admin::{AttemptRecord, DeliveryDetail, DeliveryState, DeliverySummary, EventDetail, rfc3339};
use crate::clock::{Clock, unix_ms};
use crate::delivery::Condition;
use crate::history::{DeliveryFile, EventFile, Row};
use crate::ids::{DeliveryId, EndpointUid, EventId, Seq};
use crate::router::{Directory, RouterHandle};
use crate::spool::{DeadLetter, EmbeddedSpool, HistoryNote, Settled, Spool as _, StoredEvent};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What the endpoints are and do, as it was when this was made.
pub(super) struct Views {
    names: HashMap<EndpointUid, String>,
    conditions: HashMap<EndpointUid, Condition>,
    flying: HashSet<(EndpointUid, Seq)>,
}

/// The bytes of a body, if they are JSON.
pub(super) fn raw(body: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(body).ok()
}

impl Views {
    pub(super) fn new(router: &RouterHandle, spool: &Arc<EmbeddedSpool>, clock: &dyn Clock) -> Self {
        let now_ms = unix_ms(clock);
        let names =
            spool.known().into_iter().filter_map(|(uid, identity)| Some((uid, identity?.name.to_string())));
        let table = router.table();
        let resting = table.entries().iter().map(|entry| {
            let state = spool.endpoint_state(entry.uid);
            (entry.uid, Condition::at_rest(entry.spec.lifecycle, &state, now_ms))
        });
        let mut conditions: HashMap<_, _> = resting.collect();
        for (uid, observed) in router.directory().list() {
            conditions.insert(uid, Directory::condition(&**spool, uid, &observed, now_ms));
        }
        Self { names: names.collect(), conditions, flying: HashSet::new() }
    }

    /// Asks these endpoints which attempts run now.
    pub(super) async fn look(
        &mut self,
        router: &RouterHandle,
        endpoints: impl IntoIterator<Item = EndpointUid>,
    ) {
        let endpoints: HashSet<EndpointUid> = endpoints.into_iter().collect();
        if !endpoints.is_empty() {
            self.flying = router.in_flight(endpoints).await;
        }
    }

    /// Likewise, those of rows that wait.
    pub(super) async fn look_at(&mut self, router: &RouterHandle, rows: &[Row]) {
        let waiting = rows.iter().filter_map(|row| match row {
            Row::Waiting(uid, ..) => Some(*uid),
            Row::Settled(_) => None,
        });
        self.look(router, waiting.collect::<Vec<_>>()).await;
    }

    pub(super) fn row(&self, row: &Row) -> DeliverySummary {
        match row {
            Row::Waiting(uid, event, parked, last) => self.waiting(*uid, event, *parked, last.as_ref()),
            Row::Settled(settled) => self.settled(settled),
        }
    }

    fn of_event(&self, uid: EndpointUid, event: &StoredEvent, state: DeliveryState) -> DeliverySummary {
        DeliverySummary {
            id: DeliveryId(uid, event.seq).to_string(),
            endpoint: self.name(uid),
            event_id: event.id.to_string(),
            event: event.event.to_string(),
            product: event.product.to_string(),
            account: event.account.as_deref().map(str::to_owned),
            message_id: event.message_id.to_string(),
            state,
            reason: None,
            note: None,
            attempts: 0,
            code: None,
            accepted_at: rfc3339(event.accepted_ms),
            ended_at: None,
            due_at: None,
            took_ms: None,
            took_us: None,
        }
    }

    fn waiting(
        &self,
        uid: EndpointUid,
        event: &StoredEvent,
        parked: Option<(u64, u32)>,
        last: Option<&HistoryNote>,
    ) -> DeliverySummary {
        let condition = self.conditions.get(&uid).copied().unwrap_or(Condition::Removed);
        let flying = self.flying.contains(&(uid, event.seq));
        let (state, reason) = match (flying, condition, parked) {
            (true, _, _) => (DeliveryState::InFlight, None),
            (_, Condition::Active, None) => (DeliveryState::Ready, None),
            (_, Condition::Active, Some(_)) => (DeliveryState::Parked, None),
            (_, condition, _) => (DeliveryState::Held, Some(condition.as_str().to_owned())),
        };
        let took_us = last.map(|note| u64::from(note.took_us)).filter(|took_us| *took_us > 0);
        DeliverySummary {
            reason,
            note: last.and_then(|note| text(&note.reason)),
            attempts: parked.map_or(0, |(_, attempts)| attempts),
            code: last.and_then(|note| note.status),
            due_at: parked.map(|(due_ms, _)| rfc3339(due_ms)),
            took_ms: took_us.map(|took_us| took_us / 1000),
            took_us,
            ..self.of_event(uid, event, state)
        }
    }

    fn settled(&self, row: &Settled) -> DeliverySummary {
        let HistoryNote { attempts, ended_ms, took_us, status, ref reason, .. } = row.note;
        DeliverySummary {
            id: DeliveryId(row.endpoint, row.seq).to_string(),
            endpoint: self.name(row.endpoint),
            event_id: row.id.to_string(),
            event: row.event.to_string(),
            product: row.product.to_string(),
            account: row.account.as_deref().map(str::to_owned),
            message_id: row.message_id.to_string(),
            state: if row.result.is_ok() { DeliveryState::Delivered } else { DeliveryState::Dead },
            reason: row.result.err().map(|reason| reason.as_str().to_owned()),
            note: text(reason),
            attempts,
            code: status,
            accepted_at: rfc3339(row.accepted_ms),
            ended_at: Some(rfc3339(ended_ms)),
            due_at: None,
            took_ms: (took_us > 0).then(|| u64::from(took_us) / 1000),
            took_us: (took_us > 0).then(|| u64::from(took_us)),
        }
    }

    pub(super) fn letter(&self, letter: &DeadLetter) -> DeliverySummary {
        let summary = match &letter.event {
            Some(event) => self.of_event(letter.endpoint, event, DeliveryState::Dead),
            None => DeliverySummary {
                id: DeliveryId(letter.endpoint, letter.seq).to_string(),
                endpoint: self.name(letter.endpoint),
                event_id: String::new(),
                event: String::new(),
                product: String::new(),
                account: None,
                message_id: String::new(),
                state: DeliveryState::Dead,
                reason: None,
                note: None,
                attempts: 0,
                code: None,
                accepted_at: String::new(),
                ended_at: None,
                due_at: None,
                took_ms: None,
                took_us: None,
            },
        };
        DeliverySummary {
            reason: Some(letter.reason.as_str().to_owned()),
            note: text(&letter.note),
            attempts: letter.attempts,
            code: letter.status,
            ended_at: Some(rfc3339(letter.died_ms)),
            ..summary
        }
    }

    fn name(&self, uid: EndpointUid) -> String {
        self.names.get(&uid).cloned().unwrap_or_else(|| format!("endpoint {}", uid.0))
    }

    fn summary(&self, file: &DeliveryFile) -> Option<DeliverySummary> {
        if let (Some(parked), Some(event)) = (file.waiting, &file.event) {
            let last = file.tried.last().map(|tried| &tried.note);
            return Some(self.waiting(file.endpoint, event, parked, last));
        }
        let settled = file.settled.as_ref().map(|settled| self.settled(settled));
        settled.or_else(|| file.letter.as_ref().map(|letter| self.letter(letter)))
    }

    pub(super) fn detail(&self, file: &DeliveryFile) -> Option<DeliveryDetail> {
        let mut attempts: Vec<AttemptRecord> =
            file.tried.iter().map(|tried| attempt(&tried.note, false)).collect();
        // Some end without a last attempt: by their age, by a budget.
        if let Some(settled) = file.settled.as_ref().filter(|settled| settled.note.took_us > 0) {
            attempts.push(attempt(&settled.note, settled.result.is_ok()));
        }
        Some(DeliveryDetail {
            delivery: self.summary(file)?,
            attempts,
            replayed_as: file
                .replayed_as
                .map(|to| DeliveryId(file.endpoint, to).to_string())
                .into_iter()
                .collect(),
            dead_letter: file.letter.is_some(),
            body: file.event.as_ref().and_then(|event| raw(&event.body)),
        })
    }

    pub(super) fn event(&self, id: EventId, file: &EventFile) -> Option<EventDetail> {
        let deliveries: Vec<DeliverySummary> =
            file.deliveries.iter().filter_map(|file| self.summary(file)).collect();
        let first = deliveries.first()?;
        Some(EventDetail {
            id: id.to_string(),
            event: first.event.clone(),
            product: first.product.clone(),
            account: first.account.clone(),
            message_id: first.message_id.clone(),
            accepted_at: rfc3339(id.unix_ms()),
            body: file.event.as_ref().and_then(|event| raw(&event.body)),
            deliveries,
        })
    }
}

fn text(reason: &Arc<str>) -> Option<String> {
    (!reason.is_empty()).then(|| reason.to_string())
}

fn attempt(note: &HistoryNote, ok: bool) -> AttemptRecord {
    AttemptRecord {
        number: note.attempts,
        ended_at: rfc3339(note.ended_ms),
        ok,
        class: note.class.map(|class| class.as_str().to_owned()),
        code: note.status,
        note: text(&note.reason),
        took_us: u64::from(note.took_us),
        dns_us: note.steps.dns_us.map(u64::from),
        connect_us: note.steps.connect_us.map(u64::from),
        tls_us: note.steps.tls_us.map(u64::from),
        wait_us: note.steps.wait_us.map(u64::from),
        answer: note.answer.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        generation: note.generation.0,
    }
}
