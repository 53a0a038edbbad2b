//! Random calls against a reference that does the same with a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::World;

#[derive(Clone, Debug)]
enum Step {
    Put { pk: u8, sk: i64, status: Option<u8>, n: i64, only_new: bool },
    Delete { pk: u8, sk: i64, if_n: Option<i64> },
    Add { pk: u8, sk: i64, n: i64 },
    SetStatus { pk: u8, sk: i64, status: u8 },
    RemoveStatus { pk: u8, sk: i64 },
    Swap { pk: u8, from: i64, to: i64 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (pk, sk) = (0u8..3, -2i64..4);
    prop_oneof![
        6 => (pk.clone(), sk.clone(), prop::option::of(0u8..2), 0i64..5, any::<bool>())
            .prop_map(|(pk, sk, status, n, only_new)| Step::Put { pk, sk, status, n, only_new }),
        3 => (pk.clone(), sk.clone(), prop::option::of(0i64..5)).prop_map(|(pk, sk, if_n)| Step::Delete { pk, sk, if_n }),
        3 => (pk.clone(), sk.clone(), -3i64..4).prop_map(|(pk, sk, n)| Step::Add { pk, sk, n }),
        3 => (pk.clone(), sk.clone(), 0u8..2).prop_map(|(pk, sk, status)| Step::SetStatus { pk, sk, status }),
        2 => (pk.clone(), sk.clone()).prop_map(|(pk, sk)| Step::RemoveStatus { pk, sk }),
        2 => (pk, sk.clone(), sk).prop_map(|(pk, from, to)| Step::Swap { pk, from, to }),
        1 => Just(Step::Restart),
    ]
}

/// What an item has beside its keys.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    status: Option<u8>,
    n: Option<i64>,
}

type Rows = BTreeMap<(u8, i64), Row>;

fn key(pk: u8, sk: i64) -> Value {
    json!({"pk": {"S": pk.to_string()}, "sk": {"N": sk.to_string()}})
}

fn item((pk, sk): (u8, i64), row: &Row) -> Value {
    // In the order of the names, as answers are.
    let mut item = json!({});
    if let Some(n) = row.n {
        item["n"] = json!({"N": n.to_string()});
    }
    item["pk"] = json!({"S": pk.to_string()});
    item["sk"] = json!({"N": sk.to_string()});
    if let Some(status) = row.status {
        item["status"] = json!({"S": format!("s{status}")});
    }
    item
}

async fn create(world: &World) {
    let attribute = |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
    let keys = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    let input = json!({
        "TableName": "model", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions":
            [attribute("pk", "S"), attribute("sk", "N"), attribute("status", "S"), attribute("n", "N")],
        "KeySchema": keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {"IndexName": "by-status", "KeySchema": keys("status", "sk"), "Projection": {"ProjectionType": "ALL"}},
        ],
        "LocalSecondaryIndexes": [
            {"IndexName": "by-n", "KeySchema": keys("pk", "n"), "Projection": {"ProjectionType": "KEYS_ONLY"}},
        ],
    });
    world.ok("CreateTable", input).await;
}

/// Does a step in both; whether both took it.
async fn apply(world: &World, rows: &mut Rows, step: &Step) {
    let update =
        |pk, sk, expression: &str| json!({"TableName": "model", "Key": key(pk, sk), "UpdateExpression": expression});
    let (operation, input, fits) = match *step {
        Step::Put { pk, sk, status, n, only_new } => {
            let row = Row { status, n: Some(n) };
            let mut input = json!({"TableName": "model", "Item": item((pk, sk), &row)});
            if only_new {
                input["ConditionExpression"] = "attribute_not_exists(pk)".into();
            }
            let fits = !(only_new && rows.contains_key(&(pk, sk)));
            if fits {
                rows.insert((pk, sk), row);
            }
            ("PutItem", input, fits)
        }
        Step::Delete { pk, sk, if_n } => {
            let mut input = json!({"TableName": "model", "Key": key(pk, sk)});
            if let Some(n) = if_n {
                input["ConditionExpression"] = "n = :n".into();
                input["ExpressionAttributeValues"] = json!({":n": {"N": n.to_string()}});
            }
            let fits = if_n.is_none_or(|n| rows.get(&(pk, sk)).is_some_and(|r| r.n == Some(n)));
            if fits {
                rows.remove(&(pk, sk));
            }
            ("DeleteItem", input, fits)
        }
        Step::Add { pk, sk, n } => {
            let row = rows.entry((pk, sk)).or_default();
            row.n = Some(row.n.unwrap_or(0) + n);
            let mut input = update(pk, sk, "ADD n :n");
            input["ExpressionAttributeValues"] = json!({":n": {"N": n.to_string()}});
            ("UpdateItem", input, true)
        }
        Step::SetStatus { pk, sk, status } => {
            rows.entry((pk, sk)).or_default().status = Some(status);
            let mut input = update(pk, sk, "SET #s = :s");
            input["ExpressionAttributeNames"] = json!({"#s": "status"});
            input["ExpressionAttributeValues"] = json!({":s": {"S": format!("s{status}")}});
            ("UpdateItem", input, true)
        }
        Step::RemoveStatus { pk, sk } => {
            if let Some(row) = rows.get_mut(&(pk, sk)) {
                row.status = None;
            }
            let mut input = update(pk, sk, "REMOVE #s");
            input["ExpressionAttributeNames"] = json!({"#s": "status"});
            ("UpdateItem", input, true)
        }
        Step::Swap { pk, from, to } => {
            let row = rows.get(&(pk, from)).cloned();
            let fits = from != to && row.is_some();
            if let Some(row) = row.clone().filter(|_| fits) {
                rows.remove(&(pk, from));
                rows.insert((pk, to), row);
            }
            let delete =
                json!({"TableName": "model", "Key": key(pk, from), "ConditionExpression": "attribute_exists(pk)"});
            let moved = json!({"TableName": "model", "Item": item((pk, to), &row.unwrap_or_default())});
            ("TransactWriteItems", json!({"TransactItems": [{"Delete": delete}, {"Put": moved}]}), fits)
        }
        Step::Restart => return,
    };
    let shown = input.to_string();
    let answer = world.call(operation, input).await;
    assert_eq!(answer.is_ok(), fits, "{operation} {shown}: {answer:?}");
}

