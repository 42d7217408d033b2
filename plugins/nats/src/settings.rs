use crate::auth::{self, Auth};
use crate::server::{self, Server};
use crate::subject::{self, Template};
use postrider_sink::{Reader, Secret, SettingError, Table};
use postrider_sink_tls::{self as tls, TlsSettings};
use std::fmt::Write as _;

/// `[nats]` of one endpoint, checked.
#[derive(Clone)]
pub(crate) struct Settings {
    /// At least one.
    pub(crate) servers: Vec<Server>,
    pub(crate) subject: Template,
    pub(crate) mode: Mode,
    pub(crate) auth: Auth,
    pub(crate) tls: TlsSettings,
}

/// When a delivery is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A stream has it: this one, if one is named.
    JetStream { stream: Option<String> },
    /// The server has it.
    Core,
}

impl Settings {
    /// Where to, for people.
    pub(crate) fn destination(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        format!("{}, subject {}", servers.join(" or "), self.subject.as_str())
    }

    /// Changes with whatever says where deliveries go and who they come from.
    pub(crate) fn fingerprint(&self) -> u64 {
        let Self { servers, mode, auth, tls, .. } = self;
        let mut text = format!("{}\n{mode:?}", self.destination());
        for server in servers {
            let _ = write!(text, "\n{}", server.tls);
        }
        for digest in auth.digests().into_iter().chain(tls.digests()) {
            let _ = write!(text, "\n{digest:x}");
        }
        Secret::new(text).digest()
    }
}

/// Checks everything and reports every error at once.
pub(crate) fn check(table: &Table) -> Result<Settings, Vec<SettingError>> {
    let mut reader = Reader::new(table);
    let mut errors = Vec::new();
    let servers = server::read(&mut reader, &mut errors);
    let subject = subject::read(&mut reader, &mut errors);
    let mode = mode(&mut reader, &mut errors);
    let auth = auth::read(&mut reader, &mut errors);
    if reader.value("tls").is_some() && !servers.is_empty() && !servers.iter().any(|server| server.tls) {
        let help = "Remove tls, or begin the servers with tls://.";
        errors.push(SettingError::value(reader.path("tls"), "no server is reached over TLS").help(help));
    }
    let tls = tls::read(&mut reader, &mut errors);
    errors.extend(reader.finish());
    match (subject, auth) {
        (Some(subject), Some(auth)) if errors.is_empty() => {
            Ok(Settings { servers, subject, mode, auth, tls })
        }
        _ => Err(errors),
    }
}

fn mode(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Mode {
    let jetstream = reader.boolean("jetstream").unwrap_or(true);
    let stream = reader.string("stream");
    if let Some(name) = stream
        && (name.is_empty()
            || name
                .contains(|char: char| char.is_whitespace() || char.is_control() || "./\\*>".contains(char)))
    {
        let help = "Enter the name of the stream that must take the events, or remove stream.";
        errors.push(SettingError::value(reader.path("stream"), "not the name of a stream").help(help));
    }
    if stream.is_some() && !jetstream {
        let help = "Remove one of the two.";
        errors.push(
            SettingError::value(reader.path("stream"), "there is no stream without JetStream").help(help),
        );
    }
    if jetstream { Mode::JetStream { stream: stream.map(str::to_owned) } } else { Mode::Core }
}
