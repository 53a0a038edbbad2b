//! The disk fails and recovers while the store runs.

use std::sync::Arc;

use store::{Error, Store};

use super::{Model, content, fast_dir, put, tiny};
use crate::{EmbeddedStore, Fault, Loss, Options, SimDisk};

fn retryable<T: std::fmt::Debug>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Retryable(_)))
}

fn model(entries: &[(&[u8], &[u8])]) -> Model {
    entries.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
}

#[test]
fn a_failed_sync_is_not_tried_again_on_the_same_segment() {
    let dir = fast_dir();
    let disk = SimDisk::new();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(1), Arc::new(disk.clone())).unwrap();
    store.commit(put(b"a", b"1")).wait().unwrap();
    disk.fail_syncs(1);
    store.commit(put(b"b", b"2")).wait().expect("it went to a new segment");
    assert_eq!(store.stats().log_failovers, 1);
    store.abandon();
    for loss in [Loss::Everything, Loss::Nothing] {
        let home = fast_dir();
        let disk = disk.after_crash(loss);
        for (path, content) in disk.files() {
            let path = home.path().join("log").join(path.file_name().unwrap());
            disk.set_file(&path, content);
        }
        super::copy_dir(dir.path(), home.path());
        let store = EmbeddedStore::open_with_io(home.path(), tiny(2), Arc::new(disk)).unwrap();
        assert_eq!(content(&store), model(&[(b"a", b"1"), (b"b", b"2")]), "{loss:?}");
    }
}

#[test]
fn a_refused_group_is_never_replayed() {
    let dir = fast_dir();
    let disk = SimDisk::new();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(1), Arc::new(disk.clone())).unwrap();
    store.commit(put(b"a", b"1")).wait().unwrap();
    // The group's sync fails; the new segment's header is synced; the group's sync fails there too.
    let refused = loop {
        disk.fail_syncs(1);
        let at = disk.operations();
        for n in 0..12 {
            disk.fail(at + n + 6, Fault::ErrorAfter(usize::MAX));
        }
        let outcome = store.commit(put(b"refused", b"x")).wait();
        if outcome.is_err() {
            break outcome;
        }
        store
            .commit({
                let mut undo = store::Batch::new();
                undo.delete(&b"refused"[..]);
                undo
            })
            .wait()
            .ok();
    };
    assert!(retryable(refused));
    assert_eq!(store.get(b"refused"), Ok(None));
    // The machine runs on, so the next start sees even what never reached the disk.
    let seen = disk.after_crash(Loss::Nothing);
    store.abandon();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(2), Arc::new(seen)).unwrap();
    assert_eq!(store.get(b"refused"), Ok(None));
    assert_eq!(store.get(b"a").unwrap().unwrap(), "1");
}

#[test]
fn a_full_disk_refuses_and_a_freed_one_goes_on() {
    let dir = fast_dir();
    let disk = SimDisk::new();
    let options = Options { checkpoint_bytes: 1 << 30, overlay_bytes_max: 1 << 30, ..tiny(1) };
    let store = EmbeddedStore::open_with_io(dir.path(), options, Arc::new(disk.clone())).unwrap();
    disk.set_full(true);
    let mut accepted = 0u32;
    // The segment is preallocated, so a few still fit.
    while store.commit(put(&accepted.to_be_bytes(), &[1; 300])).wait().is_ok() {
        accepted += 1;
    }
    assert!(accepted > 0);
    assert!(retryable(store.commit(put(b"more", &[1; 300])).wait()));
    assert_eq!(content(&store).len() as u32, accepted, "reads go on");
    disk.set_full(false);
    store.commit(put(b"more", &[1; 300])).wait().expect("no restart is needed");
    store.abandon();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(2), Arc::new(disk.after_crash(Loss::Everything))).unwrap();
    assert_eq!(content(&store).len() as u32, accepted + 1);
}

#[test]
fn while_the_fate_of_a_group_is_open_nothing_is_taken_in() {
    let dir = fast_dir();
    let disk = SimDisk::new();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(1), Arc::new(disk.clone())).unwrap();
    store.commit(put(b"a", b"1")).wait().unwrap();
    disk.set_broken(true);
    let open_fate = store.commit(put(b"open", b"x"));
    // Refused at the latest once the committer knows: it waits for the disk then, and not with these.
    let refused = loop {
        let attempt = store.commit(put(b"other", b"x"));
        if store.stats().refused > 0 {
            break attempt;
        }
        drop(attempt);
        std::thread::yield_now();
    };
    assert!(retryable(refused.wait()));
    disk.set_broken(false);
    assert!(retryable(open_fate.wait()), "answered once nothing of it can come back");
    while store.commit(put(b"b", b"2")).wait().is_err() {}
    assert_eq!(content(&store), model(&[(b"a", b"1"), (b"b", b"2")]));
    let seen = disk.after_crash(Loss::Nothing);
    store.abandon();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(2), Arc::new(seen)).unwrap();
    assert_eq!(content(&store), model(&[(b"a", b"1"), (b"b", b"2")]));
}

#[test]
fn closing_on_a_broken_disk_does_not_hang() {
    let dir = fast_dir();
    let disk = SimDisk::new();
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(1), Arc::new(disk.clone())).unwrap();
    store.commit(put(b"a", b"1")).wait().unwrap();
    disk.set_broken(true);
    let open_fate = store.commit(put(b"open", b"x"));
    store.close();
    assert!(retryable(open_fate.wait()));
}

#[test]
fn any_single_failure_is_survived() {
    for operation in 0..60 {
        for fault in [Fault::Error(std::io::ErrorKind::Other), Fault::ErrorAfter(100)] {
            let dir = fast_dir();
            let disk = SimDisk::new();
            let Ok(store) = EmbeddedStore::open_with_io(dir.path(), tiny(operation), Arc::new(disk.clone())) else {
                panic!("no fault yet")
            };
            disk.fail(disk.operations() + operation, fault);
            let mut want = Model::new();
            for n in 0..30u32 {
                let key = n.to_be_bytes();
                if store.commit(put(&key, &[n as u8; 150])).wait().is_ok() {
                    want.insert(key.to_vec(), vec![n as u8; 150]);
                }
            }
            assert!(want.len() >= 29, "one failure refuses one group at most: {operation} {fault:?}");
            assert_eq!(content(&store), want, "{operation} {fault:?}");
            store.abandon();
            let store = EmbeddedStore::open_with_io(dir.path(), tiny(1), Arc::new(disk.after_crash(Loss::Everything)))
                .unwrap_or_else(|e| panic!("{operation} {fault:?}: {e}"));
            assert_eq!(content(&store), want, "{operation} {fault:?} after a crash");
        }
    }
}
