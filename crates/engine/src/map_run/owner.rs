use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Timestamp;
use cell::{Machine, Reply, Turn};
use service::Fault;
use store::{Error, KeyReader, Range};

use super::counts::Verdict;
use super::read::Taken;
use super::record::{
    End, ItemRecord, OutcomeRecord, Phase, ResultRecord, RunRecord, SourceRecord, StateRecord, name_of,
};
use super::{Chunk, Failure, Input, NewRun, Outside, Processors, Run, Update, Work, Written};
use crate::execution::ChildEnd;
use crate::keys::{self, MapRunId};
use crate::record::Record;

/// Results that are deleted in one turn.
const DELETIONS_PER_TURN: usize = 1_000;
/// Open children that are read at once: each brings its input along.
const CHILDREN_PER_READ: usize = 64;

/// The state of one cell of Map Runs: those that have not ended, or whose parent does not know.
pub(crate) struct Owner {
    cell: u8,
    processors: Processors,
    outside: Outside,
    /// Children of one Map Run that run at once, whatever it asks for.
    children_max: u64,
    live: BTreeMap<MapRunId, Live>,
    /// Map Runs that this turn has changed.
    changed: BTreeSet<MapRunId>,
    /// Those that are over, but for results to be deleted.
    over: BTreeSet<MapRunId>,
}

struct Live {
    run: Arc<Run>,
    state: StateRecord,
    /// Children that have not ended, and how many items each has.
    open: BTreeMap<u64, u32>,
    /// Whether the items are being counted.
    counting: bool,
}

impl Owner {
    pub fn new(cell: usize, processors: Processors, outside: Outside, children_max: usize) -> Owner {
        Owner {
            cell: u8::try_from(cell).expect("few cells"),
            processors,
            outside,
            children_max: children_max as u64,
            live: BTreeMap::new(),
            changed: BTreeSet::new(),
            over: BTreeSet::new(),
        }
    }

    fn let_out(&self, work: Work, turn: &mut Turn<'_>) {
        let outside = self.outside.clone();
        turn.effect(move || outside(work));
    }

    fn start(&mut self, new: &NewRun, turn: &mut Turn<'_>) -> Result<(), Error> {
        let id = new.run_id();
        if self.live.contains_key(&id) {
            return Ok(()); // Under way; if its end waits to be told, that is under way too.
        }
        if turn.get(keys::map_run_state(id).as_bytes())?.is_some() {
            return Ok(()); // Over, and the parent was told.
        }
        let record = RunRecord::new(&new.run, &new.parent, &new.parent_arn, turn.now().as_millis())
            .ok_or_else(|| Error::Corrupt(format!("map run {}", new.run.map_run_arn)))?;
        let source = SourceRecord::new(&new.run);
        let state = StateRecord::new(&new.run);
        let (machine, uuid) = name_of(&record.arn).expect("the record was made of it");
        turn.put(keys::map_run_name(&record.scope(), machine, uuid), id.to_bytes());
        turn.put(keys::map_run(id), record.encode());
        turn.put(keys::map_run_open(self.cell, id), source.encode());
        self.add(id, record, source, state)?;
        self.changed.insert(id);
        self.read(id, turn);
        Ok(())
    }

    fn add(
        &mut self,
        id: MapRunId,
        record: RunRecord,
        source: SourceRecord,
        state: StateRecord,
    ) -> Result<&mut Live, Error> {
        let definition = self.processors.definition(record.revision.definition_id)?;
        let processor = self.processors.get(record.revision.definition_id, &record.state_name, record.express)?;
        let run = Arc::new(Run { id, record, source, definition, processor });
        let live = Live { run, state, open: BTreeMap::new(), counting: false };
        Ok(self.live.entry(id).insert_entry(live).into_mut())
    }

    /// Lets a reader begin, if there is anything to read.
    fn read(&self, id: MapRunId, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get(&id) else { return };
        if live.state.phase == Phase::Running && !live.state.read {
            let (first, position) = (live.state.next_child, live.state.position.clone());
            self.let_out(Work::Read { run: live.run.clone(), first, position }, turn);
            self.tell_room(id, turn);
        }
    }

    fn tell_room(&self, id: MapRunId, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get(&id) else { return };
        if live.state.read || live.state.phase != Phase::Running {
            return;
        }
        let children = self.taken(id).room;
        self.let_out(Work::Room { id, children }, turn);
    }

