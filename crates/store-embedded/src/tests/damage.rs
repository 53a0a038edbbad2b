//! Bits flip in the files of the index.

use std::path::{Path, PathBuf};

use store::{Range, Store};

use super::{Model, content, copy_dir, fast_dir, put, tiny};
use crate::index::Index;
use crate::overlay::Layer;
use crate::{Applied, EmbeddedStore, OpenError, Options, verify};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Reads everything each way there is; an error is fine, a wrong answer is not.
fn read_all(dir: &Path, want: &Model) -> Result<(), String> {
    let (index, applied) = Index::open(dir, 1 << 20).map_err(|e| e.to_string())?;
    if applied != Some(Applied { store_id: 7, seq: 9 }) {
        return Err(format!("WRONG: applied is {applied:?}"));
    }
    let mut errors = Vec::new();
    for (key, value) in want {
        match index.get(key) {
            Ok(found) if found.as_deref() == Some(&value[..]) => {}
            Ok(found) => return Err(format!("WRONG: {key:?} is {found:?}")),
            Err(e) => errors.push(format!("{e:?}")),
        }
    }
    let range = Range::prefix(b"");
    let scanned = index.scan(&index.snapshot(), &range, |entries| entries.collect::<Result<Vec<_>, _>>());
    match scanned {
        Ok(entries) if entries.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect::<Model>() == *want => {}
        Ok(entries) => return Err(format!("WRONG: a scan shows {} of {} entries", entries.len(), want.len())),
        Err(e) => errors.push(format!("{e:?}")),
    }
    errors.pop().map_or(Ok(()), Err)
}

#[test]
fn a_flipped_bit_in_the_index_is_an_error_or_harmless_never_a_wrong_value() {
    let dir = fast_dir();
    let original = dir.path().join("original");
    let mut want = Model::new();
    {
        let (index, _) = Index::open(&original, 1 << 20).unwrap();
        let mut layer = Layer::new();
        for n in 0..600u32 {
            let (key, value) = (format!("key {n:05}").into_bytes(), vec![n as u8; (n % 90) as usize]);
            want.insert(key.clone(), value.clone());
            layer.insert(key.into(), Some(value.into()));
        }
        index.apply(&layer, Applied { store_id: 7, seq: 9 }).unwrap();
    }
    read_all(&original, &want).unwrap();
    let (mut noticed, mut flips) = (0, 0);
    for file in files(&original) {
        let content = std::fs::read(&file).unwrap();
        // Every byte of small files and of the ends of tables, where the footers are; samples of the rest.
        let step = (content.len() / 150).max(1);
        let spots = (0..content.len()).filter(|at| at % step == 0 || content.len() - at < 120);
        for at in spots {
            let copy = dir.path().join("copy");
            copy_dir(&original, &copy);
            let mut damaged = content.clone();
            damaged[at] ^= 1 << (at % 8);
            let path = copy.join(file.strip_prefix(&original).unwrap());
            std::fs::write(&path, damaged).unwrap();
            flips += 1;
            if let Err(what) = read_all(&copy, &want) {
                assert!(!what.starts_with("WRONG"), "{} byte {at}: {what}", path.display());
                noticed += 1;
            }
            std::fs::remove_dir_all(&copy).unwrap();
        }
    }
    assert!(flips > 300 && noticed * 2 > flips, "{noticed} of {flips}");
}

