//! What can be asked of a cell.

use base::Timestamp;
use cell::Reply;
use serde_json::Value;
use service::{EffectId, Fault};
use store::BlobId;

use super::Answer;
use crate::bucket_record::{Upload, Versioning};
use crate::checksum::{Algorithm, Checksum, ChecksumKind};
use crate::record::{Attributes, Tags, VersionId};
use crate::settings::Setting;
use crate::stage::Naming;

pub(crate) struct Input {
    pub(crate) bucket: String,
    /// Whose the bucket must be.
    pub(crate) account: String,
    pub(crate) effect: Option<EffectId>,
    pub(crate) command: Command,
    pub(crate) reply: Reply<Result<Answer, Fault>>,
}

pub(crate) enum Command {
    /// What was answered to the input's effect before; changes nothing.
    Recall,
    CreateBucket(NewBucket),
    DeleteBucket,
    PutVersioning(Versioning),
    /// `None` takes the setting away.
    PutSetting(Setting, Option<Value>),
    PutObject(Box<NewObject>),
    Delete(Deletion),
    DeleteMany(Vec<Deletion>),
    PutTags {
        key: String,
        version: Option<VersionId>,
        tags: Tags,
    },
    CreateUpload(Box<NewUpload>),
    PutPart(Box<NewPart>),
    CompleteUpload(Box<Completion>),
    AbortUpload {
        key: String,
        upload_id: String,
    },
}

pub(crate) struct NewBucket {
    pub(crate) region: String,
    /// A bucket that is the caller's already is an answer, not an error: what S3 does in us-east-1.
    pub(crate) again: bool,
    pub(crate) ownership: Option<Value>,
}

/// Under which condition something is written or deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    #[default]
    Always,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match` with an ETag, without quotes.
    Matches(String),
}

pub(crate) struct NewObject {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Checksum,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Tags,
    pub(crate) condition: Condition,
    pub(crate) naming: Naming,
    pub(crate) nonce: [u8; 16],
    /// Of which version it is a copy.
    pub(crate) source: Option<VersionId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Deletion {
    pub(crate) key: String,
    pub(crate) version: Option<VersionId>,
    pub(crate) condition: Condition,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    /// For the delete marker, should there be one.
    pub(crate) nonce: [u8; 16],
}

pub(crate) struct NewUpload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    /// Without its time.
    pub(crate) upload: Upload,
}

pub(crate) struct NewPart {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Checksum,
    pub(crate) naming: Naming,
}

pub(crate) struct CompletedPart {
    pub(crate) number: u32,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) checksum: Option<(Algorithm, String)>,
}

pub(crate) struct Completion {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) parts: Vec<CompletedPart>,
    pub(crate) condition: Condition,
    pub(crate) size: Option<u64>,
    pub(crate) checksum: Option<(Algorithm, String)>,
    pub(crate) kind: Option<ChecksumKind>,
    pub(crate) manifest: BlobId,
    pub(crate) nonce: [u8; 16],
}
