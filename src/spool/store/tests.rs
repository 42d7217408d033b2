use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tempfile::TempDir;

struct Rig {
    folder: TempDir,
    store: Option<Store>,
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self { folder: tempfile::tempdir().unwrap(), store: None };
        rig.open();
        rig
    }

    fn open(&mut self) -> &Store {
        self.store = None;
        let path = self.folder.path();
        self.store.insert(Store::open(&path.join("store"), &path.join("log"), &Ways::default()).unwrap())
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn set(&self, key: u64, row: &[u8]) {
        let mut batch = Batch::default();
        batch.insert(self.store().events, &key.to_be_bytes(), row.to_vec());
        self.store().write(&mut batch).unwrap();
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join("log")).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some());
        paths.sort();
        paths
    }

    fn rows(&self) -> Vec<(u64, Vec<u8>)> {
        rows(self.store().all(&self.store().events))
    }
}

fn rows(rows: Rows<'_>) -> Vec<(u64, Vec<u8>)> {
    let number = |key: &[u8]| u64::from_be_bytes(key.try_into().unwrap());
    rows.map(Result::unwrap).map(|(key, row)| (number(&key), row.to_vec())).collect()
}

/// What may happen to a store.
#[derive(Debug, Clone)]
enum Step {
    Set(u64, u16),
    Create(u16),
    Remove(u64),
    RemoveCreated(usize),
    Reopen,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40_u64, 1..6000_u16).prop_map(|(key, length)| Step::Set(key, length)),
        8 => (1..6000_u16).prop_map(Step::Create),
        4 => (0..40_u64).prop_map(Step::Remove),
        6 => any::<usize>().prop_map(Step::RemoveCreated),
        1 => Just(Step::Reopen),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_sorted_map_whatever_lies_where(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new();
        let mut model = BTreeMap::new();
        let mut fresh = 1000;
        for step in steps {
            let mut batch = Batch::default();
            let events = rig.store().events;
            match step {
                Step::Set(key, length) => {
                    let row = vec![u8::try_from(length % 251).unwrap(); usize::from(length)];
                    batch.insert(events, &key.to_be_bytes(), row.clone());
                    model.insert(key, row);
                }
                Step::Create(length) => {
                    let row = vec![7; usize::from(length)];
                    batch.create(events, &u64::to_be_bytes(fresh), row.clone());
                    model.insert(fresh, row);
                    fresh += 1;
                }
                Step::Remove(key) => {
                    batch.remove(events, &key.to_be_bytes());
                    model.remove(&key);
                }
                Step::RemoveCreated(which) => {
                    let created: Vec<u64> = model.keys().copied().filter(|key| *key >= 1000).collect();
                    let Some(key) = created.get(which % created.len().max(1)).copied() else { continue };
                    batch.remove(events, &key.to_be_bytes());
                    model.remove(&key);
                }
                Step::Reopen => drop(rig.open()),
                Step::Settle => rig.store().settle_down().unwrap(),
            }
            if !batch.is_empty() {
                rig.store().write(&mut batch).unwrap();
            }
        }
        let expected: Vec<_> = model.clone().into_iter().collect();
        prop_assert_eq!(&rig.rows(), &expected);
        let store = rig.store();
        let backwards: Vec<_> = model.iter().rev().filter(|(key, _)| **key >= 20).map(|(key, row)| (*key, row.clone())).collect();
        prop_assert_eq!(rows(store.range_back(&store.events, 20_u64.to_be_bytes()..)), backwards);
        for key in 0..40_u64 {
            let row = store.get(&store.events, key.to_be_bytes()).unwrap();
            prop_assert_eq!(row.as_deref(), model.get(&key).map(Vec::as_slice));
        }
        rig.open();
        prop_assert_eq!(rig.rows(), expected);
        prop_assert_eq!(rig.store().lost, 0);
    }
}

