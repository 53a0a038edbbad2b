//! The power goes at every operation on the log's files, and takes different things with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base::Entropy;
use store::{Batch, Commit, Store};

use super::{Model, apply, content, copy_dir, fast_dir, random_batch, tiny};
use crate::{EmbeddedStore, Fault, Loss, Options, SimDisk};

/// Other runs for those who want more than one: `STORE_EMBEDDED_SEED=7 cargo test -p store-embedded crash`.
fn seed() -> u64 {
    std::env::var("STORE_EMBEDDED_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// What a run asked for, in order, and how much of it was acknowledged.
#[derive(Clone, Default)]
struct Ledger {
    asked: Vec<Batch>,
    acknowledged: usize,
}

impl Ledger {
    /// Commits until the machine stops or `rounds` are done, then abandons the store.
    fn work(&mut self, store: EmbeddedStore, disk: &SimDisk, chance: &Entropy, rounds: u64) {
        let mut commits = Vec::new();
        for _ in 0..rounds {
            let batches: Vec<Batch> = (0..=chance.below(3)).map(|_| random_batch(chance)).collect();
            commits.extend(batches.iter().map(|b| store.commit(b.clone())));
            self.asked.extend(batches);
            if !self.settle(&mut commits, disk) {
                break;
            }
        }
        // A store whose disk is gone holds its answers until it is closed: it cannot know.
        store.abandon();
        for commit in commits {
            self.acknowledged += usize::from(commit.wait().is_ok());
        }
    }

    /// Waits for answers while the machine runs; `false` when it stopped.
    fn settle(&mut self, commits: &mut Vec<Commit>, disk: &SimDisk) -> bool {
        let mut ctx = Context::from_waker(Waker::noop());
        while !commits.is_empty() {
            match Pin::new(&mut commits[0]).poll(&mut ctx) {
                Poll::Ready(Ok(_)) => self.acknowledged += 1,
                Poll::Ready(Err(_)) => {
                    drop(commits.remove(0));
                    return false;
                }
                Poll::Pending if disk.has_crashed() => return false,
                Poll::Pending => {
                    std::thread::yield_now();
                    continue;
                }
            }
            drop(commits.remove(0));
        }
        true
    }

    /// Whether a store holds all that was acknowledged, and of the rest the first so many whole batches.
    fn explains(&self, found: &Model) -> Option<usize> {
        let mut model = Model::new();
        for (n, batch) in self.asked.iter().enumerate() {
            if n >= self.acknowledged && model == *found {
                return Some(n);
            }
            apply(&mut model, batch);
        }
        (model == *found).then_some(self.asked.len())
    }
}

/// One run that is cut short at `operation`, then a start on what each kind of crash leaves, more work, and another.
fn crash_at(operation: u64, fault: Fault, losses: &[Loss], options: &dyn Fn() -> Options) -> Result<bool, String> {
    let dir = fast_dir();
    let disk = SimDisk::new();
    disk.fail(operation, fault);
    let chance = Entropy::from_seed(operation ^ seed() << 32);
    let mut ledger = Ledger::default();
    let (home, as_left) = (dir.path().join("home"), dir.path().join("as-left"));
    if let Ok(store) = EmbeddedStore::open_with_io(&home, options(), Arc::new(disk.clone())) {
        ledger.work(store, &disk, &chance, 18);
    }
    std::fs::rename(&home, &as_left).expect("rename");
    for loss in losses {
        let mut ledger = ledger.clone();
        let _ = std::fs::remove_dir_all(&home);
        copy_dir(&as_left, &home);
        let disk = disk.after_crash(*loss);
        let store = EmbeddedStore::open_with_io(&home, options(), Arc::new(disk.clone()))
            .map_err(|e| format!("operation {operation} {fault:?} {loss:?}: {e}"))?;
        let Some(kept) = ledger.explains(&content(&store)) else {
            return Err(format!("operation {operation} {fault:?} {loss:?}: acknowledged batches are lost or torn"));
        };
        // What the crash left is what counts now.
        ledger.asked.truncate(kept);
        ledger.acknowledged = kept;
        ledger.work(store, &disk, &chance, 4);
        assert_eq!(ledger.acknowledged, ledger.asked.len(), "the disk is well again");
        let disk = disk.after_crash(Loss::Everything);
        let store = EmbeddedStore::open_with_io(&home, options(), Arc::new(disk))
            .map_err(|e| format!("operation {operation} {fault:?} {loss:?}, crashed again: {e}"))?;
        if ledger.explains(&content(&store)).is_none() {
            return Err(format!("operation {operation} {fault:?} {loss:?}, crashed again: batches are lost"));
        }
    }
    Ok(disk.has_crashed())
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    let mut operation = 0;
    loop {
        let losses =
            [Loss::Nothing, Loss::Everything, Loss::Chance(operation ^ seed() << 32), Loss::Chance(!operation)];
        let fault =
            if operation % 3 == 0 { Fault::Crash } else { Fault::CrashAfter((operation + seed()) as usize * 37 % 900) };
        match crash_at(operation, fault, &losses, &|| tiny(operation)) {
            Ok(true) => operation += 1,
            // The run ended before it came so far.
            Ok(false) => break,
            Err(what) => panic!("{what}"),
        }
    }
    assert!(operation > 60, "the run was too short to prove anything: {operation} operations");
}

#[test]
fn without_syncs_the_same_test_notices() {
    let careless = || Options { lose_acknowledged_data_on_power_cut: true, ..tiny(1) };
    let failed = (40..60).filter(|n| crash_at(*n, Fault::Crash, &[Loss::Everything], &careless).is_err()).count();
    assert!(failed > 0, "a log that never syncs passed the power-cut test");
}

#[test]
fn restarts_that_crash_again_and_again_lose_nothing() {
    let dir = fast_dir();
    let mut disk = SimDisk::new();
    let chance = Entropy::from_seed(3 ^ seed() << 32);
    let mut ledger = Ledger::default();
    for round in 0..40 {
        disk.fail(chance.below(40), Fault::CrashAfter(chance.below(600) as usize));
        if let Ok(store) = EmbeddedStore::open_with_io(dir.path(), tiny(round), Arc::new(disk.clone())) {
            disk.fail_syncs(u64::from(round % 4 == 0));
            let kept = ledger.explains(&content(&store)).unwrap_or_else(|| panic!("round {round}"));
            ledger.asked.truncate(kept);
            ledger.acknowledged = kept;
            ledger.work(store, &disk, &chance, 6);
        }
        disk = disk.after_crash(Loss::Chance(round ^ seed() << 32));
    }
    let store = EmbeddedStore::open_with_io(dir.path(), tiny(99), Arc::new(disk)).expect("open");
    assert!(ledger.explains(&content(&store)).is_some());
    assert!(ledger.acknowledged > 40, "{}", ledger.acknowledged);
}
