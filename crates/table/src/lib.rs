//! DynamoDB: tables, items, expressions, indexes.

pub mod expression;
mod number;
mod stored;
mod value;
mod wire;

pub use number::{Number, NumberError};
pub use value::{AttributeValue, ITEM_BYTES_MAX, Item, Kind, item_size_bytes};
pub use wire::Checked;
