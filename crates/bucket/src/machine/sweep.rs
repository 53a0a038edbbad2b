//! Lifecycle rules in action: what they say expires goes, page by page so that no turn is long.
//!
//! A sweep goes through the buckets of the cell that have rules: first their keys, then their unfinished uploads. One
//! begins at start, when rules change, and at each midnight UTC, when days are counted.

use base::Timestamp;
use cell::Turn;
use store::{KeyReader, Range};
use tracing::{debug, info};

use super::upload::Completed;
use super::{Owner, PAGE};
use crate::bucket_record::{Bucket, Upload};
use crate::checksum::md5;
use crate::keys;
use crate::lifecycle::{Lifecycle, next_midnight};
use crate::record::{Header, Object};

/// Answers to completed uploads are kept for so long.
const COMPLETED_KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

pub(super) struct Sweep {
    at: Timestamp,
    /// When it began: what came due since then is for the next.
    began: Option<Timestamp>,
    next: Next,
    changed: u64,
}

/// Where a sweep goes on.
enum Next {
    /// With the first bucket behind this one.
    Behind(String),
    /// Within a bucket.
    Within(Cursor),
}

struct Cursor {
    bucket: String,
    phase: Phase,
    /// The last store key done in this phase.
    after: Option<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Phase {
    Objects,
    Uploads,
}

impl Default for Sweep {
    fn default() -> Sweep {
        Sweep { at: Timestamp::MIN, began: None, next: Next::Behind(String::new()), changed: 0 }
    }
}

impl Sweep {
    pub(super) fn due(&self) -> Timestamp {
        self.at
    }

    pub(super) fn restart(&mut self) {
        *self = Sweep::default();
    }
}

/// How many records belong to a version.
fn weight(object: &Object) -> usize {
    1 + object.body.as_ref().map_or(0, |body| body.etag.parts as usize)
}

impl Owner {
    /// Does one page of the sweep; the next is due at once, or at midnight if this was the last.
    pub(super) fn sweep(&mut self, turn: &mut Turn<'_>) -> Result<(), store::Error> {
        let began = *self.sweep.began.get_or_insert(turn.now());
        let Some(mut cursor) = self.next_cursor() else {
            self.forget_completed(turn)?;
            if self.sweep.changed > 0 {
                info!(cell = turn.cell(), changed = self.sweep.changed, "lifecycle rules were applied");
            }
            self.sweep = Sweep { at: next_midnight(began), ..Sweep::default() };
            return Ok(());
        };
        let record = turn.get(&keys::bucket(&cursor.bucket))?;
        let (Some(lifecycle), Some(record)) = (self.lifecycles.get(&cursor.bucket).cloned(), record) else {
            self.sweep.next = Next::Behind(cursor.bucket);
            return Ok(());
        };
        let is_done = match cursor.phase {
            Phase::Objects => self.sweep_objects(turn, &Bucket::decode(&record)?, &lifecycle, &mut cursor)?,
            Phase::Uploads => self.sweep_uploads(turn, &lifecycle, &mut cursor)?,
        };
        self.sweep.next = match (is_done, cursor.phase) {
            (false, _) => Next::Within(cursor),
            (true, Phase::Objects) => {
                Next::Within(Cursor { bucket: cursor.bucket, phase: Phase::Uploads, after: None })
            }
            (true, Phase::Uploads) => Next::Behind(cursor.bucket),
        };
        Ok(())
    }

    fn next_cursor(&mut self) -> Option<Cursor> {
        match std::mem::replace(&mut self.sweep.next, Next::Behind(String::new())) {
            Next::Within(cursor) => Some(cursor),
            Next::Behind(done) => {
                let bounds = (std::ops::Bound::Excluded(done), std::ops::Bound::Unbounded);
                let (bucket, _) = self.lifecycles.range(bounds).next()?;
                Some(Cursor { bucket: bucket.clone(), phase: Phase::Objects, after: None })
            }
        }
    }

    /// Whether the bucket's keys are all done.
    fn sweep_objects(
        &mut self,
        turn: &mut Turn<'_>,
        bucket: &Bucket,
        lifecycle: &Lifecycle,
        cursor: &mut Cursor,
    ) -> Result<bool, store::Error> {
        let prefix = keys::objects(&cursor.bucket);
        let mut range = Range::prefix(&prefix).limit(PAGE);
        if let Some(after) = &cursor.after {
            range = range.after(after);
        }
        let entries = turn.scan(&range)?;
        let mut seen = 0;
        for (place, record) in &entries {
            let key = KeyReader::new(&place[prefix.len()..]).str()?;
            let latest = Object::decode(record)?;
            seen += self.sweep_key(turn, bucket, lifecycle, &cursor.bucket, &key, latest)?;
            cursor.after = Some(place.to_vec());
            if seen >= PAGE {
                break;
            }
        }
        Ok(entries.len() < PAGE && seen < PAGE)
    }

