//! Which tables belong to a keyspace: `current` names the list in force and its checksum, the list names the tables
//! and theirs.

use super::Damage;
use super::physical::name;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// A table, and its checksum where the list is whole.
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) sum: Option<u128>,
    /// Added to the sequences of its rows.
    pub(super) offset: u64,
}

/// The tables of a keyspace's folder: those of its list, or all that are there if that cannot be read.
pub(super) fn tables(folder: &Path, damage: &mut Vec<Damage>) -> io::Result<Vec<Table>> {
    let all = || -> io::Result<Vec<Table>> {
        let mut paths = Vec::new();
        match fs::read_dir(folder.join("tables")) {
            Ok(files) => {
                for file in files {
                    paths.push(file?.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        paths.sort();
        Ok(paths.into_iter().map(|path| Table { path, sum: None, offset: 0 }).collect())
    };
    let current = folder.join("current");
    let bytes = match fs::read(&current) {
        Ok(bytes) => bytes,
        // Being made when the process ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound && all()?.is_empty() => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let cost = "the database does not open; its tables are all read";
    let Some((number, sum)) = head(&bytes) else {
        damage.push(Damage::new(name(&current), None, "it names no list of tables", cost));
        return all();
    };
    let path = folder.join(format!("v{number}"));
    let list = fs::read(&path).ok().filter(|list| xxh3_128(list) == sum);
    let Some(listed) = list.and_then(|list| listed(&list)) else {
        let what = "the list of tables is not the one that `current` names";
        damage.push(Damage::new(name(&path), None, what, cost));
        return all();
    };
    let mut found = Vec::new();
    for (number, sum, offset) in listed {
        let path = folder.join("tables").join(number.to_string());
        if path.exists() {
            found.push(Table { path, sum: Some(sum), offset });
        } else {
            damage.push(Damage::new(name(&path), None, "the table is missing", "the rows in it"));
        }
    }
    Ok(found)
}

fn head(current: &[u8]) -> Option<(u64, u128)> {
    let (number, rest) = current.split_first_chunk::<8>()?;
    let (sum, kind) = rest.split_first_chunk::<16>()?;
    (kind == [0]).then(|| (u64::from_le_bytes(*number), u128::from_le_bytes(*sum)))
}

/// Number, checksum and offset of each table.
fn listed(list: &[u8]) -> Option<Vec<(u64, u128, u64)>> {
    let toc = sfa::Reader::from_reader(&mut Cursor::new(list)).ok()?;
    let section = toc.toc().section(b"tables")?;
    let begin = usize::try_from(section.pos()).ok()?;
    let end = begin.checked_add(usize::try_from(section.len()).ok()?)?;
    let mut rest = list.get(begin..end)?;
    let mut tables = Vec::new();
    for _ in 0..take::<1>(&mut rest)?[0] {
        for _ in 0..take::<1>(&mut rest)?[0] {
            for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
                let number = u64::from_le_bytes(take(&mut rest)?);
                let [_kind] = take(&mut rest)?;
                let sum = u128::from_le_bytes(take(&mut rest)?);
                tables.push((number, sum, u64::from_le_bytes(take(&mut rest)?)));
            }
        }
    }
    Some(tables)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let mut taken = [0; N];
    bytes.read_exact(&mut taken).ok()?;
    Some(taken)
}
