mod asking;

use crate::outcome::{clean, no_way, not_connected};
use crate::refusals::{Refusals, SUBJECTS};
use crate::server::Server;
use crate::settings::Settings;
use asking::Inbox;
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError};
use postrider_sink::{FailureClass, HostContext, Outcome, Trail, Verdict};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Where a connection that broke goes on: nobody listens there, and nothing is sent there.
const NOWHERE: &str = "nats://127.0.0.1:0";
/// Addresses of one server that are tried.
const TRIED: usize = 8;
/// What the server says of a subject that may not be published to, before its name in quotes.
const REFUSED: &str = "Permissions Violation for Publish to ";
/// What the subject of a question begins with, and that of no event.
const INBOX: &str = "_INBOX.";
/// Questions that wait at once. The client keeps 128 things that the server said and drops what comes beyond; an event and
/// its question may be refused both.
const QUESTIONS: usize = 60;
/// Acknowledgements that a connection may be owed, twice as many as an endpoint can wait for at once. The client keeps a
/// place for each that never comes, as long as the connection lives.
pub(crate) const OWED: usize = 2048;

/// One connection to a server whose address was checked. It never becomes another one.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    /// Room for questions: see [`QUESTIONS`].
    pub(crate) asking: Semaphore,
    /// Where a question can come back to.
    inboxes: Mutex<Vec<Inbox>>,
    /// How long an answer is waited for.
    patience: Duration,
    /// Acknowledgements that have not come yet, or never will: see [`OWED`].
    owed: AtomicUsize,
    state: watch::Receiver<State>,
}

#[derive(Default)]
struct State {
    /// It is of no more use, for this reason.
    dead: Option<Arc<str>>,
    /// The server is about to stop: what is under way may end, nothing new begins.
    leaving: bool,
    /// How often the server has refused to have something published.
    refusals: u64,
    /// Events among that,
    events: Refusals,
    /// and questions. A user who may not ask is refused every one of them: apart, so that they do not push out those of
    /// events.
    questions: Refusals,
    /// Subjects that were published to and not refused since.
    proven: Mutex<BTreeSet<String>>,
}

impl State {
    fn refuse(&mut self, subject: String) {
        self.refusals += 1;
        self.proven.get_mut().unwrap_or_else(PoisonError::into_inner).remove(&subject);
        let kind = if subject.starts_with(INBOX) { &mut self.questions } else { &mut self.events };
        kind.note(subject, self.refusals);
    }

    /// Whether a subject was refused after the first so many refusals.
    fn has_refused(&self, subject: &str, after: u64) -> bool {
        self.events.has(subject, after) || self.questions.has(subject, after)
    }

    fn is_proven(&self, subject: &str) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(subject)
    }

    fn prove(&self, subject: &str, seen: u64) -> Result<(), Outcome> {
        if self.has_refused(subject, seen) {
            return Err(refused(subject));
        }
        if self.events.has_forgotten(seen) {
            let reason =
                "the server refuses so many subjects that it cannot be told whether this is one of them";
            return Err(Outcome::failed(FailureClass::SinkError, reason));
        }
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= SUBJECTS {
            proven.clear();
        }
        proven.insert(subject.to_owned());
        Ok(())
    }
}

/// The server does not let us.
fn refused(subject: &str) -> Outcome {
    let reason = format!("the server does not let this user publish to {}", clean(subject));
    Outcome::failed(FailureClass::SinkError, reason)
}

/// Connects to the first server that takes us.
pub(crate) async fn connect(
    settings: &Settings,
    tls: &[rustls::ClientConfig],
    host: &HostContext,
    trail: &Trail,
) -> Result<Link, Outcome> {
    let within = host.connect_timeout;
    let connected = tokio::time::timeout(within, try_all(settings, tls, host, trail)).await;
    let result = connected.unwrap_or_else(|_| {
        let (to, seconds) = (settings.destination(), within.as_secs_f32());
        Err(Outcome::failed(FailureClass::Timeout, format!("no connection to {to} within {seconds} s")))
    });
    match &result {
        Ok(_) => host.host.up("nats"),
        Err(outcome) => host.host.down("nats", &outcome.reason),
    }
    result
}