    fn items(&mut self, id: MapRunId, first: u64, chunk: Chunk, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        if live.state.phase != Phase::Running || live.state.next_child != first || live.state.read {
            return; // Delivered before, or nobody wants them any longer.
        }
        self.changed.insert(id);
        let outside = self.outside.clone();
        for child in chunk.children {
            let index = live.state.next_child;
            live.state.next_child += 1;
            live.state.executions.started(1);
            live.state.items.started(u64::from(child.items));
            live.open.insert(index, child.items);
            let record = ItemRecord { items: child.items, input: child.input.to_string() };
            turn.put(keys::map_run_items(id).u64(index), record.encode());
            let (run, outside) = (live.run.clone(), outside.clone());
            let (items, input) = (child.items, Some(child.input));
            turn.effect(move || outside(Work::Child { run, index, items, input }));
        }
        live.state.position = chunk.position;
        if chunk.last {
            live.state.read = true;
            live.state.items_total = Some(live.state.items.total);
        }
        self.go_on(id, turn);
    }

    /// What a reader learns: where to go on, and how many more children may be started.
    fn taken(&self, id: MapRunId) -> Taken {
        self.live.get(&id).map_or(Taken { next: u64::MAX, room: 0 }, |live| {
            let limit = match live.state.max_concurrency {
                0 => self.children_max,
                n => n.min(self.children_max),
            };
            Taken { next: live.state.next_child, room: limit.saturating_sub(live.open.len() as u64) }
        })
    }

    fn child_ended(&mut self, id: MapRunId, index: u64, end: ChildEnd, turn: &mut Turn<'_>) -> Result<(), Error> {
        let Some(live) = self.live.get_mut(&id) else { return Ok(()) };
        let Some(items) = live.open.remove(&index) else { return Ok(()) };
        let key = keys::map_run_items(id).u64(index);
        // It was stopped before it was started: nobody else knows its input.
        let stored = match live.run.record.express && end.input.is_none() {
            true => turn.get(key.as_bytes())?,
            false => None,
        };
        self.changed.insert(id);
        live.state.executions.ended(1, end.end.status);
        live.state.items.ended(u64::from(items), end.end.status);
        turn.delete(key);
        if live.run.record.express {
            let input = match end.input {
                Some(input) => input,
                None => stored.map(|item| ItemRecord::decode(&item)).transpose()?.map_or_else(String::new, |i| i.input),
            };
            let record = ResultRecord { input, start_ms: end.start_ms, end: end.end };
            turn.put(keys::map_run_results(id).u64(index), record.encode());
        }
        self.go_on(id, turn);
        Ok(())
    }

    /// Decides what is next after children were started or have ended.
    fn go_on(&mut self, id: MapRunId, turn: &mut Turn<'_>) {
        self.judge(id, turn);
        let Some(live) = self.live.get_mut(&id) else { return };
        let end = match &live.state.phase {
            Phase::Running if !live.state.read || !live.open.is_empty() => return,
            Phase::Running => End::Succeeded,
            Phase::Stopping(_) if !live.open.is_empty() => return,
            Phase::Stopping(end) => end.clone(),
            Phase::Writing(_) | Phase::Ended(_) => return,
        };
        self.changed.insert(id);
        live.state.phase = Phase::Writing(end.clone());
        if end == End::Succeeded || live.run.exports() {
            let (run, children) = (live.run.clone(), live.state.next_child);
            self.let_out(Work::Write { run, children, end }, turn);
        } else {
            self.end(id, end, None, turn);
        }
    }

    /// Stops the Map Run if more has failed than is tolerated.
    fn judge(&mut self, id: MapRunId, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        if live.state.phase != Phase::Running {
            return;
        }
        match live.state.tolerance.judge(&live.state.items, live.state.items_total) {
            Verdict::GoOn => {}
            Verdict::Exceeded => {
                let error = "States.ExceedToleratedFailureThreshold".to_owned();
                let cause = "The specified tolerated failure threshold was exceeded".to_owned();
                self.stop(id, End::Failed { error, cause }, turn);
            }
            Verdict::Count if live.counting => {}
            Verdict::Count => {
                live.counting = true;
                let run = live.run.clone();
                self.let_out(Work::Count { run }, turn);
            }
        }
    }

