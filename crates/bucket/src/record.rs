//! Objects as they are stored.

use std::collections::BTreeMap;
use std::fmt;

use base::Timestamp;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use service::Fault;
use store::{BlobId, Error};

use crate::checksum::{Algorithm, Checksum, ChecksumKind};
use crate::codec::{Reader, Writer};
use crate::fault::invalid_argument;

const OBJECT_VERSION: u8 = 1;
const MANIFEST_VERSION: u8 = 1;
const DATA_VERSION: u8 = 1;

/// The ETag of content: its MD5, or the MD5 of its parts' MD5s and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag {
    pub md5: [u8; 16],
    /// 0 if it was not uploaded in parts.
    pub parts: u32,
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.md5))?;
        if self.parts > 0 { write!(f, "-{}", self.parts) } else { Ok(()) }
    }
}

/// Which version of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionId {
    /// Written while the bucket was not versioned.
    Null,
    /// Its place among the key's versions, and chance so that it cannot be guessed.
    Id { seq: u64, nonce: [u8; 16] },
}

impl VersionId {
    /// Reads what a caller sent; `None` if it cannot be an id of ours.
    pub fn parse(text: &str) -> Option<VersionId> {
        if text == "null" {
            return Some(VersionId::Null);
        }
        let bytes: [u8; 24] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (seq, nonce) = bytes.split_first_chunk::<8>()?;
        Some(VersionId::Id { seq: u64::from_be_bytes(*seq), nonce: nonce.try_into().ok()? })
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionId::Null => f.write_str("null"),
            VersionId::Id { seq, nonce } => {
                let mut bytes = [0; 24];
                bytes[..8].copy_from_slice(&seq.to_be_bytes());
                bytes[8..].copy_from_slice(nonce);
                f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
            }
        }
    }
}

/// Where bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    /// In a record of the store.
    Inline(BlobId),
    /// In a file.
    Blob(BlobId),
    /// In the parts that a manifest lists.
    Parts(BlobId),
}

/// What is kept of a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Header {
    ContentType = 1,
    CacheControl = 2,
    ContentDisposition = 3,
    ContentEncoding = 4,
    ContentLanguage = 5,
    Expires = 6,
    WebsiteRedirectLocation = 7,
    StorageClass = 8,
    ServerSideEncryption = 9,
    KmsKeyId = 10,
    BucketKeyEnabled = 11,
}

impl Header {
    const ALL: [Header; 11] = [
        Header::ContentType,
        Header::CacheControl,
        Header::ContentDisposition,
        Header::ContentEncoding,
        Header::ContentLanguage,
        Header::Expires,
        Header::WebsiteRedirectLocation,
        Header::StorageClass,
        Header::ServerSideEncryption,
        Header::KmsKeyId,
        Header::BucketKeyEnabled,
    ];
}

/// System and user metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    headers: BTreeMap<Header, String>,
    /// User metadata, names in lower case.
    pub metadata: BTreeMap<String, String>,
}

impl Attributes {
    pub fn get(&self, header: Header) -> Option<&str> {
        self.headers.get(&header).map(String::as_str)
    }

    pub fn set(&mut self, header: Header, value: Option<impl Into<String>>) {
        match value {
            Some(value) => self.headers.insert(header, value.into()),
            None => self.headers.remove(&header),
        };
    }

    /// They become headers: what cannot be one is refused.
    pub(crate) fn check_characters(&self) -> Result<(), Fault> {
        let is_value = |text: &String| text.chars().all(|c| !c.is_control() || c == '\t');
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let values = self.headers.values().chain(self.metadata.values());
        match (self.metadata.keys().find(|n| !is_name(n)), values.into_iter().find(|v| !is_value(v))) {
            (Some(name), _) => Err(invalid_argument("The metadata's name cannot be a header's", "x-amz-meta-", name)),
            (None, Some(_)) => Err(invalid_argument("A header's value has control characters", "metadata", "")),
            (None, None) => Ok(()),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.headers.len() as u64);
        for (header, value) in &self.headers {
            writer.u8(*header as u8).str(value);
        }
        writer.pairs(self.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Attributes, Error> {
        let mut headers = BTreeMap::new();
        for _ in 0..reader.u64()? {
            let code = reader.u8()?;
            let header = Header::ALL.into_iter().find(|h| *h as u8 == code).ok_or_else(|| reader.corrupt())?;
            headers.insert(header, reader.str()?);
        }
        Ok(Attributes { headers, metadata: reader.pairs()? })
    }
}

/// Tags in the order of their keys.
pub type Tags = BTreeMap<String, String>;

/// One version of an object, or a delete marker.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Grows from version to version of a key.
    pub(crate) seq: u64,
    /// `None`: the null version.
    pub(crate) nonce: Option<[u8; 16]>,
    pub modified: Timestamp,
    /// `None`: a delete marker.
    pub body: Option<Body>,
}

/// What an object is when it is no delete marker.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    pub size: u64,
    pub etag: ETag,
    pub(crate) content: Content,
    pub checksum: Option<Checksum>,
    pub attributes: Attributes,
    pub tags: Tags,
}