/// All pages of a query or scan, in pages of two.
async fn all(world: &World, operation: &str, mut input: Value) -> Vec<Value> {
    input["Limit"] = 2.into();
    let mut items = Vec::new();
    loop {
        let page = world.ok(operation, input.clone()).await;
        items.extend(page["Items"].as_array().unwrap().iter().cloned());
        match page.get("LastEvaluatedKey") {
            Some(last) => input["ExclusiveStartKey"] = last.clone(),
            None => return items,
        }
    }
}

async fn compare(world: &World, rows: &Rows) {
    let of = |pk: u8| rows.iter().filter(move |((p, _), _)| *p == pk);
    for pk in 0..3u8 {
        let mut wanted: Vec<_> = of(pk).map(|(k, r)| item(*k, r)).collect();
        let query = json!({
            "TableName": "model", "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": pk.to_string()}},
        });
        assert_eq!(all(world, "Query", query.clone()).await, wanted);
        wanted.reverse();
        let mut backward = query.clone();
        backward["ScanIndexForward"] = false.into();
        assert_eq!(all(world, "Query", backward).await, wanted);

        let mut local = query;
        local["IndexName"] = "by-n".into();
        local["Select"] = "ALL_ATTRIBUTES".into();
        let found = all(world, "Query", local).await;
        let n = |i: &Value| i["n"]["N"].as_str().unwrap().parse::<i64>().unwrap();
        assert!(found.is_sorted_by_key(n), "{found:?}");
        let wanted: Vec<_> = of(pk).filter(|(_, r)| r.n.is_some()).map(|(k, r)| item(*k, r)).collect();
        assert_eq!(sorted(found), sorted(wanted));
    }
    for status in 0..2u8 {
        let query = json!({
            "TableName": "model", "IndexName": "by-status", "KeyConditionExpression": "#s = :s",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":s": {"S": format!("s{status}")}},
        });
        let found = all(world, "Query", query).await;
        let sk = |i: &Value| i["sk"]["N"].as_str().unwrap().parse::<i64>().unwrap();
        assert!(found.is_sorted_by_key(sk), "{found:?}");
        let wanted: Vec<_> = rows.iter().filter(|(_, r)| r.status == Some(status)).map(|(k, r)| item(*k, r)).collect();
        assert_eq!(sorted(found), sorted(wanted));
    }
    let scanned = all(world, "Scan", json!({"TableName": "model"})).await;
    assert_eq!(sorted(scanned), sorted(rows.iter().map(|(k, r)| item(*k, r)).collect()));
    let table = world.ok("DescribeTable", json!({"TableName": "model"})).await;
    let with = |has: fn(&Row) -> bool| rows.values().filter(|r| has(r)).count();
    assert_eq!(table["Table"]["ItemCount"], rows.len());
    assert_eq!(table["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"], with(|r| r.status.is_some()));
    assert_eq!(table["Table"]["LocalSecondaryIndexes"][0]["ItemCount"], with(|r| r.n.is_some()));
    assert_eq!(table["Table"]["TableSizeBytes"].as_u64() == Some(0), rows.is_empty());
}

fn sorted(mut items: Vec<Value>) -> Vec<String> {
    items.sort_by_key(ToString::to_string);
    items.iter().map(ToString::to_string).collect()
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    create(&world).await;
    let mut rows = Rows::new();
    for step in steps {
        if matches!(step, Step::Restart) {
            let (store, clock) = (world.store.clone(), world.clock.clone());
            world = World::on(store, clock).await;
        }
        apply(&world, &mut rows, &step).await;
    }
    compare(&world, &rows).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn tables_do_what_a_map_does(steps in prop::collection::vec(step(), 0..40)) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run(steps));
    }
}
