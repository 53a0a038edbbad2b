//! Objects and what AWS made of them, as recorded.

use serde_json::json;

use super::{dataset, object, of, read, reader};
use crate::{Dataset, Listed, Listing, object_item};

#[test]
fn csv_columns_come_in_the_order_of_a_java_map() {
    let first_row = json!({ "InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW" });
    let rows = "Value4,Value5,Value6\n,,,\ntrue,1,'HelloWorld'\nNull,None,\n   \n";
    assert_eq!(
        read(format!("Col1,Col2,Col3\nValue1,Value2,Value3\n{rows}"), &first_row).unwrap(),
        [
            r#"{"Col1":"Value1","Col2":"Value2","Col3":"Value3"}"#,
            r#"{"Col1":"Value4","Col2":"Value5","Col3":"Value6"}"#,
            r#"{"Col1":"","Col2":"","Col3":""}"#,
            r#"{"Col1":"true","Col2":"1","Col3":"'HelloWorld'"}"#,
            r#"{"Col1":"Null","Col2":"None","Col3":""}"#,
            r#"{"Col1":"   ","Col2":"","Col3":""}"#,
        ]
    );
    assert_eq!(
        read(format!("0,True,{{}}\n{rows}"), &first_row).unwrap(),
        [
            r#"{"0":"Value4","{}":"Value6","True":"Value5"}"#,
            r#"{"0":"","{}":"","True":""}"#,
            r#"{"0":"true","{}":"'HelloWorld'","True":"1"}"#,
            r#"{"0":"Null","{}":"","True":"None"}"#,
            r#"{"0":"   ","{}":"","True":""}"#,
        ]
    );
    assert_eq!(
        read(format!("H1,\n{rows}"), &first_row).unwrap(),
        [
            r#"{"":"Value5","H1":"Value4"}"#,
            r#"{"":"","H1":""}"#,
            r#"{"":"1","H1":"true"}"#,
            r#"{"":"None","H1":"Null"}"#,
            r#"{"":"","H1":"   "}"#,
        ]
    );
    let given = json!({ "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["H1"] });
    assert_eq!(
        read(format!("Value1,Value2,Value3\n{rows}"), &given).unwrap(),
        [
            r#"{"H1":"Value1"}"#,
            r#"{"H1":"Value4"}"#,
            r#"{"H1":""}"#,
            r#"{"H1":"true"}"#,
            r#"{"H1":"Null"}"#,
            r#"{"H1":"   "}"#,
        ]
    );
}

#[test]
fn csv_with_another_delimiter() {
    let config = json!({ "InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "CSVDelimiter": "PIPE", "MaxItems": 4 });
    let text = "id|text|blank\n1|\"one|pipe\"|\n2|\"two \"\"quoted\"\"\"|x\n3|\"three\nnewline\"|y\n4|four\n5|five|z\n";
    assert_eq!(
        read(text, &config).unwrap(),
        [
            r#"{"blank":"","id":"1","text":"one|pipe"}"#,
            r#"{"blank":"x","id":"2","text":"two \"quoted\""}"#,
            r#"{"blank":"y","id":"3","text":"three\nnewline"}"#,
            r#"{"blank":"","id":"4","text":"four"}"#,
        ]
    );
}

#[test]
fn max_items_ends_the_data_set() {
    let text = "Col1,Col2\nValue1,Value2\nValue3,Value4\nValue5,Value6\nValue7,Value8\n";
    let config = json!({ "InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItems": 2 });
    assert_eq!(
        read(text, &config).unwrap(),
        [r#"{"Col1":"Value1","Col2":"Value2"}"#, r#"{"Col1":"Value3","Col2":"Value4"}"#]
    );
    let text = r#"[{"verdict": "true", "statement_date": "6/11/2008", "statement_source": "speech"}, {"verdict": "false"}, {}]"#;
    assert_eq!(
        read(text, &json!({ "InputType": "JSON", "MaxItems": 2 })).unwrap(),
        [r#"{"verdict":"true","statement_date":"6/11/2008","statement_source":"speech"}"#, r#"{"verdict":"false"}"#]
    );
}

#[test]
fn an_object_is_no_data_set_without_a_pointer() {
    let error = read(r#"{"Hello": "world"}"#, &of("JSON")).unwrap_err();
    assert_eq!(error.name(), "States.ItemReaderFailed");
    assert_eq!(error.cause(), "Attempting to map over non-iterable node.");
}

#[test]
fn nested_array() {
    assert_eq!(read(r#"[["from-bucket-item-0"]]"#, &of("JSON")).unwrap(), [r#"["from-bucket-item-0"]"#]);
    let config = json!({ "InputType": "JSON", "ItemsPointer": "/data/items", "MaxItems": 4 });
    let text =
        r#"{"other": [1], "data": {"n": {"items": 0}, "items": [{"n": 0, "text": "zero"}, {"n": 1}]}, "x": tail"#;
    assert_eq!(read(text, &config).unwrap(), [r#"{"n":0,"text":"zero"}"#, r#"{"n":1}"#]);
}

#[test]
fn metadata_of_listed_objects() {
    let listed = Listed {
        key: "flat/data.jsonl".to_owned(),
        etag: "\"ccc798cbcfe6205d17e0d1bc74bbca91\"".to_owned(),
        size: 27,
        modified: base::Timestamp::from_millis(1_790_204_286_000),
        storage_class: "STANDARD".to_owned(),
    };
    assert_eq!(
        object_item(&listed),
        r#"{"Etag":"\"ccc798cbcfe6205d17e0d1bc74bbca91\"","Key":"flat/data.jsonl","LastModified":1.790204286E9,"Size":27,"StorageClass":"STANDARD"}"#
    );
}

#[test]
fn the_source_of_an_item() {
    super::block_on(async {
        let mut file = reader(object("[1]"), dataset(), &of("JSON")).unwrap();
        assert_eq!(&*file.next().await.unwrap().unwrap().source, "s3://b/k");
        let listing = || Dataset::Listing(Listing { bucket: "b".to_owned(), ..Listing::default() });
        let mut list = reader(object("1\n2\n"), listing(), &json!({ "MaxItems": 1 })).unwrap();
        assert_eq!(&*list.next().await.unwrap().unwrap().source, "s3://b");
        assert_eq!(list.next().await.unwrap(), None);
        let config = json!({ "InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN" });
        let mut flat = reader(object("1\n2\n"), listing(), &config).unwrap();
        let item = flat.next().await.unwrap().unwrap();
        assert_eq!((item.index, item.json.as_str(), &*item.source), (0, "1", "s3://b/k"));
    });
}
