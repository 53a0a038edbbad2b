use std::io::Write;

use serde_json::json;

use super::{block_on, of, reader, rest};
use crate::{Dataset, Error, Item, Listing, MemoryObjects, ObjectRef};

fn manifest() -> Dataset {
    Dataset::Object(ObjectRef { bucket: "b".to_owned(), key: "manifest.json".to_owned(), version_id: None })
}

fn read(objects: MemoryObjects, dataset: Dataset, config: &serde_json::Value) -> Result<Vec<Item>, Error> {
    block_on(rest(reader(objects, dataset, config)?))
}

fn inventory() -> MemoryObjects {
    let mut objects = MemoryObjects::new();
    let manifest = json!({
        "sourceBucket": "source", "destinationBucket": "arn:aws:s3:::reports", "version": "2016-11-30",
        "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size",
        "files": [{ "key": "data/1.csv.gz", "size": 1, "MD5checksum": "x" }, { "key": "data/2.csv", "size": 1 }],
    });
    objects.put("b", "manifest.json", manifest.to_string());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"\"source\",\"a%20b\",\"1\"\n\"source\",\"c\",\"2\"\n").unwrap();
    objects.put("reports", "data/1.csv.gz", gzip.finish().unwrap());
    objects.put("reports", "data/2.csv", "\"source\",\"d\",\"3\"\n");
    objects
}

#[test]
fn s3_inventory() {
    for config in [of("MANIFEST"), json!({ "ManifestType": "S3_INVENTORY" })] {
        let items = read(inventory(), manifest(), &config).unwrap();
        let values: Vec<serde_json::Value> =
            items.iter().map(|item| serde_json::from_str(&item.json).unwrap()).collect();
        assert_eq!(
            values,
            [
                json!({ "Bucket": "source", "Key": "a%20b", "Size": "1" }),
                json!({ "Bucket": "source", "Key": "c", "Size": "2" }),
                json!({ "Bucket": "source", "Key": "d", "Size": "3" }),
            ]
        );
        assert_eq!((items[2].index, &*items[2].source), (2, "s3://reports/data/2.csv"));
    }
    for text in ["", "{}", "[]", r#"{"fileFormat":"ORC","fileSchema":"a","files":[]}"#, r#"{"files":[]}"#] {
        let mut objects = MemoryObjects::new();
        objects.put("b", "manifest.json", text);
        let error = read(objects, manifest(), &of("MANIFEST")).unwrap_err();
        assert_eq!(error.name(), "States.ItemReaderFailed", "{text}");
    }
}

#[test]
fn athena_manifest() {
    let mut objects = MemoryObjects::new();
    objects.put("b", "manifest.json", "s3://d/one\n\"s3://d/two\"\r\n\ns3://d/three");
    objects.put("d", "one", "{\"n\":1}\n{\"n\":2}\n");
    objects.put("d", "two", "");
    objects.put("d", "three", "{\"n\":3}");
    let config = json!({ "ManifestType": "ATHENA_DATA", "InputType": "JSONL" });
    let items = read(objects, manifest(), &config).unwrap();
    let found: Vec<(&str, &str)> = items.iter().map(|item| (item.json.as_str(), &*item.source)).collect();
    assert_eq!(found, [("{\"n\":1}", "s3://d/one"), ("{\"n\":2}", "s3://d/one"), ("{\"n\":3}", "s3://d/three")]);
    let mut objects = MemoryObjects::new();
    objects.put("b", "manifest.json", "not a uri\n");
    assert!(read(objects, manifest(), &config).unwrap_err().cause().contains("not a uri"));
    let json = json!({ "ManifestType": "ATHENA_DATA", "InputType": "JSON" });
    assert!(reader(MemoryObjects::new(), manifest(), &json).is_err());
}

#[test]
fn prefixes() {
    let mut objects = MemoryObjects::new();
    for number in 0..2_500 {
        objects.put("b", &format!("p/{number:05}"), format!("h\n{number}\n"));
    }
    objects.put("b", "p/", "");
    objects.put("b", "q", "x");
    let listing = || Listing { bucket: "b".to_owned(), prefix: Some("p/".to_owned()), start_after: None };
    let config = json!({ "InputType": "CSV", "Transformation": "LOAD_AND_FLATTEN" });
    let items = read(objects, Dataset::Listing(listing()), &config).unwrap();
    assert_eq!(items.len(), 2_500, "each file has a header of its own, and a folder's marker has no items");
    assert_eq!((items[2_499].json.as_str(), &*items[2_499].source), (r#"{"h":"2499"}"#, "s3://b/p/02499"));

    let mut objects = MemoryObjects::new();
    for number in 0..1_001 {
        objects.put("b", &format!("p/{number:05}"), "");
    }
    let after = Listing { start_after: Some("p/00000".to_owned()), ..listing() };
    assert_eq!(read(objects, Dataset::Listing(after), &json!({})).unwrap().len(), 1_000);
    let flatten = json!({ "Transformation": "LOAD_AND_FLATTEN" });
    assert!(reader(MemoryObjects::new(), Dataset::Listing(listing()), &flatten).is_err());
}

#[test]
fn datasets() {
    let parse = |resource: &str, parameters| Dataset::parse(resource, &parameters);
    let object =
        parse("arn:aws:states:::s3:getObject", json!({ "Bucket": "b", "Key": "k", "ExpectedBucketOwner": "1" }));
    assert_eq!(object.unwrap(), super::dataset());
    let listing = parse("arn:aws:states:::s3:listObjectsV2", json!({ "Bucket": "b", "Prefix": "p/" })).unwrap();
    assert!(matches!(listing, Dataset::Listing(listing) if listing.prefix.as_deref() == Some("p/")));
    assert!(parse("arn:aws:states:::s3:getObject", json!({ "Bucket": "b" })).is_err());
    assert!(parse("arn:aws:states:::lambda:invoke", json!({ "Bucket": "b", "Key": "k" })).is_err());
}
