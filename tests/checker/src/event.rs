//! The events: each is made from its number alone.
//!
//! Four in a row are the statuses of one message. Every second one carries an id of the publisher's.

use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// The events of the standard catalogue, in the order a message goes through them.
pub const EVENTS: [&str; 4] = ["sent", "delivered", "read", "failed"];
/// The products of the standard catalogue.
pub const PRODUCTS: [&str; 4] = ["automation", "crm", "developer-apis", "campaigns"];

const TIMESTAMP: &str = "2026-11-23T05:00:00Z";

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What makes it this one.
    pub number: u64,
}

impl Event {
    /// Statuses of one message.
    pub const PER_MESSAGE: u64 = 4;

    /// Which message it is about.
    #[must_use]
    pub const fn message(self) -> u64 {
        self.number / Self::PER_MESSAGE
    }

    /// Its name.
    #[must_use]
    pub fn event(self) -> &'static str {
        pick(&EVENTS, self.number)
    }

    /// The product it came from: all statuses of a message come from one.
    #[must_use]
    pub fn product(self) -> &'static str {
        pick(&PRODUCTS, self.message())
    }

    /// Whether it carries an id of the publisher's, so that it may be repeated after an unknown outcome.
    #[must_use]
    pub const fn keyed(self) -> bool {
        (self.message() + self.number).is_multiple_of(2)
    }

    /// Which of so many accounts it is for: all statuses of a message are for one.
    #[must_use]
    pub const fn account(self, accounts: u64) -> u64 {
        self.message() % accounts
    }

    /// `data`, padded to about `bytes`. Spelled in a way that would show if anybody parsed and wrote it again.
    #[must_use]
    pub fn data(self, bytes: usize) -> String {
        let mut data = format!(
            "{{ \"message_id\":\"checker.{}\", \"status\":\"{}\",\"details\":{{\"n\":{},\"price\":1.50e1,\"text\":\"\\u00e9\\/ \",\"pad\":\"",
            self.message(),
            self.event(),
            self.number
        );
        let fill = bytes.saturating_sub(data.len() + 4);
        data.extend(std::iter::repeat_n('x', fill));
        data.push_str("\"} }");
        data
    }

    /// What the publisher posts; with `accounts`, for one of so many.
    #[must_use]
    pub fn request(self, bytes: usize, accounts: Option<u64>) -> String {
        let mut body = String::with_capacity(bytes + 160);
        body.push('{');
        if self.keyed() {
            let _ = write!(body, "\"id\":\"checker-{}\",", self.number);
        }
        if let Some(accounts) = accounts {
            let _ = write!(body, "\"account\":\"{}\",", account(self.account(accounts)));
        }
        let _ = write!(
            body,
            "\"event\":\"{}\",\"product\":\"{}\",\"timestamp\":\"{TIMESTAMP}\",\"data\":{}}}",
            self.event(),
            self.product(),
            self.data(bytes)
        );
        body
    }

    /// What a subscriber must get, to the byte.
    #[must_use]
    pub fn delivered(self, bytes: usize) -> String {
        format!(
            "{{\"event\":\"{}\",\"timestamp\":\"{TIMESTAMP}\",\"data\":{}}}",
            self.event(),
            self.data(bytes)
        )
    }

    /// The digest of what a subscriber must get.
    #[must_use]
    pub fn digest(self, bytes: usize) -> u64 {
        digest(self.delivered(bytes).as_bytes())
    }
}

/// The digest of a body.
#[must_use]
pub fn digest(body: &[u8]) -> u64 {
    xxh3_64(body)
}

/// Which event a received body claims to be.
#[must_use]
pub fn number_in(body: &[u8]) -> Option<u64> {
    const MARK: &[u8] = b"\"n\":";
    let at = body.windows(MARK.len()).position(|window| window == MARK)?;
    let digits = body.get(at + MARK.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

/// The name of an account.
#[must_use]
pub fn account(number: u64) -> String {
    format!("account-{number}")
}

fn pick(names: &[&'static str; 4], number: u64) -> &'static str {
    let [first, second, third, fourth] = names;
    match number % 4 {
        0 => first,
        1 => second,
        2 => third,
        _ => fourth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivered_body_tells_which_event_it_is() {
        let event = Event { number: 4711 };
        assert_eq!(number_in(event.delivered(300).as_bytes()), Some(4711));
        assert_eq!(number_in(b"{}"), None);
    }

    #[test]
    fn both_bodies_are_json_and_share_the_data_to_the_byte() {
        for number in 0..16 {
            let event = Event { number };
            let request = event.request(400, number.is_multiple_of(2).then_some(3));
            assert!(serde_json::from_str::<serde_json::Value>(&request).is_ok(), "{request}");
            assert!(serde_json::from_str::<serde_json::Value>(&event.delivered(400)).is_ok());
            assert!(request.contains(&event.data(400)));
            assert_eq!(event.data(400).len(), 400, "{}", event.data(400));
        }
    }

    #[test]
    fn half_of_the_events_carry_an_id() {
        assert_eq!((0..1000).filter(|&number| Event { number }.keyed()).count(), 500);
    }
}
