//! What a login may see of deliveries, events and replays: everything, or what belongs to its account. Whatever is not
//! the caller's is answered with the same words as what does not exist, before anything of it is read.

use super::caller::Caller;
use super::deliveries::{Answered, DeliveriesBackend, DeliveryDetail, DeliveryError, EventDetail};
use super::filter::DeliveryFilter;
use super::{ReplayJob, ReplayRequest};

/// Never wider than what the caller may see.
pub(super) fn narrowed(caller: &Caller, filter: DeliveryFilter) -> DeliveryFilter {
    let own = caller.scope.account().map(ToString::to_string);
    DeliveryFilter { account: filter.account.or_else(|| own.clone()), owner: own, ..filter }
}

/// Whether a delivery goes to an endpoint that is the caller's.
///
/// # Errors
/// What is said of deliveries that do not exist.
pub(super) fn reachable(backend: &dyn DeliveriesBackend, caller: &Caller, id: &str) -> Answered<()> {
    let seen = caller.scope.account().is_none_or(|own| backend.owner(id).as_deref() == Some(own));
    if seen { Ok(()) } else { Err(DeliveryError::no_delivery(id)) }
}

pub(super) async fn delivery(
    backend: &dyn DeliveriesBackend,
    caller: &Caller,
    id: &str,
) -> Answered<DeliveryDetail> {
    reachable(backend, caller, id)?;
    backend.show(id).await
}

/// An event of the caller's, with those of its deliveries that are the caller's too.
pub(super) async fn event(
    backend: &dyn DeliveriesBackend,
    caller: &Caller,
    id: &str,
) -> Answered<EventDetail> {
    let mut event = backend.event(id).await?;
    if !caller.sees(event.account.as_deref()) {
        return Err(DeliveryError::no_event(id));
    }
    event.deliveries.retain(|delivery| reachable(backend, caller, &delivery.id).is_ok());
    Ok(event)
}

fn owns(caller: &Caller, job: &ReplayJob) -> bool {
    caller.scope.account().is_none_or(|own| job.filter.owner.as_deref() == Some(own))
}

/// The caller's replays, newest first.
pub(super) fn replays(backend: &dyn DeliveriesBackend, caller: &Caller) -> Vec<ReplayJob> {
    let mut jobs = backend.replays();
    jobs.retain(|job| owns(caller, job));
    jobs
}

pub(super) fn replay(backend: &dyn DeliveriesBackend, caller: &Caller, id: &str) -> Answered<ReplayJob> {
    backend.replay(id).ok().filter(|job| owns(caller, job)).ok_or_else(|| DeliveryError::no_replay(id))
}

pub(super) async fn start_replay(
    backend: &dyn DeliveriesBackend,
    caller: &Caller,
    request: ReplayRequest,
) -> Answered<ReplayJob> {
    let filter = narrowed(caller, request.filter);
    backend.start_replay(ReplayRequest { filter, ..request }).await
}

pub(super) fn cancel_replay(
    backend: &dyn DeliveriesBackend,
    caller: &Caller,
    id: &str,
) -> Answered<ReplayJob> {
    replay(backend, caller, id)?;
    backend.cancel_replay(id)
}
