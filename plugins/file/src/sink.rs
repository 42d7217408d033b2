use crate::line;
use crate::settings::Target;
use postrider_sink::{Delivery, FailureClass, Outcome, Sink, async_trait};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Appends lines. One at a time: a disk that hangs holds up one thread, not one for each attempt.
pub(crate) struct FileSink {
    target: Arc<Target>,
    sync: bool,
    open: Arc<Mutex<Option<Open>>>,
}

struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// The last write stopped within a line: the next one starts a new line first.
    torn: bool,
}

impl FileSink {
    pub(crate) fn new(target: Target, sync: bool) -> Self {
        Self { target: Arc::new(target), sync, open: Arc::default() }
    }

    async fn append(&self, line: Vec<u8>) -> io::Result<()> {
        let mut open = Arc::clone(&self.open).lock_owned().await;
        let (target, sync) = (Arc::clone(&self.target), self.sync);
        let written = tokio::task::spawn_blocking(move || match &*target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&line)?;
                out.flush()
            }
            Target::File(path) => append(path, &mut open, line, sync),
        });
        written.await.map_err(io::Error::other)?
    }
}

fn append(path: &Path, slot: &mut Option<Open>, mut line: Vec<u8>, sync: bool) -> io::Result<()> {
    let found = std::fs::metadata(path);
    let mut open = match (slot.take(), &found) {
        (Some(open), Ok(found)) if open.is(found) => open,
        _ => Open::at(path, found.ok().as_ref())?,
    };
    if open.torn {
        line.insert(0, b'\n');
    }
    let result = open.write(&line, sync);
    *slot = Some(open);
    result
}

impl Open {
    fn at(path: &Path, found: Option<&Metadata>) -> io::Result<Self> {
        if let Some(kind) = found.map(Metadata::file_type)
            && (kind.is_fifo() || kind.is_socket() || kind.is_dir())
        {
            // Opening a pipe waits for somebody to read it, for ever if need be.
            return Err(io::Error::other("not a regular file"));
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        let found = file.metadata()?;
        Ok(Self { device: found.dev(), inode: found.ino(), file, torn: false })
    }

    fn is(&self, found: &Metadata) -> bool {
        (self.device, self.inode) == (found.dev(), found.ino())
    }

    fn write(&mut self, line: &[u8], sync: bool) -> io::Result<()> {
        let written = loop {
            match self.file.write(line) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.torn = written < line.len();
        if self.torn {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "only a part of the line could be written",
            ));
        }
        if sync { self.file.sync_data() } else { Ok(()) }
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let line = match line::write(delivery) {
            Ok(line) => line,
            Err(error) => {
                return Outcome::failed(FailureClass::SinkError, format!("the body is not JSON: {error}"));
            }
        };
        match self.append(line).await {
            Ok(()) => Outcome::delivered("written".into()),
            Err(error) => {
                let place = match &*self.target {
                    Target::Stdout => String::from("standard output"),
                    Target::File(path) => path.display().to_string(),
                };
                Outcome::failed(FailureClass::SinkError, format!("cannot write to {place}: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
