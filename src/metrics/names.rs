//! Every series Postrider has: name, kind and meaning. Dashboards and alerts depend on them, so they only ever gain.

/// What a series counts or shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesKind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Seconds, in buckets.
    Histogram,
}

/// A family of series.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: SeriesKind,
    /// What it means, one line.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident $kind:ident $name:literal $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*

        /// All of them, sorted by name.
        pub const FAMILIES: &[Family] =
            &[$(Family { name: $name, kind: SeriesKind::$kind, help: $help }),*];
    };
}

families! {
    ACTOR_RESTARTS Counter "postrider_actor_restarts_total" "Actors that were started again after they failed.";
    ATTEMPT_DURATION Histogram "postrider_attempt_duration_seconds" "How long an attempt took, from its start to its result.";
    ATTEMPTS_IN_FLIGHT Gauge "postrider_attempts_in_flight" "Attempts that run now.";
    ATTEMPTS Counter "postrider_attempts_total" "Attempts that ended, by result.";
    BREAKER_TRANSITIONS Counter "postrider_breaker_transitions_total" "Changes of the circuit breaker, by the state it went to.";
    BUILD_INFO Gauge "postrider_build_info" "Always 1; the version is in the label.";
    CONFIG_INVALID_FILES Gauge "postrider_config_invalid_files" "Configuration files that are rejected now.";
    CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP Gauge "postrider_config_last_reload_success_timestamp_seconds" "When the last reload without any rejected file ended.";
    CONFIG_LAST_RELOAD_SUCCESSFUL Gauge "postrider_config_last_reload_successful" "Whether the last reload had no rejected file.";
    CONFIG_RELOADS Counter "postrider_config_reloads_total" "Reloads, by result.";
    DEAD_LETTERS Gauge "postrider_dead_letters" "Dead letters that are kept.";
    DEAD_LETTERS_FORGOTTEN Counter "postrider_dead_letters_forgotten_total" "Dead letters that were let go: past their time, or the oldest of too much.";
    DEDUP_FORGOTTEN Counter "postrider_dedup_forgotten_total" "Ids of events that were forgotten within their window, as there were more than dedup_max.";
    DELIVERIES_CREATED Counter "postrider_deliveries_created_total" "Deliveries that accepted events made.";
    DELIVERIES_FINISHED Counter "postrider_deliveries_finished_total" "Deliveries that ended, by result.";
    DELIVERIES_PENDING Gauge "postrider_deliveries_pending" "Deliveries that wait: ready, or parked until their retry.";
    DELIVERY_AGE Histogram "postrider_delivery_age_seconds" "From the acceptance of an event to its 2xx at an endpoint.";
    ENDPOINT_STATE Gauge "postrider_endpoint_state" "1 for the state the endpoint is in, 0 for the others.";
    EVENTS_RECEIVED Counter "postrider_events_received_total" "Events that publishers posted, by result; unknown where it was refused.";
    EVENTS_UNMATCHED Counter "postrider_events_unmatched_total" "Accepted events that no endpoint wanted.";
    FILTER_FAILURES Counter "postrider_filter_failures_total" "Events that were not delivered because the endpoint's filter could not tell: it failed, or took too long.";
    INGEST_DURATION Histogram "postrider_ingest_duration_seconds" "From the head of a publisher's request to its answer.";
    OLDEST_PENDING Gauge "postrider_oldest_pending_timestamp_seconds" "When the oldest delivery that waits was accepted; 0 if none waits.";
    PLUGIN_UP Gauge "postrider_plugin_up" "Whether a plugin works.";
    RETRIES_SCHEDULED Counter "postrider_retries_scheduled_total" "Deliveries that were parked for another attempt.";
    SPOOL_BYTES Gauge "postrider_spool_bytes" "Bytes in the spool, by kind.";
    SPOOL_ERRORS Counter "postrider_spool_errors_total" "Operations of the spool that failed.";
    SPOOL_SYNC_DURATION Histogram "postrider_spool_sync_duration_seconds" "How long a commit of the spool took, its fsync included.";
}

/// Values of `result` of [`DELIVERIES_FINISHED`].
pub const DELIVERY_RESULTS: [&str; 7] =
    ["delivered", "gone", "rejected", "exhausted", "expired", "overflow", "endpoint_removed"];

/// Values of `result` of [`ATTEMPTS`].
pub const ATTEMPT_RESULTS: [&str; 7] = ["ok", "http_error", "timeout", "dns", "connect", "tls", "sink_error"];

/// Values of `reason` of [`FILTER_FAILURES`].
pub const FILTER_FAILURE_REASONS: [&str; 2] = ["error", "limit"];

/// Values of `state` of [`ENDPOINT_STATE`].
pub const ENDPOINT_STATES: [&str; 10] =
    ["active", "draft", "paused", "open", "waiting", "gone", "blocked", "invalid", "removed", "parked"];

/// Values of `to` of [`BREAKER_TRANSITIONS`].
pub const BREAKER_STATES: [&str; 3] = ["open", "half_open", "closed"];