async fn try_all(
    settings: &Settings,
    tls: &[rustls::ClientConfig],
    host: &HostContext,
    trail: &Trail,
) -> Result<Link, Outcome> {
    let servers = u32::try_from(settings.servers.len()).unwrap_or(u32::MAX).max(1);
    let limit = host.connect_timeout / servers;
    let mut failure: Option<Outcome> = None;
    for (server, tls) in settings.servers.iter().zip(tls) {
        let connected = match host.connector.addresses(&server.host, server.port, trail).await {
            Ok(addresses) => try_server(settings, server, &addresses, tls, host, limit, trail).await,
            Err(error) => Err(no_way(error)),
        };
        match connected {
            Ok(link) => return Ok(link),
            // A server that may not be reached says less than one that does not answer.
            Err(outcome) => match &failure {
                Some(before) if before.verdict != Verdict::Blocked => {}
                _ => failure = Some(outcome),
            },
        }
    }
    Err(failure.unwrap_or_else(|| Outcome::failed(FailureClass::SinkError, "there is no server")))
}

async fn try_server(
    settings: &Settings,
    server: &Server,
    addresses: &[IpAddr],
    tls: &rustls::ClientConfig,
    host: &HostContext,
    limit: Duration,
    trail: &Trail,
) -> Result<Link, Outcome> {
    let mut failure = None;
    let tried = addresses.len().clamp(1, TRIED);
    let limit = limit / u32::try_from(tried).unwrap_or(1);
    for address in addresses.iter().take(tried) {
        let started = host.clock.now();
        match open(settings, server, *address, tls, host, limit).await {
            Ok(link) => {
                trail.connect(host.clock.now().saturating_duration_since(started));
                return Ok(link);
            }
            Err(outcome) => failure = Some(outcome),
        }
    }
    Err(failure
        .unwrap_or_else(|| Outcome::failed(FailureClass::Dns, format!("no such host: {}", server.host))))
}

async fn open(
    settings: &Settings,
    server: &Server,
    address: IpAddr,
    tls: &rustls::ClientConfig,
    host: &HostContext,
    limit: Duration,
) -> Result<Link, Outcome> {
    let wrong =
        |error: &dyn std::fmt::Display| Outcome::failed(FailureClass::SinkError, clean(&error.to_string()));
    let (tell, state) = watch::channel(State::default());
    let owner = Arc::clone(&host.host);
    let options = ConnectOptions::new()
        .name(format!("{} {}", host.user_agent, host.endpoint))
        .connection_timeout(limit)
        .request_timeout(Some(host.timeout))
        .require_tls(server.tls)
        .tls_client_config(tls.clone())
        .ignore_discovered_servers()
        .retain_servers_order()
        .max_reconnects(1)
        .reconnect_delay_callback(|_| Duration::ZERO)
        .event_callback(move |event| {
            if let Some(why) = note(&tell, event) {
                owner.down("nats", &why);
            }
            std::future::ready(())
        });
    let options = settings.auth.on(options).map_err(|error| wrong(&error))?;
    let at = std::net::SocketAddr::new(address, server.port);
    let at: ServerAddr = format!("nats://{at}").parse().map_err(|error| wrong(&error))?;
    let client = options
        .connect(at)
        .await
        .map_err(|error| not_connected(&server.to_string(), &server.host, &error))?;
    client.set_server_pool(NOWHERE).await.map_err(|error| wrong(&error))?;
    let jetstream =
        ContextBuilder::new().timeout(host.timeout).ack_timeout(host.timeout).build(client.clone());
    let asking = Semaphore::new(QUESTIONS);
    let (inboxes, owed) = (Mutex::default(), AtomicUsize::new(0));
    Ok(Link { client, jetstream, asking, inboxes, patience: host.timeout, owed, state })
}

