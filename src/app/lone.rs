use super::files::all;
use crate::clock::SystemClock;
use crate::config::{self, ConfigErrors, Shared, SystemSecrets};
use crate::net::{Network, NetworkPolicy, SystemResolver};
use crate::policy::DeliverySettings;
use postrider_sink::{Host, HostContext, SinkFactory, Table};
use std::path::Path;
use std::sync::Arc;

/// An endpoint file, on its own.
pub struct LoneEndpoint {
    /// Its sink's factory.
    pub factory: Arc<dyn SinkFactory>,
    /// What its sink's table says, secrets resolved.
    pub settings: Table,
    /// How deliveries are made.
    pub delivery: DeliverySettings,
}

/// Reads an endpoint file that no daemon knows, with the defaults of a daemon. Relative paths start at its folder.
///
/// # Errors
/// Every error with its carets, ready to be printed.
pub fn lone_endpoint(path: &Path, added: &[Arc<dyn SinkFactory>]) -> Result<LoneEndpoint, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text: Arc<str> = std::fs::read_to_string(path).map_err(|error| failed(&error))?.into();
    let sinks = all(added);
    let base = std::path::absolute(path).map_err(|error| failed(&error))?;
    let base = base.parent().unwrap_or(&base);
    let plain = config::DaemonFile::read("defaults".into(), "version = 1\n".into(), base, &SystemSecrets);
    let daemon = plain.valid().ok_or_else(|| failed(&"the defaults are invalid"))?;
    let context =
        config::Context { daemon, sinks: &sinks, secrets: &SystemSecrets, base, shared: &Shared::default() };
    let file = path.display().to_string().into();
    let compiled = config::compile_endpoint(&"plugin".into(), file, &text, context);
    let spec = compiled.result.map_err(|errors| ConfigErrors(errors).to_string())?;
    let no_sink = || failed(&"it names no sink");
    let (sink, settings) = spec.sink.zip(compiled.settings).ok_or_else(no_sink)?;
    let factory = sinks.get(sink.kind).cloned().ok_or_else(no_sink)?;
    Ok(LoneEndpoint { factory, settings, delivery: DeliverySettings::clone(&spec.delivery) })
}

/// What a sink is built with outside of a daemon: this way out, these folders.
#[must_use]
pub fn lone_context(folder: &Path, delivery: &DeliverySettings, host: Arc<dyn Host>) -> HostContext {
    let allow = ["127.0.0.0/8", "::1/128"].iter().filter_map(|range| range.parse().ok()).collect();
    let policy = NetworkPolicy { allow, exceptions: Vec::new() };
    let network = Network::new(policy, Vec::new(), Arc::new(SystemResolver::new()));
    HostContext {
        endpoint: "plugin".into(),
        user_agent: concat!("postrider/", env!("CARGO_PKG_VERSION")).into(),
        folder: folder.into(),
        connector: network.connector("plugin"),
        clock: Arc::new(SystemClock),
        connect_timeout: delivery.connect_timeout,
        timeout: delivery.timeout,
        concurrency: delivery.concurrency.get(),
        host,
    }
}
