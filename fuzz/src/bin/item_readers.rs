//! Any bytes are items or an error, the same in pieces as at once, and the same behind any item where reading goes on.
//!
//! Parquet is not among them: the crate that reads it asserts, and its panics end here, not at the reader's caller.
#![no_main]

use std::sync::Arc;

use futures::executor::block_on;
use items::{Dataset, Error, Item, Limits, MemoryObjects, ObjectRef, Objects, Position, Reader, ReaderConfig};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    let Some((mode, content)) = data.split_first() else { return };
    let config = ReaderConfig::parse(&config(mode % 8), None).expect("a config");
    let whole: Arc<dyn Objects> = Arc::new(objects(content, 0));
    let (items, error, positions) = read(&whole, &config, &Position::default());
    for item in &items {
        serde_json::from_str::<Value>(&item.json).expect("an item is JSON");
    }
    let pieces: Arc<dyn Objects> = Arc::new(objects(content, 1 + usize::from(mode / 8)));
    let again = read(&pieces, &config, &Position::default());
    assert_eq!((&items, &error, &positions), (&again.0, &again.1, &again.2));
    let Some(position) = positions.get(usize::from(mode / 8).min(positions.len().saturating_sub(1))) else { return };
    let position = Position::from_bytes(&position.to_bytes()).expect("what was stored is read");
    let (rest, end, _) = read(&pieces, &config, &position);
    assert_eq!((rest.as_slice(), end), (&items[position.index() as usize..], error));
});

fn config(mode: u8) -> Value {
    match mode {
        0 => json!({ "InputType": "JSON" }),
        1 => json!({ "InputType": "JSON", "ItemsPointer": "/a/0" }),
        2 => json!({ "InputType": "JSON", "ItemsPointer": "" }),
        3 => json!({ "InputType": "JSONL" }),
        4 => json!({ "InputType": "CSV" }),
        5 => {
            json!({ "InputType": "CSV", "CSVDelimiter": "PIPE", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b"] })
        }
        6 => json!({ "InputType": "MANIFEST" }),
        _ => json!({ "InputType": "CSV", "ManifestType": "ATHENA_DATA" }),
    }
}

fn objects(content: &[u8], piece_bytes: usize) -> MemoryObjects {
    let mut objects = MemoryObjects::new();
    objects.piece_bytes = piece_bytes;
    objects.put("b", "k", content.to_vec());
    objects
}

/// The items up to an error, the error, and where the reader was behind each item.
fn read(
    objects: &Arc<dyn Objects>,
    config: &ReaderConfig,
    from: &Position,
) -> (Vec<Item>, Option<Error>, Vec<Position>) {
    let object = ObjectRef { bucket: "b".to_owned(), key: "k".to_owned(), version_id: None };
    let limits = Limits { item_bytes_max: 1_000 };
    let mut reader =
        Reader::resume(objects.clone(), Dataset::Object(object), config.clone(), limits, from).expect("a reader");
    let (mut items, mut positions) = (Vec::new(), Vec::new());
    loop {
        match block_on(reader.next()) {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None, positions),
            Err(error) => return (items, Some(error), positions),
        }
        positions.push(reader.position());
    }
}
