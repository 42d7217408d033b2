use crate::sink::FileSink;
use postrider_sink::{
    BuildError, HostContext, KeyPath, Reader, Secret, SettingError, Sink, SinkFactory, SinkPlan, Table,
    async_trait,
};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes the sinks of endpoints with a `[file]` table:
///
/// - `path`: the file; a relative one starts at the folder of `postrider.toml`; `-` is standard output.
/// - `sync = true`: a delivery counts as made when the line is on the disk, not in the system's cache.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSinkFactory;

impl SinkFactory for FileSinkFactory {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn about(&self) -> &'static str {
        "JSON lines to a file or to standard output"
    }

    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(
            r#"{"type":"object","additionalProperties":false,"required":["path"],"properties":{
"path":{"type":"string","minLength":1,"description":"The file; - is standard output. A relative path starts at the folder of postrider.toml."},
"sync":{"type":"boolean","default":false,"description":"A delivery counts as made when its line is on the disk."}}}"#,
        )
    }

    fn check(&self, settings: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        const HELP: &str = "Enter the path of a file, or - for standard output.";
        let mut reader = Reader::new(settings);
        let sync = reader.boolean("sync").unwrap_or(false);
        let path = if reader.value("path").is_some() {
            reader.string("path")
        } else {
            reader.error(SettingError::missing(KeyPath::default(), "path is missing").help(HELP));
            None
        };
        if let Some(path) = path
            && (path.is_empty() || path.ends_with('/') || path.contains('\0'))
        {
            reader.error(SettingError::value(reader.path("path"), "not the path of a file").help(HELP));
        }
        let errors = reader.finish();
        match path {
            Some(path) if errors.is_empty() => {
                let target = if path == "-" { Target::Stdout } else { Target::File(PathBuf::from(path)) };
                Ok(Arc::new(FilePlan { target, sync }))
            }
            _ => Err(errors),
        }
    }
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    File(PathBuf),
}

struct FilePlan {
    target: Target,
    sync: bool,
}

#[async_trait]
impl SinkPlan for FilePlan {
    fn destination(&self) -> String {
        match &self.target {
            Target::Stdout => String::from("standard output"),
            Target::File(path) => path.display().to_string(),
        }
    }

    fn fingerprint(&self) -> u64 {
        Secret::new(self.destination()).digest()
    }

    async fn build(&self, host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        let target = match &self.target {
            Target::Stdout => Target::Stdout,
            Target::File(path) => Target::File(host.folder.join(path)),
        };
        Ok(Arc::new(FileSink::new(target, self.sync)))
    }
}
