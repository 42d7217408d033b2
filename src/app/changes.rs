//! Who changed which endpoint, when, and what: the last changes, kept in a small file beside the spool.

use crate::admin::EndpointChange;
use crate::ids::Identity;
use crate::table::{EndpointSpec, Entry, Lifecycle, Selection, Table};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Changes that are remembered, of all endpoints together.
const MOST: usize = 5000;
/// Changes of one endpoint that are shown.
const SHOWN: usize = 20;
/// Changes of one reload that are written down; the others are too many to be read.
const OF_ONE_RELOAD: usize = 500;

/// The history of changes.
pub(super) struct Changes {
    path: PathBuf,
    kept: Mutex<Kept>,
    /// Who changed a file and waits for it to be in force.
    announced: Mutex<HashMap<Arc<str>, String>>,
}

struct Kept {
    newest_first: VecDeque<EndpointChange>,
    /// Lines in the file, superseded ones included.
    lines: usize,
}

impl Changes {
    /// Reads what is there. A line that cannot be read is left out.
    pub(super) fn open(spool: &std::path::Path) -> Self {
        let path = spool.join("changes.jsonl");
        let mut kept = Kept { newest_first: VecDeque::new(), lines: 0 };
        if let Ok(file) = File::open(&path) {
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                kept.lines += 1;
                if let Ok(change) = serde_json::from_str(&line) {
                    kept.newest_first.push_front(change);
                }
            }
            kept.newest_first.truncate(MOST);
        }
        Self { path, kept: Mutex::new(kept), announced: Mutex::default() }
    }

    /// The next change of this endpoint is this one's.
    pub(super) fn announce(&self, endpoint: &str, by: String) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.into(), by);
    }

    /// The next change of this endpoint is nobody's any more.
    pub(super) fn withdraw(&self, endpoint: &str) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint);
    }

    /// The last changes of one endpoint, the newest first. The same name for another account is another endpoint.
    pub(super) fn of(&self, endpoint: &str, account: Option<&str>) -> Vec<EndpointChange> {
        let kept = self.kept();
        let own =
            |change: &&EndpointChange| change.endpoint == endpoint && change.account.as_deref() == account;
        kept.newest_first.iter().filter(own).take(SHOWN).cloned().collect()
    }

    /// When the state of each endpoint was last changed.
    pub(super) fn states(&self) -> HashMap<Identity, u64> {
        let mut states = HashMap::new();
        let of_state = |change: &&EndpointChange| {
            change.what.iter().any(|what| what.starts_with("state:") || what == "added")
        };
        for change in self.kept().newest_first.iter().filter(of_state) {
            let account = change.account.as_deref().map(Arc::from);
            let identity = Identity { name: Arc::from(&*change.endpoint), account };
            states.entry(identity).or_insert(change.at_ms);
        }
        states
    }

    /// What a publication changes. Values that are shared with the table in force are the same.
    pub(super) fn between(&self, old: &Table, new: &[Arc<EndpointSpec>], at_ms: u64) -> Vec<EndpointChange> {
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let by = |name: &str| announced.get(name).cloned().unwrap_or_else(|| "file".to_owned());
        let change = |spec: &EndpointSpec, what: Vec<String>| EndpointChange {
            at_ms,
            endpoint: spec.identity.name.to_string(),
            account: spec.identity.account.as_deref().map(str::to_owned),
            by: by(&spec.identity.name),
            what,
        };
        let mut changes = Vec::new();
        let mut there = std::collections::HashSet::with_capacity(new.len());
        for spec in new {
            there.insert(&spec.identity.name);
            if changes.len() == OF_ONE_RELOAD {
                continue;
            }
            match old.named(&spec.identity.name).map(|entry| &entry.spec) {
                Some(before) if Arc::ptr_eq(before, spec) || before == spec => {}
                Some(before) => changes.push(change(spec, differences(before, spec))),
                None => changes.push(change(spec, vec!["added".to_owned()])),
            }
        }
        let gone = |entry: &&Entry| !there.contains(&entry.spec.identity.name);
        changes.extend(
            old.entries().iter().filter(gone).map(|entry| change(&entry.spec, vec!["removed".to_owned()])),
        );
        changes.truncate(OF_ONE_RELOAD);
        changes
    }

    /// Writes changes down. What cannot be written is still remembered until the end.
    pub(super) fn record(&self, changes: Vec<EndpointChange>) {
        let mut kept = self.kept();
        let mut lines = String::new();
        for change in changes {
            let _ = writeln!(lines, "{}", serde_json::to_string(&change).unwrap_or_default());
            kept.newest_first.push_front(change);
            kept.lines += 1;
        }
        kept.newest_first.truncate(MOST);
        let written = if kept.lines > 2 * MOST { self.compact(&mut kept) } else { self.append(&lines) };
        if let Err(error) = written {
            tracing::warn!(%error, "the history of changes cannot be written");
        }
    }

    fn append(&self, lines: &str) -> io::Result<()> {
        self.private(&self.path)?.write_all(lines.as_bytes())
    }

    fn compact(&self, kept: &mut Kept) -> io::Result<()> {
        let new = self.path.with_extension("jsonl.new");
        drop(std::fs::remove_file(&new));
        let mut file = io::BufWriter::new(self.private(&new)?);
        for change in kept.newest_first.iter().rev() {
            serde_json::to_writer(&mut file, change)?;
            file.write_all(b"\n")?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        kept.lines = kept.newest_first.len();
        Ok(())
    }

    fn private(&self, path: &std::path::Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What differs, a line each, without secrets.
fn differences(old: &EndpointSpec, new: &EndpointSpec) -> Vec<String> {
    let mut lines = Vec::new();
    if old.lifecycle != new.lifecycle {
        lines.push(format!("state: {} -> {}", lifecycle(old.lifecycle), lifecycle(new.lifecycle)));
    }
    selection("events", &old.events, &new.events, &mut lines);
    selection("products", &old.products, &new.products, &mut lines);
    if old.identity.account != new.identity.account {
        let word = |account: &Option<Arc<str>>| account.as_deref().unwrap_or("every one").to_owned();
        lines.push(format!("account: {} -> {}", word(&old.identity.account), word(&new.identity.account)));
    }
    if old.filter != new.filter {
        lines.push("filter changed".to_owned());
    }
    if old.delivery != new.delivery {
        let (was, is) = (&old.delivery, &new.delivery);
        let parts = [
            ("timeout", was.timeout != is.timeout),
            ("connect_timeout", was.connect_timeout != is.connect_timeout),
            ("concurrency", was.concurrency != is.concurrency),
            ("ordering", was.ordering != is.ordering),
            ("rate", was.rate != is.rate),
            ("keep_answer", was.keep_answer != is.keep_answer),
            ("retry", was.retry != is.retry),
            ("breaker", was.breaker != is.breaker),
        ];
        lines.extend(parts.iter().filter(|(_, changed)| *changed).map(|(key, _)| format!("{key} changed")));
    }
    if old.sink != new.sink {
        let to = |spec: &EndpointSpec| {
            spec.sink.as_ref().map_or("none".to_owned(), |sink| sink.destination.to_string())
        };
        let (was, is) = (to(old), to(new));
        if was == is {
            let what = if old.fingerprint() == new.fingerprint() { "sink" } else { "credentials or URL" };
            lines.push(format!("{what} changed"));
        } else {
            lines.push(format!("destination: {was} -> {is}"));
        }
    }
    if lines.is_empty() {
        lines.push("settings changed".to_owned());
    }
    lines
}

const fn lifecycle(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Draft => "draft",
        Lifecycle::Active => "active",
        Lifecycle::Paused => "paused",
    }
}

fn selection(key: &str, old: &Selection, new: &Selection, lines: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Selection::Some(old), Selection::Some(new)) => {
            let added = new.iter().filter(|name| !old.contains(name)).map(|name| format!("+{name}"));
            let taken = old.iter().filter(|name| !new.contains(name)).map(|name| format!("-{name}"));
            let all: Vec<String> = added.chain(taken).collect();
            lines.push(format!(
                "{key} {}",
                if all.is_empty() { "in another order".into() } else { all.join(" ") }
            ));
        }
        (_, Selection::All) => lines.push(format!("{key}: all")),
        (Selection::All, Selection::Some(names)) => lines.push(format!("{key}: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests;
