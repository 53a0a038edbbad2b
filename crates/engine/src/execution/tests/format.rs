//! A store that the first release wrote: no lists by status, no counts of definitions, records of version 1.

use base::{ManualClock, Timestamp};
use interp::{Env, ExecutionInfo, Limits};
use store::{Batch, Key};

use super::*;
use crate::Options;
use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HeadRecord1, MachineRecord1, Record};
use crate::testing::world_at;

const START_MS: i64 = 1_700_000_000_000;
const DEFINITION: &str = r#"{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}"#;

fn old<T: serde::Serialize>(record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![1]).unwrap()
}

fn head(name: &str, express: bool, n: i64) -> HeadRecord1 {
    HeadRecord1 {
        account: "000000000000".into(),
        region: "us-east-1".into(),
        machine: if express { "x" } else { "m" }.into(),
        name: name.into(),
        express_id: express.then(|| "id".into()),
        definition_id: if express { 2 } else { 1 },
        revision_id: "revision".into(),
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        start_ms: START_MS + n,
        input: "{}".into(),
    }
}

fn machine(name: &str, express: bool, definition_id: u64) -> Vec<u8> {
    old(&MachineRecord1 {
        name: name.into(),
        express,
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        revision_id: "revision".into(),
        definition_id,
        created_ms: START_MS,
        updated_ms: START_MS,
        logging_json: None,
        tracing: false,
        tags: vec![],
    })
}

/// The position of an execution that waits.
fn waiting(name: &str) -> Vec<u8> {
    let start = Timestamp::from_millis(START_MS);
    let info = ExecutionInfo {
        id: format!("arn:aws:states:us-east-1:000000000000:execution:m:{name}").into(),
        name: name.into(),
        input: "{}".into(),
        role_arn: "r".into(),
        start_time: start,
        state_machine_id: "arn:aws:states:us-east-1:000000000000:stateMachine:m".into(),
        state_machine_name: "m".into(),
        state_machine_version_arn: None,
        state_machine_alias_arn: None,
        redrive_count: 0,
    };
    let mut execution = interp::Execution::new(info, Arc::new(asl::parse(DEFINITION).unwrap()));
    let limits = Limits::STANDARD;
    let (random, token) = (&mut || 0, &mut |_| String::new());
    let mut env = Env { now: start, random, token, admit: &mut |_| Ok(()), limits };
    execution.step(interp::Input::Start, &mut env);
    execution.snapshot()
}

async fn old_store() -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (scope, mut batch) = (Scope::default(), Batch::new());
    batch.put(keys::machine(&scope, "m"), machine("m", false, 1));
    batch.put(keys::machine(&scope, "x"), machine("x", true, 2));
    batch.put(keys::definition(1), DEFINITION.as_bytes().to_vec());
    batch.put(keys::definition(2), DEFINITION.as_bytes().to_vec());
    for n in 0..600 {
        let name = format!("e{n}");
        let cell = u8::try_from(super::super::cell_of(&scope, "m", &name)).unwrap();
        let id = ExecutionId { cell, number: n + 1 };
        let at = i64::try_from(n).unwrap();
        batch.put(keys::execution_name(&scope, "m", &name), id.number.to_be_bytes().to_vec());
        batch.put(
            Key::new("execution-list")
                .str("000000000000")
                .str("us-east-1")
                .str("m")
                .i64(!(START_MS + at))
                .u8(cell)
                .u64(id.number),
            Vec::new(),
        );
        batch.put(keys::head(id), old(&head(&name, false, at)));
        if n % 3 == 0 {
            batch.put(keys::run(id), waiting(&name));
        } else {
            let status = if n % 3 == 1 { EndRecord::FAILED } else { EndRecord::SUCCEEDED };
            let end = EndRecord { status, stop_ms: START_MS + 1000 - at, output: None, error: None, cause: None };
            batch.put(keys::end(id), end.encode());
        }
    }
    batch.put(keys::run(ExecutionId { cell: 0, number: 1000 }), old(&head("later", true, 0)));
    store.commit(batch).await.unwrap();
    store
}

fn counts(store: &Arc<dyn Store>, definition: u64) -> u64 {
    let cells = 0..u8::try_from(super::super::CELLS).unwrap();
    let count = |cell| {
        store.get(keys::uses(cell, definition).as_bytes()).unwrap().map_or(0, |r| super::super::uses::read(&r).unwrap())
    };
    cells.map(count).sum()
}

#[tokio::test]
async fn executions_of_the_first_release_are_brought_into_the_present_layout() {
    let store = old_store().await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START_MS + 2_000)));
    let w = world_at(store.clone(), Arc::default(), clock.clone(), Options::default()).await;
    let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
    let names = |status: &str| {
        let input = json!({"stateMachineArn": arn, "statusFilter": status, "maxResults": 1000});
        let w = &w;
        async move {
            let listed = w.call("ListExecutions", input).await.unwrap();
            let name = |e: &Value| e["name"].as_str().unwrap().to_owned();
            listed["executions"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
        }
    };
    // The last that began, or ended, comes first.
    let running = names("RUNNING").await;
    assert_eq!((running.len(), running[0].as_str(), running[199].as_str()), (200, "e597", "e0"));
    let failed = names("FAILED").await;
    assert_eq!((failed.len(), failed[0].as_str()), (200, "e1"));
    assert_eq!(names("SUCCEEDED").await.len(), 200);
    assert_eq!((counts(&store, 1), counts(&store, 2)), (600, 1));

    // What runs goes on; the counts follow.
    w.call("StopExecution", json!({"executionArn": "arn:aws:states:us-east-1:000000000000:execution:m:e0"}))
        .await
        .unwrap();
    assert_eq!((names("RUNNING").await.len(), names("ABORTED").await), (199, vec!["e0".to_owned()]));
    drop(w);

    // Once is enough.
    let w = world_at(store.clone(), Arc::default(), clock.clone(), Options::default()).await;
    assert_eq!((counts(&store, 1), counts(&store, 2)), (600, 1));
    drop(w);
    let mut batch = Batch::new();
    batch.put(keys::execution_format(), vec![1, 3]);
    store.commit(batch).await.unwrap();
    let error = super::super::upgrade(&*store).await.unwrap_err();
    assert!(error.to_string().contains("use a newer release"), "{error}");
}

#[tokio::test]
async fn an_upgrade_that_was_broken_off_goes_on() {
    let store = old_store().await;
    // The record of a step that reached the 100th entry, whose batch counted those before it.
    let lists = Key::new("execution-list").build();
    let entries = store.scan(&store::Range::prefix(&lists).limit(100)).unwrap();
    let mut batch = Batch::new();
    batch.put(keys::execution_format(), [&[1, 1], &entries[99].0[..]].concat());
    batch.put(keys::uses(0, 1), super::super::uses::write(100));
    store.commit(batch).await.unwrap();
    super::super::upgrade(&*store).await.unwrap();
    assert_eq!(counts(&store, 1), 600);
}
