//! What a cell answers, and how answers to effects are kept for a second delivery.

use base::Timestamp;
use bytes::Bytes;
use serde_json::Value;
use service::Fault;
use store::Error;

use crate::checksum::Checksum;
use crate::codec::{Reader, Writer};
use crate::record::{ETag, VersionId, read_checksum, write_checksum};

const ANSWER_VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// To [`super::Command::Recall`]: the effect has not happened.
    NotYet,
    Done,
    Written(Written),
    Deleted(Deleted),
    DeletedMany(Vec<Result<Deleted, Fault>>),
    /// Tags were changed of this version, if the bucket is versioned.
    Tagged(Option<VersionId>),
}

/// An object or part was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) etag: ETag,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    pub(crate) checksum: Option<Checksum>,
    /// `None` if the bucket was never versioned.
    pub(crate) version: Option<VersionId>,
    /// Of which version it is a copy.
    pub(crate) source: Option<VersionId>,
}

/// An object was deleted, or a delete marker made or removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// Which version went, or the marker that was made.
    pub(crate) version: Option<VersionId>,
    /// A delete marker was made or removed.
    pub(crate) marker: bool,
}

pub(super) fn encode(result: &Result<Answer, Fault>) -> Bytes {
    let mut writer = Writer::new(ANSWER_VERSION);
    match result {
        Err(fault) => write_fault(&mut writer, fault),
        Ok(Answer::NotYet | Answer::Done) => {
            writer.u8(1);
        }
        Ok(Answer::Written(written)) => {
            writer.u8(2).fixed(&written.etag.md5).u64(u64::from(written.etag.parts)).u64(written.size);
            writer.i64(written.modified.as_millis());
            write_checksum(&mut writer, written.checksum.as_ref());
            write_version(&mut writer, written.version);
            write_version(&mut writer, written.source);
        }
        Ok(Answer::Deleted(deleted)) => write_deleted(&mut writer, *deleted),
        Ok(Answer::DeletedMany(results)) => {
            writer.u8(4).u64(results.len() as u64);
            for result in results {
                match result {
                    Ok(deleted) => write_deleted(&mut writer, *deleted),
                    Err(fault) => write_fault(&mut writer, fault),
                }
            }
        }
        Ok(Answer::Tagged(version)) => {
            writer.u8(5);
            write_version(&mut writer, *version);
        }
    }
    writer.finish()
}

pub(super) fn decode(record: &[u8]) -> Result<Result<Answer, Fault>, Error> {
    let mut reader = Reader::open("answer", record, ANSWER_VERSION)?;
    Ok(Ok(match reader.u8()? {
        0 => return Ok(Err(read_fault(&mut reader)?)),
        1 => Answer::Done,
        2 => Answer::Written(Written {
            etag: ETag { md5: reader.fixed()?, parts: reader.u32()? },
            size: reader.u64()?,
            modified: Timestamp::from_millis(reader.i64()?),
            checksum: read_checksum(&mut reader)?,
            version: read_version(&mut reader)?,
            source: read_version(&mut reader)?,
        }),
        3 => Answer::Deleted(read_deleted(&mut reader)?),
        4 => {
            let mut results = Vec::new();
            for _ in 0..reader.u64()? {
                results.push(match reader.u8()? {
                    0 => Err(read_fault(&mut reader)?),
                    3 => Ok(read_deleted(&mut reader)?),
                    _ => return Err(reader.corrupt()),
                });
            }
            Answer::DeletedMany(results)
        }
        5 => Answer::Tagged(read_version(&mut reader)?),
        _ => return Err(reader.corrupt()),
    }))
}

fn write_fault(writer: &mut Writer, fault: &Fault) {
    let members = Value::Object((*fault.members).clone()).to_string();
    writer.u8(0).str(&fault.code).str(&fault.message).u64(u64::from(fault.status)).str(&members);
}

fn read_fault(reader: &mut Reader<'_>) -> Result<Fault, Error> {
    let (code, message, status) = (reader.str()?, reader.str()?, reader.u32()?);
    let mut fault = Fault::with_status(u16::try_from(status).map_err(|_| reader.corrupt())?, code, message);
    match serde_json::from_str(&reader.str()?) {
        Ok(Value::Object(members)) => *fault.members = members,
        _ => return Err(reader.corrupt()),
    }
    Ok(fault)
}

fn write_deleted(writer: &mut Writer, deleted: Deleted) {
    writer.u8(3).u8(u8::from(deleted.marker));
    write_version(writer, deleted.version);
}

fn read_deleted(reader: &mut Reader<'_>) -> Result<Deleted, Error> {
    Ok(Deleted { marker: reader.flag()?, version: read_version(reader)? })
}

fn write_version(writer: &mut Writer, version: Option<VersionId>) {
    match version {
        None => writer.u8(0),
        Some(VersionId::Null) => writer.u8(1),
        Some(VersionId::Id { seq, nonce }) => writer.u8(2).u64(seq).fixed(&nonce),
    };
}

fn read_version(reader: &mut Reader<'_>) -> Result<Option<VersionId>, Error> {
    Ok(match reader.u8()? {
        0 => None,
        1 => Some(VersionId::Null),
        2 => Some(VersionId::Id { seq: reader.u64()?, nonce: reader.fixed()? }),
        _ => return Err(reader.corrupt()),
    })
}
