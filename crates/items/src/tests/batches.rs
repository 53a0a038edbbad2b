use serde_json::{Value, json};

use crate::{Batch, BatchConfig, Batcher, Error, INPUT_BYTES_PER_BATCH_MAX};

fn config(batcher: Value) -> Result<BatchConfig, Error> {
    BatchConfig::parse(batcher.as_object().unwrap(), INPUT_BYTES_PER_BATCH_MAX)
}

fn batches(batcher: Value, items: &[&str]) -> Vec<Batch> {
    let mut batcher = Batcher::new(config(batcher).unwrap());
    let mut batches: Vec<Batch> = items.iter().filter_map(|item| batcher.push(item).unwrap()).collect();
    batches.extend(batcher.take());
    assert_eq!(batcher.take(), None);
    batches
}

#[test]
fn by_number_of_items() {
    let made = batches(json!({ "MaxItemsPerBatch": 2, "BatchInput": { "tag": "t" } }), &["1", "{\"a\":2}", "3"]);
    let inputs: Vec<&str> = made.iter().map(|batch| batch.input.as_str()).collect();
    assert_eq!(
        inputs,
        [r#"{"BatchInput":{"tag":"t"},"Items":[1,{"a":2}]}"#, r#"{"BatchInput":{"tag":"t"},"Items":[3]}"#]
    );
    assert_eq!(batches(json!({ "MaxItemsPerBatch": 1 }), &["1", "2"])[1].input, r#"{"Items":[2]}"#);
    assert!(batches(json!({ "MaxItemsPerBatch": 1 }), &[]).is_empty());
}

#[test]
fn by_bytes() {
    // {"Items":["aa","bb"]} has 21 bytes.
    let items = ["\"aa\"", "\"bb\"", "\"cc\""];
    let counts = |bytes: u64| -> Vec<u64> {
        batches(json!({ "MaxInputBytesPerBatch": bytes }), &items).iter().map(|batch| batch.items).collect()
    };
    assert_eq!(counts(21), [2, 1]);
    assert_eq!(counts(20), [1, 1, 1]);
    assert_eq!(counts(26), [3]);
    let mut batcher = Batcher::new(config(json!({ "MaxInputBytesPerBatch": 15 })).unwrap());
    assert_eq!(batcher.push("\"aa\"").unwrap_err().name(), "States.DataLimitExceeded");
    let mut both = Batcher::new(config(json!({ "MaxInputBytesPerBatch": 20, "MaxItemsPerBatch": 1 })).unwrap());
    assert_eq!(both.push("1").unwrap().unwrap().items, 1);
}

#[test]
fn without_a_byte_limit_the_quota_holds() {
    let item = format!("\"{}\"", "x".repeat(100_000));
    let made = batches(json!({ "MaxItemsPerBatch": 10 }), &[&item, &item, &item]);
    assert_eq!(made.iter().map(|batch| batch.items).collect::<Vec<_>>(), [2, 1]);
    assert!(made.iter().all(|batch| batch.input.len() <= INPUT_BYTES_PER_BATCH_MAX));
}

#[test]
fn wrong_fields() {
    for batcher in [
        json!({}),
        json!({ "MaxItemsPerBatch": 0 }),
        json!({ "MaxItemsPerBatch": "1" }),
        json!({ "MaxInputBytesPerBatch": 262_145 }),
        json!({ "MaxInputBytesPerBatch": 1.5 }),
    ] {
        assert_eq!(config(batcher).unwrap_err().name(), "States.Runtime");
    }
    assert_eq!(config(json!({ "MaxItemsPerBatch": 2.0 })).unwrap().items_max, Some(2));
}
