//! Commands on objects and their versions.
//!
//! The latest version of a key, be it a delete marker, lies under [`keys::object`]; older ones under
//! [`keys::version`]. A key that has any version has a latest one, and its sequence number is the greatest.

use base::Timestamp;
use cell::Turn;
use service::Fault;
use store::Range;

use super::{Answer, Condition, Deleted, Deletion, NewObject, Owner, Written};
use crate::bucket_record::{Bucket, Versioning};
use crate::fault::{self, Error, no_such_key, precondition_failed};
use crate::keys;
use crate::record::{Body, ETag, Object, Tags, VersionId, encode_data};
use crate::stage::Naming;
use crate::view;

/// The record that says a file is named.
const BLOB_RECORD: &[u8] = &[1];

pub(super) fn next_seq(now: Timestamp, current: Option<&Object>) -> u64 {
    let of_now = u64::try_from(now.as_millis()).unwrap_or(0) << 16;
    current.map_or(of_now, |object| of_now.max(object.seq + 1))
}

pub(super) fn check_condition(condition: &Condition, key: &str, current: Option<&Object>) -> Result<(), Fault> {
    let body = current.and_then(|object| object.body.as_ref());
    match (condition, body) {
        (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
        (Condition::Absent, Some(_)) => Err(precondition_failed("If-None-Match")),
        (Condition::Present | Condition::Matches(_), None) => Err(no_such_key(key)),
        (Condition::Matches(etag), Some(body)) if body.etag.to_string() == *etag => Ok(()),
        (Condition::Matches(_), Some(_)) => Err(precondition_failed("If-Match")),
    }
}

/// Writes the names of staged content.
pub(super) fn name(turn: &mut Turn<'_>, naming: Naming) {
    use crate::record::Content;
    match (naming.content, naming.data) {
        (Content::Inline(id), Some(data)) => turn.put(keys::data(id), encode_data(&data)),
        (Content::Blob(id), _) => turn.put(keys::blob(id), BLOB_RECORD),
        _ => {}
    }
    if let Some(in_flight) = naming.in_flight {
        let named = in_flight.named();
        turn.effect(move || drop(named));
    }
}

/// The version id that callers are told: none as long as the bucket was never versioned.
pub(super) fn told_version(bucket: &Bucket, object: &Object) -> Option<VersionId> {
    (bucket.versioning != Versioning::Off).then(|| object.version_id())
}

impl Owner {
    pub(super) fn put_object(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        record: &Bucket,
        new: NewObject,
    ) -> Result<Answer, Error> {
        let current = view::latest(turn, bucket, &new.key)?;
        check_condition(&new.condition, &new.key, current.as_ref())?;
        let body = Body {
            size: new.size,
            etag: ETag { md5: new.md5, parts: 0 },
            content: new.naming.content,
            checksum: Some(new.checksum),
            attributes: new.attributes,
            tags: new.tags,
        };
        let written = self.write(turn, bucket, record, &new.key, current, body, new.nonce)?;
        name(turn, new.naming);
        Ok(Answer::Written(Written { source: new.source, ..written }))
    }

    /// Makes `body` the latest version of `key`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn write(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        record: &Bucket,
        key: &str,
        current: Option<Object>,
        body: Body,
        nonce: [u8; 16],
    ) -> Result<Written, Error> {
        let object = Object {
            seq: next_seq(turn.now(), current.as_ref()),
            nonce: (record.versioning == Versioning::Enabled).then_some(nonce),
            modified: turn.now(),
            body: Some(body),
        };
        self.supersede(turn, bucket, record.versioning, key, current)?;
        turn.put(keys::object(bucket, key), object.encode());
        let version = told_version(record, &object);
        let Some(body) = object.body else { return Err(fault::internal("an object without content").into()) };
        Ok(Written {
            etag: body.etag,
            size: body.size,
            modified: object.modified,
            checksum: body.checksum,
            version,
            source: None,
        })
    }

    /// Makes room for a new latest version: the current one becomes an older one or goes.
    pub(super) fn supersede(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        versioning: Versioning,
        key: &str,
        current: Option<Object>,
    ) -> Result<(), store::Error> {
        let Some(current) = current else { return Ok(()) };
        let stays = match versioning {
            Versioning::Off => false,
            Versioning::Enabled => true,
            Versioning::Suspended => {
                // The new version is the null version, so any other null version goes.
                if current.nonce.is_some()
                    && let Some((old, _)) = view::version(turn, bucket, key, VersionId::Null)?
                {
                    self.drop_older(turn, bucket, key, &old)?;
                }
                current.nonce.is_some()
            }
        };
        if !stays {
            return current.body.map_or(Ok(()), |body| self.release(turn, body.content));
        }
        if current.nonce.is_none() {
            turn.put(keys::null_version(bucket, key), view::null_version_record(current.seq));
        }
        turn.put(keys::version(bucket, key, current.seq), current.encode());
        Ok(())
    }

    /// Removes an older version.
    pub(super) fn drop_older(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        key: &str,
        old: &Object,
    ) -> Result<(), store::Error> {
        turn.delete(keys::version(bucket, key, old.seq));
        if old.nonce.is_none() {
            turn.delete(keys::null_version(bucket, key));
        }
        old.body.as_ref().map_or(Ok(()), |body| self.release(turn, body.content))
    }

    /// Removes the latest version for good; the next older one, if any, takes its place.
    pub(super) fn drop_latest(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        key: &str,
        latest: &Object,
    ) -> Result<(), store::Error> {
        if let Some(body) = &latest.body {
            self.release(turn, body.content)?;
        }
        match turn.scan(&Range::prefix(&keys::versions(bucket, key)).limit(1))?.into_iter().next() {
            None => turn.delete(keys::object(bucket, key)),
            Some((place, record)) => {
                if Object::decode(&record)?.nonce.is_none() {
                    turn.delete(keys::null_version(bucket, key));
                }
                turn.delete(place);
                turn.put(keys::object(bucket, key), record);
            }
        }
        Ok(())
    }

    pub(super) fn delete(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        record: &Bucket,
        deletion: &Deletion,
    ) -> Result<Deleted, Error> {
        match deletion.version {
            Some(version) => self.delete_version(turn, bucket, deletion, version),
            None => {
                let current = view::latest(turn, bucket, &deletion.key)?;
                check_deletion(deletion, current.as_ref())?;
                Ok(self.delete_latest(turn, bucket, record, &deletion.key, current, deletion.nonce)?)
            }
        }
    }

    /// Deletes without naming a version: in a versioned bucket that makes a delete marker.
    pub(super) fn delete_latest(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        record: &Bucket,
        key: &str,
        current: Option<Object>,
        nonce: [u8; 16],
    ) -> Result<Deleted, store::Error> {
        if record.versioning == Versioning::Off {
            if let Some(current) = &current {
                self.drop_latest(turn, bucket, key, current)?;
            }
            return Ok(Deleted::default());
        }
        let marker = Object {
            seq: next_seq(turn.now(), current.as_ref()),
            nonce: (record.versioning == Versioning::Enabled).then_some(nonce),
            modified: turn.now(),
            body: None,
        };
        self.supersede(turn, bucket, record.versioning, key, current)?;
        turn.put(keys::object(bucket, key), marker.encode());
        Ok(Deleted { version: Some(marker.version_id()), marker: true })
    }

    fn delete_version(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        deletion: &Deletion,
        version: VersionId,
    ) -> Result<Deleted, Error> {
        let key = &deletion.key;
        let found = view::version(turn, bucket, key, version)?;
        check_deletion(deletion, found.as_ref().map(|(object, _)| object))?;
        let Some((object, is_latest)) = found else {
            return Ok(Deleted { version: Some(version), marker: false });
        };
        if is_latest {
            self.drop_latest(turn, bucket, key, &object)?;
        } else {
            self.drop_older(turn, bucket, key, &object)?;
        }
        Ok(Deleted { version: Some(version), marker: object.body.is_none() })
    }

    pub(super) fn delete_many(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        record: &Bucket,
        deletions: &[Deletion],
    ) -> Result<Answer, Error> {
        let mut results = Vec::with_capacity(deletions.len());
        for deletion in deletions {
            results.push(match self.delete(turn, bucket, record, deletion) {
                Ok(deleted) => Ok(deleted),
                Err(Error::Fault(fault)) => Err(fault),
                Err(error @ Error::Store(_)) => return Err(error),
            });
        }
        Ok(Answer::DeletedMany(results))
    }
}

