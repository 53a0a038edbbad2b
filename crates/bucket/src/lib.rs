//! S3: buckets and objects.
//!
//! s3s parses and routes requests and verifies signatures; everything behind that is here. Small content lies in
//! records, larger content in files, written and synced before the record that names it. Changes of a bucket go through
//! the cell that owns it; reads go straight to the store. Callers use HTTP ([`Buckets::s3_service`]), the operations of
//! [`Buckets::service`], or [`Buckets::read_object`] and [`Buckets::write_object`].
//!
//! **Invariants**
//! - An answered change is durable. A condition holds at the moment the change is made.
//! - Keys are never paths: files are named by chance.
//! - A file is named by a record of its own from before its object can be read until after it cannot any more; a file
//!   without that record belongs to an upload in progress or is garbage, which the next start collects.
//! - What a reader has opened stays readable until it is done, whatever happens to the object.
//! - Content is compared with what its sender claims (length, MD5, checksums before or behind it) before it is named.
//! - Memory for one upload or download is bounded, whatever the object's size.
//! - A change with an effect id is done once and answered the same each time.
//!
//! Refused: access to other accounts' buckets (policies are stored and not evaluated), ACLs that grant anything to
//! others, encryption with customers' keys, object lock, replication, website hosting, access points, S3 Select.
//! Notifications are stored and not sent. KMS encryption is stored and told, nothing is encrypted beyond what the disk
//! does. Objects of archive storage classes can be read at once.

mod api;
mod bucket_record;
mod buckets;
mod checksum;
mod codec;
mod content;
mod fault;
mod http;
mod keeper;
mod keys;
mod lifecycle;
mod list;
mod machine;
mod model;
mod name;
mod reading;
mod record;
mod service;
mod settings;
mod stage;
#[cfg(test)]
mod tests;
mod view;

pub use self::http::{AnswerBody, BoxError, HttpOptions, HttpService, Secret, Secrets};
pub use self::service::CONTENT_BYTES_MAX;
pub use api::{METADATA_BYTES_MAX, PUT_BYTES_MAX};
pub use buckets::{Buckets, Options};
pub use list::LIST_KEYS_MAX;
pub use machine::{CELLS, OBJECT_BYTES_MAX, PART_BYTES_MIN};
pub use name::KEY_BYTES_MAX;
pub use reading::ReadObject;
pub use stage::INLINE_BYTES_MAX;

/// Parts that one upload has at most.
pub const PARTS_MAX: usize = 10_000;
/// Objects that one DeleteObjects names at most.
pub const DELETE_OBJECTS_MAX: usize = 1000;