#[test]
fn segments_are_let_go_once_the_database_has_what_they_held() {
    let rig = Rig::new();
    for key in 0..400 {
        rig.set(key, &[1; 1000]);
    }
    rig.store().settle_down().unwrap();
    assert!(rig.segments().len() <= 2, "{:?}", rig.segments());
    assert!(rig.folder.path().join("log/spare").exists());
    assert_eq!(rig.rows().len(), 400);
}

#[test]
fn a_reused_segment_does_not_show_what_it_held_before() {
    let mut rig = Rig::new();
    for key in 0..400 {
        rig.set(key, &[1; 1000]);
    }
    let mut batch = Batch::default();
    for key in 0..400_u64 {
        batch.remove(rig.store().events, &key.to_be_bytes());
    }
    rig.store().write(&mut batch).unwrap();
    rig.open();
    assert!(rig.rows().is_empty());
    assert_eq!(rig.store().lost, 0);
}

#[test]
fn a_segment_of_an_earlier_run_is_not_reused() {
    let mut rig = Rig::new();
    for key in 0..3 {
        rig.set(key, &[1; 1000]);
    }
    for _ in 0..2 {
        rig.open();
        rig.store().settle_down().unwrap();
    }
    let mut batch = Batch::default();
    batch.remove(rig.store().events, &2_u64.to_be_bytes());
    rig.store().write(&mut batch).unwrap();
    rig.open();
    assert_eq!(rig.rows().iter().map(|(key, _)| *key).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_commit_longer_than_a_segment_gets_one_of_its_own() {
    let mut rig = Rig::new();
    rig.set(1, &[1; 10]);
    rig.set(2, &vec![2; 300_000]);
    rig.set(3, &[3; 10]);
    rig.open();
    assert_eq!(
        rig.rows().iter().map(|(key, row)| (*key, row.len())).collect::<Vec<_>>(),
        [(1, 10), (2, 300_000), (3, 10)]
    );
}

#[test]
fn a_damaged_commit_is_left_out_and_counted_and_those_after_it_count() {
    let mut rig = Rig::new();
    for key in 0..5 {
        rig.set(key, &[u8::try_from(key).unwrap() + 10; 100]);
    }
    rig.store = None;
    let path = rig.segments().pop().unwrap();
    let mut log = std::fs::read(&path).unwrap();
    let at = log.windows(100).position(|part| part == [12; 100]).unwrap();
    log[at] ^= 1;
    std::fs::write(&path, log).unwrap();
    rig.open();
    assert_eq!(rig.rows().iter().map(|(key, _)| *key).collect::<Vec<_>>(), [0, 1, 3, 4]);
    assert_eq!(rig.store().lost, 1);
    rig.store().settle_down().unwrap();
    rig.open();
    assert_eq!((rig.store().lost, rig.store().uncounted), (0, true), "nobody has counted again yet");
}

/// Makes the commit of this row wrong in its last byte.
fn tear(rig: &mut Rig, row: [u8; 100]) {
    rig.store = None;
    let path = rig.segments().pop().unwrap();
    let mut log = std::fs::read(&path).unwrap();
    let at = log.windows(100).position(|part| part == row).unwrap();
    log[at + 99] ^= 1;
    std::fs::write(&path, log).unwrap();
}

#[test]
fn a_last_commit_that_is_not_whole_is_lost_and_nothing_need_be_counted_again() {
    let mut rig = Rig::new();
    for key in 0..3 {
        rig.set(key, &[10; 100]);
    }
    rig.store().end().unwrap();
    rig.set(3, &[13; 100]);
    tear(&mut rig, [13; 100]);
    let store = rig.open();
    assert_eq!((store.lost, store.uncounted), (1, false));
    assert_eq!(rig.rows().iter().map(|(key, _)| *key).collect::<Vec<_>>(), [0, 1, 2]);
    rig.set(3, &[14; 100]);
    let store = rig.open();
    // The segment in which it was torn may still be there, and is the last no more.
    assert!(store.lost <= 1);
    assert_eq!(rig.rows().len(), 4);
}

#[test]
fn where_the_database_may_hold_more_than_was_noted_all_is_counted_again() {
    // It was never noted how far it reaches.
    let mut rig = Rig::new();
    rig.set(0, &[13; 100]);
    tear(&mut rig, [13; 100]);
    let store = rig.open();
    assert_eq!((store.lost, store.uncounted), (1, true));

    // More was brought into it since.
    let mut rig = Rig::new();
    rig.set(0, &[1; 1000]);
    rig.store().end().unwrap();
    let end = rig.folder.path().join("log").join(end::NAME);
    let noted = std::fs::read(&end).unwrap();
    for key in 1..100 {
        rig.set(key, &[1; 1000]);
    }
    rig.store().settle_down().unwrap();
    rig.set(100, &[13; 100]);
    tear(&mut rig, [13; 100]);
    std::fs::write(&end, noted).unwrap();
    let store = rig.open();
    assert_eq!((store.lost, store.uncounted), (1, true));
}

/// A closed store with the number of its last batch in a table, and what the batches hold in the journal alone.
fn numbers_in_a_table() -> Rig {
    let mut rig = Rig::new();
    for key in 0..60 {
        rig.set(key, &[7; 4000]);
    }
    rig.store().settle_down().unwrap();
    rig.store().base.spaces[META].rotate_memtable_and_wait().unwrap();
    rig.store().end().unwrap();
    rig.store = None;
    assert!(!looks_damaged(&rig));
    rig
}

fn looks_damaged(rig: &Rig) -> bool {
    let path = rig.folder.path();
    !crate::spool::offline::first_look(&path.join("store"), &path.join("log")).unwrap().is_empty()
}

#[test]
fn batches_that_are_missing_at_either_end_of_a_journal_are_noticed() {
    let ends: [fn(&mut Vec<u8>); 2] =
        [|bytes| bytes[100..612].fill(0), |bytes| bytes.truncate(bytes.len() / 2)];
    for damage in ends {
        let rig = numbers_in_a_table();
        let journal = rig.folder.path().join("store/0.jnl");
        let mut bytes = std::fs::read(&journal).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        damage(&mut bytes);
        std::fs::write(&journal, bytes).unwrap();
        assert!(looks_damaged(&rig));
    }
}

#[test]
fn a_wrong_byte_in_the_table_of_the_numbers_is_noticed() {
    let rig = numbers_in_a_table();
    let table = rig.folder.path().join("store/keyspaces").join((META + 1).to_string()).join("tables/0");
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[72] ^= 8;
    std::fs::write(&table, bytes).unwrap();
    assert!(looks_damaged(&rig));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens to the bytes of a log, what is read from it was written, and what is missing is counted.
    #[test]
    fn a_log_with_wrong_bytes_yields_only_what_was_written(
        flips in prop::collection::vec((0..24_000_usize, 1..=255_u8), 1..4),
        copy in prop::option::of((0..24_000_usize, 0..24_000_usize, 1..4096_usize)),
    ) {
        let mut rig = Rig::new();
        for key in 0..20 {
            rig.set(key, &[u8::try_from(key).unwrap(); 1000]);
        }
        rig.store = None;
        let path = rig.segments().pop().unwrap();
        let mut log = std::fs::read(&path).unwrap();
        for (at, bits) in flips {
            log[at] ^= bits;
        }
        if let Some((from, to, length)) = copy {
            log.copy_within(from..from + length, to);
        }
        std::fs::write(&path, log).unwrap();
        rig.open();
        let rows = rig.rows();
        for (key, row) in &rows {
            prop_assert_eq!(row, &vec![u8::try_from(*key).unwrap(); 1000]);
        }
        let missing = 20 - u64::try_from(rows.len()).unwrap();
        prop_assert!(rig.store().lost <= missing);
        // Commits at the end whose heads are wrong as well cannot be told from what is unused.
        let end_only = rows.iter().zip(0..).all(|((key, _), place)| *key == place);
        prop_assert!(rig.store().lost > 0 || end_only, "{} lost", rig.store().lost);
    }
}
