//! Which deliveries are meant: as people write it, and as it was understood.

use super::deliveries::DeliveryState;
use crate::config::parse_duration;
use crate::spool::DeadReason;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

/// Which deliveries are meant; what is absent does not matter. The members of a query, and of a replay's `filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryFilter {
    /// The endpoint's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `ready`, `parked`, `in_flight`, `held`, `delivered` or `dead`. Only of deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is dead. Only of dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The event's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The product it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The status code of the last attempt: `503` or `5xx`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The message it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The customer it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Ended (of one that waits: accepted) at this time or later: RFC 3339, or so long ago: `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// And before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Only of endpoints for this account: what a login is limited to, and nothing that anybody writes.
    #[serde(skip)]
    pub owner: Option<String>,
}

/// A [`DeliveryFilter`] that was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The endpoint's name.
    pub endpoint: Option<String>,
    /// What it is doing, or how it ended.
    pub state: Option<DeliveryState>,
    /// Why it is dead.
    pub reason: Option<DeadReason>,
    /// The event's name.
    pub event: Option<String>,
    /// The product it came from.
    pub product: Option<String>,
    /// The status code of the last attempt.
    pub code: Option<RangeInclusive<u16>>,
    /// The message it is about.
    pub message_id: Option<String>,
    /// The customer it belongs to.
    pub account: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Likewise; this one is not included.
    pub until_ms: Option<u64>,
    /// Only of endpoints for this account.
    pub owner: Option<String>,
}

