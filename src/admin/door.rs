//! Who may come in: logins by Basic credentials or by a session, and a bound on guessing.
//!
//! Without a login in the configuration, everybody is an operator: the listener is on loopback then. A session ends
//! with its login: another password, or none, and it counts no more.

use super::backend::AdminBackend;
use super::caller::{Caller, Scope, Way};
use super::problem::Problem;
use crate::chance::{Chance, SystemChance};
use crate::clock::{Clock, SystemClock};
use crate::config::{AdminConfig, Login};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::{Choice, ConstantTimeEq as _};

/// The name of the session's cookie.
pub(super) const COOKIE_NAME: &str = "postrider_session";
/// A session that was not used for so long is over,
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// and the least recently used go first beyond so many.
const SESSIONS: usize = 1024;
/// Wrong passwords of one address within [`WINDOW`], then it has to wait.
const FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered.
const ADDRESSES: usize = 4096;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// The door of the listener.
pub(super) struct Door {
    backend: Arc<dyn AdminBackend>,
    listen: SocketAddr,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

struct Session {
    username: Arc<str>,
    /// Of the password it was made with.
    digest: u64,
    used: Instant,
}

struct Failures {
    count: u32,
    since: Instant,
}

/// Who came in, and how.
pub(super) struct Entrance {
    pub(super) caller: Caller,
    /// By a session: a browser sends it along by itself, so a write must prove where it comes from.
    pub(super) by_session: bool,
}

impl Door {
    pub(super) fn new(backend: Arc<dyn AdminBackend>, listen: SocketAddr) -> Self {
        Self { backend, listen, sessions: Mutex::default(), failures: Mutex::default() }
    }

    /// Where the listener is.
    pub(super) const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// What the configuration says now.
    pub(super) fn access(&self) -> AdminConfig {
        self.backend.access()
    }

    /// Who asks.
    pub(super) fn enter(
        &self,
        access: &AdminConfig,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Entrance, Problem> {
        let browser = headers.contains_key("sec-fetch-site");
        let way = if browser { Way::Page } else { Way::Api };
        if access.logins.is_empty() {
            if !self.listen.ip().to_canonical().is_loopback() {
                return Err(Problem::new(StatusCode::FORBIDDEN, "off loopback a login is needed"));
            }
            return Ok(Entrance { caller: Caller::local(way), by_session: false });
        }
        let now = SystemClock.now();
        if let Some(login) = self.session(access, headers, now) {
            return Ok(Entrance { caller: caller(login, way), by_session: true });
        }
        let Some(given) = headers.get(AUTHORIZATION) else { return Err(unknown(browser)) };
        let (username, password) = basic(given).ok_or_else(|| unknown(browser))?;
        let login = self.check(access, &username, &password, peer)?.ok_or_else(|| unknown(browser))?;
        Ok(Entrance { caller: caller(login, way), by_session: false })
    }

    /// The login of a user name and password, if there is one.
    ///
    /// # Errors
    /// 429: too many wrong ones came from there.
    pub(super) fn check<'a>(
        &self,
        access: &'a AdminConfig,
        username: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<Option<&'a Login>, Problem> {
        let (peer, now) = (network(peer), SystemClock.now());
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = failures.get(&peer).filter(|failures| now < failures.since + WINDOW);
        if let Some(recent) = recent.filter(|recent| recent.count >= FAILURES) {
            let left = (recent.since + WINDOW).saturating_duration_since(now).as_secs() + 1;
            let detail = format!("too many wrong passwords came from your address: try again in {left} s");
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
            return Err(problem.header(RETRY_AFTER, HeaderValue::from(left)));
        }
        // Every login is compared, so that the time tells nothing.
        let mut found = None;
        for login in &access.logins {
            let same = same(&login.username, username) & same(login.password.expose(), password);
            if bool::from(same) {
                found = Some(login);
            }
        }
        if found.is_none() {
            failures.retain(|_, failures| now < failures.since + WINDOW);
            if failures.len() < ADDRESSES {
                let entry = failures.entry(peer).or_insert(Failures { count: 0, since: now });
                entry.count += 1;
            }
            tracing::warn!(%peer, "a wrong user name or password on the admin listener");
        }
        Ok(found)
    }

    /// A new session: the value of its cookie.
    pub(super) fn open(&self, login: &Login) -> String {
        let mut token = [0; 32];
        for part in token.chunks_exact_mut(8) {
            part.copy_from_slice(&SystemChance.number().to_le_bytes());
        }
        let token = URL_SAFE_NO_PAD.encode(token);
        let now = SystemClock.now();
        let mut sessions = self.sessions();
        sessions.retain(|_, session| now < session.used + IDLE);
        if sessions.len() >= SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.and_then(|key| sessions.remove(&key));
        }
        let session =
            Session { username: Arc::clone(&login.username), digest: login.password.digest(), used: now };
        sessions.insert(key(&token), session);
        token
    }

    /// Ends the session of a request.
    pub(super) fn close(&self, headers: &HeaderMap) {
        if let Some(token) = cookie(headers) {
            self.sessions().remove(&key(token));
        }
    }

    fn session<'a>(&self, access: &'a AdminConfig, headers: &HeaderMap, now: Instant) -> Option<&'a Login> {
        let key = key(cookie(headers)?);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&key).filter(|session| now < session.used + IDLE)?;
        session.used = now;
        let good =
            |login: &&Login| login.username == session.username && login.password.digest() == session.digest;
        access.logins.iter().find(good)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn caller(login: &Login, way: Way) -> Caller {
    let scope = login.account.clone().map_or(Scope::Operator, Scope::Account);
    Caller { scope, login: Some(Arc::clone(&login.username)), way }
}

/// A browser that shows the page asks there; its own question would only be in the way.
fn unknown(browser: bool) -> Problem {
    let problem =
        Problem::new(StatusCode::UNAUTHORIZED, "log in: the user name or password is missing or wrong");
    if browser {
        return problem;
    }
    let challenge = HeaderValue::from_static("Basic realm=\"postrider\", charset=\"UTF-8\"");
    problem.header(WWW_AUTHENTICATE, challenge)
}

fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value).next()
}

fn key(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares digests, so that not even the length shows.
fn same(one: &str, other: &str) -> Choice {
    key(one).ct_eq(&key(other))
}

/// A network has many IPv6 addresses to guess from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}
