//! Where records lie in the store. Every key begins with the space `s3` and a kind.

use store::{BlobId, Key, successor};

const SPACE: &str = "s3";

fn space(kind: u8) -> Key {
    Key::new(SPACE).u8(kind)
}

pub(crate) fn buckets() -> Vec<u8> {
    space(1).build()
}

pub(crate) fn bucket(name: &str) -> Vec<u8> {
    space(1).str(name).build()
}

/// All settings of all buckets.
pub(crate) fn settings() -> Vec<u8> {
    space(2).build()
}

pub(crate) fn bucket_settings(bucket: &str) -> Vec<u8> {
    space(2).str(bucket).build()
}

pub(crate) fn setting(bucket: &str, kind: u8) -> Vec<u8> {
    space(2).str(bucket).u8(kind).build()
}

/// The latest version of each key of a bucket.
pub(crate) fn objects(bucket: &str) -> Vec<u8> {
    space(3).str(bucket).build()
}

pub(crate) fn object(bucket: &str, key: &str) -> Vec<u8> {
    space(3).str(bucket).str(key).build()
}

/// Older versions of one key, newest first.
pub(crate) fn versions(bucket: &str, key: &str) -> Vec<u8> {
    space(4).str(bucket).str(key).build()
}

pub(crate) fn version(bucket: &str, key: &str, seq: u64) -> Vec<u8> {
    space(4).str(bucket).str(key).u64(!seq).build()
}

/// Which older version is the null version, if one is.
pub(crate) fn null_version(bucket: &str, key: &str) -> Vec<u8> {
    space(5).str(bucket).str(key).build()
}

/// Content so small that it needs no file.
pub(crate) fn data(id: BlobId) -> Vec<u8> {
    space(6).bytes(&id.0).build()
}

/// There is one for each file that something names.
pub(crate) fn blob(id: BlobId) -> Vec<u8> {
    space(7).bytes(&id.0).build()
}

/// Of which parts an object consists.
pub(crate) fn manifest(id: BlobId) -> Vec<u8> {
    space(8).bytes(&id.0).build()
}

pub(crate) fn uploads(bucket: &str) -> Vec<u8> {
    space(9).str(bucket).build()
}

pub(crate) fn upload(bucket: &str, key: &str, upload_id: &str) -> Vec<u8> {
    space(9).str(bucket).str(key).str(upload_id).build()
}

pub(crate) fn parts(bucket: &str, upload_id: &str) -> Vec<u8> {
    space(10).str(bucket).str(upload_id).build()
}

pub(crate) fn part(bucket: &str, upload_id: &str, number: u32) -> Vec<u8> {
    space(10).str(bucket).str(upload_id).u64(u64::from(number)).build()
}

/// Answers to completed uploads, for callers who ask again.
pub(crate) fn completed_all(cell: usize) -> Vec<u8> {
    space(11).u64(cell as u64).build()
}

pub(crate) fn completed(cell: usize, bucket: &str, upload_id: &str) -> Vec<u8> {
    space(11).u64(cell as u64).str(bucket).str(upload_id).build()
}

/// What begins all keys in the space `base` whose next part begins with `prefix`.
pub(crate) fn beginning_with(base: Vec<u8>, prefix: &str) -> Vec<u8> {
    let mut key = base;
    for &b in prefix.as_bytes() {
        key.push(b);
        if b == 0 {
            key.push(0xff);
        }
    }
    key
}

/// The first key behind all keys in `base` whose next part begins with `prefix`.
pub(crate) fn behind(base: Vec<u8>, prefix: &str) -> Vec<u8> {
    successor(&beginning_with(base, prefix))
}
