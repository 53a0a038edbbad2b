//! Reads of Map Runs and their children, beside the cells: what is committed.

use base::Scope;
use cell::Turn;
use store::{Error, KeyReader, Range, Store};

use super::children;
use super::record::{ChildRecord, ResultRecord, RunRecord, StateRecord, name_of};
use crate::execution;
use crate::keys::{self, ExecutionId, MapRunId};
use crate::record::{EndRecord, Record};

/// A Map Run as it is stored.
pub(crate) struct MapRun {
    pub id: MapRunId,
    pub record: RunRecord,
    pub state: StateRecord,
}

/// The Map Run with that ARN.
pub(crate) fn find(store: &dyn Store, scope: &Scope, arn: &str) -> Result<Option<MapRunId>, Error> {
    let Some((machine, uuid)) = name_of(arn) else { return Ok(None) };
    let id = store.get(keys::map_run_name(scope, machine, uuid).as_bytes())?;
    id.map(|id| MapRunId::read(&id)).transpose()
}

/// The Map Run with that id.
pub(crate) fn read(store: &dyn Store, id: MapRunId) -> Result<Option<MapRun>, Error> {
    let record = store.get(keys::map_run(id).as_bytes())?.map(|r| RunRecord::decode(&r)).transpose()?;
    let state = store.get(keys::map_run_state(id).as_bytes())?.map(|s| StateRecord::decode(&s)).transpose()?;
    Ok(record.zip(state).map(|(record, state)| MapRun { id, record, state }))
}

/// Map Runs of an execution behind `after`, the first first.
pub(crate) fn runs_of(
    store: &dyn Store,
    execution: ExecutionId,
    after: Option<u64>,
    limit: usize,
) -> Result<Vec<MapRun>, Error> {
    let prefix = keys::map_runs_of(execution).build();
    let mut range = Range::prefix(&prefix).limit(limit);
    if let Some(after) = after {
        range = range.after(keys::map_run(MapRunId { execution, task: after }).as_bytes());
    }
    let mut found = Vec::new();
    for (key, _) in store.scan(&range)? {
        let task = KeyReader::new(&key[prefix.len()..]).u64()?;
        found.extend(read(store, MapRunId { execution, task })?);
    }
    Ok(found)
}

/// Deletes what is stored of the Map Runs of an execution that ended long ago.
pub(crate) fn delete_runs(execution: ExecutionId, turn: &mut Turn<'_>) -> Result<(), Error> {
    let prefix = keys::map_runs_of(execution).build();
    for (key, record) in turn.scan(&Range::prefix(&prefix))? {
        let id = MapRunId { execution, task: KeyReader::new(&key[prefix.len()..]).u64()? };
        let record = RunRecord::decode(&record)?;
        if let Some((machine, uuid)) = name_of(&record.arn) {
            turn.delete(keys::map_run_name(&record.scope(), machine, uuid));
        }
        turn.delete(keys::map_run_state(id));
        turn.delete(key);
    }
    Ok(())
}

/// What the execution is to a Map Run, if it is a child of one.
pub(crate) fn child_of(store: &dyn Store, id: ExecutionId) -> Result<Option<ChildRecord>, Error> {
    store.get(keys::execution_child(id).as_bytes())?.map(|child| ChildRecord::decode(&child)).transpose()
}

/// How a child ended.
pub(super) struct ChildResult {
    pub name: String,
    pub arn: String,
    pub input: String,
    pub start_ms: i64,
    pub end: EndRecord,
}

/// `None` if the child was never started.
pub(super) fn result(
    store: &dyn Store,
    run: &RunRecord,
    id: MapRunId,
    index: u64,
) -> Result<Option<ChildResult>, Error> {
    let name = children::name(&run.arn, index);
    let RunRecord { account, region, machine, .. } = run;
    if run.express {
        let Some(value) = store.get(keys::map_run_results(id).u64(index).as_bytes())? else { return Ok(None) };
        let ResultRecord { input, start_ms, end } = ResultRecord::decode(&value)?;
        let last = children::express_id(&run.arn, index);
        let arn = format!("arn:aws:states:{region}:{account}:express:{machine}:{name}:{last}");
        return Ok(Some(ChildResult { name, arn, input, start_ms, end }));
    }
    let Some(execution) = execution::find(store, &run.scope(), machine, &name)? else { return Ok(None) };
    let Some(execution) = execution::read(store, execution)? else { return Ok(None) };
    let end = execution.end.ok_or_else(|| Error::Corrupt(format!("child execution {name} has no end")))?;
    let arn = execution::execution_arn(&execution.head);
    Ok(Some(ChildResult { name, arn, input: execution.head.input, start_ms: execution.head.start_ms, end }))
}
