//! What tests of the configuration share: a sink that checks like the real one, and secrets in memory.

use super::SecretSource;
use crate::sinks::Sinks;
use postrider_sink::{
    BuildError, HostContext, KeyPath, Reader, SettingError, Sink, SinkFactory, SinkPlan, Table, async_trait,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

struct TestSink(&'static str);
struct TestPlan(String);

impl SinkFactory for TestSink {
    fn kind(&self) -> &'static str {
        self.0
    }

    fn files(&self) -> &'static [&'static str] {
        if self.0 == "reader" { &["file"] } else { &[] }
    }

    fn check(&self, settings: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        let mut reader = Reader::new(settings);
        if self.0 == "reader" && reader.file("file").is_some_and(|file| file.content().is_empty()) {
            reader.error(SettingError::value(reader.path("file"), "the file is empty"));
        }
        let url = reader.string("url").unwrap_or_default().to_owned();
        if !settings.contains_key("url") {
            reader.error(SettingError::missing(KeyPath::default(), "url is missing"));
        } else if !url.starts_with("http") {
            reader.error(SettingError::value(reader.path("url"), "not a URL").help("Start with https://."));
        }
        match reader.table("auth") {
            None => reader.error(SettingError::missing(KeyPath::default(), "auth is missing")),
            Some(mut auth) => {
                if let Some(mut basic) = auth.table("basic") {
                    let _ = (basic.secret("credentials"), basic.secret("password"), basic.string("username"));
                    basic.finish().into_iter().for_each(|error| reader.error(error));
                }
                auth.finish().into_iter().for_each(|error| reader.error(error));
            }
        }
        let errors = reader.finish();
        if errors.is_empty() { Ok(Arc::new(TestPlan(url))) } else { Err(errors) }
    }
}

#[async_trait]
impl SinkPlan for TestPlan {
    fn destination(&self) -> String {
        self.0.clone()
    }

    fn fingerprint(&self) -> u64 {
        0
    }

    async fn build(&self, _host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        Err(BuildError("nothing is sent in these tests".to_owned()))
    }
}

/// Three kinds of sink, `http`, `file`, and `reader`, which wants to be read a file.
pub(crate) fn sinks() -> Sinks {
    Sinks::new(
        ["http", "file", "reader"].map(|kind| Arc::new(TestSink(kind)) as Arc<dyn SinkFactory>).to_vec(),
    )
}

/// Secrets in memory: files by path, variables by name.
#[derive(Default)]
pub(crate) struct FakeSecrets {
    pub(crate) files: BTreeMap<String, Result<Vec<u8>, String>>,
    pub(crate) env: BTreeMap<String, String>,
}

impl SecretSource for FakeSecrets {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        let missing = || Err("no such file".to_owned());
        self.files.get(path.to_str().unwrap()).cloned().unwrap_or_else(missing)
    }

    fn settings_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.file(path)
    }

    fn env(&self, name: &str) -> Option<OsString> {
        self.env.get(name).map(OsString::from)
    }
}
