//! Objects of one bucket, as the steps need them.

use std::future::Future;

use assessmax_core::failure::{Failure, Kind};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aws;

/// Calls under way at once within one invocation.
const CONCURRENT_MAX: usize = 8;
/// The largest object that a step reads.
const BYTES_MAX: i64 = 64 * 1024 * 1024;

/// A bucket and the client to reach it.
#[derive(Clone)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
}

/// An object with the mark of its content.
pub(crate) struct Object {
    pub bytes: Vec<u8>,
    pub etag: Option<String>,
}

/// What must be true of an object for it to be written.
#[derive(Clone, Debug)]
pub(crate) enum Only {
    /// Nothing.
    Always,
    /// There is none yet.
    New,
    /// It is what was read.
    Unchanged(String),
}

/// Whether an object was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Yes,
    /// Somebody else was first.
    Refused,
}

impl Bucket {
    pub fn new(client: Client, variable: &str) -> Result<Bucket, Failure> {
        Ok(Bucket { client, name: aws::variable(variable)? })
    }

    /// An object's size; none where there is no such object.
    pub async fn size(&self, key: &str) -> Result<Option<i64>, Failure> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(found) => Ok(Some(found.content_length().unwrap_or(0))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(aws::failed(self.what("look at", key), &error)),
        }
    }

    /// An object's mark; none where there is no such object.
    pub async fn etag(&self, key: &str) -> Result<Option<String>, Failure> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(found) => Ok(found.e_tag().map(str::to_owned)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(aws::failed(self.what("look at", key), &error)),
        }
    }

    pub async fn get(&self, key: &str) -> Result<Option<Object>, Failure> {
        let found = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(aws::failed(self.what("read", key), &error)),
        };
        if found.content_length().is_some_and(|bytes| bytes > BYTES_MAX) {
            return Err(Failure::new(Kind::InvalidArtifact, format!("{} has too many bytes", self.what("read", key))));
        }
        let etag = found.e_tag().map(str::to_owned);
        match found.body.collect().await {
            Ok(body) => Ok(Some(Object { bytes: body.to_vec(), etag })),
            Err(error) => Err(Failure::new(Kind::Unavailable, format!("{}: {error}", self.what("read", key)))),
        }
    }

    /// What an earlier step wrote: that it is gone is no reason to try again.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<T, Failure> {
        let gone = || Failure::new(Kind::InvalidArtifact, format!("s3://{}/{key} is gone", self.name));
        let object = self.get(key).await?.ok_or_else(gone)?;
        self.decode(key, &object.bytes)
    }

    /// Reads many objects at once; the order is that of the keys.
    pub async fn get_all<T: DeserializeOwned>(&self, keys: Vec<String>) -> Result<Vec<T>, Failure> {
        let calls = keys.into_iter().map(|key| async move { self.get_json(&key).await });
        ordered(calls).await
    }

    pub fn decode<T: DeserializeOwned>(&self, key: &str, bytes: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::new(Kind::InvalidArtifact, format!("s3://{}/{key}: {error}", self.name)))
    }

    pub async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str, only: Only) -> Result<Written, Failure> {
        let call = self.client.put_object().bucket(&self.name).key(key).content_type(content_type);
        let call = match &only {
            Only::Always => call,
            Only::New => call.if_none_match("*"),
            Only::Unchanged(etag) => call.if_match(etag),
        };
        match call.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(Written::Yes),
            Err(error) if !matches!(only, Only::Always) && is_refused(&error) => Ok(Written::Refused),
            Err(error) => Err(aws::failed(self.what("write", key), &error)),
        }
    }

    pub async fn put_json<T: Serialize>(&self, key: &str, value: &T, only: Only) -> Result<Written, Failure> {
        self.put(key, encode(value)?, "application/json", only).await
    }

    /// Writes many objects at once.
    pub async fn put_all(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
        let calls = objects
            .into_iter()
            .map(|(key, bytes)| async move { self.put(&key, bytes, "application/json", Only::Always).await });
        ordered(calls).await.map(drop)
    }

    fn what(&self, verb: &str, key: &str) -> String {
        format!("{verb} s3://{}/{key}", self.name)
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(Kind::InvalidArtifact, format!("write JSON: {error}")))
}

async fn ordered<T, I, F>(calls: I) -> Result<Vec<T>, Failure>
where
    I: Iterator<Item = F>,
    F: Future<Output = Result<T, Failure>>,
{
    futures::stream::iter(calls).buffered(CONCURRENT_MAX).try_collect().await
}

fn status<E, R: HasStatus>(error: &SdkError<E, R>) -> u16 {
    error.raw_response().map_or(0, HasStatus::code)
}

trait HasStatus {
    fn code(&self) -> u16;
}

impl HasStatus for aws_sdk_s3::config::http::HttpResponse {
    fn code(&self) -> u16 {
        self.status().as_u16()
    }
}

/// A bucket that is missing is a fault of the stack, not a missing object.
fn is_missing<E: ProvideErrorMetadata, R: HasStatus>(error: &SdkError<E, R>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    status(error) == 404 && code != Some("NoSuchBucket")
}

/// 412: the condition does not hold. 409: another conditional write is under way. 404: what was to be unchanged is gone.
fn is_refused<E: ProvideErrorMetadata, R: HasStatus>(error: &SdkError<E, R>) -> bool {
    matches!(status(error), 409 | 412) || is_missing(error)
}
