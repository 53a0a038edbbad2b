//! `kill -9` of a process that writes, with a ledger of what it was told is durable.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use base::Entropy;
use store::{Batch, Key, Range, Store};

use super::tiny;
use crate::{EmbeddedStore, Options};

const CHILD_DIR: &str = "STORE_EMBEDDED_KILL_TEST_DIR";
const WRITERS: u64 = 4;
const KEYS: u64 = 3;

/// Not a test by itself: the process that [`a_killed_process_lost_nothing_it_acknowledged`] kills.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let store = EmbeddedStore::open(dir, options()).unwrap();
    std::thread::scope(|scope| {
        for w in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                let first = latest(store, w) + 1;
                for n in first.. {
                    let mut batch = Batch::new();
                    for k in 0..KEYS {
                        batch.put(Key::new("w").u64(w).u64(n).u64(k), vec![n as u8; 200]);
                    }
                    store.commit(batch).wait().unwrap();
                    // One write call a line: lines of several threads do not mix.
                    std::io::stdout().write_all(format!("ledger {w} {n}\n").as_bytes()).unwrap();
                }
            });
        }
    });
}

fn options() -> Options {
    Options { segment_bytes: 64 << 10, checkpoint_bytes: 100 << 10, overlay_bytes_max: 256 << 10, ..tiny(1) }
}

/// The last batch of a writer, after checking that each of its batches is there and whole.
fn latest(store: &EmbeddedStore, w: u64) -> u64 {
    let entries = store.scan(&Range::prefix(Key::new("w").u64(w).as_bytes())).unwrap();
    let want = (1..).flat_map(|n| (0..KEYS).map(move |k| (Key::new("w").u64(w).u64(n).u64(k).build(), n as u8)));
    assert!(entries.iter().zip(want).all(|((key, value), (k, n))| key[..] == k[..] && value[..] == [n; 200]));
    assert_eq!(entries.len() as u64 % KEYS, 0, "a torn batch");
    entries.len() as u64 / KEYS
}

#[test]
fn a_killed_process_lost_nothing_it_acknowledged() {
    // On the real disk, unlike most tests here.
    let dir = tempfile::tempdir().unwrap();
    let chance = Entropy::from_seed(11);
    let mut ledger = [0u64; WRITERS as usize];
    for _ in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::kill::child", "--nocapture", "--test-threads=1"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 50 + chance.below(400);
        for line in lines.map_while(Result::ok) {
            // The harness's own words may stand before the first.
            let Some((_, entry)) = line.split_once("ledger ") else { continue };
            let (w, n) = entry.split_once(' ').unwrap();
            ledger[w.parse::<usize>().unwrap()] = n.parse().unwrap();
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = EmbeddedStore::open(dir.path(), options()).unwrap();
        for w in 0..WRITERS {
            let found = latest(&store, w);
            assert!(found >= ledger[w as usize], "writer {w}: {found} of {} acknowledged", ledger[w as usize]);
        }
        store.abandon();
    }
    assert!(ledger.iter().sum::<u64>() > 300);
}
