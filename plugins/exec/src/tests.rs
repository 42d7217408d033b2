//! Against real programs.

mod conform;
mod misbehave;

use crate::ExecSinkFactory;
use postrider_sink::testkit::{TestHost, context};
use postrider_sink::{BuildError, HostContext, Sink, SinkFactory as _, Table, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

fn command(words: &[&str]) -> Value {
    Value::Array(words.iter().map(|word| text(*word)).collect())
}

/// One of the examples of this repository.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sinks").join(name)
}

fn behave() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/behave.py")
}

/// A program that behaves so, with a folder of its own.
struct Rig {
    folder: TempDir,
    host: Arc<TestHost>,
    context: HostContext,
    settings: Table,
}

impl Rig {
    fn new(how: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("log");
        let words = ["python3", behave().to_str().unwrap(), how, log.to_str().unwrap()].map(str::to_owned);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let settings = Table::from([("command".into(), command(&words)), ("memory".into(), text("256 MiB"))]);
        let host = TestHost::new();
        let context = context(Arc::clone(&host) as Arc<_>);
        Self { folder, host, context, settings }
    }

    async fn build(&self) -> Result<Arc<dyn Sink>, BuildError> {
        ExecSinkFactory.check(&self.settings).unwrap().build(&self.context).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
