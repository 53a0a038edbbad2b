use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use store::{Batch, Commit, Entry, Error, Range, Store};

use super::{Model, apply, content, fast_dir, put, tiny};
use crate::{EmbeddedStore, OpenError, Options};

#[test]
fn keeps_the_contract() {
    let dir = fast_dir();
    let mut n = 0;
    store::suite::run(&mut || {
        n += 1;
        EmbeddedStore::open(dir.path().join(n.to_string()), Options::default()).unwrap()
    });
}

#[test]
fn keeps_the_contract_while_layers_are_frozen_and_segments_cut() {
    let dir = fast_dir();
    let mut n = 0;
    store::suite::run(&mut || {
        n += 1;
        EmbeddedStore::open(dir.path().join(n.to_string()), tiny(n)).unwrap()
    });
}

/// Closes and opens, or drops without a checkpoint and opens, every few calls.
struct Reopening {
    dir: PathBuf,
    store: Mutex<Option<EmbeddedStore>>,
    calls: AtomicU64,
}

impl Reopening {
    fn with<T>(&self, f: impl FnOnce(&EmbeddedStore) -> T) -> T {
        let mut store = self.store.lock().unwrap();
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if calls.is_multiple_of(11) {
            match store.take() {
                Some(store) if calls.is_multiple_of(2) => store.close(),
                Some(store) => store.abandon(),
                None => {}
            }
            *store = Some(EmbeddedStore::open(&self.dir, tiny(calls)).unwrap());
        }
        f(store.as_ref().unwrap())
    }
}

impl Store for Reopening {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.with(|s| s.get(key))
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.with(|s| s.scan(range))
    }

    fn commit(&self, batch: Batch) -> Commit {
        self.with(|s| s.commit(batch))
    }
}

#[test]
fn keeps_the_contract_across_restarts() {
    let dir = fast_dir();
    let mut n = 0;
    store::suite::run(&mut || {
        n += 1;
        Reopening { dir: dir.path().join(n.to_string()), store: Mutex::default(), calls: AtomicU64::new(0) }
    });
}

#[test]
fn a_folder_has_one_store_at_a_time() {
    let dir = fast_dir();
    let store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
    assert!(matches!(EmbeddedStore::open(dir.path(), tiny(1)), Err(OpenError::Locked { .. })));
    drop(store);
    EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
}

#[test]
fn a_clean_shutdown_leaves_nothing_to_replay() {
    let dir = fast_dir();
    let store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
    let first = store.commit(put(b"a", b"1")).wait().unwrap();
    store.close();
    let store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
    assert_eq!((store.stats().batches_replayed, store.stats().applied_seq), (0, first));
    assert_eq!(store.get(b"a"), Ok(Some(Bytes::from_static(b"1"))));
    let second = store.commit(put(b"b", b"2")).wait().unwrap();
    assert!(second > first, "numbers go on");
    store.abandon();
    let store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
    assert_eq!(store.stats().batches_replayed, 1);
    assert_eq!(content(&store).len(), 2);
}

#[test]
fn a_log_larger_than_memory_is_replayed_in_parts() {
    let dir = fast_dir();
    let roomy = Options { overlay_bytes_max: 64 << 20, checkpoint_bytes: 1 << 30, ..tiny(1) };
    let store = EmbeddedStore::open(dir.path(), roomy).unwrap();
    let mut model = Model::new();
    for n in 0..400u32 {
        let batch = put(format!("key {}", n % 300).as_bytes(), &[n as u8; 200]);
        apply(&mut model, &batch);
        store.commit(batch).wait().unwrap();
    }
    store.abandon();
    let store = EmbeddedStore::open(dir.path(), tiny(2)).unwrap();
    assert_eq!(store.stats().batches_replayed, 400);
    assert!(store.stats().overlay_bytes < 64 << 10, "{:?}", store.stats());
    assert_eq!(content(&store), model);
}

