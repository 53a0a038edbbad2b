//! Children of Map Runs: executions that are started once whoever asks again, and watched to their end.

use std::sync::Arc;

use cell::{Reply, Turn};
use service::Fault;
use store::{Error, KeyReader};

use super::{Owner, Watcher};
use crate::execution::{ChildEnd, ChildName, Start};
use crate::keys::{self, ExecutionId};
use crate::map_run::ChildRecord;
use crate::record::{EndRecord, HeadRecord, Record};

/// A child that was started before.
enum Known {
    /// Its number.
    Live(u64),
    Ended(ChildEnd),
}

impl Owner {
    pub(super) fn start_child(
        &mut self,
        start: Start,
        reply: Reply<Result<ChildEnd, Fault>>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let Some(child) = &start.child else { return Err(Error::Corrupt("a child without its Map Run".to_owned())) };
        let name = ChildName {
            run: child.run(),
            index: child.index,
            scope: start.head.scope(),
            machine: start.head.machine.clone(),
            name: start.head.name.clone(),
            express: start.head.express_id.is_some(),
        };
        let number = match self.known_child(&name, turn)? {
            Some(Known::Ended(end)) => {
                turn.reply(reply, Ok(end));
                return Ok(());
            }
            Some(Known::Live(number)) => number,
            None => {
                let number = self.next_number;
                if let Err(fault) = self.start(start, turn)? {
                    turn.reply(reply, Err(fault));
                    return Ok(());
                }
                number
            }
        };
        let live = self.live.get_mut(&number).expect("it is known to live");
        if name.express {
            live.express_child = Some((name.run, name.index));
            self.express_children.insert((name.run, name.index), number);
        }
        live.watchers.push(Watcher::Child(reply));
        Ok(())
    }

    pub(super) fn stop_child(
        &mut self,
        name: &ChildName,
        reply: Reply<Option<ChildEnd>>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        match self.known_child(name, turn)? {
            None => turn.reply(reply, None),
            Some(Known::Ended(end)) => turn.reply(reply, Some(end)),
            Some(Known::Live(number)) => {
                self.drive(number, interp::Input::Stop { error: None, cause: None }, turn);
                let live = self.live.get_mut(&number).expect("it is settled at the end of the turn");
                live.watchers.push(Watcher::StoppedChild(reply));
            }
        }
        Ok(())
    }

    fn known_child(&self, child: &ChildName, turn: &Turn<'_>) -> Result<Option<Known>, Error> {
        if child.express {
            return Ok(self.express_children.get(&(child.run, child.index)).map(|number| Known::Live(*number)));
        }
        let key = keys::execution_name(&child.scope, &child.machine, &child.name);
        let Some(number) = turn.get(key.as_bytes())? else { return Ok(None) };
        let number = KeyReader::new(&number).u64()?;
        if self.live.contains_key(&number) {
            return Ok(Some(Known::Live(number)));
        }
        let id = self.id(number);
        let missing = || Error::Corrupt(format!("execution {}/{number} has no end", self.cell));
        let head = HeadRecord::decode(&turn.get(keys::head(id).as_bytes())?.ok_or_else(missing)?)?;
        let end = EndRecord::decode(&turn.get(keys::end(id).as_bytes())?.ok_or_else(missing)?)?;
        Ok(Some(Known::Ended(child_end(&head, &end))))
    }

    /// What an execution runs: its machine, or the processor of a Map state in it.
    pub(super) fn definition_of(
        &self,
        id: ExecutionId,
        head: &HeadRecord,
        turn: &Turn<'_>,
    ) -> Result<Arc<asl::StateMachine>, Error> {
        // No machine's own name has this.
        if !head.machine.contains('/') {
            return self.catalog.definition(head.revision.definition_id, false);
        }
        let child = turn.get(keys::execution_child(id).as_bytes())?;
        let child = child.ok_or_else(|| Error::Corrupt(format!("child execution {id:?} without its Map Run")))?;
        self.processors.get(head.revision.definition_id, &ChildRecord::decode(&child)?.state_name, false)
    }
}

pub(super) fn child_end(head: &HeadRecord, end: &EndRecord) -> ChildEnd {
    let input = head.express_id.is_some().then(|| head.input.clone());
    ChildEnd { start_ms: head.start_ms, input, end: end.clone() }
}