    fn stop(&mut self, id: MapRunId, end: End, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        live.state.phase = Phase::Stopping(end);
        self.changed.insert(id);
        self.let_out(Work::Stop { id }, turn);
    }

    fn cancel(&mut self, id: MapRunId, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        match &mut live.state.phase {
            Phase::Running => {
                self.stop(id, End::Aborted, turn);
                self.go_on(id, turn);
            }
            Phase::Stopping(end) | Phase::Writing(end) => {
                *end = End::Aborted;
                self.changed.insert(id);
            }
            Phase::Ended(_) => self.told(id, turn),
        }
    }

    fn read_failed(&mut self, id: MapRunId, Failure { error, cause }: Failure, turn: &mut Turn<'_>) {
        if self.live.get(&id).is_some_and(|live| live.state.phase == Phase::Running && !live.state.read) {
            self.stop(id, End::Failed { error, cause }, turn);
            self.go_on(id, turn);
        }
    }

    fn counted(&mut self, id: MapRunId, items: u64, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        live.counting = false;
        if !live.state.read {
            live.state.items_total = Some(items.max(live.state.items.total));
        }
        self.changed.insert(id);
        self.go_on(id, turn);
    }

    fn written(&mut self, id: MapRunId, written: Result<Written, Failure>, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Phase::Writing(end) = &live.state.phase else { return };
        let end = end.clone();
        let (end, output) = match (end, written) {
            (end, Ok(written)) => {
                if live.run.exports() {
                    live.state.executions.results_written = written.children;
                    let items = &mut live.state.items;
                    items.results_written = items.succeeded + items.unsuccessful();
                }
                (end, written.output)
            }
            (End::Succeeded, Err(Failure { error, cause })) => (End::Failed { error, cause }, None),
            // Why it failed counts more than that this could not be written down.
            (end, Err(_)) => (end, None),
        };
        self.end(id, end, output, turn);
    }

    fn end(&mut self, id: MapRunId, end: End, output: Option<String>, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        self.changed.insert(id);
        live.state.stop_ms = Some(turn.now().as_millis());
        live.state.phase = Phase::Ended(end.clone());
        let outcome = match end {
            End::Succeeded => OutcomeRecord::Succeeded { output: output.unwrap_or_else(|| "[]".to_owned()) },
            End::Failed { error, cause } => OutcomeRecord::Failed { error, cause },
            End::Aborted => return self.told(id, turn),
        };
        turn.put(keys::map_run_outcome(id), outcome.encode());
        self.let_out(Work::Tell { id, outcome }, turn);
    }

    /// Nobody needs to be told any longer.
    fn told(&mut self, id: MapRunId, turn: &mut Turn<'_>) {
        let Some(live) = self.live.get(&id) else { return };
        if let Phase::Ended(_) = live.state.phase {
            turn.delete(keys::map_run_outcome(id));
            self.over.insert(id);
        }
    }

    fn update(&mut self, id: MapRunId, update: Update, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let live = self.live.get_mut(&id).filter(|live| !matches!(live.state.phase, Phase::Ended(_)));
        let Some(live) = live else {
            return Err(Fault::validation("The Map Run is not running and cannot be updated"));
        };
        let state = &mut live.state;
        state.max_concurrency = update.max_concurrency.unwrap_or(state.max_concurrency);
        state.tolerance.count = update.tolerated_failure_count.unwrap_or(state.tolerance.count);
        state.tolerance.percentage = update.tolerated_failure_percentage.unwrap_or(state.tolerance.percentage);
        self.changed.insert(id);
        self.go_on(id, turn);
        Ok(())
    }

    /// Takes a Map Run up again where the store has it.
    fn resume(&mut self, id: MapRunId, source: SourceRecord, turn: &mut Turn<'_>) -> Result<(), Error> {
        let missing = || Error::Corrupt(format!("map run {id:?} is missing"));
        let record = turn.get(keys::map_run(id).as_bytes())?.ok_or_else(missing)?;
        let state = turn.get(keys::map_run_state(id).as_bytes())?.ok_or_else(missing)?;
        self.add(id, RunRecord::decode(&record)?, source, StateRecord::decode(&state)?)?;
        self.resume_children(id, turn)?;
        let live = &self.live[&id];
        match live.state.phase.clone() {
            Phase::Running => {
                self.let_out(Work::CheckParent { id }, turn);
                self.read(id, turn);
                self.judge(id, turn);
            }
            Phase::Stopping(_) => self.let_out(Work::Stop { id }, turn),
            Phase::Writing(end) => {
                let (run, children) = (live.run.clone(), live.state.next_child);
                self.let_out(Work::Write { run, children, end }, turn);
            }
            Phase::Ended(_) => match turn.get(keys::map_run_outcome(id).as_bytes())? {
                Some(outcome) => {
                    self.let_out(Work::Tell { id, outcome: OutcomeRecord::decode(&outcome)? }, turn);
                }
                None => drop(self.over.insert(id)),
            },
        }
        Ok(())
    }

