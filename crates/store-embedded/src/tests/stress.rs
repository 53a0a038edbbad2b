//! Many at once: what readers see is whole, in order, and never goes back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use store::{Batch, Fence, Key, Range, Store};

use super::{fast_dir, tiny};
use crate::{EmbeddedStore, Options};

const WRITERS: u64 = 4;
const COMMITS: u64 = 250;
const KEYS: u64 = 5;

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value[..8].try_into().unwrap())
}

/// Writer `w`'s batch `n`: all its keys get `n`, and what batch `n - 1` put beside them goes.
fn batch(w: u64, n: u64) -> Batch {
    let mut batch = Batch::new();
    for k in 0..KEYS {
        batch.put(Key::new("w").u64(w).u64(k), [&n.to_be_bytes()[..], &[0; 40]].concat());
    }
    batch.put(Key::new("passing").u64(w).u64(n), vec![1; 30]);
    batch.delete(Key::new("passing").u64(w).u64(n.wrapping_sub(1)));
    batch
}

#[test]
fn readers_see_whole_batches_in_order() {
    let dir = fast_dir();
    let options = Options { group_batches_max: 3, ..tiny(1) };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let acknowledged: [AtomicU64; WRITERS as usize] = Default::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                let (store, acknowledged) = (&store, &acknowledged);
                scope.spawn(move || {
                    for n in 1..=COMMITS {
                        store.commit(batch(w, n)).wait().unwrap();
                        acknowledged[w as usize].store(n, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for reader in 0..2 {
            let (store, acknowledged, done) = (&store, &acknowledged, &done);
            scope.spawn(move || {
                let mut seen = [0; WRITERS as usize];
                while !done.load(Ordering::SeqCst) {
                    for w in 0..WRITERS {
                        let least = acknowledged[w as usize].load(Ordering::SeqCst);
                        let mut range = Range::prefix(Key::new("w").u64(w).as_bytes());
                        range.reverse = reader == 1;
                        let numbers: Vec<u64> = store.scan(&range).unwrap().iter().map(|(_, v)| number(v)).collect();
                        let n = numbers.first().copied().unwrap_or(0);
                        assert!(numbers.len() as u64 == KEYS || n == 0, "{numbers:?}");
                        assert!(numbers.iter().all(|m| *m == n), "a torn batch: {numbers:?}");
                        assert!(n >= least && n >= seen[w as usize], "{n} after {least} and {}", seen[w as usize]);
                        seen[w as usize] = n;
                        let got = store.get(Key::new("w").u64(w).u64(2).as_bytes()).unwrap().map_or(0, |v| number(&v));
                        assert!(got >= n, "get {got} after scan {n}");
                        let passing = store.scan(&Range::prefix(Key::new("passing").u64(w).as_bytes())).unwrap();
                        assert!(passing.len() == 1 || n == 0, "{} of {n}", passing.len());
                    }
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    let stats = store.stats();
    assert_eq!((stats.commits, stats.committed_seq), (WRITERS * COMMITS, WRITERS * COMMITS));
    assert!(stats.applies > 3, "layers were written to the index meanwhile: {stats:?}");
    store.abandon();
    let store = EmbeddedStore::open(dir.path(), tiny(2)).unwrap();
    for w in 0..WRITERS {
        let value = store.get(Key::new("w").u64(w).u64(0).as_bytes()).unwrap().unwrap();
        assert_eq!(number(&value), COMMITS);
    }
}

#[test]
fn of_many_who_raise_a_fenced_number_each_step_has_one_winner() {
    let dir = fast_dir();
    let store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
    let wins = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..120 {
                    let value = store.get(b"number").unwrap();
                    let next = value.as_ref().map_or(0, |v| number(v)) + 1;
                    let fence = Fence { key: (&b"number"[..]).into(), value };
                    let mut batch = Batch::new().fenced(fence);
                    batch.put(&b"number"[..], next.to_be_bytes().to_vec());
                    if store.commit(batch).wait().is_ok() {
                        wins.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(number(&store.get(b"number").unwrap().unwrap()), wins.load(Ordering::SeqCst));
    let stats = store.stats();
    assert_eq!(stats.commits + stats.fenced, 480);
}
