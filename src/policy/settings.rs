use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// How deliveries of one endpoint are made: what `[defaults]` and an endpoint file say together.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliverySettings {
    /// One attempt, DNS to the last byte that is read. 15 s.
    pub timeout: Duration,
    /// DNS, TCP and TLS of one attempt together. 5 s.
    pub connect_timeout: Duration,
    /// Attempts at once. 16.
    pub concurrency: NonZeroUsize,
    /// Which deliveries wait for which.
    pub ordering: Ordering,
    /// Attempts per time, if limited.
    pub rate: Option<Rate>,
    /// Whether history keeps the first KiB of each answer. No.
    pub keep_answer: bool,
    /// When a failed delivery is tried again.
    pub retry: RetrySettings,
    /// When an endpoint is left alone.
    pub breaker: BreakerSettings,
}

/// Which deliveries of one endpoint wait for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ordering {
    /// Those of the same message, in order of acceptance.
    #[default]
    Message,
    /// All, strictly one after another.
    Endpoint,
    /// None.
    None,
}

/// So many per so long: `50/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time: a second, a minute or an hour.
    pub per: Duration,
}

/// When a failed delivery is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySettings {
    /// Entry n is the wait from the end of attempt n to attempt n + 1.
    pub schedule: Vec<Duration>,
    /// Each wait is drawn from ± this part of it. 0 to 1.
    pub jitter: f64,
    /// A delivery older than this is dead.
    pub max_age: Duration,
}

/// When an endpoint is left alone, and how it is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerSettings {
    /// Opens after so many failures in a row.
    pub failures: NonZeroU32,
    /// Or when this part of the attempts within `window` failed, 0 to 1,
    pub ratio: f64,
    /// the time looked at,
    pub window: Duration,
    /// with at least so many attempts in it.
    pub min_attempts: NonZeroU32,
    /// The first wait until a probe.
    pub open: Duration,
    /// The waits double up to this.
    pub max_open: Duration,
    /// So many successful probes in a row close it.
    pub probes: NonZeroU32,
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            timeout: secs(15),
            connect_timeout: secs(5),
            concurrency: NonZeroUsize::MIN.saturating_add(15),
            ordering: Ordering::Message,
            rate: None,
            keep_answer: false,
            retry: RetrySettings::default(),
            breaker: BreakerSettings::default(),
        }
    }
}

impl Default for RetrySettings {
    /// The example schedule of Standard Webhooks 1.0: ten attempts over 75 hours.
    fn default() -> Self {
        const HOUR: u64 = 3600;
        let schedule = [5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self { schedule: schedule.map(secs).to_vec(), jitter: 0.2, max_age: secs(7 * 24 * HOUR) }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: NonZeroU32::MIN.saturating_add(4),
            ratio: 0.5,
            window: secs(60),
            min_attempts: NonZeroU32::MIN.saturating_add(19),
            open: secs(30),
            max_open: secs(600),
            probes: NonZeroU32::MIN.saturating_add(2),
        }
    }
}
