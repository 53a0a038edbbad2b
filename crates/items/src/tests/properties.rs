use std::io::Write;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{block_on, dataset, object, reader, rest};
use crate::{Dataset, Error, Item, Listing};

fn configs() -> Vec<Value> {
    vec![
        json!({ "InputType": "JSON" }),
        json!({ "InputType": "JSON", "ItemsPointer": "/a/0" }),
        json!({ "InputType": "JSON", "ItemsPointer": "" }),
        json!({ "InputType": "JSONL" }),
        json!({ "InputType": "CSV" }),
        json!({ "InputType": "CSV", "CSVDelimiter": "SPACE", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b"] }),
        json!({ "InputType": "MANIFEST" }),
        json!({ "InputType": "CSV", "ManifestType": "ATHENA_DATA" }),
    ]
}

/// Items up to an error, and the error.
fn outcome(content: Vec<u8>, piece_bytes: usize, config: &Value) -> (Vec<Item>, Option<Error>) {
    let mut objects = object(content);
    objects.piece_bytes = piece_bytes;
    block_on(async {
        let mut reader = match reader(objects, dataset(), config) {
            Ok(reader) => reader,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let mut items = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return (items, None),
                Err(error) => {
                    assert_eq!(reader.next().await, Ok(None), "nothing comes after an error");
                    return (items, Some(error));
                }
            }
        }
    })
}

/// Text that is likely to reach far into the readers.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\n"),
        Just("\r"),
        Just(" "),
        Just("\"a\""),
        Just("1"),
        Just("-2.5"),
        Just("true"),
        Just("null"),
        Just("{\"a\":[[1,2],3]}"),
        Just("\\u00e9"),
        Just("\u{feff}"),
        Just("x"),
        Just("\u{1f600}"),
        Just("s3://b/k"),
        Just("[1,2]"),
        Just("\t"),
    ];
    prop_oneof![
        3 => prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_do_not_matter(content in texts(), piece_bytes in 1_usize..9) {
        for config in configs() {
            let whole = outcome(content.clone(), 0, &config);
            prop_assert_eq!(&whole, &outcome(content.clone(), piece_bytes, &config));
            for item in &whole.0 {
                let value: Value = serde_json::from_str(&item.json).expect("an item is JSON");
                // Nothing is left out that is more than white space.
                prop_assert_eq!(item.json.contains('\n'), false);
                drop(value);
            }
        }
    }

    #[test]
    fn compressed_bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
        let magic: &[u8] = match kind {
            0 => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
            1 => &[0x28, 0xb5, 0x2f, 0xfd],
            _ => b"PAR1",
        };
        let content = [magic, &content, if kind == 2 { b"\x20\0\0\0PAR1" } else { b"" }].concat();
        let input_type = if kind == 2 { "PARQUET" } else { "JSONL" };
        let _ = outcome(content, 7, &json!({ "InputType": input_type }));
    }

    #[test]
    fn json_arrays_come_back(values in prop::collection::vec(any::<(String, i64, bool)>(), 0..20), pretty in any::<bool>()) {
        let values: Vec<Value> = values.into_iter().map(|(text, number, flag)| json!({ "t": text, "n": [number, {"f": flag}] })).collect();
        let text = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
        let items = outcome(text.into_bytes(), 5, &json!({ "InputType": "JSON" }));
        prop_assert_eq!(items.1, None);
        let texts: Vec<String> = values.iter().map(Value::to_string).collect();
        prop_assert_eq!(items.0.into_iter().map(|item| item.json).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn csv_fields_come_back(rows in prop::collection::vec(prop::collection::vec("[a-z\"\\\\,\n\r ü]{0,6}", 3), 1..8)) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('\\', "\\\\").replace('"', "\"\""));
        let lines: Vec<String> = rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",")).collect();
        let text = format!("x,y,z\r\n{}", lines.join("\r\n"));
        let items = outcome(text.into_bytes(), 3, &json!({ "InputType": "CSV" }));
        prop_assert_eq!(items.1, None);
        let found: Vec<Value> = items.0.iter().map(|item| serde_json::from_str(&item.json).unwrap()).collect();
        let expected: Vec<Value> = rows.iter().map(|row| json!({ "x": row[0], "y": row[1], "z": row[2] })).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn gzip_makes_no_difference(content in texts(), piece_bytes in 1_usize..50) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&content).unwrap();
        let packed = gzip.finish().unwrap();
        for config in &configs()[..6] {
            prop_assert_eq!(outcome(content.clone(), 0, config), outcome(packed.clone(), piece_bytes, config));
        }
    }
}

#[test]
fn an_empty_prefix_has_no_items() {
    let listing = Dataset::Listing(Listing { bucket: "none".to_owned(), ..Listing::default() });
    let items = block_on(rest(reader(object(""), listing, &json!({})).unwrap())).unwrap();
    assert!(items.is_empty());
}