/// Keeps what the client tells. Why the connection is of no more use, if a person should know.
fn note(tell: &watch::Sender<State>, event: Event) -> Option<Arc<str>> {
    let why: Arc<str> = match event {
        Event::Disconnected => "the connection broke".into(),
        Event::ServerError(ServerError::AuthorizationViolation) => {
            "the server refuses the credentials".into()
        }
        Event::ServerError(ServerError::Other(text)) => match text.strip_prefix(REFUSED) {
            Some(subject) => {
                let subject = subject.trim_matches('"').to_owned();
                tell.send_modify(|state| state.refuse(subject));
                return None;
            }
            None => format!("the server said: {}", clean(&text)).into(),
        },
        Event::LameDuckMode => {
            tell.send_modify(|state| state.leaving = true);
            return None;
        }
        // Nobody needs it any more.
        Event::Closed => {
            tell.send_modify(|state| state.dead = state.dead.take().or_else(|| Some("it was closed".into())));
            return None;
        }
        _ => return None,
    };
    let mut first = false;
    tell.send_modify(|state| {
        first = state.dead.is_none();
        state.dead.get_or_insert_with(|| Arc::clone(&why));
    });
    first.then_some(why)
}

impl Link {
    /// Whether another attempt may begin on it.
    pub(crate) fn is_good(&self) -> bool {
        let state = self.state.borrow();
        let owed = self.owed.load(Ordering::Relaxed);
        state.dead.is_none() && !state.leaving && owed < OWED && self.state.has_changed().is_ok()
    }

    /// An acknowledgement is on its way, or will never come.
    pub(crate) fn expect_acknowledgement(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
    }

    /// One has come.
    pub(crate) fn acknowledged(&self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }

    /// How often the server has refused anything by now.
    pub(crate) fn refusals(&self) -> u64 {
        self.state.borrow().refusals
    }

    /// Waits until the connection is of no more use, or the server refuses a subject after `seen` refusals.
    pub(crate) async fn trouble(&self, subject: &str, seen: u64) -> Outcome {
        let mut state = self.state.clone();
        let found = state.wait_for(|state| state.dead.is_some() || state.has_refused(subject, seen)).await;
        match found.as_deref() {
            Ok(State { dead: Some(why), .. }) => Outcome::failed(FailureClass::Connect, why.to_string()),
            Ok(_) => refused(subject),
            Err(_) => Outcome::failed(FailureClass::Connect, "the connection broke"),
        }
    }

    /// Waits until the server has refused a subject after `seen` refusals.
    async fn refusal(&self, subject: &str, seen: u64) {
        let mut state = self.state.clone();
        if state.wait_for(|state| state.has_refused(subject, seen)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the subject has been published to before, and not refused since.
    pub(crate) fn is_proven(&self, subject: &str) -> bool {
        self.state.borrow().is_proven(subject)
    }

    /// It has.
    ///
    /// # Errors
    /// What the server has said against it after `seen` refusals. Where it refused more since than are remembered, this
    /// subject may be among them.
    pub(crate) fn prove(&self, subject: &str, seen: u64) -> Result<(), Outcome> {
        self.state.borrow().prove(subject, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_proven_no_more_as_soon_as_it_is_refused_whoever_waits_for_that() {
        let (tell, state) = watch::channel(State::default());
        let prove = |seen| state.borrow().prove("events.read", seen).is_ok();
        let is_proven = || state.borrow().is_proven("events.read");
        assert!(prove(0) && is_proven());
        for (subject, stays) in [("events.sent", true), ("events.read", false)] {
            let said = ServerError::Other(format!("{REFUSED}\"{subject}\""));
            assert_eq!(note(&tell, Event::ServerError(said)), None);
            assert_eq!(is_proven(), stays, "{subject}");
        }
        // What began before the refusal proves nothing; what began after it does.
        assert!(!prove(1) && !is_proven());
        assert!(prove(2) && is_proven());
    }
}