    fn resume_children(&mut self, id: MapRunId, turn: &mut Turn<'_>) -> Result<(), Error> {
        let prefix = keys::map_run_items(id).build();
        let mut range = Range::prefix(&prefix).limit(CHILDREN_PER_READ);
        let live = self.live.get_mut(&id).expect("it was just added");
        loop {
            let entries = turn.scan(&range)?;
            for (key, value) in &entries {
                let index = KeyReader::new(&key[prefix.len()..]).u64()?;
                let items = ItemRecord::decode(value)?.items;
                live.open.insert(index, items);
                let (run, outside) = (live.run.clone(), self.outside.clone());
                turn.effect(move || outside(Work::Child { run, index, items, input: None }));
            }
            match entries.last() {
                Some((last, _)) if entries.len() == CHILDREN_PER_READ => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }

    /// Deletes what nobody reads any longer; returns whether that was all.
    fn clean(&mut self, id: MapRunId, turn: &mut Turn<'_>) -> Result<bool, Error> {
        let results = Range::prefix(keys::map_run_results(id).as_bytes()).limit(DELETIONS_PER_TURN);
        let found = turn.scan(&results)?;
        for (key, _) in &found {
            turn.delete(key.clone());
        }
        Ok(found.len() < DELETIONS_PER_TURN)
    }
}

impl Machine for Owner {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.live.clear();
        self.changed.clear();
        self.over.clear();
        let prefix = keys::map_runs_open(self.cell).build();
        for (key, source) in turn.scan(&Range::prefix(&prefix))? {
            let id = MapRunId::read(&key[prefix.len()..])?;
            self.resume(id, SourceRecord::decode(&source)?, turn)?;
        }
        Ok(())
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        let reply: Reply<()> = match input {
            Input::Start { run, reply } => {
                self.start(&run, turn)?;
                reply
            }
            Input::Items { id, first, chunk, reply } => {
                self.items(id, first, chunk, turn);
                let taken = self.taken(id);
                turn.reply(reply, taken);
                return Ok(());
            }
            Input::Update { id, update, reply } => {
                let answer = self.update(id, update, turn);
                turn.reply(reply, answer);
                return Ok(());
            }
            Input::Cancel { id, reply } => {
                self.cancel(id, turn);
                reply
            }
            Input::ReadFailed { id, failure, reply } => {
                self.read_failed(id, failure, turn);
                reply
            }
            Input::Counted { id, items, reply } => {
                self.counted(id, items, turn);
                reply
            }
            Input::ChildEnded { id, index, end, reply } => {
                self.child_ended(id, index, *end, turn)?;
                reply
            }
            Input::Written { id, written, reply } => {
                self.written(id, written, turn);
                reply
            }
            Input::Told { id, reply } => {
                self.told(id, turn);
                reply
            }
        };
        turn.reply(reply, ());
        Ok(())
    }

    fn settle(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        for id in std::mem::take(&mut self.changed) {
            if let Some(live) = self.live.get(&id) {
                turn.put(keys::map_run_state(id), live.state.encode());
                self.tell_room(id, turn);
            }
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        (!self.over.is_empty()).then_some(Timestamp::MIN)
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        for id in std::mem::take(&mut self.over) {
            if turn.is_full() || !self.clean(id, turn)? {
                self.over.insert(id);
                continue;
            }
            turn.delete(keys::map_run_open(self.cell, id));
            if let Some(live) = self.live.remove(&id) {
                if self.changed.remove(&id) {
                    turn.put(keys::map_run_state(id), live.state.encode());
                }
                self.let_out(Work::Forget { id }, turn);
            }
        }
        Ok(())
    }
}
