//! Reads of executions, beside the cells: what is committed.

use base::Scope;
use cell::shard_of;
use store::{Error, KeyReader, Range, Store};

use super::CELLS;
use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HeadRecord, Record};

/// An execution as it is stored.
pub(crate) struct Execution {
    pub head: HeadRecord,
    pub end: Option<EndRecord>,
}

impl Execution {
    pub fn status(&self) -> &'static str {
        self.end.as_ref().map_or("RUNNING", EndRecord::status)
    }
}

/// The cell that owns the execution of that name.
pub(crate) fn cell_of(scope: &Scope, machine: &str, name: &str) -> usize {
    shard_of(keys::execution_name(scope, machine, name).as_bytes(), CELLS)
}

/// The id of a Standard execution by its name.
pub(crate) fn find(store: &dyn Store, scope: &Scope, machine: &str, name: &str) -> Result<Option<ExecutionId>, Error> {
    let Some(number) = store.get(keys::execution_name(scope, machine, name).as_bytes())? else { return Ok(None) };
    let number = KeyReader::new(&number).u64()?;
    let cell = u8::try_from(cell_of(scope, machine, name)).expect("few cells");
    Ok(Some(ExecutionId { cell, number }))
}

/// The execution with that id.
pub(crate) fn read(store: &dyn Store, id: ExecutionId) -> Result<Option<Execution>, Error> {
    // The end is read first: an execution that ends between the two reads then shows as running, never as unknown.
    let end = store.get(keys::end(id).as_bytes())?.map(|e| EndRecord::decode(&e)).transpose()?;
    let head = store.get(keys::head(id).as_bytes())?.map(|h| HeadRecord::decode(&h)).transpose()?;
    Ok(head.map(|head| Execution { head, end }))
}

/// Executions of a machine, the newest first, that `keep` takes; and where to go on.
pub(crate) fn list(
    store: &dyn Store,
    scope: &Scope,
    machine: &str,
    after: Option<&[u8]>,
    limit: usize,
    keep: impl Fn(&Execution) -> bool,
) -> Result<(Vec<Execution>, Option<Vec<u8>>), Error> {
    const ENTRIES_PER_READ: usize = 256;
    let prefix = keys::list_of_machine(scope, machine).build();
    let mut range = Range::prefix(&prefix).limit(ENTRIES_PER_READ);
    if let Some(after) = after.filter(|a| a.starts_with(&prefix)) {
        range = range.after(after);
    }
    let mut found = Vec::new();
    loop {
        let entries = store.scan(&range)?;
        for (key, _) in &entries {
            let mut parts = KeyReader::new(&key[prefix.len()..]);
            let (_, cell, number) = (parts.i64()?, parts.u8()?, parts.u64()?);
            let Some(execution) = read(store, ExecutionId { cell, number })?.filter(&keep) else { continue };
            found.push(execution);
            if found.len() == limit {
                return Ok((found, Some(key.to_vec())));
            }
        }
        match entries.last() {
            Some((last, _)) if entries.len() == ENTRIES_PER_READ => range = range.after(last),
            _ => return Ok((found, None)),
        }
    }
}
