//! Objects for other parts of the product, without HTTP and JSON.

use std::collections::BTreeMap;

use base::{Scope, Timestamp};
use bytes::Bytes;
use futures::Stream;
use service::{Call, Fault};

use crate::Buckets;
use crate::api::{Get, PutObject};
use crate::checksum::Algorithm;
use crate::fault::invalid_version;
use crate::machine::Condition;
use crate::record::{Attributes, Header, Tags, VersionId};
use crate::service::{collect, whole};
use crate::stage::{Expected, Source};

/// An object that is being read. Its content stays what it is, though the object be replaced or deleted meanwhile.
pub struct ReadObject {
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub modified: Timestamp,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    /// `None` if the bucket was never versioned.
    pub version_id: Option<String>,
    source: Source,
}

impl ReadObject {
    /// The whole content, if it is not larger than `bytes_max`.
    pub async fn bytes(self, bytes_max: u64) -> Result<Bytes, Fault> {
        collect(self.source, self.size, bytes_max).await
    }

    /// The content piece by piece; it ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Fault>> + Send + Unpin {
        self.source
    }
}

impl Buckets {
    /// Opens an object of a bucket that belongs to `scope`'s account.
    pub fn read_object(
        &self,
        scope: &Scope,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<ReadObject, Fault> {
        let version = version_id.map(|text| VersionId::parse(text).ok_or_else(invalid_version)).transpose()?;
        let get = Get { bucket: bucket.to_owned(), key: key.to_owned(), version, ..Get::default() };
        let call = Call::internal(scope.clone(), "read", "");
        let (headers, source) = self.get_object(&call, &get)?;
        Ok(ReadObject {
            size: headers.body.size,
            etag: headers.body.etag.to_string(),
            modified: headers.modified,
            content_type: headers.body.content_type().to_owned(),
            metadata: headers.body.attributes.metadata.clone(),
            version_id: headers.version.map(|v| v.to_string()),
            source,
        })
    }

    /// Writes an object in one piece; with an effect id in `call`, once.
    pub async fn write_object(
        &self,
        call: &Call,
        bucket: &str,
        key: &str,
        content: Bytes,
        content_type: Option<&str>,
    ) -> Result<(), Fault> {
        let mut attributes = Attributes::default();
        attributes.set(Header::ContentType, content_type);
        let put = PutObject {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            attributes,
            tags: Tags::new(),
            condition: Condition::Always,
            algorithm: Algorithm::Crc64Nvme,
            expected: Expected { length: Some(content.len() as u64), ..Expected::default() },
            source: None,
        };
        self.put_object(call, put, whole(content)).await?;
        Ok(())
    }
}
