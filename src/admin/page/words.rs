//! What the states of an endpoint mean, in the page's words: the cause, what happens to events, and the way out.

use super::parts::{Icon, Tone};
use crate::admin::EndpointStatus;

/// A state as a person sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// Its word: several causes are one Held.
    pub(super) word: &'static str,
    pub(super) icon: Icon,
    pub(super) tone: Tone,
    /// What happens to events now.
    pub(super) events: &'static str,
    /// What to do about it.
    pub(super) way_out: &'static str,
}

/// The states a filter offers: value and word.
pub(super) const FILTER: [(&str, &str); 6] = [
    ("active", "Active"),
    ("held", "Held"),
    ("paused", "Paused"),
    ("draft", "Draft"),
    ("invalid", "Invalid"),
    ("removed", "Removed"),
];

const HELD: State = State { word: "Held", icon: Icon::Hand, tone: Tone::Hold, events: "", way_out: "" };

/// What the daemon's word for a state means.
pub(super) fn state(word: &str) -> State {
    match word {
        "active" => State {
            word: "Active",
            icon: Icon::Tick,
            tone: Tone::Good,
            events: "Events are delivered as they come.",
            way_out: "Pause it to hold deliveries without losing any.",
        },
        "draft" => State {
            word: "Draft",
            icon: Icon::Pencil,
            tone: Tone::Rest,
            events: "It matches no events and collects nothing.",
            way_out: "Save and Activate to start receiving.",
        },
        "paused" => State {
            word: "Paused",
            icon: Icon::Bars,
            tone: Tone::Rest,
            events: "Deliveries are collected and held on disk.",
            way_out: "Resume now sends the held ones first, in their order.",
        },
        "open" => State {
            events: "It failed too often in a row. Deliveries are held on disk, none is dropped, and one is tried now and then.",
            way_out: "Fix the receiver; it resumes by itself after three successes. Resume now tries at once.",
            ..HELD
        },
        "waiting" => State {
            events: "The server asked to wait. Deliveries are held on disk until then.",
            way_out: "Nothing to do: it goes on by itself.",
            ..HELD
        },
        "gone" => State {
            events: "The server answered 410 Gone. Other deliveries are held on disk.",
            way_out: "Enter the new URL or credentials, or resume if the server is back.",
            ..HELD
        },
        "blocked" => State {
            events: "Its address is one that may not be reached. Deliveries are held on disk; it is looked at again every minute.",
            way_out: "Change the URL, or allow the address range under [network] in the daemon's file.",
            ..HELD
        },
        "parked" => State {
            events: "Its worker failed again and again. Deliveries are held on disk and tried again within ten minutes.",
            way_out: "Look at the daemon's log for the cause.",
            ..HELD
        },
        "invalid" => State {
            word: "Invalid",
            icon: Icon::Bang,
            tone: Tone::Bad,
            events: "Its settings cannot be used. Deliveries are held on disk.",
            way_out: "Correct what is marked and save.",
        },
        "removed" => State {
            word: "Removed",
            icon: Icon::Bin,
            tone: Tone::Bad,
            events: "Its file is gone. Deliveries are held for the grace period, then they are dead letters.",
            way_out: "Put the file back and it goes on as before.",
        },
        _ => State { word: "Unknown", icon: Icon::Clock, tone: Tone::Rest, events: "", way_out: "" },
    }
}

/// What becomes of events where a file is rejected and there is none before it that could be used.
pub(super) const VERSIONLESS: &str =
    "It has no version to run: it gets no new events, and what waits is held on disk.";

/// What becomes of events while an endpoint's file is rejected; none: it is not.
pub(super) fn standing(status: &EndpointStatus) -> Option<&'static str> {
    // A version in force has a sink, unless it is a draft.
    let versionless = status.sink.is_none() && status.state != "draft";
    status.rejected.then_some(if versionless { VERSIONLESS } else { "Its last good version runs." })
}

/// The value of the filter that a state falls under.
pub(super) fn filter_of(word: &str) -> &'static str {
    match word {
        "active" => "active",
        "draft" => "draft",
        "paused" => "paused",
        "invalid" => "invalid",
        "removed" => "removed",
        _ => "held",
    }
}

/// Why a delivery is dead, for people.
pub(super) fn dead_reason(word: &str) -> &str {
    match word {
        "gone" => "Gone: the server answered 410",
        "rejected" => "Rejected by the sink",
        "exhausted" => "Every attempt failed",
        "expired" => "Older than its time limit",
        "overflow" => "The backlog was full",
        "endpoint_removed" => "The endpoint was removed",
        other => other,
    }
}

/// The same where there is little room.
pub(super) fn dead_reason_short(word: &str) -> &str {
    match word {
        "gone" => "Gone (410)",
        "rejected" => "Rejected",
        "exhausted" => "Attempts failed",
        "expired" => "Expired",
        "overflow" => "Backlog full",
        "endpoint_removed" => "Removed",
        other => other,
    }
}

/// How a delivery stands, for people.
pub(super) fn delivery_state(word: &str) -> (Icon, Tone, &'static str) {
    match word {
        "delivered" => (Icon::Tick, Tone::Good, "OK"),
        "dead" => (Icon::Cross, Tone::Bad, "Dead"),
        "parked" => (Icon::Clock, Tone::Hold, "Waiting for retry"),
        "held" => (Icon::Hand, Tone::Hold, "Held"),
        "in_flight" => (Icon::Clock, Tone::Rest, "Sending"),
        _ => (Icon::Clock, Tone::Rest, "Waiting"),
    }
}

/// What the classes of failed attempts are called.
pub(super) fn failure(class: &str) -> &str {
    match class {
        "http_error" => "the server refused it",
        "timeout" => "no answer in time",
        "dns" => "the name was not found",
        "connect" => "no connection",
        "tls" => "no secure connection",
        "sink_error" => "the sink failed",
        "blocked" => "the address may not be reached",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names::{DELIVERY_RESULTS, ENDPOINT_STATES};

    #[test]
    fn every_state_says_what_happens_to_events_and_the_way_out() {
        for word in ENDPOINT_STATES {
            let state = state(word);
            assert_ne!(state.word, "Unknown", "{word}");
            assert!(!state.events.is_empty() && !state.way_out.is_empty(), "{word}");
            assert!(FILTER.iter().any(|(value, text)| *value == filter_of(word) && *text == state.word));
        }
    }

    #[test]
    fn a_rejected_file_says_what_runs_and_nothing_that_does_not() {
        let status = |state: &str, sink: Option<&str>, rejected| EndpointStatus {
            state: state.to_owned(),
            sink: sink.map(str::to_owned),
            rejected,
            ..EndpointStatus::default()
        };
        for (status, said) in [
            (status("active", Some("http"), true), Some("Its last good version runs.")),
            (status("draft", None, true), Some("Its last good version runs.")),
            (status("invalid", Some("http"), true), Some("Its last good version runs.")),
            (status("invalid", Some("http"), false), None),
        ] {
            assert_eq!(standing(&status), said, "{status:?}");
        }
        assert_eq!(standing(&status("invalid", None, true)), Some(VERSIONLESS));
    }

    #[test]
    fn every_reason_of_a_dead_letter_has_words() {
        for word in DELIVERY_RESULTS.iter().filter(|word| **word != "delivered") {
            assert_ne!(dead_reason(word), *word);
            assert_ne!(dead_reason_short(word), *word);
        }
    }
}
