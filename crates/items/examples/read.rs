//! Rows per second and peak memory of the readers, from a stream that is made up while it is read.
//!
//!     cargo run --release -p items --example read            # 10 million rows of each kind
//!     cargo run --release -p items --example read 1000000

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use items::{Dataset, Limits, Listing, ListingPage, ObjectError, ObjectRef, Objects, Opened, Reader, ReaderConfig};
use serde_json::json;

/// Size of the pieces, as a server reads an object.
const PIECE_BYTES: usize = 64 * 1024;

/// An object of so many rows; its key is its kind.
struct Rows(u64);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse())?;
    for kind in ["JSON", "JSONL", "CSV"] {
        reset_peak();
        let config = ReaderConfig::parse(&json!({ "InputType": kind }), None)?;
        let object = ObjectRef { bucket: "rows".to_owned(), key: kind.to_owned(), version_id: None };
        let mut reader = Reader::new(Arc::new(Rows(rows)), Dataset::Object(object), config, Limits::default())?;
        let begun = Instant::now();
        let (mut items, mut item_bytes) = (0_u64, 0);
        while let Some(item) = reader.next().await? {
            items += 1;
            item_bytes += item.json.len();
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{kind:5} {items} rows, {:.0} rows/s, {:.0} MB/s of items, peak memory {:.1} MiB",
            items as f64 / seconds,
            item_bytes as f64 / seconds / 1e6,
            peak_kib() as f64 / 1024.0,
        );
    }
    Ok(())
}

#[async_trait]
impl Objects for Rows {
    async fn open(&self, object: &ObjectRef, offset: u64) -> Result<Opened, ObjectError> {
        if offset > 0 {
            return Err(ObjectError("these rows are read from the first one on".to_owned()));
        }
        let (kind, rows) = (object.key.clone(), self.0);
        let pieces = futures::stream::unfold(0, move |from| {
            let piece = (from < rows).then(|| piece(&kind, from, rows));
            async move { piece.map(|(text, next)| (Ok(Bytes::from(text)), next)) }
        });
        Ok(Opened { size: 0, etag: "rows".to_owned(), source: Box::pin(pieces) })
    }

    async fn read(&self, _: &ObjectRef, _: u64, _: u64) -> Result<Bytes, ObjectError> {
        Err(ObjectError("these rows are text".to_owned()))
    }

    async fn list(&self, _: &Listing, _: Option<&str>) -> Result<ListingPage, ObjectError> {
        Ok(ListingPage::default())
    }
}

/// Rows from this one on, and the row after them.
fn piece(kind: &str, from: u64, rows: u64) -> (String, u64) {
    let mut text = String::with_capacity(PIECE_BYTES + 256);
    if from == 0 {
        text.push_str(match kind {
            "JSON" => "[",
            "CSV" => "id,name,city,amount,note\n",
            _ => "",
        });
    }
    let mut row = from;
    while row < rows && text.len() < PIECE_BYTES {
        let amount = row % 10_000;
        let written = if kind == "CSV" {
            writeln!(text, "{row},customer {row},Zürich,{amount}.50,\"a note, with a comma\"")
        } else {
            let name = format_args!("\"name\": \"customer {row}\", \"city\": \"Zürich\"");
            let end = if kind == "JSONL" {
                "\n"
            } else if row + 1 == rows {
                "]"
            } else {
                ",\n"
            };
            write!(text, "{{\"id\": {row}, {name}, \"amount\": {amount}.5, \"tags\": [\"a\", \"b\"]}}{end}")
        };
        written.expect("writing to a string");
        row += 1;
    }
    (text, row)
}

/// Linux keeps the peak; elsewhere it is 0.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn reset_peak() {
    // Without it the figures are the peak of the process so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
