//! Behaviour across the crate's modules.

mod batches;
mod exports;
mod manifests;
mod parquet_files;
mod properties;
mod recorded;
mod resuming;
mod text_files;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Dataset, Error, Item, Limits, MemoryObjects, ObjectRef, Reader, ReaderConfig};

/// Runs what an object in memory never has to wait for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(future)
}

/// An object `k` in the bucket `b`.
pub(crate) fn object(content: impl Into<bytes::Bytes>) -> MemoryObjects {
    let mut objects = MemoryObjects::new();
    objects.put("b", "k", content);
    objects
}

pub(crate) fn dataset() -> Dataset {
    Dataset::Object(ObjectRef { bucket: "b".to_owned(), key: "k".to_owned(), version_id: None })
}

pub(crate) fn reader(objects: MemoryObjects, dataset: Dataset, config: &Value) -> Result<Reader, Error> {
    let config = ReaderConfig::parse(config, None)?;
    Reader::new(Arc::new(objects), dataset, config, Limits::default())
}

pub(crate) async fn rest(mut reader: Reader) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    while let Some(item) = reader.next().await? {
        items.push(item);
    }
    Ok(items)
}

/// The items of an object, as JSON texts.
pub(crate) fn read(content: impl Into<bytes::Bytes>, config: &Value) -> Result<Vec<String>, Error> {
    let items = block_on(rest(reader(object(content), dataset(), config)?))?;
    Ok(items.into_iter().map(|item| item.json).collect())
}

/// The cause with which reading fails.
pub(crate) fn fails(content: impl Into<bytes::Bytes>, config: &Value) -> String {
    read(content, config).unwrap_err().cause()
}

pub(crate) fn of(input_type: &str) -> Value {
    json!({ "InputType": input_type })
}
