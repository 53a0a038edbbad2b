//! What every backend must do; each backend's tests call [`run`].

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Batch, Error, Fence, Key, Range, Store};

/// Runs every check, each on a fresh store that `open` makes.
///
/// # Panics
/// When the backend breaks the contract.
pub fn run<S: Store>(open: &mut dyn FnMut() -> S) {
    point_reads(&open());
    scans(&open());
    a_batch_is_whole_and_its_last_write_wins(&open());
    fences(&open());
    sequence_numbers_grow(&open());
    agrees_with_a_map(&open(), 7);
    large_values(&open());
}

fn put(store: &impl Store, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(key.to_vec(), value.to_vec());
    store.commit(batch).wait().expect("commit");
}

fn keys(store: &impl Store, range: &Range) -> Vec<Vec<u8>> {
    store.scan(range).expect("scan").into_iter().map(|(k, _)| k.to_vec()).collect()
}

fn point_reads(store: &impl Store) {
    assert_eq!(store.get(b"a"), Ok(None));
    put(store, b"a", b"1");
    put(store, b"empty", b"");
    assert_eq!(store.get(b"a"), Ok(Some(Bytes::from_static(b"1"))));
    assert_eq!(store.get(b"empty"), Ok(Some(Bytes::new())));
    assert_eq!(store.get(b"aa"), Ok(None));
    let mut batch = Batch::new();
    batch.delete(&b"a"[..]).delete(&b"never"[..]);
    store.commit(batch).wait().expect("commit");
    assert_eq!(store.get(b"a"), Ok(None));
}

fn scans(store: &impl Store) {
    for n in 0..20u64 {
        put(store, Key::new("n").u64(n).as_bytes(), &n.to_be_bytes());
    }
    put(store, Key::new("m").as_bytes(), b"before");
    put(store, Key::new("o").as_bytes(), b"behind");
    let key = |n: u64| Key::new("n").u64(n).build();
    let all = Range::prefix(Key::new("n").as_bytes());
    assert_eq!(keys(store, &all), (0..20).map(key).collect::<Vec<_>>());
    assert_eq!(keys(store, &all.clone().limit(3)), (0..3).map(key).collect::<Vec<_>>());
    assert_eq!(keys(store, &all.clone().reverse().limit(2)), [key(19), key(18)]);
    assert_eq!(keys(store, &all.clone().after(&key(17))), [key(18), key(19)]);
    assert_eq!(keys(store, &all.clone().reverse().after(&key(2))), [key(1), key(0)]);
    assert_eq!(keys(store, &Range::between(key(5), key(7))), [key(5), key(6)]);
    assert_eq!(keys(store, &Range::between(key(7), key(5))), Vec::<Vec<u8>>::new());
    assert_eq!(keys(store, &all.limit(0)), Vec::<Vec<u8>>::new());
}

fn a_batch_is_whole_and_its_last_write_wins(store: &impl Store) {
    let mut batch = Batch::new();
    batch.put(&b"a"[..], &b"1"[..]).put(&b"b"[..], &b"1"[..]).put(&b"a"[..], &b"2"[..]).delete(&b"b"[..]);
    batch.delete(&b"c"[..]).put(&b"c"[..], &b"3"[..]);
    store.commit(batch).wait().expect("commit");
    assert_eq!(store.get(b"a"), Ok(Some(Bytes::from_static(b"2"))));
    assert_eq!(store.get(b"b"), Ok(None));
    assert_eq!(store.get(b"c"), Ok(Some(Bytes::from_static(b"3"))));
}

fn fences(store: &impl Store) {
    let fence = |value: Option<&'static [u8]>| Fence {
        key: Bytes::from_static(b"lease"),
        value: value.map(Bytes::from_static),
    };
    let attempt = |value: &'static [u8], fence: Fence| {
        let mut batch = Batch::new().fenced(fence);
        batch.put(&b"lease"[..], value).put(&b"by"[..], value);
        store.commit(batch).wait().map(|_| ())
    };
    assert_eq!(attempt(b"1", fence(Some(b"0"))), Err(Error::Fenced));
    assert_eq!(store.get(b"by"), Ok(None));
    assert_eq!(attempt(b"1", fence(None)), Ok(()));
    assert_eq!(attempt(b"2", fence(None)), Err(Error::Fenced));
    assert_eq!(attempt(b"2", fence(Some(b"1"))), Ok(()));
    assert_eq!(attempt(b"3", fence(Some(b"1"))), Err(Error::Fenced));
    assert_eq!(store.get(b"by"), Ok(Some(Bytes::from_static(b"2"))));
    // Batches taken in together are judged one behind the other.
    let batch = |value: &'static [u8], was: &'static [u8]| {
        let mut batch = Batch::new().fenced(fence(Some(was)));
        batch.put(&b"lease"[..], value);
        batch
    };
    let (first, second, third) =
        (store.commit(batch(b"3", b"2")), store.commit(batch(b"4", b"2")), store.commit(batch(b"5", b"3")));
    assert!(first.wait().is_ok());
    assert_eq!(second.wait(), Err(Error::Fenced));
    assert!(third.wait().is_ok());
}

fn sequence_numbers_grow(store: &impl Store) {
    let commits: Vec<_> = (0..50u8)
        .map(|n| {
            let mut batch = Batch::new();
            batch.put(vec![n], vec![n]);
            store.commit(batch)
        })
        .collect();
    let seqs: Vec<u64> = commits.into_iter().map(|c| c.wait().expect("commit")).collect();
    assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{seqs:?}");
}

/// Random batches on the store and on a map: both must hold the same at every turn.
fn agrees_with_a_map(store: &impl Store, seed: u64) {
    let mut state = seed;
    let mut next = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut model = BTreeMap::new();
    for turn in 0..400u64 {
        let mut batch = Batch::new();
        for _ in 0..=next(6) {
            let key = Key::new("k").u64(next(60)).build();
            if next(4) == 0 {
                batch.delete(key.clone());
                model.remove(&key);
            } else {
                let value = vec![turn as u8; next(300) as usize];
                batch.put(key.clone(), value.clone());
                model.insert(key, value);
            }
        }
        store.commit(batch).wait().expect("commit");
        let (from, to) = (Key::new("k").u64(next(60)).build(), Key::new("k").u64(next(60)).build());
        let limit = next(20) as usize;
        let mut range = Range::between(from.clone(), to.clone()).limit(limit);
        range.reverse = next(2) == 0;
        let got: Vec<_> =
            store.scan(&range).expect("scan").into_iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        let mut want: Vec<_> =
            model.iter().filter(|(k, _)| from <= **k && **k < to).map(|(k, v)| (k.clone(), v.clone())).collect();
        if range.reverse {
            want.reverse();
        }
        want.truncate(limit);
        assert_eq!(got, want, "turn {turn}");
    }
}

fn large_values(store: &impl Store) {
    let value = vec![0x5a; crate::VALUE_BYTES_MAX];
    put(store, b"large", &value);
    assert_eq!(store.get(b"large").expect("get").expect("present"), value);
    let key = vec![b'k'; crate::KEY_BYTES_MAX];
    put(store, &key, b"long key");
    assert_eq!(store.get(&key), Ok(Some(Bytes::from_static(b"long key"))));
}
