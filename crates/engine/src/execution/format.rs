//! Brings executions that an earlier release stored into the present layout.
//!
//! | format | since |
//! |---|---|
//! | 1 | the first release; nothing says so |
//! | 2 | executions are listed by status, definitions know how many executions need them |
//!
//! An upgrade goes in steps, each one batch that also says how far it came, so that a crash does no harm.

use std::collections::BTreeMap;

use store::{Batch, Error, Key, KeyReader, Range, Store};
use tracing::info;

use super::CELLS;
use super::index::{self, RUNNING};
use super::{query, uses};
use crate::keys::{self, ExecutionId};
use crate::record::{HeadRecord, Record};

const VERSION: u8 = 1;
const FORMAT: u8 = 2;
/// Executions in one step: their heads, with their inputs, are read one by one.
const STEP: usize = 256;

/// To be called before any cell of executions runs.
pub(crate) async fn upgrade(store: &dyn Store) -> Result<(), Error> {
    let key = keys::execution_format().build();
    let (format, mut done) = match store.get(&key)?.as_deref() {
        None => (1, Vec::new()),
        Some([VERSION, format, done @ ..]) => (*format, done.to_vec()),
        Some(_) => return Err(Error::Corrupt("execution format record".to_owned())),
    };
    if format > FORMAT {
        let message =
            format!("executions have format {format}, this release reads up to {FORMAT}: use a newer release");
        return Err(Error::Corrupt(message));
    }
    if format == FORMAT {
        return Ok(());
    }
    let mut executions = 0;
    loop {
        let (mut batch, last, count) = step(store, &done)?;
        executions += count;
        let record = match &last {
            Some(last) => [&[VERSION, format], &last[..]].concat(),
            None => vec![VERSION, FORMAT],
        };
        batch.put(key.clone(), record);
        store.commit(batch).await?;
        match last {
            Some(last) => done = last,
            None => break,
        }
    }
    if executions > 0 {
        info!(executions, "executions brought into the present layout");
    }
    Ok(())
}

/// The next executions behind the entry `done`: first those that are listed, then Express ones that wait to run again.
fn step(store: &dyn Store, done: &[u8]) -> Result<(Batch, Option<Vec<u8>>, usize), Error> {
    let mut batch = Batch::new();
    let mut used = BTreeMap::<(u8, u64), u64>::new();
    let (lists, runs) = (Key::new("execution-list").build(), Key::new("execution-run").build());
    let space = if done.starts_with(&runs) { &runs } else { &lists };
    let mut range = Range::prefix(space).limit(if space == &lists { STEP } else { 1 });
    if !done.is_empty() {
        range = range.after(done);
    }
    let entries = store.scan(&range)?;
    for (key, value) in &entries {
        let found = if space == &lists { listed(store, key, &mut batch)? } else { waiting(store, key, value)? };
        if let Some((id, definition)) = found {
            *used.entry((id.cell, definition)).or_default() += 1;
        }
    }
    for ((cell, definition), more) in used {
        let key = keys::uses(cell, definition);
        let count = store.get(key.as_bytes())?.map(|record| uses::read(&record)).transpose()?.unwrap_or(0);
        batch.put(key, uses::write(count + more));
    }
    let last = match entries.last() {
        Some((last, _)) => Some(last.to_vec()),
        None if space == &lists => Some(runs),
        None => None,
    };
    Ok((batch, last, entries.len()))
}

/// Writes what a list of format 1, which was a machine's, did not say of one of its executions.
fn listed(store: &dyn Store, key: &[u8], batch: &mut Batch) -> Result<Option<(ExecutionId, u64)>, Error> {
    let mut parts = KeyReader::new(key);
    for _ in ["execution-list", "account", "region", "machine"] {
        parts.bytes()?;
    }
    let id = index::read_entry(parts.rest())?;
    let Some(execution) = query::read(store, id)? else { return Ok(None) };
    let head = &execution.head;
    let (status, time_ms) = execution.end.as_ref().map_or((RUNNING, head.start_ms), |e| (e.status, e.stop_ms));
    for list in index::lists(head) {
        batch.put(keys::status(&head.scope(), &list, status, time_ms, id), Vec::new());
    }
    Ok(Some((id, head.revision.definition_id)))
}

/// An Express execution that is to run again: its record is its head, where a Standard one has a head beside it.
fn waiting(store: &dyn Store, key: &[u8], value: &[u8]) -> Result<Option<(ExecutionId, u64)>, Error> {
    let mut parts = KeyReader::new(key);
    parts.bytes()?;
    let id = ExecutionId { cell: parts.u8()?, number: parts.u64()? };
    if usize::from(id.cell) >= CELLS || !parts.rest().is_empty() || store.get(keys::head(id).as_bytes())?.is_some() {
        return Ok(None);
    }
    Ok(Some((id, HeadRecord::decode(value)?.revision.definition_id)))
}
