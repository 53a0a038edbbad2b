//! One child of a Map Run: started once, watched to its end, stopped with the Map Run.

use std::sync::Arc;
use std::time::Duration;

use cell::{Cell, Reply};
use sha2::{Digest, Sha256};
use store::Store;

use super::driver::{Driver, Signals, retried};
use super::record::ItemRecord;
use super::{ChildRecord, Input, Run};
use crate::execution::{self, ChildEnd, ChildName, Start};
use crate::keys;
use crate::record::{EndRecord, HeadRecord, Record};

/// Before a child that could not be started is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The name of a child: always the same for the same Map Run and index.
pub(crate) fn name(map_run_arn: &str, index: u64) -> String {
    uuid(map_run_arn, index, b"name")
}

fn uuid(map_run_arn: &str, index: u64, purpose: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(map_run_arn.as_bytes());
    hash.update(index.to_be_bytes());
    hash.update(purpose);
    let mut hex: String = hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect();
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The last part of an Express child's ARN.
pub(super) fn express_id(map_run_arn: &str, index: u64) -> String {
    uuid(map_run_arn, index, b"express")
}

/// Starts the child, waits for its end, and tells the Map Run of it.
pub(super) async fn run(
    driver: &Arc<Driver>,
    run: Arc<Run>,
    index: u64,
    items: u32,
    input: Option<Arc<str>>,
    mut signals: Signals,
) {
    let record = &run.record;
    let name = ChildName {
        run: run.id,
        index,
        scope: record.scope(),
        machine: record.machine.clone(),
        name: name(&record.arn, index),
        express: record.express,
    };
    let cell = match record.express {
        true => cell::shard_of(express_id(&record.arn, index).as_bytes(), execution::CELLS),
        false => execution::cell_of(&name.scope, &name.machine, &name.name),
    };
    let Some(cell) = driver.dispatcher.cells.wait().await.at(cell) else { return };
    let started = tokio::select! {
        biased;
        () = signals.stopped() => None,
        end = start(driver, &run, cell, &name, items, input) => match end {
            Some(end) => Some(end),
            None => return, // The server stops.
        },
    };
    let end = match started {
        Some(end) => end,
        // It is behind the start in the cell's queue, if that has come so far.
        None => match stop(driver, cell, &name).await {
            Some(end) => end,
            None => return,
        },
    };
    let id = run.id;
    driver.deliver(id, |reply| Input::ChildEnded { id, index, end: Box::new(end.clone()), reply }).await;
}

/// Resolves when the child has ended; `None` if the server stops.
async fn start(
    driver: &Driver,
    run: &Run,
    cell: &Cell<execution::Input>,
    name: &ChildName,
    items: u32,
    mut input: Option<Arc<str>>,
) -> Option<ChildEnd> {
    loop {
        let text = match input.take() {
            Some(text) => text.to_string(),
            None => match stored_input(driver.dispatcher.store(), run, name.index) {
                Ok(Some(text)) => text,
                Ok(None) => return None, // Ended already: the Map Run knows.
                Err(_) => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            },
        };
        let start = child(driver, run, name, items, text);
        let (reply, answer) = Reply::channel();
        cell.send_waiting(execution::Input::StartChild { start: Box::new(start), reply }).await.ok()?;
        match answer.await {
            Ok(Ok(Ok(end))) => return Some(end),
            _ if cell.is_stopped() => return None,
            // There is no room for it yet, or its cell lost what it had in memory.
            _ => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

fn stored_input(store: &dyn Store, run: &Run, index: u64) -> Result<Option<String>, store::Error> {
    let value = store.get(keys::map_run_items(run.id).u64(index).as_bytes())?;
    value.map(|value| Ok(ItemRecord::decode(&value)?.input)).transpose()
}

fn child(driver: &Driver, run: &Run, name: &ChildName, items: u32, input: String) -> Start {
    let record = &run.record;
    let head = HeadRecord {
        account: record.account.clone(),
        region: record.region.clone(),
        machine: record.machine.clone(),
        name: name.name.clone(),
        express_id: record.express.then(|| express_id(&record.arn, name.index)),
        start_ms: driver.clock.now().as_millis(),
        input,
        revision: record.revision.clone(),
        version: None,
        alias: None,
        map_run_arn: Some(record.arn.clone()),
        trace_header: None,
        test_case: record.test_case.clone(),
    };
    let child = ChildRecord {
        run_cell: run.id.execution.cell,
        run_number: run.id.execution.number,
        run_task: run.id.task,
        index: name.index,
        items,
        state_name: record.state_name.clone(),
    };
    Start { head, definition: run.processor.clone(), effect: None, durable: false, child: Some(child) }
}

/// Stops the child and resolves when it has ended; `None` if the server stops.
async fn stop(driver: &Driver, cell: &Cell<execution::Input>, name: &ChildName) -> Option<ChildEnd> {
    let stopped = retried(cell, |reply| execution::Input::StopChild { child: Box::new(name.clone()), reply }).await?;
    let never_started = || {
        let stop_ms = driver.clock.now().as_millis();
        let end = EndRecord { status: EndRecord::ABORTED, stop_ms, output: None, error: None, cause: None };
        ChildEnd { start_ms: stop_ms, input: None, end }
    };
    Some(stopped.unwrap_or_else(never_started))
}
