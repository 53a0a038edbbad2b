use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::Entropy;
use bytes::Bytes;
use store::{Batch, Range, Store, Write};

use crate::{EmbeddedStore, Options};

mod contract;
mod crash;
mod damage;
mod faults;
mod kill;
mod log;
mod stress;

/// A folder in memory where the machine has that: these tests sync a lot, and what the real disk does is not their
/// subject.
fn fast_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder for tests")
}

/// Small enough that everything that happens in hours happens in a few commits.
fn tiny(seed: u64) -> Options {
    Options {
        segment_bytes: 4096,
        overlay_bytes_max: 16 << 10,
        checkpoint_bytes: 6000,
        cache_bytes: 1 << 20,
        entropy: Arc::new(Entropy::from_seed(seed)),
        ..Options::default()
    }
}

fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key.to_vec(), value.to_vec());
    batch
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn apply(model: &mut Model, batch: &Batch) {
    for write in &batch.writes {
        match write {
            Write::Put(key, value) => model.insert(key.to_vec(), value.to_vec()),
            Write::Delete(key) => model.remove(&key[..]),
        };
    }
}

/// All that a store holds.
fn content(store: &EmbeddedStore) -> Model {
    let all = store.scan(&Range::between(Vec::new(), vec![0xff; store::KEY_BYTES_MAX + 1])).expect("scan");
    all.into_iter().map(|(k, v): (Bytes, Bytes)| (k.to_vec(), v.to_vec())).collect()
}

/// A batch of a few writes on a few keys; values of very different lengths.
fn random_batch(chance: &Entropy) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..=chance.below(4) {
        let key = format!("key-{:02}", chance.below(24)).into_bytes();
        if chance.below(4) == 0 {
            batch.delete(key);
        } else {
            let bytes = if chance.below(12) == 0 { chance.below(3000) } else { chance.below(60) };
            batch.put(key, vec![chance.next_u64() as u8; bytes as usize]);
        }
    }
    batch
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create");
    for entry in std::fs::read_dir(from).expect("read folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy");
        }
    }
}
