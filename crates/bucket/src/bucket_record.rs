//! Buckets and uploads in progress as they are stored.

use base::Timestamp;
use bytes::Bytes;
use store::Error;

use crate::checksum::{Algorithm, Checksum, ChecksumKind};
use crate::codec::{Reader, Writer};
use crate::record::{Attributes, Content, Tags, read_checksum, read_content, write_checksum, write_content};

const BUCKET_VERSION: u8 = 1;
const UPLOAD_VERSION: u8 = 1;
const PART_VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Versioning {
    /// Never enabled.
    Off = 0,
    Enabled = 1,
    Suspended = 2,
}

/// A bucket: whose it is and where it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub account: String,
    pub region: String,
    pub created: Timestamp,
    pub versioning: Versioning,
}

impl Bucket {
    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(BUCKET_VERSION);
        writer.str(&self.account).str(&self.region).i64(self.created.as_millis()).u8(self.versioning as u8);
        writer.finish()
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Bucket, Error> {
        let mut reader = Reader::open("bucket", record, BUCKET_VERSION)?;
        let (account, region) = (reader.str()?, reader.str()?);
        let created = Timestamp::from_millis(reader.i64()?);
        let versioning = match reader.u8()? {
            0 => Versioning::Off,
            1 => Versioning::Enabled,
            2 => Versioning::Suspended,
            _ => return Err(reader.corrupt()),
        };
        reader.end()?;
        Ok(Bucket { account, region, created, versioning })
    }
}

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    pub initiated: Timestamp,
    pub attributes: Attributes,
    pub tags: Tags,
    /// `None`: the caller chose none, S3's default is computed.
    pub algorithm: Option<Algorithm>,
    pub kind: ChecksumKind,
}

impl Upload {
    /// The algorithm that the finished object will have.
    pub(crate) fn effective(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Crc64Nvme)
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(UPLOAD_VERSION);
        writer.i64(self.initiated.as_millis()).u8(self.algorithm.map_or(0, |a| a as u8)).u8(self.kind as u8);
        self.attributes.write(&mut writer);
        writer.pairs(self.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        writer.finish()
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Upload, Error> {
        let mut reader = Reader::open("upload", record, UPLOAD_VERSION)?;
        let initiated = Timestamp::from_millis(reader.i64()?);
        let algorithm = match reader.u8()? {
            0 => None,
            code => Some(Algorithm::of_code(code).ok_or_else(|| reader.corrupt())?),
        };
        let kind = ChecksumKind::of_code(reader.u8()?).ok_or_else(|| reader.corrupt())?;
        let upload =
            Upload { initiated, algorithm, kind, attributes: Attributes::read(&mut reader)?, tags: reader.pairs()? };
        reader.end()?;
        Ok(upload)
    }
}

/// One part of an upload in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub size: u64,
    pub md5: [u8; 16],
    pub modified: Timestamp,
    pub(crate) content: Content,
    pub checksum: Option<Checksum>,
}

impl Part {
    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(PART_VERSION);
        writer.u64(self.size).fixed(&self.md5).i64(self.modified.as_millis());
        write_content(&mut writer, self.content);
        write_checksum(&mut writer, self.checksum.as_ref());
        writer.finish()
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Part, Error> {
        let mut reader = Reader::open("part", record, PART_VERSION)?;
        let part = Part {
            size: reader.u64()?,
            md5: reader.fixed()?,
            modified: Timestamp::from_millis(reader.i64()?),
            content: read_content(&mut reader)?,
            checksum: read_checksum(&mut reader)?,
        };
        reader.end()?;
        Ok(part)
    }
}
