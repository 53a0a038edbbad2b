//! Where the engine's records lie.
//!
//! | key | value |
//! |---|---|
//! | `machine` account region name | `MachineRecord` |
//! | `machine-version` account region name number | `VersionRecord` |
//! | `machine-alias` account region name alias | `AliasRecord` |
//! | `activity` account region name | `ActivityRecord` |
//! | `definition` id | definition text |
//! | `mapping` uuid | `MappingRecord` |
//! | `execution-name` account region machine name | id (8 bytes) |
//! | `execution` cell id | `HeadRecord` |
//! | `execution-end` cell id | `EndRecord`; absent while it runs |
//! | `execution-run` cell id | the interpreter's snapshot, or its first part; absent once it ended |
//! | `execution-run` cell id part | a further part (1 byte, from 1) of a long snapshot |
//! | `execution-stop` cell id task | version and ARN of a child execution that is to be stopped |
//! | `execution-halted` cell id | `HaltedRecord` of one that ended without success |
//! | `execution-halted-at` cell id part | its position then, in parts |
//! | `execution-redriven` cell id | `RedriveRecord`; absent if it never was |
//! | `execution-list` account region list !start cell id | empty |
//! | `execution-status` account region list status !time cell id | empty; status as in `EndRecord`, 0 while it runs; time of the start, or of the end |
//! | `execution-format` | version, format, then where an upgrade has come to |
//! | `definition-use` cell definition | version, number of the cell's executions that need it (8 bytes, big-endian) |
//! | `history` cell id first-event-id | events of one turn |
//! | `execution-child` cell id | `ChildRecord`: which Map Run an execution belongs to |
//! | `map-run` execution task | `RunRecord`: what never changes of a Map Run |
//! | `map-run-state` execution task | `StateRecord`: how far it is |
//! | `map-run-open` map-run-cell execution task | `SourceRecord`; absent once it ended and its parent knows |
//! | `map-run-outcome` execution task | what its parent is to be told; absent once it was |
//! | `map-run-item` execution task index | `ItemRecord`: the input of a child that may not have ended |
//! | `map-run-result` execution task index | `ResultRecord` of an Express child |
//! | `map-run-name` account region machine/label uuid | execution task |
//!
//! A list is a machine's name, `name:version`, `name:alias`, or `name/label:id` of a Map Run.
//! `execution` stands for the cell and the id of the execution that the Map Run belongs to, `task` for the id of its
//! `MapRunStarted` event.

use base::Scope;
use store::Key;

/// Names one execution within the engine: its cell and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ExecutionId {
    pub cell: u8,
    pub number: u64,
}

/// Names one Map Run: the execution that it belongs to, and the id of its `MapRunStarted` event there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct MapRunId {
    pub execution: ExecutionId,
    pub task: u64,
}

impl MapRunId {
    fn write(self, key: Key) -> Key {
        key.u8(self.execution.cell).u64(self.execution.number).u64(self.task)
    }

    /// Reads what [`map_run_name`] has as its value and what the keys of Map Runs have behind their first parts.
    pub fn read(bytes: &[u8]) -> Result<MapRunId, store::Error> {
        let mut parts = store::KeyReader::new(bytes);
        let execution = ExecutionId { cell: parts.u8()?, number: parts.u64()? };
        Ok(MapRunId { execution, task: parts.u64()? })
    }

    /// As [`MapRunId::read`] reads it.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.execution.cell];
        bytes.extend_from_slice(&self.execution.number.to_be_bytes());
        bytes.extend_from_slice(&self.task.to_be_bytes());
        bytes
    }
}

fn scoped(space: &str, scope: &Scope) -> Key {
    Key::new(space).str(scope.account()).str(scope.region())
}

fn of(space: &str, id: ExecutionId) -> Key {
    Key::new(space).u8(id.cell).u64(id.number)
}

pub(crate) fn machine(scope: &Scope, name: &str) -> Key {
    scoped("machine", scope).str(name)
}

/// All versions of a machine, the oldest first.
pub(crate) fn versions(scope: &Scope, machine: &str) -> Key {
    scoped("machine-version", scope).str(machine)
}

/// All aliases of a machine, by name.
pub(crate) fn aliases(scope: &Scope, machine: &str) -> Key {
    scoped("machine-alias", scope).str(machine)
}

pub(crate) fn activity(scope: &Scope, name: &str) -> Key {
    scoped("activity", scope).str(name)
}

