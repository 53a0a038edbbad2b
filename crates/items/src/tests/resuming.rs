use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{block_on, dataset, object, rest};
use crate::{Dataset, Item, Limits, Listing, MemoryObjects, ObjectRef, Objects, Position, Reader, ReaderConfig};

/// Reads everything, then again in two parts cut at each item.
fn check(objects: MemoryObjects, dataset: &Dataset, config: &Value) {
    let objects: Arc<dyn Objects> = Arc::new(objects);
    let config = ReaderConfig::parse(config, None).unwrap();
    let at = |position: &Position| {
        Reader::resume(objects.clone(), dataset.clone(), config.clone(), Limits::default(), position).unwrap()
    };
    block_on(async {
        let all = rest(at(&Position::default())).await.unwrap();
        assert!(all.len() > 2);
        let mut reader = at(&Position::default());
        let mut positions = vec![reader.position()];
        while let Some(_item) = reader.next().await.unwrap() {
            positions.push(reader.position());
        }
        positions.push(reader.position());
        for (number, position) in positions.iter().enumerate() {
            let stored = Position::from_bytes(&position.to_bytes()).unwrap();
            assert_eq!(&stored, position);
            let number = number.min(all.len());
            assert_eq!(stored.index(), number as u64);
            let found: Vec<Item> = rest(at(&stored)).await.unwrap();
            assert_eq!(found, all[number..]);
            let mut skipping = at(&Position::default());
            assert_eq!(skipping.skip(number as u64).await.unwrap(), number as u64);
            assert_eq!(rest(skipping).await.unwrap(), all[number..]);
        }
    });
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn files() {
    let json = "\u{feff} [ 1, {\"a\": [2]}  ,3, \"x\" ] ";
    let pointed = "{\"a\": 1, \"o\": {\"k\": 1, \"l\": [2], \"m\": 3}, \"z\": 0}";
    let lines = "\u{feff}1\n\n{\"a\": 2}\r\n3";
    let csv = "\u{feff}a,b\r\n\"1\",\"x\ny\"\r\n\r\n3,4\r5,6";
    let cases = [
        (json, json!({ "InputType": "JSON" })),
        (pointed, json!({ "InputType": "JSON", "ItemsPointer": "/o" })),
        (lines, json!({ "InputType": "JSONL" })),
        (csv, json!({ "InputType": "CSV" })),
        (csv, json!({ "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a"] })),
        (lines, json!({ "InputType": "JSONL", "MaxItems": 3 })),
    ];
    for (text, config) in cases {
        check(object(text), &dataset(), &config);
        check(object(gzip(text)), &dataset(), &config);
        check(object(zstd::encode_all(text.as_bytes(), 1).unwrap()), &dataset(), &config);
        for piece_bytes in 1..text.len() {
            let mut pieces = object(text);
            pieces.piece_bytes = piece_bytes;
            check(pieces, &dataset(), &config);
        }
    }
}

#[test]
fn several_files() {
    let mut objects = MemoryObjects::new();
    for (key, text) in [("p/", ""), ("p/1", "h\n1\n2\n"), ("p/2", "h\n"), ("p/3", "h\n3\n4"), ("p/4", "h\n5\n")] {
        objects.put("b", key, text);
    }
    let manifest = json!({ "fileSchema": "h", "files": [{ "key": "p/1" }, { "key": "p/2" }, { "key": "p/3" }] });
    objects.put("b", "inventory", manifest.to_string());
    objects.put("b", "athena", "s3://b/p/1\ns3://b/p/2\n\n\"s3://b/p/3\"\ns3://b/p/4");
    let listing = Listing { bucket: "b".to_owned(), prefix: Some("p/".to_owned()), start_after: None };
    let key = |key: &str| Dataset::Object(ObjectRef { bucket: "b".to_owned(), key: key.to_owned(), version_id: None });
    let cases = [
        (Dataset::Listing(listing.clone()), json!({})),
        (Dataset::Listing(listing), json!({ "InputType": "CSV", "Transformation": "LOAD_AND_FLATTEN" })),
        (key("inventory"), json!({ "InputType": "MANIFEST" })),
        (key("athena"), json!({ "ManifestType": "ATHENA_DATA", "InputType": "CSV" })),
    ];
    for (dataset, config) in cases {
        let mut copy = MemoryObjects::new();
        copy.clone_from(&objects);
        check(copy, &dataset, &config);
    }
}

#[test]
fn a_replaced_object_is_noticed() {
    block_on(async {
        let mut reader = super::reader(object("[1,2,3]"), dataset(), &json!({})).unwrap();
        reader.next().await.unwrap();
        let position = reader.position();
        let again = Reader::resume(
            Arc::new(object("[9,1,2,3]")),
            dataset(),
            ReaderConfig::default(),
            Limits::default(),
            &position,
        );
        assert!(rest(again.unwrap()).await.unwrap_err().cause().contains("replaced"));
    });
}

#[test]
fn damaged_positions() {
    assert_eq!(Position::from_bytes(&[]), None);
    assert_eq!(Position::from_bytes(&[2, 0, 0, 0, 0]), None);
    assert_eq!(Position::from_bytes(&[1, 255]), None);
    assert!(Position::from_bytes(&Position::default().to_bytes()).is_some());
    // What was stored is read for ever.
    assert_eq!(Position::default().to_bytes(), [1, 0, 0, 0, 0]);
}