#[test]
fn missing_and_shortened_files_of_the_index_are_errors() {
    let dir = fast_dir();
    let original = dir.path().join("original");
    let store = EmbeddedStore::open(&original, tiny(1)).unwrap();
    for n in 0..200u32 {
        store.commit(put(&n.to_be_bytes(), &[3; 100])).wait().unwrap();
    }
    store.close();
    for file in files(&original.join("index")) {
        for shorten in [false, true] {
            let copy = dir.path().join("copy");
            copy_dir(&original, &copy);
            let path = copy.join(file.strip_prefix(&original).unwrap());
            if shorten {
                let bytes = std::fs::metadata(&path).unwrap().len();
                std::fs::File::options().write(true).open(&path).unwrap().set_len(bytes / 2).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
            match EmbeddedStore::open(&copy, tiny(2)) {
                Err(OpenError::Corrupt { .. } | OpenError::Io { .. }) => {}
                Err(e) => panic!("{}: {e}", path.display()),
                Ok(store) => {
                    let all = store.scan(&Range::prefix(b""));
                    assert!(all.is_err() || all.unwrap().len() == 200, "{} shorten {shorten}", path.display());
                }
            }
            std::fs::remove_dir_all(&copy).unwrap();
        }
    }
}

#[test]
fn a_lost_index_or_log_is_an_error_unless_the_other_has_all() {
    let dir = fast_dir();
    let original = dir.path().join("original");
    let store = EmbeddedStore::open(&original, Options::default()).unwrap();
    store.commit(put(b"a", b"1")).wait().unwrap();
    let want = content(&store);
    store.abandon();
    // The log has never been cut, so it has everything.
    let copy = dir.path().join("never-cut");
    copy_dir(&original, &copy);
    std::fs::remove_dir_all(copy.join("index")).unwrap();
    assert_eq!(content(&EmbeddedStore::open(&copy, Options::default()).unwrap()), want);
    // Now the index has what the log no longer has.
    EmbeddedStore::open(&original, Options::default()).unwrap().close();
    EmbeddedStore::open(&original, Options::default()).unwrap().close();
    for lost in ["index", "log"] {
        let copy = dir.path().join(lost);
        copy_dir(&original, &copy);
        std::fs::remove_dir_all(copy.join(lost)).unwrap();
        let error = EmbeddedStore::open(&copy, Options::default()).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{lost}: {error}");
    }
}

#[test]
fn verify_tells_what_is_wrong_and_where() {
    let dir = fast_dir();
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    assert!(matches!(verify(dir.path()), Err(OpenError::Locked { .. })));
    store.commit(put(b"in the index", b"1")).wait().unwrap();
    store.close();
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    store.commit(put(b"in the log", b"2")).wait().unwrap();
    store.commit(put(b"too", b"3")).wait().unwrap();
    store.abandon();
    let sound = verify(dir.path()).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    let numbers = (sound.index_entries, sound.applied_seq, sound.batches_to_replay, sound.last_seq);
    assert_eq!(numbers, (1, 1, 2, 3));
    let damage = |file: &Path, at: usize| {
        let mut content = std::fs::read(file).unwrap();
        content[at] ^= 1;
        std::fs::write(file, content).unwrap();
    };
    // Behind the header and the first frame's own header: its payload.
    let last = files(&dir.path().join("log")).into_iter().rfind(|f| !f.to_string_lossy().contains("spare")).unwrap();
    damage(&last, 64 + 40);
    let found = verify(dir.path()).unwrap();
    assert_eq!((found.problems.len(), &found.problems[0].file, found.problems[0].offset), (1, &last, 64));
    damage(&last, 64 + 40);
    assert!(verify(dir.path()).unwrap().is_sound(), "looking changed nothing");
    let table = files(&dir.path().join("index/tables")).remove(0);
    damage(&table, 20);
    damage(&last, 64 + 40);
    let found = verify(dir.path()).unwrap();
    assert_eq!(found.problems.len(), 2, "{found:?}");
    assert!(verify(dir.path().join("nowhere")).is_err());
}

#[test]
fn while_the_index_cannot_be_written_commits_go_on_until_memory_is_full_and_again_when_it_can() {
    let dir = fast_dir();
    let store = EmbeddedStore::open(dir.path(), tiny(1)).unwrap();
    let (tables, away) = (dir.path().join("index/tables"), dir.path().join("index/away"));
    std::fs::rename(&tables, &away).unwrap();
    let mut want = Model::new();
    let refused = loop {
        let key = (want.len() as u32).to_be_bytes();
        match store.commit(put(&key, &[1; 500])).wait() {
            Ok(_) => want.insert(key.to_vec(), vec![1; 500]),
            Err(refused) => break refused,
        };
    };
    assert!(matches!(&refused, store::Error::Retryable(why) if why.contains("index")), "{refused}");
    assert!(want.len() > 20 && store.stats().background_errors > 0);
    std::fs::rename(&away, &tables).unwrap();
    while store.commit(put(b"after", b"1")).wait().is_err() {
        std::thread::yield_now();
    }
    want.insert(b"after".to_vec(), b"1".to_vec());
    assert_eq!(content(&store), want);
    store.close();
    assert_eq!(content(&EmbeddedStore::open(dir.path(), tiny(1)).unwrap()), want);
    assert!(verify(dir.path()).unwrap().is_sound());
}
