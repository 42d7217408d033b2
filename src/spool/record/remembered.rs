//! The row of an endpoint: who it is and what it remembers.

use super::VERSION;
use crate::ids::Identity;
use crate::policy::Pauses;
use crate::spool::EndpointState;
use crate::spool::codec::{Decoder, Encoder};
use std::sync::Arc;

/// Who an endpoint is and what it remembers.
pub(in crate::spool) fn encode_endpoint(identity: Option<&Identity>, state: EndpointState) -> Vec<u8> {
    let mut row = Encoder::with_capacity(64);
    row.u8(VERSION);
    row.option_str(identity.map(|identity| &*identity.name));
    row.option_str(identity.and_then(|identity| identity.account.as_deref()));
    row.option_u64(state.suspended.map(|(since, _)| since));
    row.u64(state.suspended.map_or(0, |(_, fingerprint)| fingerprint));
    row.option_u64(state.wait_until_ms);
    row.option_u64(state.removed_ms);
    let waits = state.wait_until_ms.is_some();
    if waits || state.pauses != Pauses::default() {
        row.option_u64(state.pauses.since());
        for (from, to) in state.pauses.past() {
            row.u64(from);
            row.u64(to);
        }
    }
    if waits {
        row.u64(state.wait_ms);
    }
    row.0
}

/// The inverse of [`encode_endpoint`].
pub(in crate::spool) fn decode_endpoint(row: &[u8]) -> Option<(Option<Identity>, EndpointState)> {
    let mut row = Decoder::new(row);
    (row.u8()? == VERSION).then_some(())?;
    let name = row.option_str()?.map(Arc::from);
    let account = row.option_str()?.map(Arc::from);
    let since = row.option_u64()?;
    let fingerprint = row.u64()?;
    let wait_until_ms = row.option_u64()?;
    let state = EndpointState {
        suspended: since.map(|since| (since, fingerprint)),
        wait_until_ms,
        removed_ms: row.option_u64()?,
        pauses: decode_pauses(&mut row)?,
        wait_ms: match wait_until_ms {
            None => 0,
            // Earlier rows end before.
            Some(_) if row.is_empty() => u64::MAX,
            Some(_) => row.u64()?,
        },
    };
    Some((name.map(|name| Identity { name, account }), state))
}

/// Rows of endpoints that were never paused end before.
fn decode_pauses(row: &mut Decoder<'_>) -> Option<Pauses> {
    if row.is_empty() {
        return Some(Pauses::default());
    }
    let since = row.option_u64()?;
    let mut past = [(0, 0); Pauses::MOST];
    for pause in &mut past {
        *pause = (row.u64()?, row.u64()?);
    }
    Some(Pauses::of(past, since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageKey;
    use crate::spool::record::{DeliveryRow, LastAttempt, ParkedRow};

    #[test]
    fn rows_of_an_earlier_release_do_not_say_how_long_a_wait_was_nor_what_came_before_it() {
        let last = Some(LastAttempt { status: Some(503), block: 9 });
        let parked = ParkedRow { due_ms: 5_000, wait_ms: 700, attempts: 3, last };
        let row =
            |parked| DeliveryRow { key: MessageKey(1), length: 2, accepted_ms: 3, parked: Some(parked) };
        let bytes = row(parked).encode();
        assert_eq!(DeliveryRow::decode(&bytes), Some(row(parked)));
        let earlier = ParkedRow { last: None, ..parked };
        assert_eq!(row(earlier).encode(), bytes[..bytes.len() - 10]);
        assert_eq!(DeliveryRow::decode(&bytes[..bytes.len() - 10]), Some(row(earlier)));
        let earlier = ParkedRow { wait_ms: u64::MAX, ..earlier };
        assert_eq!(DeliveryRow::decode(&bytes[..bytes.len() - 18]), Some(row(earlier)));

        let state = EndpointState { wait_until_ms: Some(5_000), wait_ms: 700, ..EndpointState::default() };
        let bytes = encode_endpoint(None, state);
        assert_eq!(decode_endpoint(&bytes), Some((None, state)));
        let earlier = decode_endpoint(&bytes[..bytes.len() - 8]).unwrap().1;
        assert_eq!(earlier, EndpointState { wait_ms: u64::MAX, ..state });
        assert_eq!(decode_endpoint(&encode_endpoint(None, earlier)), Some((None, earlier)));
        let calm = EndpointState::default();
        assert_eq!(decode_endpoint(&encode_endpoint(None, calm)), Some((None, calm)));
    }
}
