use serde_json::json;

use super::{fails, of, read};
use crate::{CSV_HEADER_BYTES_MAX, Error, JSON_DEPTH_MAX};

#[test]
fn json_arrays_hold_any_values() {
    let text = "\u{feff} [ 1 , -2.5e3,\"a \\\" ] b\",null ,true, {\"k\" : [ 1, 2 ] , \"s\":\"x  y\"} ,[ ]\n]\n";
    assert_eq!(
        read(text, &of("JSON")).unwrap(),
        ["1", "-2.5e3", r#""a \" ] b""#, "null", "true", r#"{"k":[1,2],"s":"x  y"}"#, "[]"]
    );
    assert!(read("[]", &of("JSON")).unwrap().is_empty());
    // Without an InputType an object is JSON.
    assert_eq!(read("[1]", &json!({})).unwrap(), ["1"]);
}

#[test]
fn malformed_json_fails() {
    for text in [
        "",
        "  ",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]x",
        "[1][2]",
        "]",
        "[1}",
        "[{\"a\":1]]",
        "[{\"a\" 1}]",
        "[tr ue]",
        "[\"a\nb\"]",
        "[01]",
        "[1e999]",
        "[\"\\ud800\"]",
        "[\"\\x\"]",
        "x",
        "[{a:1}]",
        "[nul]",
        "[1.]",
        "[\"a\"\"b\"]",
    ] {
        let error = read(text, &of("JSON")).unwrap_err();
        assert_eq!(error.name(), "States.ItemReaderFailed", "{text}");
    }
    assert!(read(&b"[\"\xff\"]"[..], &of("JSON")).is_err());
    for text in ["1", "\"a\"", "null", "{}"] {
        assert_eq!(fails(text, &of("JSON")), "Attempting to map over non-iterable node.");
    }
    let nested = |depth: usize| format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(JSON_DEPTH_MAX), &of("JSON")).is_ok());
    assert!(read(nested(JSON_DEPTH_MAX + 1), &of("JSON")).is_err());
    assert!(read("[".repeat(1_000_000), &of("JSON")).is_err());
}

