//! How the log's bytes come to the disk: the seam where a simulation decides what fails, and what a power cut leaves.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Writes and syncs the files of the log. It is called once or twice for each commit, on the writer's thread.
pub trait Disk: Send + Sync + 'static {
    /// Hands all of these bytes to the operating system.
    ///
    /// # Errors
    /// As the system says; how much of it was written is then unknown.
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Everything written to the file is on disk when this returns.
    ///
    /// # Errors
    /// As the system says; nothing is known then of what was written since the last sync.
    fn sync(&self, file: &File, path: &Path) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&self, file: &File, _: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync(&self, file: &File, _: &Path) -> io::Result<()> {
        file.sync_data()
    }
}
