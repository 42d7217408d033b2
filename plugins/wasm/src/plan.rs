use crate::component::{Program, Refused};
use crate::engine::Engine;
use crate::http::Client;
use crate::json::json;
use crate::log::Log;
use crate::pool;
use crate::settings::{self, Settings};
use crate::sink::WasmSink;
use crate::state::Shared;
use crate::wit::Problem;
use postrider_sink::{
    BuildError, HostContext, KeyPath, Secret, SettingError, Sink, SinkFactory, SinkPlan, Table, async_trait,
};
use postrider_sink_tls::Roots;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

const ALPN: &[&[u8]] = &[b"http/1.1"];
/// Of what a component finds wrong, so much is told.
const PROBLEMS: usize = 100;

/// Makes the sinks of endpoints with a `[wasm]` table:
///
/// - `file`: the component; a relative path starts at the folder of `postrider.toml`.
/// - `hosts = ["hooks.example"]`: what it may send requests to; nothing, without it.
/// - `settings = { … }`: handed to it; values may be secrets.
/// - `memory = "64 MiB"`: the most an instance may hold; one runs for each attempt at a time.
/// - `tls = { ca, client_cert, client_key }`: as with HTTP.
///
/// The engine that runs them all starts with the first of them.
#[derive(Clone)]
pub struct WasmSinkFactory {
    engine: Arc<OnceLock<Result<Arc<Engine>, String>>>,
    roots: Arc<Roots>,
}

impl WasmSinkFactory {
    /// Trusts the certificate authorities of this machine, or Mozilla's where it has none.
    #[must_use]
    pub fn new() -> Self {
        Self { engine: Arc::default(), roots: Arc::new(Roots::system(ALPN)) }
    }

    fn engine(&self) -> Result<Arc<Engine>, Refused> {
        self.engine.get_or_init(Engine::start).clone().map_err(Refused::new)
    }

    fn load(&self, settings: &Settings) -> Result<(Arc<Engine>, Arc<Program>), SettingError> {
        let load = || {
            let engine = self.engine()?;
            let program = engine.program(&settings.file)?;
            Ok((engine, program))
        };
        load().map_err(|refused: Refused| {
            SettingError::value(KeyPath(vec![String::from("file")]), refused.message).help(refused.help)
        })
    }
}

impl Default for WasmSinkFactory {
    fn default() -> Self {
        Self::new()
    }
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["file"],"properties":{
"file":{"type":"string","description":"The component, of the world sink in postrider:sink@1.0.0."},
"hosts":{"type":"array","items":{"type":"string"},"default":[],"description":"What it may send requests to: hooks.example, or hooks.example:8443 for that port alone."},
"settings":{"type":"object","description":"Handed to it as JSON; values may be secrets."},
"memory":{"type":"string","default":"64 MiB","description":"The most that one instance may hold; there is one for each attempt at a time."},
"tls":{"type":"object","description":"ca, client_cert, client_key: authorities of its own, and the certificate that it shows."}}}"#;

impl SinkFactory for WasmSinkFactory {
    fn kind(&self) -> &'static str {
        "wasm"
    }

    fn about(&self) -> &'static str {
        "a component in a sandbox, with limits on memory, time and the hosts it may reach"
    }

    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(SCHEMA)
    }

    fn files(&self) -> &'static [&'static str] {
        &["file"]
    }

    fn check(&self, table: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        let settings = settings::read(table)?;
        let (engine, program) = self.load(&settings).map_err(|error| vec![error])?;
        let text = json(&settings.settings).to_string();
        let plan = WasmPlan { settings, text, engine, program, roots: Arc::clone(&self.roots) };
        let errors = plan.ask();
        if errors.is_empty() { Ok(Arc::new(plan)) } else { Err(errors) }
    }
}

struct WasmPlan {
    settings: Settings,
    /// The component's settings as JSON.
    text: String,
    engine: Arc<Engine>,
    program: Arc<Program>,
    roots: Arc<Roots>,
}

impl WasmPlan {
    /// What the component itself finds wrong with its settings.
    fn ask(&self) -> Vec<SettingError> {
        let Some(check) = self.program.check else { return Vec::new() };
        let shared = Arc::new(Shared {
            endpoint: "".into(),
            settings: self.text.clone(),
            client: None,
            clock: None,
            log: Log::new("check".into()),
        });
        let asked =
            pool::ask(Arc::clone(&self.program), check, shared, self.settings.memory, self.engine.running());
        match self.engine.wait(asked) {
            Ok(Ok(problems)) => problems.into_iter().take(PROBLEMS).map(problem).collect(),
            Ok(Err(why)) => {
                let message = format!("its check of the settings failed: {why}");
                vec![SettingError::value(KeyPath(vec![String::from("file")]), message)]
            }
            Err(refused) => vec![SettingError::value(KeyPath(vec![String::from("file")]), refused.message)],
        }
    }
}

fn problem(found: Problem) -> SettingError {
    let path = std::iter::once(String::from("settings")).chain(found.path).take(32).collect();
    let error = SettingError::value(KeyPath(path), crate::line::line(&found.message));
    match found.help {
        Some(help) => error.help(crate::line::line(&help)),
        None => error,
    }
}

#[async_trait]
impl SinkPlan for WasmPlan {
    fn destination(&self) -> String {
        let file = crate::line::line(self.settings.file.path());
        match self.settings.hosts.shown() {
            hosts if hosts.is_empty() => file,
            hosts => format!("{file}, which reaches {}", crate::line::line(&hosts)),
        }
    }

    fn fingerprint(&self) -> u64 {
        let Settings { file, hosts, tls, .. } = &self.settings;
        let mut all = format!("{:x} {}\n{}", file.digest(), hosts.shown(), self.text);
        for digest in tls.digests() {
            all.push_str(&format!("\ntls {digest:x}"));
        }
        Secret::new(all).digest()
    }

    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        let tls = self.roots.config(&self.settings.tls).await?;
        let shared = Arc::new(Shared {
            endpoint: Arc::clone(&host.endpoint),
            settings: self.text.clone(),
            client: Some(Client::new(host.clone(), self.settings.hosts.clone(), tls)),
            clock: Some(Arc::clone(&host.clock)),
            log: Log::new(Arc::clone(&host.endpoint)),
        });
        let (engine, program) = (Arc::clone(&self.engine), Arc::clone(&self.program));
        Ok(Arc::new(WasmSink::start(engine, program, shared, self.settings.memory, host.clone()).await?))
    }
}
