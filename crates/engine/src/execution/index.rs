//! Under which lists an execution is found, and the entries there.

use cell::Turn;
use store::{Error, KeyReader};

use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HeadRecord};

/// The status of [`EndRecord`] for executions that have not ended.
pub(crate) const RUNNING: u8 = 0;

/// The lists of an execution: its machine's and those of its version and alias, or its Map Run's alone.
pub(super) fn lists(head: &HeadRecord) -> Vec<String> {
    if let Some(arn) = &head.map_run_arn {
        return vec![list_of_map_run(arn).to_owned()];
    }
    let machine = &head.machine;
    let version = head.version.map(|number| format!("{machine}:{number}"));
    let alias = head.alias.as_ref().map(|alias| format!("{machine}:{alias}"));
    [Some(machine.clone()), version, alias].into_iter().flatten().collect()
}

/// `machine/label:id`, of a Map Run's ARN.
pub(crate) fn list_of_map_run(arn: &str) -> &str {
    arn.split_once(":mapRun:").map_or(arn, |(_, list)| list)
}

pub(super) fn put_started(head: &HeadRecord, id: ExecutionId, turn: &mut Turn<'_>) {
    for list in lists(head) {
        turn.put(keys::list(&head.scope(), &list, head.start_ms, id), Vec::new());
    }
}

pub(super) fn put_status(head: &HeadRecord, id: ExecutionId, status: u8, time_ms: i64, turn: &mut Turn<'_>) {
    for list in lists(head) {
        turn.put(keys::status(&head.scope(), &list, status, time_ms, id), Vec::new());
    }
}

pub(super) fn delete_status(head: &HeadRecord, id: ExecutionId, status: u8, time_ms: i64, turn: &mut Turn<'_>) {
    for list in lists(head) {
        turn.delete(keys::status(&head.scope(), &list, status, time_ms, id));
    }
}

/// Takes an execution that ended out of all lists.
pub(super) fn delete_ended(head: &HeadRecord, id: ExecutionId, end: &EndRecord, turn: &mut Turn<'_>) {
    delete_status(head, id, end.status, end.stop_ms, turn);
    for list in lists(head) {
        turn.delete(keys::list(&head.scope(), &list, head.start_ms, id));
    }
}

/// The execution that an entry, behind the prefix of its list (and status), leads to.
pub(super) fn read_entry(rest: &[u8]) -> Result<ExecutionId, Error> {
    let mut parts = KeyReader::new(rest);
    parts.i64()?;
    Ok(ExecutionId { cell: parts.u8()?, number: parts.u64()? })
}
