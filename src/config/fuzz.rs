//! What must hold for any text in a configuration file.

use super::daemon_file::DaemonFile;
use super::edit::{edit, set_state};
use super::endpoint_file::{CompiledEndpoint, Context, compile_endpoint};
use super::error::{ConfigError, ConfigErrors};
use super::load::Loader;
use super::secrets::SecretSource;
use super::shared::Shared;
use crate::sinks::Sinks;
use crate::table::Lifecycle;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// Secrets that are whatever is asked for: nothing outside is read.
struct Echo;

impl SecretSource for Echo {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        Ok(path.to_string_lossy().into_owned().into_bytes())
    }

    fn env(&self, name: &str) -> Option<OsString> {
        Some(name.into())
    }
}

fn base() -> &'static Path {
    Path::new("/etc/postrider")
}

fn daemon(text: &str) -> DaemonFile {
    DaemonFile::read("postrider.toml".into(), text.into(), base(), &Echo)
}

fn endpoint(text: &str, sinks: &Sinks) -> CompiledEndpoint {
    let daemon = daemon("");
    let shared = Shared::default();
    let daemon = daemon.valid().expect("the defaults");
    let context = Context { daemon, sinks, secrets: &Echo, base: base(), shared: &shared };
    compile_endpoint(&"acme".into(), "endpoints/acme.toml".into(), &text.into(), context)
}

/// The text of a daemon's file.
///
/// # Panics
/// When something does not hold.
pub fn daemon_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = daemon(text);
    explained(&read.errors, text);
    assert!(read.config.is_some() || !read.errors.is_empty(), "nothing was read, and nothing is wrong");
    let Some(config) = read.valid() else { return };
    assert_eq!(Some(config), daemon(text).valid(), "read twice, it says two things");
    let publishers = &config.ingress.publishers;
    assert!(!publishers.is_empty() || config.ingress.listen.ip().is_loopback(), "open to everybody");
}

/// The text of an endpoint's file.
///
/// # Panics
/// When something does not hold.
pub fn endpoint_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let sinks = Sinks::standard();
    let loader = Loader::new(Path::new("/etc/postrider/postrider.toml"), sinks.clone(), Arc::new(Echo));
    let form = loader.form(text);
    if let Some(settings) = &form.settings {
        let unchanged = edit(text, &form, settings);
        assert_eq!(unchanged.as_deref(), Ok(text), "what was not changed is written in another way");
    }
    let spec = match endpoint(text, &sinks).result {
        Ok(spec) => spec,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            return explained(&errors, text);
        }
    };
    assert!(spec.sink.is_some() || spec.lifecycle == Lifecycle::Draft, "active, and nowhere to send to");
    let paused = match set_state(text, "paused") {
        Ok(paused) => paused,
        // The reader takes a number past all floats for infinite, the editor does not.
        Err(why) => return assert!(why.contains("overflow"), "{why}"),
    };
    let again = endpoint(&paused, &sinks).result;
    if spec.lifecycle != Lifecycle::Draft {
        let again = again.unwrap_or_else(|errors| panic!("paused, it is refused: {}", ConfigErrors(errors)));
        assert_eq!(again.lifecycle, Lifecycle::Paused);
        let same = (&again.events, &again.products, &again.delivery, &again.identity);
        assert_eq!(same, (&spec.events, &spec.products, &spec.delivery, &spec.identity));
    }
}

/// Every error has words, and a place that there is.
fn explained(errors: &[ConfigError], text: &str) {
    for error in errors {
        assert!(!error.message.is_empty());
        if let Some(span) = &error.span {
            assert!(span.start <= span.end && span.end <= text.len(), "{error:?}");
        }
        let lines = text.split('\n').count();
        assert!(error.line.is_none_or(|line| (1..=lines + 1).contains(&line)), "{error:?}");
        let line = error.one_line();
        assert!(!line.contains('\n'), "{line:?}");
    }
    let whole = ConfigErrors(errors.to_vec()).to_string();
    assert!(whole.len() <= 4096 + errors.len() * (8192 + 4 * text.len()), "{} bytes", whole.len());
}
