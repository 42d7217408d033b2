//! Ids and numbers that name things. Each is a type of its own, so that one cannot be taken for another.

use crate::chance::Chance;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// The id of an accepted event: ours, never the publisher's. Written `evt_` and 32 hexadecimal digits; sorts by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// A new id for an event accepted `unix_ms` milliseconds after the Unix epoch, random but for that.
    #[must_use]
    pub fn at(unix_ms: u64, chance: &dyn Chance) -> Self {
        let mut random = [0; 10];
        let (first, rest) = random.split_at_mut(8);
        first.copy_from_slice(&chance.number().to_le_bytes());
        rest.copy_from_slice(&chance.number().to_le_bytes()[..2]);
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid().into_bytes())
    }
}

impl EventId {
    /// When it was made, milliseconds since the Unix epoch: the first 48 bits of a UUID of version 7 (RFC 9562).
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl EventId {
    /// Bytes of its text.
    pub const LENGTH: usize = 36;

    /// Its text, in room that is given: every attempt and every answer needs it.
    #[must_use]
    pub fn text(self, room: &mut [u8; Self::LENGTH]) -> &str {
        *room = *b"evt_00000000000000000000000000000000";
        write_hex(&self.0, room.iter_mut().skip(4));
        std::str::from_utf8(room).unwrap_or_default()
    }
}

/// Writes bytes as hexadecimal digits.
pub(crate) fn write_hex<'a>(bytes: &[u8], mut room: impl Iterator<Item = &'a mut u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        if let (Some(place), Some(text)) = (room.next(), DIGITS.get(usize::from(digit))) {
            *place = *text;
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; Self::LENGTH]))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Uuid::try_parse(text.strip_prefix("evt_").unwrap_or(text))?.into_bytes()))
    }
}

/// Position of an event in the spool. Opaque and growing: a later event has a greater one, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Seq(pub u64);

/// The number the spool knows an endpoint by. It belongs to one [`Identity`] for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointUid(pub u32);

/// Which configuration is meant: it grows by one with every table that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

/// What makes an endpoint the same one: its name and its account. The same name for another account is another
/// endpoint and never inherits a backlog.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The name of its file, without `.toml`.
    pub name: Arc<str>,
    /// The account it is for; none: all.
    pub account: Option<Arc<str>>,
}

/// Whether an account, a publisher or an entry of the catalogue may be called so: 1 to 128 characters, none of them a
/// control character, no white space around them.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && text.chars().count() <= 128
        && !text.chars().any(char::is_control)
}

/// What stands for every account where one may be named; so no account is called that.
pub const EVERY_ACCOUNT: &str = "*";

/// What keeps deliveries in order of each other: a short digest of a message id. Two messages that share one are
/// delivered one after the other, which harms nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey(pub u64);

impl MessageKey {
    /// The key of a message id. Stable: it is stored.
    #[must_use]
    pub fn of(message_id: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(message_id.as_bytes()))
    }
}

/// The id of a delivery for people: `dlv_` and 24 hexadecimal digits. Opaque to everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub EndpointUid, pub Seq);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dlv_{:08x}{:016x}", self.0.0, self.1.0)
    }
}

/// A text that is no id of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of a delivery")]
pub struct BadDeliveryId;

impl std::str::FromStr for DeliveryId {
    type Err = BadDeliveryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("dlv_").unwrap_or(text);
        let number = u128::from_str_radix(digits, 16)
            .ok()
            .filter(|_| digits.len() == 24 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = number.ok_or(BadDeliveryId)?;
        let uid = u32::try_from(number >> 64).map_err(|_| BadDeliveryId)?;
        let seq = u64::try_from(number & u128::from(u64::MAX)).map_err(|_| BadDeliveryId)?;
        Ok(Self(EndpointUid(uid), Seq(seq)))
    }
}
