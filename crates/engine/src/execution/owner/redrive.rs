//! Executions that ended without success go on.

use base::Timestamp;
use cell::Turn;
use service::Fault;
use store::Error;

use super::{Owner, execution_info};
use crate::execution::redrive::{Facts, Redrive, TOKEN_PERIOD, TOKENS_MAX};
use crate::execution::{execution_arn, index};
use crate::fault;
use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HaltedRecord, HeadRecord, Record, RedriveRecord};

impl Owner {
    /// Answers with the time of the redrive; of an earlier one, if the client sends its token again.
    pub(super) fn redrive(
        &mut self,
        id: ExecutionId,
        token: Option<String>,
        turn: &mut Turn<'_>,
    ) -> Result<Result<Timestamp, Fault>, Error> {
        let get = |key: store::Key| turn.get(key.as_bytes());
        let Some(head) = get(keys::head(id))? else {
            return Ok(Err(fault::execution_does_not_exist("")));
        };
        let head = HeadRecord::decode(&head)?;
        let redriven = get(keys::redriven(id))?.map(|r| RedriveRecord::decode(&r)).transpose()?;
        if let Some(at) = redriven.as_ref().and_then(|r| answered(r, token.as_deref()?, turn.now())) {
            return Ok(Ok(at));
        }
        let end = match self.live.get(&id.number) {
            Some(live) => live.ended.clone(),
            None => get(keys::end(id))?.map(|end| EndRecord::decode(&end)).transpose()?,
        };
        let halted = get(keys::halted(id))?.map(|halted| HaltedRecord::decode(&halted)).transpose()?;
        let events_max = self.options.standard_limits.history_events_max;
        let facts = Facts {
            // What ends in this very turn is still to be written.
            end: end.as_ref().filter(|_| !self.live.contains_key(&id.number)),
            halted: halted.as_ref(),
            redriven: redriven.as_ref(),
            events_max,
            now: turn.now(),
        };
        let redrive = Redrive::of(&head, &facts);
        let (Some(end), Some(halted), "REDRIVABLE") = (&end, &halted, redrive.status) else {
            let reason = redrive.reason.unwrap_or("Execution was started by a Map Run, which alone can redrive it");
            return Ok(Err(Fault::client("ExecutionNotRedrivable", reason)));
        };
        if self.live.len() >= self.options.running_executions_per_cell_max {
            return Ok(Err(fault::execution_limit_exceeded()));
        }
        let redriven = RedriveRecord {
            count: redrive.count + 1,
            last_ms: turn.now().as_millis(),
            tokens: remember(redriven.map(|r| r.tokens).unwrap_or_default(), token, turn.now()),
        };
        self.bring_back(id, head, end, halted, redriven, turn)?;
        Ok(Ok(turn.now()))
    }

    fn bring_back(
        &mut self,
        id: ExecutionId,
        head: HeadRecord,
        end: &EndRecord,
        halted: &HaltedRecord,
        redriven: RedriveRecord,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let mut snapshot = Vec::new();
        for part in 0..halted.parts {
            let bytes = turn.get(keys::halted_part(id, part).as_bytes())?;
            let bytes =
                bytes.ok_or_else(|| Error::Corrupt(format!("position of {} is cut off", execution_arn(&head))))?;
            snapshot.extend_from_slice(&bytes);
            turn.delete(keys::halted_part(id, part));
        }
        let definition = self.definition_of(id, &head, turn)?;
        let execution = interp::Execution::restore(&snapshot, execution_info(&head, redriven.count), definition)
            .map_err(|e| Error::Corrupt(format!("execution {}: {e}", execution_arn(&head))))?;
        turn.delete(keys::halted(id));
        turn.delete(keys::end(id));
        turn.put(keys::redriven(id), redriven.encode());
        index::delete_status(&head, id, end.status, end.stop_ms, turn);
        let live = self.add(id.number, execution, head);
        live.running_ms = redriven.last_ms;
        live.redriven = Some(redriven);
        self.drive(id.number, interp::Input::Redrive, turn);
        if let Some(live) = self.live.get(&id.number) {
            self.announce(live, None, None, turn);
        }
        Ok(())
    }
}

/// The time of the redrive that was answered to this token before.
fn answered(redriven: &RedriveRecord, token: &str, now: Timestamp) -> Option<Timestamp> {
    let (_, at_ms) = redriven.tokens.iter().find(|(known, _)| known == token)?;
    let at = Timestamp::from_millis(*at_ms);
    (at + TOKEN_PERIOD > now).then_some(at)
}

fn remember(mut tokens: Vec<(String, i64)>, token: Option<String>, now: Timestamp) -> Vec<(String, i64)> {
    if let Some(token) = token {
        tokens.retain(|(known, _)| *known != token);
        tokens.push((token, now.as_millis()));
    }
    let most = tokens.len().saturating_sub(TOKENS_MAX);
    tokens.split_off(most)
}
