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
//! | `execution-list` account region machine !start cell id | empty |
//! | `history` cell id first-event-id | events of one turn |

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

/// All executions of a machine, the newest first.
pub(crate) fn list_of_machine(scope: &Scope, machine: &str) -> Key {
    scoped("execution-list", scope).str(machine)
}

pub(crate) fn list(scope: &Scope, machine: &str, start_ms: i64, id: ExecutionId) -> Key {
    list_of_machine(scope, machine).i64(!start_ms).u8(id.cell).u64(id.number)
}

/// The outbox entry of one open task; it is also the id of the task's effect.
pub(crate) fn task_effect(cell: &str, number: u64, task: u64) -> Vec<u8> {
    Key::new("outbox").str(cell).u64(number).u64(task).build()
}
