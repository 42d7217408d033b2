use crate::settings::{self, HttpSettings};
use crate::sink::HttpSink;
use postrider_sink::{
    BuildError, HostContext, SettingError, Sink, SinkFactory, SinkPlan, Table, async_trait,
};
use postrider_sink_tls::Roots;
use rustls::RootCertStore;
use std::borrow::Cow;
use std::sync::Arc;

/// The protocol that is offered during the handshake.
const ALPN: &[&[u8]] = &[b"http/1.1"];

/// Makes the sinks of endpoints with an `[http]` table. All that one factory makes share a TLS configuration.
#[derive(Clone)]
pub struct HttpSinkFactory {
    roots: Arc<Roots>,
}

impl HttpSinkFactory {
    /// Trusts the certificate authorities of this machine, or Mozilla's where it has none.
    #[must_use]
    pub fn new() -> Self {
        Self { roots: Arc::new(Roots::system(ALPN)) }
    }

    /// Trusts these certificate authorities and no others.
    #[must_use]
    pub fn with_roots(roots: RootCertStore) -> Self {
        Self { roots: Arc::new(Roots::given(roots, ALPN)) }
    }
}

impl Default for HttpSinkFactory {
    fn default() -> Self {
        Self::new()
    }
}

impl SinkFactory for HttpSinkFactory {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn about(&self) -> &'static str {
        "a POST for every event, with Basic authentication"
    }

    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(SCHEMA)
    }

    fn check(&self, settings: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        let settings = Arc::new(settings::check(settings)?);
        Ok(Arc::new(HttpPlan { settings, roots: Arc::clone(&self.roots) }))
    }
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["url","auth"],"properties":{
"url":{"type":"string","format":"uri","description":"Where events are posted."},
"auth":{"type":"object","additionalProperties":false,"minProperties":1,"maxProperties":1,"description":"Who is calling.","properties":{
"basic":{"type":"object","additionalProperties":false,"properties":{
"credentials":{"type":"string","format":"password","description":"base64 of username:password."},
"username":{"type":"string"},
"password":{"type":"string","format":"password"}}},
"bearer":{"type":"string","format":"password"},
"header":{"type":"object","additionalProperties":false,"properties":{
"name":{"type":"string"},
"value":{"type":"string","format":"password"}}}}},
"headers":{"type":"object","description":"Headers of its own.","additionalProperties":{"type":"string","format":"password"}},
"signing":{"type":"object","additionalProperties":false,"description":"Standard Webhooks.","properties":{
"secrets":{"type":"array","minItems":1,"maxItems":8,"items":{"type":"string","format":"password","description":"whsec_ and base64."}}}},
"tls":{"type":"object","additionalProperties":false,"properties":{
"ca":{"type":"string","format":"password","description":"Certificate authorities in the place of the system's, PEM."},
"client_cert":{"type":"string","format":"password","description":"Shown to a server that asks, PEM."},
"client_key":{"type":"string","format":"password","description":"Its private key, PEM."}}},
"proxy":{"description":"The way there: a proxy that is asked with CONNECT.","anyOf":[{"type":"string","format":"uri"},
{"type":"object","additionalProperties":false,"required":["url"],"properties":{
"url":{"type":"string","format":"uri"},
"auth":{"type":"object","properties":{"basic":{"type":"object","additionalProperties":false,"properties":{
"credentials":{"type":"string","format":"password"},
"username":{"type":"string"},
"password":{"type":"string","format":"password"}}}}}}}]}}}"#;

struct HttpPlan {
    settings: Arc<HttpSettings>,
    roots: Arc<Roots>,
}

#[async_trait]
impl SinkPlan for HttpPlan {
    fn destination(&self) -> String {
        self.settings.destination.shown.to_string()
    }

    fn fingerprint(&self) -> u64 {
        self.settings.fingerprint()
    }

    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        let tls = match &self.settings.destination.tls {
            Some(name) => Some((self.roots.config(&self.settings.tls).await?, name.clone())),
            None => None,
        };
        Ok(Arc::new(HttpSink::new(&self.settings, tls, host)?))
    }
}
