use crate::policy::DeliverySettings;
use postrider_sink::SettingsFile;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Different values of a kind that are looked for among endpoints; what comes then is in memory by itself. Every endpoint
/// is compared with all of them.
const MOST: usize = 64;

/// What many endpoints have in common, in memory once: files that settings of sinks name, delivery settings, lists of names.
/// What is read again and has not changed is shared as well.
#[derive(Debug, Default)]
pub struct Shared(Mutex<Values>);

#[derive(Debug, Default)]
struct Values {
    files: Vec<SettingsFile>,
    deliveries: Vec<Arc<DeliverySettings>>,
    names: Vec<Arc<[Arc<str>]>>,
}

impl Shared {
    /// The one like `file` that is in use, or `file` from now on. Files may be large: each is looked for among all.
    pub(super) fn file(&self, file: SettingsFile) -> SettingsFile {
        let files = &mut self.values().files;
        if let Some(same) = files.iter().find(|known| **known == file) {
            return same.clone();
        }
        files.retain(SettingsFile::is_shared);
        files.push(file.clone());
        file
    }

    pub(super) fn delivery(&self, settings: DeliverySettings) -> Arc<DeliverySettings> {
        the_same(&mut self.values().deliveries, Arc::new(settings))
    }

    pub(super) fn names(&self, names: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        the_same(&mut self.values().names, names.into())
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn the_same<T: PartialEq + ?Sized>(known: &mut Vec<Arc<T>>, value: Arc<T>) -> Arc<T> {
    if let Some(same) = known.iter().find(|known| **known == value) {
        return Arc::clone(same);
    }
    if known.len() == MOST {
        known.retain(|known| Arc::strong_count(known) > 1);
    }
    if known.len() < MOST {
        known.push(Arc::clone(&value));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_once_while_it_is_in_use() {
        let shared = Shared::default();
        let read = |content: &'static str| shared.file(SettingsFile::new("a.wasm".into(), content.into()));
        let (first, again, other) = (read("one"), read("one"), read("two"));
        assert_eq!(first.content().as_ptr(), again.content().as_ptr());
        assert_ne!(first, other);
        drop((first, again));
        drop(read("three"));
        assert_eq!(shared.values().files.len(), 2, "two and three");
    }

    #[test]
    fn equal_settings_are_one_and_unused_ones_make_room() {
        let shared = Shared::default();
        let waits = |seconds: u64| DeliverySettings {
            timeout: std::time::Duration::from_secs(seconds),
            ..DeliverySettings::default()
        };
        let used = shared.delivery(waits(0));
        assert!(Arc::ptr_eq(&used, &shared.delivery(waits(0))));
        for seconds in 1..=1000 {
            let other = shared.delivery(waits(seconds));
            assert_eq!(*other, waits(seconds));
        }
        assert!(shared.values().deliveries.len() <= MOST);
        assert!(Arc::ptr_eq(&used, &shared.delivery(waits(0))), "it is still known");
        let names = || vec![Arc::from("sent"), Arc::from("read")];
        assert!(Arc::ptr_eq(&shared.names(names()), &shared.names(names())));
    }
}
