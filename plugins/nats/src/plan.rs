use crate::settings::{self, Settings};
use crate::sink::NatsSink;
use postrider_sink::{
    BuildError, HostContext, SettingError, Sink, SinkFactory, SinkPlan, Table, async_trait,
};
use postrider_sink_tls::Roots;
use std::borrow::Cow;
use std::sync::Arc;

/// Makes the sinks of endpoints with a `[nats]` table:
///
/// - `servers = ["nats://host:4222"]`: tried in this order; `tls://` where nothing may be said without TLS.
/// - `subject = "events.{product}.{event}"`: `{account}`, too.
/// - `jetstream = false`: to a plain subject; without it, a stream must take the event.
/// - `stream = "EVENTS"`: and it must be this one.
/// - `auth = { username, password }`, `{ token }`, `{ nkey }` or `{ credentials }`.
/// - `tls = { ca, client_cert, client_key }`.
#[derive(Clone)]
pub struct NatsSinkFactory {
    roots: Arc<Roots>,
}

impl NatsSinkFactory {
    /// Trusts the certificate authorities of this machine, or Mozilla's where it has none.
    #[must_use]
    pub fn new() -> Self {
        Self { roots: Arc::new(Roots::system(&[])) }
    }
}

impl Default for NatsSinkFactory {
    fn default() -> Self {
        Self::new()
    }
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["servers","subject"],"properties":{
"servers":{"type":"array","minItems":1,"maxItems":16,"items":{"type":"string","pattern":"^(nats|tls)://"},"description":"Tried in this order. tls:// where nothing may be said without TLS."},
"subject":{"type":"string","minLength":1,"maxLength":512,"description":"What is published to. {event}, {product} and {account} are put in."},
"jetstream":{"type":"boolean","default":true,"description":"A delivery counts as made when a stream has it; without, when the server has it."},
"stream":{"type":"string","description":"The stream that must take it; without, any that listens to the subject."},
"auth":{"type":"object","additionalProperties":false,"description":"Who connects: username with password, token, nkey, or credentials.","properties":{
"username":{"type":"string"},
"password":{"type":"string","format":"password"},
"token":{"type":"string","format":"password"},
"nkey":{"type":"string","format":"password","description":"A user's seed."},
"credentials":{"type":"string","format":"password","description":"The text of a .creds file."}}},
"tls":{"type":"object","additionalProperties":false,"properties":{
"ca":{"type":"string","format":"password","description":"Certificate authorities in the place of the system's, PEM."},
"client_cert":{"type":"string","format":"password","description":"Shown to a server that asks, PEM."},
"client_key":{"type":"string","format":"password","description":"Its private key, PEM."}}}}}"#;

impl SinkFactory for NatsSinkFactory {
    fn kind(&self) -> &'static str {
        "nats"
    }

    fn about(&self) -> &'static str {
        "a NATS subject, into a JetStream stream or without one"
    }

    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(SCHEMA)
    }

    fn check(&self, settings: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        let settings = settings::check(settings)?;
        Ok(Arc::new(NatsPlan { settings, roots: Arc::clone(&self.roots) }))
    }
}

struct NatsPlan {
    settings: Settings,
    roots: Arc<Roots>,
}

#[async_trait]
impl SinkPlan for NatsPlan {
    fn destination(&self) -> String {
        self.settings.destination()
    }

    fn fingerprint(&self) -> u64 {
        self.settings.fingerprint()
    }

    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        let mut tls = Vec::new();
        for server in &self.settings.servers {
            tls.push(self.roots.config_for(&self.settings.tls, server.name.clone()).await?);
        }
        Ok(Arc::new(NatsSink::new(self.settings.clone(), tls, host.clone())))
    }
}