#[test]
fn items_pointer() {
    let at = |pointer: &str| json!({ "InputType": "JSON", "ItemsPointer": pointer });
    let text = r#"{"a/b": {"~": [{"x": [7, 8]}, [9]]}, "o": {"k1": 1, "k\"2": {"v": [2]}}, "n": 5}"#;
    assert_eq!(read(text, &at("/a~1b/~0/0/x")).unwrap(), ["7", "8"]);
    assert_eq!(read(text, &at("/a~1b/~0/1")).unwrap(), ["9"]);
    assert_eq!(read(text, &at("/o")).unwrap(), [r#"{"Key":"k1","Value":1}"#, r#"{"Key":"k\"2","Value":{"v":[2]}}"#]);
    assert_eq!(read("[[1], [2]]", &at("")).unwrap(), ["[1]", "[2]"]);
    assert_eq!(read(r#"{"a": 1}"#, &at("")).unwrap(), [r#"{"Key":"a","Value":1}"#]);
    assert_eq!(fails(text, &at("/n")), "Attempting to map over non-iterable node.");
    for pointer in ["/x", "/a~1b/~0/2", "/a~1b/~0/00", "/n/0", "/a~1b/x"] {
        assert!(fails(text, &at(pointer)).contains(pointer), "{pointer}");
    }
    assert_eq!(read(text, &at("n")).unwrap_err().name(), "States.Runtime");
}

#[test]
fn json_lines() {
    let text = "\u{feff}{\"a\": 1}\r\n\n  \t\n[1, 2]\n\"x\"\n5";
    assert_eq!(read(text, &of("JSONL")).unwrap(), [r#"{"a":1}"#, "[1,2]", "\"x\"", "5"]);
    assert!(read("", &of("JSONL")).unwrap().is_empty());
    for text in ["{\"a\":1} {\"b\":2}\n", "{\"a\":\n1}\n", "1 2\n", "x", "{\"a\":1\n"] {
        assert_eq!(read(text, &of("JSONL")).unwrap_err().name(), "States.ItemReaderFailed", "{text}");
    }
}

#[test]
fn csv_fields() {
    let rows = |text: &str| read(format!("a,b\n{text}"), &of("CSV")).unwrap();
    assert_eq!(rows("1,2\r\n3,4\r5,6"), [r#"{"a":"1","b":"2"}"#, r#"{"a":"3","b":"4"}"#, r#"{"a":"5","b":"6"}"#]);
    assert_eq!(rows("\n\r\n1\n\n\n"), [r#"{"a":"1","b":""}"#], "blank lines are no records, missing fields are empty");
    assert_eq!(rows("1,2,3,4\n"), [r#"{"a":"1","b":"2"}"#], "fields without a header are dropped");
    assert_eq!(rows("\"x\"\"y\",\"l1\nl2,\"\n"), [r#"{"a":"x\"y","b":"l1\nl2,"}"#]);
    assert_eq!(rows("\"\"\n"), [r#"{"a":"","b":""}"#], "a quoted empty field is a record");
    assert_eq!(rows("x\\,y,\\\"q\\\"\n"), [r#"{"a":"x,y","b":"\"q\""}"#]);
    assert_eq!(rows("\\a\\\\b,\"c\\\"d\\e\"\n"), [r#"{"a":"a\\b","b":"c\"de"}"#], "other backslashes are dropped");
    assert_eq!(rows("5\" disk,ab\"c\"\n"), [r#"{"a":"5\" disk","b":"ab\"c\""}"#], "quotes within a field are text");
    assert_eq!(rows("\u{1},ü€\n"), [r#"{"a":"\u0001","b":"ü€"}"#]);
    assert_eq!(read(&b"a\n\xff\n"[..], &of("CSV")).unwrap(), ["{\"a\":\"\u{fffd}\"}"]);
    assert!(read("", &of("CSV")).unwrap().is_empty());
    assert!(read("a,b\n", &of("CSV")).unwrap().is_empty());
    assert_eq!(fails("a\n\"x\n", &of("CSV")), "The CSV file ends within a quoted field.");
}

#[test]
fn csv_headers() {
    assert_eq!(read("\u{feff}\"a\",b\n1,2\n", &of("CSV")).unwrap(), [r#"{"a":"1","b":"2"}"#]);
    assert_eq!(read("a,b,a\n1,2,3\n4\n", &of("CSV")).unwrap(), [r#"{"a":"3","b":"2"}"#, r#"{"a":"","b":""}"#]);
    let long = "h".repeat(CSV_HEADER_BYTES_MAX + 1);
    assert!(fails(format!("{long}\n1\n"), &of("CSV")).contains("header"));
    let given = json!({ "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": [long] });
    assert!(fails("1\n", &given).contains("header"));
    for (delimiter, byte) in [("COMMA", ','), ("PIPE", '|'), ("SEMICOLON", ';'), ("SPACE", ' '), ("TAB", '\t')] {
        let config = json!({ "InputType": "CSV", "CSVDelimiter": delimiter });
        assert_eq!(
            read(format!("a{byte}b\n1{byte}\"{byte}\"\n"), &config).unwrap(),
            [json!({ "a": "1", "b": byte }).to_string()]
        );
    }
}

#[test]
fn a_map_of_many_columns_grows() {
    let names: Vec<String> = (0..40).map(|n| format!("column{n}")).collect();
    let items = read(format!("{}\n{}\n", names.join(","), names.join(",")), &of("CSV")).unwrap();
    let item: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&items[0]).unwrap();
    assert_eq!(item.len(), 40);
    assert!(item.iter().all(|(name, value)| value == name));
    let order: Vec<&String> = item.keys().collect();
    // As OpenJDK 17 prints new HashMap<>(..).keySet() for them.
    assert_eq!(order[..3], ["column1", "column23", "column0"]);
}

#[test]
fn items_are_bounded() {
    let large = "x".repeat(300_000);
    for (text, kind) in [
        (format!("[\"{large}\"]"), "JSON"),
        (format!("\"{large}\"\n"), "JSONL"),
        (format!("a\n{large}\n"), "CSV"),
        (format!("a\n\"{}", "x\n".repeat(2_000_000)), "CSV"),
        ("x".repeat(3_000_000), "JSONL"),
    ] {
        let error = read(text, &of(kind)).unwrap_err();
        assert_eq!(error.name(), "States.DataLimitExceeded", "{kind}");
        assert!(matches!(error, Error::TooLarge(_)));
    }
    let spaced = format!("[{}1]", " ".repeat(5_000_000));
    assert_eq!(read(spaced, &of("JSON")).unwrap(), ["1"]);
}

#[test]
fn compressed_files() {
    use std::io::Write;
    let text: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    for packed in [gzip, zstd] {
        let items = read(packed.clone(), &of("JSONL")).unwrap();
        assert_eq!((items.len(), items[19_999].as_str()), (20_000, r#"{"n":19999}"#));
        // Several members or frames are one content.
        let twice = [packed.as_slice(), packed.as_slice()].concat();
        assert_eq!(read(twice, &of("JSONL")).unwrap().len(), 40_000);
        let cut = packed[..packed.len() - 9].to_vec();
        assert_eq!(read(cut, &of("JSONL")).unwrap_err().name(), "States.ItemReaderFailed");
    }
}

#[test]
fn a_missing_object_fails() {
    let objects = crate::MemoryObjects::new();
    let reader = super::reader(objects, super::dataset(), &of("JSON")).unwrap();
    let error = super::block_on(super::rest(reader)).unwrap_err();
    assert_eq!(
        (error.name(), error.cause().as_str()),
        ("States.ItemReaderFailed", "The specified key does not exist.")
    );
}