pub(crate) fn definition(id: u64) -> Key {
    Key::new("definition").u64(id)
}

pub(crate) fn mapping(uuid: &str) -> Key {
    Key::new("mapping").str(uuid)
}

pub(crate) fn execution_name(scope: &Scope, machine: &str, name: &str) -> Key {
    scoped("execution-name", scope).str(machine).str(name)
}

pub(crate) fn head(id: ExecutionId) -> Key {
    of("execution", id)
}

pub(crate) fn heads_of_cell(cell: u8) -> Key {
    Key::new("execution").u8(cell)
}

pub(crate) fn end(id: ExecutionId) -> Key {
    of("execution-end", id)
}

pub(crate) fn run(id: ExecutionId) -> Key {
    of("execution-run", id)
}

pub(crate) fn runs_of_cell(cell: u8) -> Key {
    Key::new("execution-run").u8(cell)
}

/// A child that is to be stopped because its parent's task no longer waits for it.
pub(crate) fn stop(id: ExecutionId, task: u64) -> Key {
    of("execution-stop", id).u64(task)
}

pub(crate) fn stops_of_cell(cell: u8) -> Key {
    Key::new("execution-stop").u8(cell)
}

pub(crate) fn halted(id: ExecutionId) -> Key {
    of("execution-halted", id)
}

pub(crate) fn halted_part(id: ExecutionId, part: u8) -> Key {
    of("execution-halted-at", id).u8(part)
}

pub(crate) fn redriven(id: ExecutionId) -> Key {
    of("execution-redriven", id)
}

pub(crate) fn history(id: ExecutionId) -> Key {
    of("history", id)
}

/// All executions of a list, the newest first.
pub(crate) fn list_of(scope: &Scope, list: &str) -> Key {
    scoped("execution-list", scope).str(list)
}

pub(crate) fn list(scope: &Scope, list: &str, start_ms: i64, id: ExecutionId) -> Key {
    list_of(scope, list).i64(!start_ms).u8(id.cell).u64(id.number)
}

/// The executions of a list that have a status, the last that came to it first.
pub(crate) fn status_of(scope: &Scope, list: &str, status: u8) -> Key {
    scoped("execution-status", scope).str(list).u8(status)
}

pub(crate) fn status(scope: &Scope, list: &str, status: u8, time_ms: i64, id: ExecutionId) -> Key {
    status_of(scope, list, status).i64(!time_ms).u8(id.cell).u64(id.number)
}

pub(crate) fn execution_format() -> Key {
    Key::new("execution-format")
}

pub(crate) fn uses_of_cell(cell: u8) -> Key {
    Key::new("definition-use").u8(cell)
}

pub(crate) fn uses(cell: u8, definition: u64) -> Key {
    uses_of_cell(cell).u64(definition)
}

/// The outbox entry of one open task; it is also the id of the task's effect.
pub(crate) fn task_effect(cell: &str, number: u64, task: u64) -> Vec<u8> {
    Key::new("outbox").str(cell).u64(number).u64(task).build()
}

pub(crate) fn execution_child(id: ExecutionId) -> Key {
    of("execution-child", id)
}

pub(crate) fn map_run(id: MapRunId) -> Key {
    id.write(Key::new("map-run"))
}

/// All Map Runs of an execution, in the order in which they began.
pub(crate) fn map_runs_of(execution: ExecutionId) -> Key {
    of("map-run", execution)
}

pub(crate) fn map_run_state(id: MapRunId) -> Key {
    id.write(Key::new("map-run-state"))
}

pub(crate) fn map_run_open(map_run_cell: u8, id: MapRunId) -> Key {
    id.write(map_runs_open(map_run_cell))
}

pub(crate) fn map_runs_open(map_run_cell: u8) -> Key {
    Key::new("map-run-open").u8(map_run_cell)
}

pub(crate) fn map_run_outcome(id: MapRunId) -> Key {
    id.write(Key::new("map-run-outcome"))
}

pub(crate) fn map_run_items(id: MapRunId) -> Key {
    id.write(Key::new("map-run-item"))
}

pub(crate) fn map_run_results(id: MapRunId) -> Key {
    id.write(Key::new("map-run-result"))
}

pub(crate) fn map_run_name(scope: &Scope, machine_and_label: &str, uuid: &str) -> Key {
    scoped("map-run-name", scope).str(machine_and_label).str(uuid)
}
