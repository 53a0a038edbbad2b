//! Decoders without I/O: bytes in, in any pieces, items out.

mod csv;
mod json;
mod lines;
mod scan;

use crate::{Error, InputType, ReaderConfig};

pub(crate) use csv::Csv;
pub(crate) use json::Json;
pub use json::{ITEMS_POINTER_BYTES_MAX, JSON_DEPTH_MAX};
pub(crate) use lines::{JsonLines, Lines};

/// A record of a text file may be this much larger than the item that comes of it, for white space, quotes and columns
/// without a header.
const RECORD_BYTES_FACTOR: usize = 4;

/// Splits a text file into items.
pub(crate) enum Decoder {
    Csv(Csv),
    Json(Json),
    JsonLines(JsonLines),
    Lines(Lines),
}

impl Decoder {
    /// The decoder for a file of this type; Parquet has none, for it is not read from front to back.
    pub(crate) fn new(input_type: InputType, config: &ReaderConfig, item_bytes_max: usize) -> Result<Decoder, Error> {
        match input_type {
            InputType::Csv => Ok(Decoder::Csv(Csv::new(config.csv_delimiter, &config.csv_headers, item_bytes_max)?)),
            InputType::Json => Ok(Decoder::Json(Json::new(config.items_pointer.as_deref(), item_bytes_max)?)),
            InputType::JsonLines => Ok(Decoder::JsonLines(JsonLines::new(item_bytes_max))),
            InputType::Manifest | InputType::Parquet => Err(Error::Reader("The InputType is not a text.".to_owned())),
        }
    }

    /// Takes bytes off the front of `input` until an item is complete, or all of them.
    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<String>), Error> {
        match self {
            Decoder::Csv(csv) => csv.decode(input),
            Decoder::Json(json) => json.decode(input),
            Decoder::JsonLines(lines) => lines.decode(input),
            Decoder::Lines(lines) => lines.decode(input),
        }
    }

    /// Says that there are no more bytes; gives an item that ended with them.
    pub(crate) fn finish(&mut self) -> Result<Option<String>, Error> {
        match self {
            Decoder::Csv(csv) => csv.finish(),
            Decoder::Json(json) => json.finish().map(|()| None),
            Decoder::JsonLines(lines) => lines.finish(),
            Decoder::Lines(lines) => lines.finish(),
        }
    }

    /// Whether nothing behind here matters.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Decoder::Json(json) if json.is_done())
    }

    /// Whether the decoder must see the start of the file before it can go on from a later place.
    pub(crate) fn needs_start(&self) -> bool {
        matches!(self, Decoder::Csv(csv) if csv.needs_header())
    }

    /// What [`Decoder::resume`] wants to know, between two items.
    pub(crate) fn mark(&self) -> u8 {
        match self {
            Decoder::Json(json) => json.mark(),
            _ => 0,
        }
    }

    /// Goes on behind an item.
    pub(crate) fn resume(&mut self, mark: u8) -> Result<(), Error> {
        match self {
            Decoder::Json(json) => json.resume(mark),
            Decoder::Csv(csv) => {
                csv.resume();
                Ok(())
            }
            Decoder::JsonLines(_) | Decoder::Lines(_) => Ok(()),
        }
    }
}