    /// Applies the rules to one key; returns how much work that may have been.
    fn sweep_key(
        &mut self,
        turn: &mut Turn<'_>,
        bucket: &Bucket,
        lifecycle: &Lifecycle,
        name: &str,
        key: &str,
        latest: Object,
    ) -> Result<usize, store::Error> {
        let now = turn.now();
        let older = turn.scan(&Range::prefix(&keys::versions(name, key)).limit(PAGE))?;
        let (mut replaced, mut left, mut work) = (latest.modified, 0, weight(&latest));
        for (newer, (place, record)) in older.iter().enumerate() {
            let mut old = Object::decode(record)?;
            work += weight(&old);
            let since = std::mem::replace(&mut replaced, old.modified);
            if lifecycle.drops_noncurrent(key, old.body.as_ref(), since, newer, now) {
                self.drop_older(turn, name, key, &old)?;
                self.sweep.changed += 1;
                continue;
            }
            left += 1;
            if let Some(body) = &mut old.body
                && let Some(class) = lifecycle.noncurrent_transition(key, body, since, newer, now)
            {
                body.attributes.set(Header::StorageClass, Some(class.to_owned()));
                turn.put(place.clone(), old.encode());
                self.sweep.changed += 1;
            }
        }
        let is_alone = left == 0 && older.len() < PAGE;
        self.sweep_latest(turn, bucket, lifecycle, name, key, latest, is_alone)?;
        Ok(work)
    }

    #[allow(clippy::too_many_arguments)]
    fn sweep_latest(
        &mut self,
        turn: &mut Turn<'_>,
        bucket: &Bucket,
        lifecycle: &Lifecycle,
        name: &str,
        key: &str,
        mut latest: Object,
        is_alone: bool,
    ) -> Result<(), store::Error> {
        let now = turn.now();
        let Some(body) = &mut latest.body else {
            if is_alone && lifecycle.drops_lone_marker(key, latest.modified, now) {
                self.drop_latest(turn, name, key, &latest)?;
                self.sweep.changed += 1;
            }
            return Ok(());
        };
        if let Some((at, rule)) = lifecycle.expiry(key, body, latest.modified)
            && at <= now
        {
            debug!(bucket = name, rule, "an object expired");
            let nonce = md5(format!("{name}/{key}/{}", latest.seq).as_bytes());
            self.delete_latest(turn, name, bucket, key, Some(latest), nonce)?;
            self.sweep.changed += 1;
        } else if let Some(class) = lifecycle.transition(key, body, latest.modified, now) {
            body.attributes.set(Header::StorageClass, Some(class.to_owned()));
            turn.put(keys::object(name, key), latest.encode());
            self.sweep.changed += 1;
        }
        Ok(())
    }

    /// Whether the bucket's uploads are all done.
    fn sweep_uploads(
        &mut self,
        turn: &mut Turn<'_>,
        lifecycle: &Lifecycle,
        cursor: &mut Cursor,
    ) -> Result<bool, store::Error> {
        let prefix = keys::uploads(&cursor.bucket);
        let mut range = Range::prefix(&prefix).limit(PAGE);
        if let Some(after) = &cursor.after {
            range = range.after(after);
        }
        let entries = turn.scan(&range)?;
        for (place, record) in &entries {
            let mut reader = KeyReader::new(&place[prefix.len()..]);
            let (key, upload_id) = (reader.str()?, reader.str()?);
            cursor.after = Some(place.to_vec());
            let initiated = Upload::decode(record)?.initiated;
            if lifecycle.abort(&key, initiated).is_some_and(|(at, _)| at <= turn.now()) {
                self.drop_upload(turn, &cursor.bucket, &key, &upload_id)?;
                self.sweep.changed += 1;
                // An upload may have ten thousand parts: one a turn.
                return Ok(false);
            }
        }
        Ok(entries.len() < PAGE)
    }

    fn forget_completed(&self, turn: &mut Turn<'_>) -> Result<(), store::Error> {
        let before = turn.now() - COMPLETED_KEPT;
        let mut range = Range::prefix(&keys::completed_all(self.index)).limit(PAGE);
        loop {
            let entries = turn.scan(&range)?;
            for (place, record) in &entries {
                if Completed::decode(record)?.at < before {
                    turn.delete(place.clone());
                }
            }
            match entries.last() {
                Some((last, _)) if entries.len() == PAGE => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }
}