fn check_deletion(deletion: &Deletion, found: Option<&Object>) -> Result<(), Fault> {
    check_condition(&deletion.condition, &deletion.key, found)?;
    if deletion.size.is_none() && deletion.modified.is_none() {
        return Ok(());
    }
    let object = found.ok_or_else(|| no_such_key(&deletion.key))?;
    if deletion.size.is_some_and(|size| object.body.as_ref().is_none_or(|b| b.size != size)) {
        return Err(precondition_failed("x-amz-if-match-size"));
    }
    if deletion.modified.is_some_and(|at| at.as_seconds() != object.modified.as_seconds()) {
        return Err(precondition_failed("x-amz-if-match-last-modified-time"));
    }
    Ok(())
}

pub(super) fn put_tags(
    turn: &mut Turn<'_>,
    bucket: &str,
    key: &str,
    version: Option<VersionId>,
    tags: Tags,
) -> Result<Answer, Error> {
    let found = match version {
        Some(version) => {
            Some(view::version(turn, bucket, key, version)?.ok_or_else(|| fault::no_such_version(key, version))?)
        }
        None => view::latest(turn, bucket, key)?.map(|object| (object, true)),
    };
    let (mut object, is_latest) = found.ok_or_else(|| no_such_key(key))?;
    let told = (object.nonce.is_some() || version.is_some()).then(|| object.version_id());
    let Some(body) = &mut object.body else {
        return Err(match version {
            Some(_) => fault_on_marker().into(),
            None => no_such_key(key).into(),
        });
    };
    body.tags = tags;
    let place = if is_latest { keys::object(bucket, key) } else { keys::version(bucket, key, object.seq) };
    turn.put(place, object.encode());
    Ok(Answer::Tagged(told))
}

/// A delete marker can only be deleted.
pub(crate) fn fault_on_marker() -> Fault {
    Fault::with_status(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        .member("Method", "GET")
        .member("ResourceType", "DeleteMarker")
}