impl Wanted {
    /// Whether everything is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl DeliveryFilter {
    /// The members that make sense of deliveries.
    pub(super) const DELIVERIES: [&'static str; 9] =
        ["endpoint", "state", "event", "product", "code", "message_id", "account", "since", "until"];
    /// Those that make sense of dead letters.
    pub(super) const DEAD_LETTERS: [&'static str; 9] =
        ["endpoint", "reason", "event", "product", "code", "message_id", "account", "since", "until"];

    /// Sets a member by its name.
    pub(super) fn set(&mut self, name: &str, value: String) {
        let member = match name {
            "endpoint" => &mut self.endpoint,
            "state" => &mut self.state,
            "reason" => &mut self.reason,
            "event" => &mut self.event,
            "product" => &mut self.product,
            "code" => &mut self.code,
            "message_id" => &mut self.message_id,
            "account" => &mut self.account,
            "since" => &mut self.since,
            "until" => &mut self.until,
            _ => return,
        };
        *member = Some(value);
    }

    /// The members that are there, with their values.
    #[must_use]
    pub fn members(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("endpoint", &self.endpoint),
            ("state", &self.state),
            ("reason", &self.reason),
            ("event", &self.event),
            ("product", &self.product),
            ("code", &self.code),
            ("message_id", &self.message_id),
            ("account", &self.account),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// Understands it; `now_ms` is what `1h` counts back from.
    ///
    /// # Errors
    /// Which member makes no sense, and what would.
    pub fn understand(&self, now_ms: u64) -> Result<Wanted, String> {
        let state = self.state.as_deref().map(|word| {
            let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == word);
            known.ok_or_else(|| unknown("state", word, &DeliveryState::ALL.map(DeliveryState::as_str)))
        });
        let reason = self.reason.as_deref().map(|word| {
            let known = DeadReason::ALL.into_iter().find(|reason| reason.as_str() == word);
            known.ok_or_else(|| unknown("reason", word, &DeadReason::ALL.map(DeadReason::as_str)))
        });
        Ok(Wanted {
            endpoint: self.endpoint.clone(),
            state: state.transpose()?,
            reason: reason.transpose()?,
            event: self.event.clone(),
            product: self.product.clone(),
            code: self.code.as_deref().map(code).transpose()?,
            message_id: self.message_id.clone(),
            account: self.account.clone(),
            since_ms: self.since.as_deref().map(|text| time("since", text, now_ms)).transpose()?,
            until_ms: self.until.as_deref().map(|text| time("until", text, now_ms)).transpose()?,
            owner: self.owner.clone(),
        })
    }
}

/// A member as the document describes it.
pub(super) fn member(name: &str) -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let time = |what: &str| {
        let ago = text().pattern(Some("^[0-9]{1,9}(ms|s|m|h|d|w)$")).examples(["1h"]);
        let at = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        AnyOfBuilder::new().item(ago).item(at).description(Some(what)).into()
    };
    let text = match name {
        "endpoint" => text().description(Some("The endpoint's name.")),
        "state" => text()
            .description(Some("What it is doing, or how it ended."))
            .enum_values(Some(DeliveryState::ALL.map(DeliveryState::as_str))),
        "reason" => text()
            .description(Some("Why it is dead."))
            .enum_values(Some(DeadReason::ALL.map(DeadReason::as_str))),
        "event" => text().description(Some("The event's name.")),
        "product" => text().description(Some("The product it came from.")),
        "code" => text()
            .description(Some("The status code of the last attempt: `503` or `5xx`."))
            .pattern(Some("^([1-9][0-9]{2}|[1-9]xx)$")),
        "message_id" => text().description(Some("The message it is about.")),
        "account" => text().description(Some("The customer it belongs to.")),
        "since" => {
            return time("Ended (of one that waits: accepted) at this time or later, or so long ago.");
        }
        "until" => return time("And before this time."),
        _ => text(),
    };
    text.into()
}

impl PartialSchema for DeliveryFilter {
    fn schema() -> RefOr<Schema> {
        let filter = ObjectBuilder::new()
            .description(Some("Which dead letters; what is absent does not matter."))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let filter = Self::DEAD_LETTERS.into_iter().fold(filter, |filter, name| {
            let null = ObjectBuilder::new().schema_type(Type::Null);
            filter.property(name, AnyOfBuilder::new().item(member(name)).item(null))
        });
        RefOr::T(filter.into())
    }
}

impl ToSchema for DeliveryFilter {}

fn unknown(what: &str, word: &str, allowed: &[&str]) -> String {
    format!("unknown {what} {word:?}; allowed: {}", allowed.join(", "))
}

fn code(text: &str) -> Result<RangeInclusive<u16>, String> {
    let class = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
    let codes = match class {
        Some(class) if (1..=9).contains(&class) => Some(class * 100..=class * 100 + 99),
        Some(_) => None,
        None => text.parse::<u16>().ok().filter(|code| (100..=999).contains(code)).map(|code| code..=code),
    };
    codes.ok_or_else(|| format!("code {text:?} is neither like 503 nor like 5xx"))
}

fn time(name: &str, text: &str, now_ms: u64) -> Result<u64, String> {
    if let Some(ago) = parse_duration(text) {
        return Ok(now_ms.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
    }
    let time: Option<jiff::Timestamp> = text.parse().ok();
    // Before 1970 there was nothing.
    time.map(|time| u64::try_from(time.as_millisecond()).unwrap_or(0))
        .ok_or_else(|| format!("{name} {text:?} is neither a time like 2026-11-23T05:00:00Z nor like 1h"))
}

/// A time as the API writes it.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_understood_or_says_what_would_be() {
        let mut filter = DeliveryFilter::default();
        for (name, value) in [
            ("state", "in_flight"),
            ("reason", "gone"),
            ("code", "5xx"),
            ("since", "1h"),
            ("until", "1970-01-02T00:00:00Z"),
        ] {
            filter.set(name, value.to_owned());
        }
        let wanted = filter.understand(7_200_000).unwrap();
        assert_eq!(wanted.state, Some(DeliveryState::InFlight));
        assert_eq!(wanted.reason, Some(DeadReason::Gone));
        assert_eq!(wanted.code, Some(500..=599));
        assert_eq!((wanted.since_ms, wanted.until_ms), (Some(3_600_000), Some(86_400_000)));
        for (name, value) in [("state", "failed"), ("code", "0xx"), ("code", "5x"), ("since", "yesterday")] {
            let mut filter = DeliveryFilter::default();
            filter.set(name, value.to_owned());
            let error = filter.understand(0).unwrap_err();
            assert!(error.contains(value), "{error}");
        }
        assert_eq!(rfc3339(1_500), "1970-01-01T00:00:01.500Z");
    }
}
