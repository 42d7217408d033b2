use super::problem::{Kind, Problem};
use crate::config::{Credential, DaemonConfig, Publisher};
use crate::policy::{Rate, TokenBucket};
use arc_swap::{ArcSwap, ArcSwapOption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Who may post, ready for comparison; made anew when the configuration changes.
pub(super) struct Publishers {
    config: Arc<ArcSwap<DaemonConfig>>,
    roster: ArcSwapOption<Roster>,
}

/// The publishers of one configuration.
struct Roster {
    of: Arc<DaemonConfig>,
    known: Vec<Arc<Known>>,
}

/// A publisher of the configuration.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    /// Digest of what it presents: equally long whatever it is, so that the comparison takes the same time.
    digest: [u8; 32],
    rate: Option<Rate>,
    bucket: Option<Mutex<TokenBucket>>,
    accounts: Vec<Arc<str>>,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) struct Sender(Option<Arc<Known>>);

impl Publishers {
    pub(super) fn new(config: Arc<ArcSwap<DaemonConfig>>) -> Self {
        Self { config, roster: ArcSwapOption::empty() }
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<DaemonConfig> {
        self.config.load_full()
    }

    /// Who sends this, by `Authorization`. An unknown name and a wrong secret take the same path.
    pub(super) fn recognise(
        &self,
        config: &Arc<DaemonConfig>,
        headers: &HeaderMap,
    ) -> Result<Sender, Problem> {
        if config.ingress.publishers.is_empty() {
            return Ok(Sender(None));
        }
        let roster = self.roster(config);
        let presented = presented(headers);
        let mut found = None;
        for known in &roster.known {
            if bool::from(known.digest.ct_eq(&presented)) {
                found = Some(known);
            }
        }
        found.map(|known| Sender(Some(known.clone()))).ok_or_else(|| unknown(&config.ingress.publishers))
    }

    fn roster(&self, config: &Arc<DaemonConfig>) -> Arc<Roster> {
        let before = self.roster.load_full();
        if let Some(roster) = &before
            && Arc::ptr_eq(&roster.of, config)
        {
            return roster.clone();
        }
        let known = config.ingress.publishers.iter().map(|publisher| {
            let known = Known::of(publisher);
            // A publisher that is the same keeps what it has used of its rate.
            let same = before.iter().flat_map(|roster| &roster.known).find(|old| old.is(&known));
            same.cloned().unwrap_or_else(|| Arc::new(known))
        });
        let roster = Arc::new(Roster { of: config.clone(), known: known.collect() });
        self.roster.store(Some(roster.clone()));
        roster
    }
}

impl Known {
    fn of(publisher: &Publisher) -> Self {
        let digest = match &publisher.credential {
            Credential::Basic { username, password } => {
                digest("basic", format!("{username}:{}", password.expose()).as_bytes())
            }
            Credential::Bearer(token) => digest("bearer", token.expose().as_bytes()),
        };
        Self {
            name: publisher.name.clone(),
            digest,
            rate: publisher.rate,
            bucket: publisher.rate.map(|rate| Mutex::new(TokenBucket::new(rate))),
            accounts: publisher.accounts.clone(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.rate == other.rate
            && self.accounts == other.accounts
            && bool::from(self.digest.ct_eq(&other.digest))
    }
}

impl Sender {
    /// Its name; empty where nobody is configured.
    pub(super) fn name(&self) -> &str {
        self.0.as_ref().map_or("", |known| &known.name)
    }

    /// The accounts it may post for; empty: all.
    pub(super) fn accounts(&self) -> &[Arc<str>] {
        self.0.as_ref().map_or(&[], |known| &known.accounts)
    }

    /// Takes the first event of a request from its rate. Err: how long to wait.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        self.bucket(|bucket| bucket.take(now, 1)).unwrap_or(Ok(()))
    }

    /// Takes the other events of an array, which could not be counted before it was read: the next request waits.
    pub(super) fn charge(&self, now: Instant, more: usize) {
        if more > 0 {
            self.bucket(|bucket| bucket.charge(now, u32::try_from(more).unwrap_or(u32::MAX)));
        }
    }

    fn bucket<T>(&self, change: impl FnOnce(&mut TokenBucket) -> T) -> Option<T> {
        let bucket = self.0.as_ref()?.bucket.as_ref()?;
        Some(change(&mut bucket.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn digest(scheme: &str, credential: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(scheme.as_bytes());
    hash.update([0]);
    hash.update(credential);
    hash.finalize().into()
}

/// The digest of what a request presents; of nothing where it presents nothing that can be read.
fn presented(headers: &HeaderMap) -> [u8; 32] {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(only), None) => only,
        _ => &HeaderValue::from_static(""),
    };
    let bytes = value.as_bytes();
    let space = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let (scheme, credential) = bytes.split_at(space);
    let credential = credential.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"basic") {
        digest("basic", &STANDARD.decode(credential).unwrap_or_default())
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        digest("bearer", credential)
    } else {
        digest("none", b"")
    }
}

fn unknown(publishers: &[Publisher]) -> Problem {
    let mut problem = Problem::new(
        Kind::UnknownPublisher,
        "The request carries no credentials of a publisher of [[ingress.publisher]]. Check the Authorization header.",
    );
    if publishers.iter().any(|one| matches!(one.credential, Credential::Basic { .. })) {
        problem = problem.challenge(r#"Basic realm="postrider", charset="UTF-8""#);
    }
    if publishers.iter().any(|one| matches!(one.credential, Credential::Bearer(_))) {
        problem = problem.challenge(r#"Bearer realm="postrider""#);
    }
    problem
}
