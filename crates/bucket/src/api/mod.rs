//! The operations, whoever asks: HTTP, state machines, templates.

mod bucket;
mod copy;
mod object;
mod upload;

pub(crate) use copy::{Copy, CopyConditions, CopySource};
pub(crate) use object::{Get, Headers, PutObject, Wanted};
pub use object::{METADATA_BYTES_MAX, PUT_BYTES_MAX};
pub(crate) use upload::{CreateUpload, PutPart, UploadedPart};