impl Object {
    pub fn version_id(&self) -> VersionId {
        self.nonce.map_or(VersionId::Null, |nonce| VersionId::Id { seq: self.seq, nonce })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(OBJECT_VERSION);
        writer.u64(self.seq).i64(self.modified.as_millis());
        match &self.nonce {
            None => writer.u8(0),
            Some(nonce) => writer.u8(1).fixed(nonce),
        };
        let Some(body) = &self.body else {
            writer.u8(0);
            return writer.finish();
        };
        writer.u8(1).u64(body.size).fixed(&body.etag.md5).u64(u64::from(body.etag.parts));
        write_content(&mut writer, body.content);
        write_checksum(&mut writer, body.checksum.as_ref());
        body.attributes.write(&mut writer);
        writer.pairs(body.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        writer.finish()
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Object, Error> {
        let mut reader = Reader::open("object", record, OBJECT_VERSION)?;
        let (seq, modified) = (reader.u64()?, Timestamp::from_millis(reader.i64()?));
        let nonce = if reader.flag()? { Some(reader.fixed()?) } else { None };
        let body = if reader.flag()? {
            Some(Body {
                size: reader.u64()?,
                etag: ETag { md5: reader.fixed()?, parts: reader.u32()? },
                content: read_content(&mut reader)?,
                checksum: read_checksum(&mut reader)?,
                attributes: Attributes::read(&mut reader)?,
                tags: reader.pairs()?,
            })
        } else {
            None
        };
        reader.end()?;
        Ok(Object { seq, nonce, modified, body })
    }
}

impl Body {
    pub fn content_type(&self) -> &str {
        self.attributes.get(Header::ContentType).unwrap_or("binary/octet-stream")
    }

    pub fn storage_class(&self) -> &str {
        self.attributes.get(Header::StorageClass).unwrap_or("STANDARD")
    }
}

pub(crate) fn write_content(writer: &mut Writer, content: Content) {
    match content {
        Content::Empty => writer.u8(0),
        Content::Inline(id) => writer.u8(1).fixed(&id.0),
        Content::Blob(id) => writer.u8(2).fixed(&id.0),
        Content::Parts(id) => writer.u8(3).fixed(&id.0),
    };
}

pub(crate) fn read_content(reader: &mut Reader<'_>) -> Result<Content, Error> {
    Ok(match reader.u8()? {
        0 => Content::Empty,
        1 => Content::Inline(BlobId(reader.fixed()?)),
        2 => Content::Blob(BlobId(reader.fixed()?)),
        3 => Content::Parts(BlobId(reader.fixed()?)),
        _ => return Err(reader.corrupt()),
    })
}

pub(crate) fn write_checksum(writer: &mut Writer, checksum: Option<&Checksum>) {
    match checksum {
        None => writer.u8(0),
        Some(c) => writer.u8(c.algorithm as u8).u8(c.kind as u8).u64(u64::from(c.parts)).bytes(&c.value),
    };
}

pub(crate) fn read_checksum(reader: &mut Reader<'_>) -> Result<Option<Checksum>, Error> {
    let code = reader.u8()?;
    if code == 0 {
        return Ok(None);
    }
    let algorithm = Algorithm::of_code(code).ok_or_else(|| reader.corrupt())?;
    let kind = ChecksumKind::of_code(reader.u8()?).ok_or_else(|| reader.corrupt())?;
    Ok(Some(Checksum { algorithm, kind, parts: reader.u32()?, value: reader.bytes()?.to_vec() }))
}

/// One part of an object that was uploaded in parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) content: Content,
    pub(crate) checksum: Option<Checksum>,
}

pub(crate) fn encode_manifest(segments: &[Segment]) -> Bytes {
    let mut writer = Writer::new(MANIFEST_VERSION);
    writer.u64(segments.len() as u64);
    for segment in segments {
        writer.u64(u64::from(segment.number)).u64(segment.size);
        write_content(&mut writer, segment.content);
        write_checksum(&mut writer, segment.checksum.as_ref());
    }
    writer.finish()
}

pub(crate) fn decode_manifest(record: &[u8]) -> Result<Vec<Segment>, Error> {
    let mut reader = Reader::open("manifest", record, MANIFEST_VERSION)?;
    let mut segments = Vec::new();
    for _ in 0..reader.u64()? {
        let (number, size) = (reader.u32()?, reader.u64()?);
        let content = read_content(&mut reader)?;
        segments.push(Segment { number, size, content, checksum: read_checksum(&mut reader)? });
    }
    reader.end()?;
    Ok(segments)
}

/// Content that lies in a record: the version byte, then the bytes as they are.
pub(crate) fn encode_data(data: &[u8]) -> Bytes {
    let mut writer = Writer::new(DATA_VERSION);
    writer.fixed(data);
    writer.finish()
}

pub(crate) fn decode_data(record: &Bytes) -> Result<Bytes, Error> {
    Reader::open("data", record, DATA_VERSION)?;
    Ok(record.slice(1..))
}