#[test]
fn what_was_put_and_deleted_before_it_reached_the_index_leaves_no_trace() {
    let dir = fast_dir();
    let mut delete = Batch::new();
    delete.delete(&b"passes"[..]);
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    store.commit(put(b"stays", b"1")).wait().unwrap();
    store.commit(put(b"passes", b"1")).wait().unwrap();
    store.commit(delete.clone()).wait().unwrap();
    // Its turn comes behind the cleaning up after the one before.
    store.commit(put(b"stays", b"2")).wait().unwrap();
    assert_eq!((store.stats().overlay_entries, store.get(b"passes")), (1, Ok(None)));
    store.close();
    // The same with the key in the index: there the delete has to go too.
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    store.commit(put(b"passes", b"1")).wait().unwrap();
    store.close();
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    store.commit(put(b"passes", b"2")).wait().unwrap();
    store.commit(delete.clone()).wait().unwrap();
    store.commit(put(b"stays", b"3")).wait().unwrap();
    assert_eq!((store.stats().overlay_entries, store.get(b"passes")), (2, Ok(None)));
    store.close();
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    assert_eq!(content(&store).into_keys().collect::<Vec<_>>(), [b"stays"]);
    // A delete of what never was reaches the log, and no further.
    delete.delete(&b"never was"[..]);
    store.commit(delete).wait().unwrap();
    store.checkpoint();
    while store.stats().applies == 0 {
        std::thread::yield_now();
    }
    assert_eq!(store.stats().applied_deletes_skipped, 2);
}

#[test]
fn what_no_backend_has_to_take_is_refused() {
    let dir = fast_dir();
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    let refused = |batch| matches!(store.commit(batch).wait(), Err(Error::Retryable(_)));
    assert!(refused(put(&vec![b'k'; store::KEY_BYTES_MAX + 1], b"")));
    assert!(refused(put(b"k", &vec![0; store::VALUE_BYTES_MAX + 1])));
    let mut large = Batch::new();
    for n in 0..9u8 {
        large.put(vec![n], vec![0; store::VALUE_BYTES_MAX]);
    }
    assert!(refused(large));
    assert!(store.commit(put(b"", b"the empty key")).wait().is_ok());
    assert_eq!(store.get(b""), Ok(Some(Bytes::from_static(b"the empty key"))));
}

#[test]
fn a_full_queue_refuses() {
    let dir = fast_dir();
    let disk = crate::SimDisk::new();
    let options = Options { queue_batches_max: 4, ..tiny(1) };
    let store = EmbeddedStore::open_with_io(dir.path(), options, std::sync::Arc::new(disk)).unwrap();
    let commits: Vec<_> = (0..2000u32).map(|n| store.commit(put(&n.to_be_bytes(), &[7; 2000]))).collect();
    let outcomes: Vec<_> = commits.into_iter().map(Commit::wait).collect();
    let accepted = outcomes.iter().filter(|o| o.is_ok()).count();
    assert_eq!(content(&store).len(), accepted);
    assert!(outcomes.iter().all(|o| matches!(o, Ok(_) | Err(Error::Retryable(_)))));
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, Option<u8>)>),
    Scan(u8, u8, bool, usize),
    Checkpoint,
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((0..40u8, proptest::option::of(any::<u8>())), 0..8).prop_map(Step::Commit),
        6 => (0..40u8, 0..41u8, any::<bool>(), 0..12usize).prop_map(|(a, b, r, n)| Step::Scan(a, b, r, n)),
        1 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = fast_dir();
        let mut store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Commit(writes) => {
                    let mut batch = Batch::new();
                    for (key, value) in writes {
                        match value {
                            Some(value) => batch.put(vec![key], vec![value; value as usize]),
                            None => batch.delete(vec![key]),
                        };
                    }
                    apply(&mut model, &batch);
                    store.commit(batch).wait().unwrap();
                }
                Step::Scan(from, to, reverse, limit) => {
                    let mut range = Range::between(vec![from], vec![to]).limit(limit);
                    range.reverse = reverse;
                    let got: Vec<_> =
                        store.scan(&range).unwrap().into_iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
                    let mut want: Vec<_> = model.clone().into_iter().filter(|(k, _)| k[0] >= from && k[0] < to).collect();
                    if reverse {
                        want.reverse();
                    }
                    want.truncate(limit);
                    prop_assert_eq!(got, want);
                    prop_assert_eq!(store.get(&[from]).unwrap().map(|v| v.to_vec()), model.get(&vec![from]).cloned());
                }
                Step::Checkpoint => store.checkpoint(),
                Step::Reopen(clean) => {
                    if clean { store.close() } else { store.abandon() }
                    store = EmbeddedStore::open(dir.path(), tiny(2)).unwrap();
                }
            }
        }
        prop_assert_eq!(content(&store), model);
    }
}
