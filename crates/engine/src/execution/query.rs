//! Reads of executions, beside the cells: what is committed.

use base::Scope;
use cell::shard_of;
use store::{Error, KeyReader, Range, Store};

use super::{CELLS, index, redrive};
use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HeadRecord, Record, RedriveRecord};

/// An execution as it is stored.
pub(crate) struct Execution {
    pub id: ExecutionId,
    pub head: HeadRecord,
    pub end: Option<EndRecord>,
    pub redriven: Option<RedriveRecord>,
}

impl Execution {
    pub fn status(&self) -> &'static str {
        self.end.as_ref().map_or("RUNNING", EndRecord::status)
    }

    fn status_code(&self) -> u8 {
        self.end.as_ref().map_or(index::RUNNING, |end| end.status)
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
    let redriven = redrive::redriven(store, id)?;
    Ok(head.map(|head| Execution { id, head, end, redriven }))
}

/// Which executions are asked for.
pub(crate) struct Query<'a> {
    pub scope: &'a Scope,
    /// As `keys` tells lists apart.
    pub list: &'a str,
    /// One of [`EndRecord`]'s or [`index::RUNNING`].
    pub status: Option<u8>,
    /// The entry to go on behind.
    pub after: Option<&'a [u8]>,
    pub limit: usize,
}

/// Executions without their inputs and outputs, and where to go on. In a list, the last that began comes first; with a
/// status, the last that came to it.
pub(crate) fn list(
    store: &dyn Store,
    query: &Query<'_>,
    keep: impl Fn(&Execution) -> bool,
) -> Result<(Vec<Execution>, Option<Vec<u8>>), Error> {
    const ENTRIES_PER_READ: usize = 256;
    let prefix = match query.status {
        None => keys::list_of(query.scope, query.list),
        Some(status) => keys::status_of(query.scope, query.list, status),
    };
    let prefix = prefix.build();
    let mut range = Range::prefix(&prefix).limit(ENTRIES_PER_READ);
    if let Some(after) = query.after {
        range = range.after(&[&prefix, after].concat());
    }
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let entries = store.scan(&range)?;
        for (key, _) in &entries {
            // What has ended since the entry was read has another status by now.
            let is_wanted = |e: &Execution| query.status.is_none_or(|wanted| wanted == e.status_code());
            let execution = read(store, index::read_entry(&key[prefix.len()..])?)?;
            let Some(mut execution) = execution.filter(|e| is_wanted(e) && keep(e)) else { continue };
            if found.len() == query.limit {
                return Ok((found, last));
            }
            execution.head.input = String::new();
            if let Some(end) = &mut execution.end {
                end.output = None;
            }
            found.push(execution);
            last = Some(key[prefix.len()..].to_vec());
        }
        match entries.last() {
            Some((last, _)) if entries.len() == ENTRIES_PER_READ => range = range.after(last),
            _ => return Ok((found, None)),
        }
    }
}
