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
//! | `execution-list` account region list !start cell id | empty |
//! | `execution-status` account region list status !time cell id | empty; status as in `EndRecord`, 0 while it runs; time of the start, or of the end |
//! | `execution-format` | version, format, then where an upgrade has come to |
//! | `definition-use` cell definition | version, number of the cell's executions that need it (8 bytes, big-endian) |
//! | `history` cell id first-event-id | events of one turn |
//!
//! A list is a machine's name, `name:version`, `name:alias`, or `name/label:id` of a Map Run.

use base::Scope;
use store::Key;

/// Names one execution within the engine: its cell and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ExecutionId {
    pub cell: u8,
    pub number: u64,
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
