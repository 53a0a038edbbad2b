//! Whether an execution that did not succeed can go on, and what is kept for it.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html>

use std::time::Duration;

use base::Timestamp;
use store::{Error, Store};

use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HaltedRecord, HeadRecord, Record, RedriveRecord};

const DAY: Duration = Duration::from_secs(86_400);
/// After the end.
const PERIOD: Duration = Duration::from_secs(14 * 86_400);
/// How long an execution may be open.
const OPEN_MAX: Duration = Duration::from_secs(365 * DAY.as_secs());
const REDRIVES_MAX: u32 = 1_000;
/// Tokens of clients that are remembered, and how long.
pub(super) const TOKENS_MAX: usize = 10;
pub(super) const TOKEN_PERIOD: Duration = Duration::from_secs(15 * 60);

/// How an execution stands to be redriven, as DescribeExecution says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Redrive {
    pub count: u32,
    pub date_ms: Option<i64>,
    pub status: &'static str,
    /// Why it is not redrivable.
    pub reason: Option<&'static str>,
}

/// What decides about a redrive beside the execution's head.
pub(crate) struct Facts<'a> {
    pub end: Option<&'a EndRecord>,
    pub halted: Option<&'a HaltedRecord>,
    pub redriven: Option<&'a RedriveRecord>,
    pub events_max: u64,
    pub now: Timestamp,
}

impl Redrive {
    pub fn of(head: &HeadRecord, facts: &Facts<'_>) -> Redrive {
        let reason = refusal(head, facts);
        let status = match reason {
            Some(_) => "NOT_REDRIVABLE",
            None if head.map_run_arn.is_some() => "REDRIVABLE_BY_MAP_RUN",
            None => "REDRIVABLE",
        };
        let count = facts.redriven.map_or(0, |r| r.count);
        Redrive { count, date_ms: facts.redriven.map(|r| r.last_ms), status, reason }
    }
}

fn refusal(head: &HeadRecord, facts: &Facts<'_>) -> Option<&'static str> {
    let at = Timestamp::from_millis;
    let Some(end) = facts.end else { return Some("Execution is RUNNING and cannot be redriven") };
    if end.status == EndRecord::SUCCEEDED {
        return Some("Execution is SUCCEEDED and cannot be redriven");
    }
    let Some(halted) = facts.halted else {
        return Some("Execution was started before the launch of RedriveExecution");
    };
    if halted.map_run {
        return Some("Execution has a Map Run, and the redrive of Map Runs is not supported yet");
    }
    if halted.parts == 0 {
        return Some("Execution holds more data than can be kept for a redrive");
    }
    if facts.now > at(head.start_ms) + OPEN_MAX {
        return Some("Execution has exceeded the max execution time");
    }
    if facts.now > at(end.stop_ms) + PERIOD {
        return Some("Execution redrivable period exceeded");
    }
    // There must be room for ExecutionRedriven and what follows it.
    if halted.events >= facts.events_max.saturating_sub(1) {
        return Some("Execution history event limit exceeded");
    }
    if facts.redriven.is_some_and(|r| r.count >= REDRIVES_MAX) {
        return Some("Execution has been redriven the maximum number of times");
    }
    None
}

/// How often and when an execution was redriven; `None` if it never was.
pub(crate) fn redriven(store: &dyn Store, id: ExecutionId) -> Result<Option<RedriveRecord>, Error> {
    store.get(keys::redriven(id).as_bytes())?.map(|record| RedriveRecord::decode(&record)).transpose()
}

pub(crate) fn halted(store: &dyn Store, id: ExecutionId) -> Result<Option<HaltedRecord>, Error> {
    store.get(keys::halted(id).as_bytes())?.map(|record| HaltedRecord::decode(&record)).transpose()
}
