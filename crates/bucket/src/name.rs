//! What a bucket and a key may be called.

use service::Fault;

/// The longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;

/// Prefixes and suffixes that AWS reserves.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(crate) fn is_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(b))
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

pub(crate) fn check_new_bucket(name: &str) -> Result<(), Fault> {
    let is_reserved =
        RESERVED_PREFIXES.iter().any(|p| name.starts_with(p)) || RESERVED_SUFFIXES.iter().any(|s| name.ends_with(s));
    if is_bucket_name(name) && !is_reserved { Ok(()) } else { Err(invalid_bucket_name(name)) }
}

pub(crate) fn invalid_bucket_name(name: &str) -> Fault {
    Fault::client("InvalidBucketName", "The specified bucket is not valid.").member("BucketName", name)
}

pub(crate) fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() {
        return Err(crate::fault::invalid_argument("Object key must not be empty", "Key", ""));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(Fault::client("KeyTooLongError", "Your key is too long")
            .member("Size", key.len().to_string())
            .member("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
    }
    Ok(())
}
