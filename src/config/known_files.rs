use postrider_sink::SettingsFile;
use std::sync::{Mutex, PoisonError};

/// The files that settings of sinks name, as they were read last: where many endpoints share one, or it is read again and
/// has not changed, it is in memory once.
#[derive(Debug, Default)]
pub struct KnownFiles(Mutex<Vec<SettingsFile>>);

impl KnownFiles {
    /// The one like `file` that is in use, or `file` from now on.
    pub(super) fn the_same(&self, file: SettingsFile) -> SettingsFile {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.iter().find(|known| **known == file) {
            return same.clone();
        }
        known.retain(SettingsFile::is_shared);
        known.push(file.clone());
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_once_while_it_is_in_use() {
        let known = KnownFiles::default();
        let read = |content: &'static str| known.the_same(SettingsFile::new("a.wasm".into(), content.into()));
        let (first, again, other) = (read("one"), read("one"), read("two"));
        assert_eq!(first.content().as_ptr(), again.content().as_ptr());
        assert_ne!(first, other);
        drop((first, again));
        drop(read("three"));
        assert_eq!(known.0.lock().unwrap().len(), 2, "two and three");
    }
}
