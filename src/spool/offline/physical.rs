//! All rows as they lie in the files, of whatever age: tables, journals, log.

use super::Damage;
use super::table;
use super::tree::{self, Table};
use crate::spool::journal;
use crate::spool::store::end::{self, End};
use crate::spool::store::log::{self, Seen};
use crate::spool::store::{FOLDED, META, Store};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

/// How new a row is: what the log has is newer than what the database has.
pub(super) type Age = (bool, u64, u64);

/// One row.
pub(super) struct Row<'a> {
    pub(super) space: usize,
    pub(super) key: &'a [u8],
    pub(super) age: Age,
    /// None: it was removed.
    pub(super) row: Option<&'a [u8]>,
}

/// A file's name for people: from the spool's folder on.
pub(super) fn name(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let known = |part: &str| matches!(part, "store" | "log") || part.starts_with("damaged-");
    let begin = parts.iter().rposition(|part| known(part)).unwrap_or(parts.len().saturating_sub(1));
    parts.get(begin..).unwrap_or_default().join("/")
}

/// Shows every row of a database and a log, oldest sources first, and what of them is damaged.
pub(super) fn rows(store: &Path, log: &Path, each: &mut dyn FnMut(Row<'_>)) -> io::Result<Vec<Damage>> {
    let mut damage = Vec::new();
    let end = end::read(log).unwrap_or_else(|_| {
        let path = log.join(end::NAME);
        let cost = "nothing, but what is missing at the end of the log may go unnoticed";
        damage.push(Damage::new(name(&path), None, "its checksum is wrong", cost));
        None
    });
    let end = end.unwrap_or_default();
    if store.exists() {
        database(store, end, each, &mut damage)?;
    }
    if log.exists() {
        let segments = log::segments(log)?;
        log::look(&segments, end.number, log::SEGMENT, &mut |path, seen| match seen {
            Seen::Commit(number, changes) => {
                for (index, change) in (0..).zip(&changes) {
                    let space = usize::from(change.space);
                    let age = (true, number, index);
                    let row = change.row();
                    each(Row { space, key: &change.key, age, row: row.as_deref() });
                }
            }
            Seen::Missing(0, at) => {
                let what = "the file is shorter than it was made";
                damage.push(Damage::new(name(path), Some(at), what, "commits in it, if there were any"));
            }
            Seen::Missing(count, at) => damage.push(missing(path, count, at)),
            Seen::Torn(at) => damage.push(missing(path, 1, at)),
        })?;
    }
    Ok(damage)
}

fn missing(segment: &Path, count: u64, at: u64) -> Damage {
    let what = format!("{count} commits are not whole or not there");
    Damage::new(name(segment), Some(at), &what, "what they changed")
}

fn database(
    store: &Path,
    end: End,
    each: &mut dyn FnMut(Row<'_>),
    damage: &mut Vec<Damage>,
) -> io::Result<()> {
    let marker = store.join("version");
    if fs::read(&marker).ok().is_none_or(|bytes| bytes != b"FJL\x03") {
        damage.push(Damage::new(
            name(&marker),
            None,
            "it is not what was written",
            "the database does not open",
        ));
    }
    let keyspaces = store.join("keyspaces");
    let spaces = spaces(&keyspaces, damage)?;
    let mut newest: HashMap<u64, u64> = HashMap::new();
    let mut folded = None;
    for (number, space) in &spaces {
        for Table { path, sum, offset } in tree::tables(&keyspaces.join(number.to_string()), damage)? {
            let file = fs::read(&path)?;
            let found = table::look(&file, sum, |version| {
                let sequence = version.sequence.saturating_add(offset);
                let top = newest.entry(*number).or_default();
                *top = (*top).max(sequence);
                see(*space, version.key, version.row, &mut folded);
                each(Row { space: *space, key: version.key, age: (false, sequence, 0), row: version.row });
            });
            damage.extend(wrong(&path, found));
        }
    }
    let last = journals(
        store,
        end,
        &mut |batch| {
            for item in batch {
                let Some(space) =
                    spaces.iter().find(|(number, _)| *number == item.0).map(|(_, space)| *space)
                else {
                    continue;
                };
                // Already in a table, or removed for good since.
                if newest.get(&item.0).is_some_and(|newest| item.1 <= *newest) {
                    continue;
                }
                each(Row { space, key: item.2, age: (false, item.1, 0), row: item.3 });
            }
        },
        damage,
    )?;
    damage.extend(cut_off(folded, last, end));
    Ok(())
}

/// The blocks of a table that are not whole.
fn wrong(table: &Path, blocks: Vec<u64>) -> impl Iterator<Item = Damage> {
    let name = name(table);
    blocks
        .into_iter()
        .map(move |at| Damage::new(name.clone(), Some(at), "a block is not whole", "the rows in it"))
}

fn see(space: usize, key: &[u8], row: Option<&[u8]>, folded: &mut Option<u64>) {
    if space == META && key == FOLDED {
        *folded = (*folded).max(row.and_then(number));
    }
}

fn number(row: &[u8]) -> Option<u64> {
    row.try_into().ok().map(u64::from_le_bytes)
}

/// The keyspaces by number, and which kind of rows lies in each. Their names are in keyspace 0.
fn spaces(keyspaces: &Path, damage: &mut Vec<Damage>) -> io::Result<Vec<(u64, usize)>> {
    let mut names: HashMap<u64, String> = HashMap::new();
    for Table { path, sum, .. } in tree::tables(&keyspaces.join("0"), damage)? {
        let wrong = table::look(&fs::read(&path)?, sum, |version| {
            let number = version.key.strip_prefix(b"n").and_then(|key| key.try_into().ok());
            if let (Some(number), Some(row)) = (number, version.row) {
                names.insert(u64::from_be_bytes(number), String::from_utf8_lossy(row).into_owned());
            }
        });
        for at in wrong {
            let cost = "the database may not open; the order in which its parts were made tells their names";
            damage.push(Damage::new(name(&path), Some(at), "a block is not whole", cost));
        }
    }
    let mut found = Vec::new();
    for (space, kind) in Store::kinds().enumerate() {
        let named = names.iter().find(|(_, name)| *name == kind).map(|(number, _)| *number);
        let usual = space as u64 + 1;
        found.push((named.unwrap_or(usual), space));
    }
    Ok(found)
}

/// A change: keyspace, sequence, key, row.
type Item<'a> = (u64, u64, &'a [u8], Option<&'a [u8]>);

/// Shows the batches of a database's journals in their order. Each has a number in its row `meta/fold`; the last one.
fn journals(
    store: &Path,
    end: End,
    each: &mut dyn FnMut(&[Item<'_>]),
    damage: &mut Vec<Damage>,
) -> io::Result<Option<u64>> {
    let mut paths: Vec<(u64, PathBuf)> = Vec::new();
    for file in fs::read_dir(store)? {
        let path = file?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        paths.extend(number.filter(|_| is_journal).map(|number| (number, path)));
    }
    paths.sort();
    let mut last = None;
    // Whether every batch from the first one on should be here.
    let mut from_the_first = paths.first().is_some_and(|(number, _)| *number == 0);
    for (_, path) in paths {
        let mut wrong = None;
        journal::look(&used(&path)?, |at, batch| {
            let Ok(batch) = batch else {
                wrong.get_or_insert(at);
                return;
            };
            let items: Vec<Item<'_>> =
                batch.items.iter().map(|item| (item.keyspace, batch.sequence, item.key, item.row)).collect();
            let step = batch.items.iter().find(|item| item.key == FOLDED).and_then(|item| number(item.row?));
            // What is not known to have been synced lies in the log still.
            let gap = step.is_some_and(|step| match last {
                Some(last) => step > last + 1 && last < end.folded,
                // Those before it are in tables, but for the one that should be here.
                None => {
                    wrong.is_some() && step > 1 && end.folded >= if from_the_first { 1 } else { step - 1 }
                }
            });
            from_the_first = false;
            // A batch of an earlier version has no number.
            if gap || (step.is_none() && wrong.is_some()) {
                let what = "batches of the journal are not whole or not there";
                let at = wrong.unwrap_or(at) as u64;
                damage.push(Damage::new(name(&path), Some(at), what, "the rows in them"));
            }
            wrong = None;
            last = step.or(last);
            each(&items);
        });
    }
    Ok(last)
}

/// A file without the hole at its end: nothing was ever written there. Most of a journal's 64 MiB is one.
fn used(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut end = 0;
    loop {
        match seek(&file, SeekFrom::Data(end)).and_then(|data| seek(&file, SeekFrom::Hole(data))) {
            Ok(hole) => end = hole,
            Err(Errno::NXIO) => break,
            // A file system that does not know: all of it.
            Err(_) => {
                end = u64::MAX;
                break;
            }
        }
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(end).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is missing behind the last batch that is there. Journals go in their order, so where one has a batch, those
/// after it are in journals too, whatever the tables have.
fn cut_off(tables: Option<u64>, journals: Option<u64>, end: End) -> Option<Damage> {
    let reached = journals.or(tables).unwrap_or_default();
    let missing = end.folded.checked_sub(reached).filter(|missing| *missing > 0)?;
    let what = format!("{missing} batches at its end are missing");
    Some(Damage::new("store", None, &what, "the rows in them"))
}

/// Whether anything of a database is damaged; reads all of it.
pub(in crate::spool) fn is_damaged(store: &Path, log: &Path) -> bool {
    let mut damage = Vec::new();
    let end = end::read(log).ok().flatten().unwrap_or_default();
    database(store, end, &mut |_| {}, &mut damage).is_ok() && !damage.is_empty()
}

/// What is wrong with a database and can be seen without reading all of it: its lists of tables, the names of its
/// parts, its journals.
pub(in crate::spool) fn first_look(store: &Path, log: &Path) -> io::Result<Vec<Damage>> {
    let mut damage = Vec::new();
    if !store.exists() {
        return Ok(damage);
    }
    let end = end::read(log).ok().flatten().unwrap_or_default();
    let keyspaces = store.join("keyspaces");
    let spaces = spaces(&keyspaces, &mut damage)?;
    let mut folded = None;
    for (number, space) in &spaces {
        for Table { path, sum, .. } in tree::tables(&keyspaces.join(number.to_string()), &mut damage)? {
            if *space == META {
                let found = table::look(&fs::read(&path)?, sum, |version| {
                    see(*space, version.key, version.row, &mut folded);
                });
                damage.extend(wrong(&path, found));
            }
        }
    }
    let last = journals(store, end, &mut |_| {}, &mut damage)?;
    damage.extend(cut_off(folded, last, end));
    Ok(damage)
}
