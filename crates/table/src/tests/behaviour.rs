//! What takes more than one call and its answer to show.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use store::Store;

use super::{World, item, key};

const LIMIT: usize = 400 * 1024;

fn put(table: &str, item: Value) -> Value {
    json!({"TableName": table, "Item": item})
}

fn get(table: &str, key: Value) -> Value {
    json!({"TableName": table, "Key": key})
}

fn add(table: &str, pk: &str, n: i64) -> Value {
    json!({
        "TableName": table, "Key": key(pk, "s"), "UpdateExpression": "ADD n :n",
        "ExpressionAttributeValues": {":n": {"N": n.to_string()}}, "ReturnValues": "UPDATED_NEW",
    })
}

fn by_n() -> Value {
    json!({
        "TableName": "tbl",
        "AttributeDefinitions": [{"AttributeName": "n", "AttributeType": "N"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "by-n",
            "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }}],
    })
}

/// Lets the cells work until `done` says so.
async fn until(world: &World, operation: &str, input: Value, done: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..100_000 {
        let answer = world.ok(operation, input.clone()).await;
        if done(&answer) {
            return answer;
        }
        tokio::task::yield_now().await;
    }
    panic!("{operation} {input} did not come to what was waited for");
}

#[tokio::test]
async fn items_are_bounded() {
    let world = World::new().await;
    world.table("tbl").await;
    // The names and keys take 3 + 3 + 1 bytes.
    let sized = |bytes: usize| json!({"pk": {"S": "p"}, "sk": {"S": "s"}, "x": {"S": "x".repeat(bytes - 7)}});
    world.ok("PutItem", put("tbl", sized(LIMIT))).await;
    let error = world.error("PutItem", put("tbl", sized(LIMIT + 1))).await;
    assert_eq!(error, "ValidationException: Item size has exceeded the maximum allowed size");
    let error = world.error("UpdateItem", add("tbl", "p", 1).as_object().map(grow).unwrap()).await;
    assert_eq!(error, "ValidationException: Item size to update has exceeded the maximum allowed size");
}

fn grow(update: &serde_json::Map<String, Value>) -> Value {
    let mut update = update.clone();
    update["UpdateExpression"] = "SET y = :n".into();
    Value::Object(update)
}

#[tokio::test]
async fn a_page_ends_after_a_megabyte() {
    let world = World::new().await;
    world.table("tbl").await;
    for n in 0..15 {
        let item = json!({"pk": {"S": "p"}, "sk": {"S": format!("{n:02}")}, "x": {"S": "x".repeat(100 * 1024)}});
        world.ok("PutItem", put("tbl", item)).await;
    }
    let mut seen = Vec::new();
    let mut query = json!({
        "TableName": "tbl", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "p"}},
        "ReturnConsumedCapacity": "TOTAL", "ConsistentRead": true,
    });
    let mut pages = Vec::new();
    loop {
        let page = world.ok("Query", query.clone()).await;
        pages.push((page["Count"].as_u64().unwrap(), page["ConsumedCapacity"]["CapacityUnits"].as_f64().unwrap()));
        seen.extend(page["Items"].as_array().unwrap().iter().map(|i| i["sk"]["S"].as_str().unwrap().to_owned()));
        match page.get("LastEvaluatedKey") {
            Some(last) => query["ExclusiveStartKey"] = last.clone(),
            None => break,
        }
    }
    assert_eq!(pages, [(11, 276.0), (4, 101.0)]);
    assert_eq!(seen, (0..15).map(|n| format!("{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn segments_share_a_table_out() {
    let world = World::new().await;
    world.table("tbl").await;
    for n in 0..40 {
        world.ok("PutItem", put("tbl", item(&format!("p{n}"), "s", n))).await;
    }
    let mut all = BTreeSet::new();
    for segment in 0..7 {
        let mut scan = json!({"TableName": "tbl", "Segment": segment, "TotalSegments": 7, "Limit": 3});
        loop {
            let page = world.ok("Scan", scan.clone()).await;
            for item in page["Items"].as_array().unwrap() {
                assert!(all.insert(item["pk"]["S"].as_str().unwrap().to_owned()), "{item} twice");
            }
            match page.get("LastEvaluatedKey") {
                Some(last) => scan["ExclusiveStartKey"] = last.clone(),
                None => break,
            }
        }
    }
    assert_eq!(all.len(), 40);
}

#[tokio::test]
async fn effects_are_done_once_and_answered_alike() {
    let world = World::new().await;
    world.table("tbl").await;
    world.table("other").await;
    for _ in 0..2 {
        let answer = world.call_effect(b"e1", "UpdateItem", add("tbl", "p", 5)).await;
        assert_eq!(answer, Ok(json!({"Attributes": {"n": {"N": "5"}}})));
    }
    world.ok("UpdateItem", add("tbl", "p", 1)).await;
    let answer = world.call_effect(b"e1", "UpdateItem", add("tbl", "p", 5)).await;
    assert_eq!(answer, Ok(json!({"Attributes": {"n": {"N": "5"}}})));
    let mut conditional = put("tbl", item("q", "s", 1));
    conditional["ConditionExpression"] = "attribute_exists(pk)".into();
    let refused = world.call_effect(b"e2", "PutItem", conditional.clone()).await;
    world.ok("PutItem", put("tbl", item("q", "s", 2))).await;
    assert_eq!(world.call_effect(b"e2", "PutItem", conditional).await, refused);
    assert_eq!(refused.unwrap_err().code, "ConditionalCheckFailedException");

    let update = |t: &str| json!({"Update": without_return(add(t, "tx", 3))});
    for (effect, items) in [(&b"e3"[..], json!([update("tbl")])), (b"e4", json!([update("tbl"), update("other")]))] {
        let input = json!({"TransactItems": items, "ReturnConsumedCapacity": "TOTAL"});
        let first = world.call_effect(effect, "TransactWriteItems", input.clone()).await.unwrap();
        assert_eq!(world.call_effect(effect, "TransactWriteItems", input).await.unwrap(), first);
        assert!(first["ConsumedCapacity"].is_array());
    }
    let put_both = json!({
        "RequestItems": {
            "tbl": [{"PutRequest": {"Item": item("b", "s", 1)}}], "other": [{"PutRequest": {"Item": item("b", "s", 1)}}],
        },
        "ReturnConsumedCapacity": "TOTAL",
    });
    let first = world.call_effect(b"e5", "BatchWriteItem", put_both.clone()).await.unwrap();
    world.ok("DeleteItem", get("other", key("b", "s"))).await;
    assert_eq!(world.call_effect(b"e5", "BatchWriteItem", put_both).await.unwrap(), first);
    let read = |table: &'static str, pk: &'static str| world.ok("GetItem", get(table, key(pk, "s")));
    assert_eq!(read("tbl", "tx").await["Item"]["n"]["N"], "6");
    assert_eq!(read("other", "tx").await["Item"]["n"]["N"], "3");
    assert_eq!(read("other", "b").await, json!({}));
}

fn without_return(mut update: Value) -> Value {
    update.as_object_mut().unwrap().remove("ReturnValues");
    update
}

#[tokio::test]
async fn a_table_created_by_an_effect_is_created_once() {
    let world = World::new().await;
    let input = json!({
        "TableName": "made", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
    });
    let first = world.call_effect(b"c", "CreateTable", input.clone()).await.unwrap();
    assert_eq!(world.call_effect(b"c", "CreateTable", input).await.unwrap(), first);
}

#[tokio::test]
async fn expired_items_go() {
    let world = World::new().await;
    world.table("tbl").await;
    let now = 1_700_000_000;
    let expiring = |pk: &str, at: i64| json!({"pk": {"S": pk}, "sk": {"S": "s"}, "at": {"N": at.to_string()}});
    // Five before the time to live is there (more than one piece of the fill), some after.
    for n in 0..5 {
        world.ok("PutItem", put("tbl", expiring(&format!("old{n}"), now + n))).await;
    }
    world.ok("PutItem", put("tbl", item("never", "s", 1))).await;
    let spec = json!({"Enabled": true, "AttributeName": "at"});
    world.ok("UpdateTimeToLive", json!({"TableName": "tbl", "TimeToLiveSpecification": spec})).await;
    world.ok("PutItem", put("tbl", expiring("ancient", 5))).await;
    world.ok("PutItem", put("tbl", expiring("later", now + 1000))).await;
    world.ok("PutItem", put("tbl", expiring("moved", now + 2))).await;
    world.ok("PutItem", put("tbl", expiring("moved", now + 1000))).await;
    world.ok("PutItem", put("tbl", json!({"pk": {"S": "text"}, "sk": {"S": "s"}, "at": {"S": "1"}}))).await;
    world.clock.advance(Duration::from_secs(100));
    let mut left = Vec::new();
    for _ in 0..1000 {
        // Any input lets the cell look at the clock.
        world.ok("PutItem", put("tbl", item("never", "s", 1))).await;
        let page = world.ok("Scan", json!({"TableName": "tbl"})).await;
        left = page["Items"].as_array().unwrap().iter().map(|i| i["pk"]["S"].as_str().unwrap().to_owned()).collect();
        if left.len() == 5 {
            break;
        }
        world.clock.advance(Duration::from_secs(10));
        assert!(left.len() > 5, "{left:?}");
    }
    left.sort();
    assert_eq!(left, ["ancient", "later", "moved", "never", "text"]);
    let table = world.ok("DescribeTable", json!({"TableName": "tbl"})).await;
    assert_eq!(table["Table"]["ItemCount"], 5);
}

#[tokio::test]
async fn a_new_index_is_filled_while_writes_go_on() {
    let world = World::new().await;
    world.table("tbl").await;
    for n in 0..20 {
        world.ok("PutItem", put("tbl", item(&format!("p{n}"), "s", n % 3))).await;
    }
    let answer = world.ok("UpdateTable", by_n()).await;
    assert_eq!(answer["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexStatus"], "CREATING");
    let query = json!({
        "TableName": "tbl", "IndexName": "by-n", "KeyConditionExpression": "n = :n",
        "ExpressionAttributeValues": {":n": {"N": "0"}}, "Select": "COUNT",
    });
    for n in 0..20 {
        world.ok("UpdateItem", add("tbl", &format!("p{n}"), 3)).await;
        world.ok("UpdateItem", add("tbl", &format!("p{n}"), -3)).await;
    }
    world.ok("DeleteItem", get("tbl", key("p0", "s"))).await;
    let describe = json!({"TableName": "tbl"});
    let active = |t: &Value| t["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE";
    let table = until(&world, "DescribeTable", describe, active).await;
    assert_eq!(table["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"], 19);
    assert_eq!(world.ok("Query", query).await["Count"], 6);
    assert_eq!(table["Table"]["AttributeDefinitions"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_dropped_table_held_is_removed() {
    let world = World::new().await;
    world.table("tbl").await;
    world.ok("UpdateTable", by_n()).await;
    let spec = json!({"Enabled": true, "AttributeName": "n"});
    world.ok("UpdateTimeToLive", json!({"TableName": "tbl", "TimeToLiveSpecification": spec})).await;
    for n in 0..20 {
        world.ok("PutItem", put("tbl", item(&format!("p{n}"), "s", 2_000_000_000 + n))).await;
    }
    let drop_index = json!({"TableName": "tbl", "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-n"}}]});
    let describe = json!({"TableName": "tbl"});
    until(&world, "DescribeTable", describe.clone(), |t| t["Table"]["TableStatus"] == "ACTIVE").await;
    let table = world.ok("UpdateTable", drop_index).await;
    assert_eq!(table["TableDescription"]["AttributeDefinitions"].as_array().unwrap().len(), 2);
    world.ok("DeleteTable", describe).await;
    world.table("tbl").await;
    let keys = |world: &World| {
        let all = world.store.scan(&store::Range::between([], [0xff; 9])).unwrap();
        all.iter().filter(|(k, _)| k.starts_with(b"dynamodb") && b"ixscp".contains(&k[10])).count()
    };
    for _ in 0..100_000 {
        if keys(&world) == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(keys(&world), 0);
    assert_eq!(world.ok("Scan", json!({"TableName": "tbl"})).await["Count"], 0);
}

#[tokio::test]
async fn all_is_there_after_a_restart() {
    let world = World::new().await;
    world.table("tbl").await;
    world.ok("PutItem", put("tbl", item("p", "s", 7))).await;
    let input = json!({
        "TransactItems": [{"Update": without_return(add("tbl", "tx", 1))}], "ClientRequestToken": "token",
    });
    world.ok("TransactWriteItems", input.clone()).await;
    let (store, clock) = (world.store.clone(), world.clock.clone());
    drop(world);
    let world = World::on(store, clock).await;
    assert_eq!(world.ok("GetItem", get("tbl", key("p", "s"))).await["Item"], item("p", "s", 7));
    world.ok("TransactWriteItems", input.clone()).await;
    assert_eq!(world.ok("GetItem", get("tbl", key("tx", "s"))).await["Item"]["n"]["N"], "1");
    world.ok("PutItem", put("tbl", item("q", "s", 8))).await;
    let table = world.ok("DescribeTable", json!({"TableName": "tbl"})).await;
    assert_eq!((&table["Table"]["ItemCount"], &table["Table"]["TableSizeBytes"]), (&json!(3), &json!(9 + 10 + 9)));
    world.clock.advance(Duration::from_secs(601));
    world.ok("TransactWriteItems", input).await;
    assert_eq!(world.ok("GetItem", get("tbl", key("tx", "s"))).await["Item"]["n"]["N"], "2");
}

#[tokio::test]
async fn counters_lose_nothing_under_concurrency() {
    let world = Arc::new(World::new().await);
    world.table("tbl").await;
    let jobs: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.ok("UpdateItem", add("tbl", "p", 1)).await })
        })
        .collect();
    for job in jobs {
        job.await.unwrap();
    }
    assert_eq!(world.ok("GetItem", get("tbl", key("p", "s"))).await["Item"]["n"]["N"], "50");
}

/// Transfers between tables of different cells, with writes that meet their locks and readers that must never see half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_over_cells_are_whole() {
    let world = Arc::new(World::new().await);
    let tables = ["tab0", "tab1", "tab2", "tab3", "tab4"];
    for table in tables {
        world.table(table).await;
        world.ok("PutItem", put(table, item("p", "s", 100))).await;
    }
    let mut jobs = Vec::new();
    for job in 0..8usize {
        let world = world.clone();
        jobs.push(tokio::spawn(async move {
            for round in 0..20 {
                let (from, to) = (tables[(job + round) % 5], tables[(job + round * 2 + 1) % 5]);
                if from == to {
                    continue;
                }
                let take = json!({"Update": without_return(add(from, "p", -1))});
                let give = json!({"Update": without_return(add(to, "p", 1))});
                let transfer = json!({"TransactItems": [take, give]});
                while let Err(fault) = world.call("TransactWriteItems", transfer.clone()).await {
                    assert_eq!(fault.code, "TransactionCanceledException", "{fault}");
                    assert!(fault.message.contains("TransactionConflict"), "{fault}");
                }
                // Beside the transfers: meets locks, and waits for them.
                world.ok("UpdateItem", add(from, "p", 0)).await;
            }
        }));
    }
    let reader = world.clone();
    let reading = tokio::spawn(async move {
        let gets: Vec<_> = tables.iter().map(|t| json!({"Get": get(t, key("p", "s"))})).collect();
        let mut read = 0;
        for _ in 0..50 {
            if let Ok(answer) = reader.call("TransactGetItems", json!({"TransactItems": gets})).await {
                let balance = |r: &Value| r["Item"]["n"]["N"].as_str().unwrap().parse::<i64>().unwrap();
                assert_eq!(answer["Responses"].as_array().unwrap().iter().map(balance).sum::<i64>(), 500);
                read += 1;
            }
            tokio::task::yield_now().await;
        }
        read
    });
    for job in jobs {
        job.await.unwrap();
    }
    reading.await.unwrap();
    let gets: Vec<_> = tables.iter().map(|t| json!({"Get": get(t, key("p", "s"))})).collect();
    // Nothing is locked any more.
    let answer = world.ok("TransactGetItems", json!({"TransactItems": gets})).await;
    let balance = |r: &Value| r["Item"]["n"]["N"].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(answer["Responses"].as_array().unwrap().iter().map(balance).sum::<i64>(), 500);
}

#[tokio::test]
async fn accounts_and_regions_have_tables_of_their_own() {
    let world = World::new().await;
    world.table("tbl").await;
    let call = service::Call::internal(base::Scope::new("111111111111", "eu-west-1"), "r", "tester");
    let listed = world.registry.call_value("dynamodb", "ListTables", call.clone(), json!({})).await.unwrap();
    assert_eq!(listed, json!({"TableNames": []}));
    // By its ARN a table of another account is reached, as with a resource policy that allows it.
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/tbl";
    let found = world.registry.call_value("dynamodb", "DescribeTable", call, json!({"TableName": arn})).await.unwrap();
    assert_eq!(found["Table"]["TableArn"], arn);
}
