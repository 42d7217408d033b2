use super::Shared;
use super::answer;
use super::auth::Sender;
use super::body;
use super::envelope::{self, Form, MAX_ID, Rules};
use super::hygiene;
use super::problem::{Answer, ItemError, Kind, Problem};
use super::watch::{Phase, Watch};
use crate::clock::{Clock, unix_ms, wall_ms};
use crate::config::DaemonConfig;
use crate::router::Submission;
use http::header::{HeaderMap, HeaderName};
use http::request::Parts;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Arc<Watch>,
}

impl Handler {
    /// Answers one request, whatever it is.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Answer {
        let meters = &self.shared.meters;
        let answer = self.events(request).await.unwrap_or_else(|problem| {
            match problem.kind {
                Kind::NotFound | Kind::MethodNotAllowed | Kind::BadRequest => {}
                Kind::NotJson | Kind::NotAnEvent | Kind::KeyConflict => meters.invalid(problem.events),
                _ => meters.refused(problem.events),
            }
            problem.into_answer()
        });
        self.watch.enter(Phase::Answering, self.shared.clock.now());
        answer
    }

    /// Takes the events of a request. The order of the checks is the documented precedence of the errors.
    async fn events(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        let shared = &*self.shared;
        let begun = shared.clock.now();
        let (head, incoming) = request.into_parts();
        if let Err(why) = self.watch.request_begins(begun) {
            let detail = format!("The request could be read in two ways: {why}. Send it as RFC 9112 says.");
            return Err(Problem::new(Kind::BadRequest, detail).closing());
        }
        hygiene::check(&head)?;
        hygiene::route(&head)?;
        let config = shared.publishers.config();
        let sender = shared.publishers.recognise(&config, &head.headers, begun)?;
        sender.admit(begun).map_err(|wait| {
            let detail = format!(
                "{} posts faster than its rate. Send it again after the time in Retry-After.",
                sender.name()
            );
            Problem::new(Kind::OverRate, detail).retry_after(wait)
        })?;
        let form = hygiene::media(&head.headers)?;
        let max = config.ingress.max_body;
        if incoming.size_hint().exact().is_some_and(|size| size > max) {
            return Err(body::too_large(max));
        }
        let (bytes, permit) = body::read(incoming, max, &self.watch, &shared.admission).await?;
        self.watch.enter(Phase::Busy, begun);

        let table = shared.router.table();
        let parsed = parse(&bytes, form, &head, &sender, &config, &table.catalogue, &*shared.clock)?;
        let count = parsed.events.len();
        if count == 0 {
            return Ok(answer::accepted(&[], parsed.array));
        }
        if count > 1 {
            // Its body may have taken long to arrive.
            sender.charge(shared.clock.now(), count - 1);
        }
        let permit = permit.and_then(|permit| shared.admission.events(permit, count));
        let permit = permit.ok_or_else(|| answer::overloaded().about(count))?;
        drop(bytes);
        let received = shared.meters.received(&table);
        let slots = received.slots(&parsed.events);
        let (reply, receipt) = oneshot::channel();
        shared.router.submit(Submission { events: parsed.events, reply, permit: Some(Box::new(permit)) });
        let receipts = match receipt.await {
            Ok(Ok(receipts)) => receipts,
            Ok(Err(refusal)) => return Err(answer::refused(&refusal, count)),
            Err(_) => return Err(answer::stopping().about(count)),
        };
        received.count(&slots, &receipts);
        shared.meters.took(shared.clock.now().saturating_duration_since(begun));
        Ok(answer::accepted(&receipts, parsed.array))
    }
}

fn parse(
    bytes: &[u8],
    form: Form<'_>,
    head: &Parts,
    sender: &Sender,
    config: &DaemonConfig,
    catalogue: &crate::table::Catalogue,
    clock: &dyn Clock,
) -> Result<envelope::Parsed, Problem> {
    let traceparent = hygiene::traceparent(&head.headers);
    let key = idempotency_key(&head.headers);
    let rules = Rules {
        catalogue,
        max_batch: config.ingress.max_batch,
        publisher: sender.name(),
        accounts: sender.accounts(),
        key: key.as_ref().ok().copied().flatten(),
        traceparent: traceparent.as_ref(),
        accepted_ms: unix_ms(clock),
        stamp_ms: wall_ms(clock),
    };
    let parsed = envelope::parse(bytes, form, &rules)?;
    // After the body: that it is no event is worse.
    key.map_err(|detail| {
        let error = ItemError { index: 0, pointer: String::new(), detail: detail.clone() };
        Problem::new(Kind::NotAnEvent, format!("{detail} Nothing was stored.")).errors(vec![error])
    })?;
    Ok(parsed)
}

/// The `Idempotency-Key` of a request, without the quotes that its draft puts around it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, String> {
    const NAME: HeaderName = HeaderName::from_static("idempotency-key");
    let value =
        hygiene::only(headers, &NAME).map_err(|()| "Idempotency-Key is given twice: give it once.")?;
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > MAX_ID {
        return Err(format!("Idempotency-Key must have 1 to {MAX_ID} bytes of ASCII."));
    }
    Ok(Some(text))
}
