//! What a Distributed Map state reads and writes, as streams with bounded memory.
//!
//! [`Reader`] takes an `ItemReader`'s data set (one object, the objects of a prefix, a manifest) and gives its items one
//! by one, each as JSON text: JSON arrays, JSON Lines, CSV, Parquet, S3 Inventory and Athena manifests, S3 listings;
//! gzip and Zstandard are undone on the way. [`Batcher`] puts items into the inputs of child executions. [`results`]
//! forms the files and the manifest that `ResultWriter` exports.
//!
//! The crate does no I/O of its own: a caller implements [`Objects`]. It knows nothing of executions, buckets or HTTP,
//! never builds a JSON value where text suffices, and refuses what AWS refuses ([`Error`] has AWS's error names).
//!
//! Invariants: the same objects give the same items with the same indices, however the bytes arrive in pieces. Memory
//! does not grow with the data set: an item, a CSV record, a page of a listing and a manifest each have a named bound.
//! No bytes make a reader panic. [`Reader::position`] is enough to go on after a crash, and going on over an object
//! that was replaced meanwhile fails instead of giving other items.

mod batch;
mod config;
mod decode;
mod error;
mod inflate;
mod inventory;
mod listing;
mod memory;
mod parquet;
mod position;
mod reader;
pub mod results;
mod source;
#[cfg(test)]
mod tests;
mod text;

pub use batch::{Batch, BatchConfig, Batcher, INPUT_BYTES_PER_BATCH_MAX};
pub use config::{
    CSV_HEADER_BYTES_MAX, CsvDelimiter, CsvHeaders, Dataset, ITEMS_MAX, InputType, ManifestType, ReaderConfig,
    Transformation,
};
pub use decode::{ITEMS_POINTER_BYTES_MAX, JSON_DEPTH_MAX};
pub use error::Error;
pub use inventory::MANIFEST_BYTES_MAX;
pub use listing::object_item;
pub use memory::MemoryObjects;
pub use position::Position;
pub use reader::{Item, Limits, Reader};
pub use source::{Listed, Listing, ListingPage, ObjectError, ObjectRef, Objects, Opened, Source, from_read};
