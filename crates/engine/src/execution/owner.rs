mod child;
mod redrive;
mod settle;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::{Entropy, Timestamp};
use cell::{Machine, Reply, Turn};
use interp::{Effect, Env, Outcome, Progress, RunTask, Step, TaskId, TimerId};
use service::{EffectId, Fault};
use store::{Error, KeyReader, Range};

use super::index;
use super::log::LogTarget;
use super::uses::Uses;
use super::{ChildEnd, Input, Job, Outside, Start, Started, Work, execution_arn, history};
use crate::catalog::Catalog;
use crate::keys::{self, ExecutionId, MapRunId};
use crate::map_run::{NewRun, Processors};
use crate::mock::TestCase;
use crate::record::{EndRecord, HeadRecord, Record, RedriveRecord};
use crate::task::integration::admit;
use crate::task::nested;
use crate::token::Tokens;
use crate::{Options, fault};

use sweep::Sweep;

/// What one step may write, however large the payloads are: with the snapshot it must fit a batch of the store.
const STEP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Of the record of a child that is to be stopped.
const STOP_VERSION: u8 = 1;

/// The state of one cell of executions: those that run.
pub(crate) struct Owner {
    cell: u8,
    catalog: Catalog,
    processors: Processors,
    tokens: Tokens,
    entropy: Arc<Entropy>,
    outside: Outside,
    options: Options,
    live: HashMap<u64, Live>,
    /// Express children of Map Runs, which have no name that could be looked up.
    express_children: HashMap<(MapRunId, u64), u64>,
    /// Armed timers of all live executions, the next first.
    timers: BTreeSet<(Timestamp, u64, TimerId)>,
    /// Executions with more transitions to do in the next turn.
    unfinished: BTreeSet<u64>,
    /// Executions that this turn has changed.
    changed: BTreeSet<u64>,
    next_number: u64,
    /// Whether anybody takes status changes.
    announces: bool,
    uses: Uses,
    sweep: Sweep,
}

/// One running execution in memory.
struct Live {
    execution: interp::Execution,
    head: Arc<HeadRecord>,
    arn: Arc<str>,
    role_arn: Arc<str>,
    timers: BTreeMap<TimerId, Timestamp>,
    /// Events of this turn, encoded.
    events: history::Chunks,
    /// Size and parts of what the store has of its position; an Express execution has one part, if it is durable.
    snapshot: (usize, u8),
    test_case: Option<Arc<TestCase>>,
    /// Tasks that have an entry in the outbox.
    outbox: BTreeSet<TaskId>,
    /// Child executions that tasks wait for, by their ARNs.
    children: BTreeMap<TaskId, Arc<str>>,
    /// What it is in `express_children`.
    express_child: Option<(MapRunId, u64)>,
    /// Tasks that are Map Runs.
    map_runs: BTreeSet<TaskId>,
    log: Option<LogTarget>,
    /// Since when it runs: its start, or its last redrive.
    running_ms: i64,
    redriven: Option<RedriveRecord>,
    /// Whether it is listed as running; one that ends in its first turn never is.
    listed: bool,
    ended: Option<EndRecord>,
    watchers: Vec<Watcher>,
}

enum Watcher {
    End(Reply<Option<EndRecord>>),
    Sync(Reply<Result<(Started, EndRecord), Fault>>),
    Child(Reply<Result<ChildEnd, Fault>>),
    StoppedChild(Reply<Option<ChildEnd>>),
}

impl Live {
    fn express(&self) -> bool {
        self.head.express_id.is_some()
    }
}

impl Owner {
    pub fn new(
        cell: usize,
        catalog: Catalog,
        processors: Processors,
        tokens: Tokens,
        entropy: Arc<Entropy>,
        outside: Outside,
        options: Options,
    ) -> Owner {
        Owner {
            cell: u8::try_from(cell).expect("few cells"),
            catalog,
            processors,
            tokens,
            entropy,
            outside,
            options,
            live: HashMap::new(),
            express_children: HashMap::new(),
            timers: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            changed: BTreeSet::new(),
            next_number: 1,
            announces: false,
            uses: Uses::default(),
            sweep: Sweep::new(Timestamp::MIN),
        }
    }

    /// Whether status changes are told.
    pub fn announcing(self, announces: bool) -> Owner {
        Owner { announces, ..self }
    }

    fn id(&self, number: u64) -> ExecutionId {
        ExecutionId { cell: self.cell, number }
    }

    fn start(&mut self, start: Start, turn: &mut Turn<'_>) -> Result<Result<Started, Fault>, Error> {
        if let Some(effect) = &start.effect
            && let Some(answer) = turn.earlier_answer(&effect.0)?
        {
            return Ok(Ok(read_started(&answer)?));
        }
        let express = start.head.express_id.is_some();
        if !express
            && start.child.is_none()
            && let Some(answer) = self.same_name(&start.head, turn)?
        {
            return Ok(answer);
        }
        if self.live.len() >= self.options.running_executions_per_cell_max {
            return Ok(Err(fault::execution_limit_exceeded()));
        }
        let id = self.id(self.next_number);
        self.next_number += 1;
        let Start { head, definition, effect, durable, child } = start;
        let started = Started { arn: execution_arn(&head), start: Timestamp::from_millis(head.start_ms) };
        if !express || durable {
            self.uses.add(head.revision.definition_id);
        }
        if express {
            if durable {
                turn.put(keys::run(id), head.encode());
            }
        } else {
            let scope = head.scope();
            turn.put(keys::execution_name(&scope, &head.machine, &head.name), id.number.to_be_bytes().to_vec());
            index::put_started(&head, id, turn);
            if let Some(child) = &child {
                turn.put(keys::execution_child(id), child.encode());
            }
            turn.put(keys::head(id), head.encode());
        }
        if let Some(effect) = effect {
            turn.remember_answer(&effect.0, write_started(&started));
        }
        let info = execution_info(&head, 0);
        let live = self.add(id.number, interp::Execution::new(info, definition), head);
        live.snapshot.1 = u8::from(express && durable);
        if let Some(live) = self.live.get(&id.number) {
            self.announce(live, None, None, turn);
        }
        self.drive(id.number, interp::Input::Start, turn);
        Ok(Ok(started))
    }

    /// The answer for a name that is taken: the same execution again if it runs with the same input. A name is free
    /// when its execution ended as long ago as executions are kept, though it may not have been swept yet.
    fn same_name(&self, head: &HeadRecord, turn: &Turn<'_>) -> Result<Option<Result<Started, Fault>>, Error> {
        let key = keys::execution_name(&head.scope(), &head.machine, &head.name);
        let Some(number) = turn.get(key.as_bytes())? else { return Ok(None) };
        let number = KeyReader::new(&number).u64()?;
        let arn = execution_arn(head);
        let taken = Some(Err(fault::execution_already_exists(&arn)));
        if let Some(live) = self.live.get(&number) {
            let same = live.ended.is_none() && live.head.input == head.input;
            let start = Timestamp::from_millis(live.head.start_ms);
            return Ok(if same { Some(Ok(Started { arn, start })) } else { taken });
        }
        let Some(end) = turn.get(keys::end(self.id(number)).as_bytes())? else { return Ok(taken) };
        let stop = Timestamp::from_millis(EndRecord::decode(&end)?.stop_ms);
        Ok(taken.filter(|_| stop + self.options.execution_retention > turn.now()))
    }

    fn add(&mut self, number: u64, execution: interp::Execution, head: HeadRecord) -> &mut Live {
        let log = LogTarget::read(head.revision.logging_json.as_deref());
        let info = execution.info();
        let (arn, role_arn) = (info.id.clone(), info.role_arn.clone());
        // Children of Map Runs belong to the machine before the slash.
        let machine = head.machine.split('/').next().unwrap_or_default();
        let test_case = head.test_case.clone().map(|name| TestCase { machine: machine.to_owned(), name });
        let live = Live {
            execution,
            test_case: test_case.map(Arc::new),
            running_ms: head.start_ms,
            head: Arc::new(head),
            arn,
            role_arn,
            timers: BTreeMap::new(),
            events: history::Chunks::default(),
            snapshot: (0, 0),
            outbox: BTreeSet::new(),
            children: BTreeMap::new(),
            express_child: None,
            map_runs: BTreeSet::new(),
            log,
            redriven: None,
            listed: false,
            ended: None,
            watchers: Vec::new(),
        };
        self.live.entry(number).insert_entry(live).into_mut()
    }

    /// Gives an input to an execution's interpreter and takes what it says. Returns whether anything came of it.
    fn drive(&mut self, number: u64, input: interp::Input, turn: &mut Turn<'_>) -> bool {
        let settled = settled_task(&input);
        let started = match &input {
            interp::Input::TaskSubmitted { task, output } => Some((*task, output.clone())),
            _ => None,
        };
        let Some(step) = self.step(number, input, turn.now()) else { return false };
        if step.history.is_empty() && step.effects.is_empty() {
            return false;
        }
        let key = settled.map(|task| keys::task_effect(turn.cell(), number, task.0));
        let live = self.live.get_mut(&number).expect("it made a step");
        if let (Some(task), Some(key)) = (settled, key)
            && live.outbox.remove(&task)
        {
            turn.delete(key);
        }
        if let Some((task, output)) = started
            && let Some(child) = live.children.get_mut(&task)
            && let Some(started) = nested::submitted_child(&output)
        {
            *child = started;
        } else if let Some(task) = settled {
            live.children.remove(&task);
            live.map_runs.remove(&task);
        }
        self.take(number, step, turn);
        true
    }

    fn step(&mut self, number: u64, input: interp::Input, now: Timestamp) -> Option<Step> {
        let id = self.id(number);
        let live = self.live.get_mut(&number).filter(|l| l.ended.is_none())?;
        let mut limits = self.options.express_limits;
        if !live.express() {
            limits = self.options.standard_limits;
            // A transition writes two payloads: what the state got, and what it gave or asked for.
            let transitions = STEP_BYTES_MAX / (2 * limits.payload_bytes_max).max(1);
            let transitions = u32::try_from(transitions).unwrap_or(u32::MAX).max(1);
            limits.transitions_per_step_max = limits.transitions_per_step_max.min(transitions);
        }
        let (entropy, tokens, catalog) = (&self.entropy, &self.tokens, &self.catalog);
        let mut env = Env {
            now,
            random: &mut || entropy.next_u64(),
            token: &mut |task| tokens.make(id, task.0),
            admit: &mut |task| admit(task, catalog),
            limits,
        };
        Some(live.execution.step(input, &mut env))
    }

    /// Takes what the interpreter says.
    fn take(&mut self, number: u64, Step { history, effects }: Step, turn: &mut Turn<'_>) {
        let live = self.live.get_mut(&number).expect("it made a step");
        let first = self.changed.insert(number);
        if !live.express() {
            let events: usize = history.iter().map(|event| live.events.push(event)).sum();
            // The snapshot grows by about as much.
            turn.expect_bytes(2 * events + if first { live.snapshot.0 } else { 0 });
        }
        let redrives = live.execution.info().redrive_count;
        if let Some(lines) = live.log.as_ref().and_then(|log| log.lines(&live.head, &live.arn, redrives, &history)) {
            let outside = self.outside.clone();
            turn.effect(move || outside(Work::Log(lines)));
        }
        for effect in effects {
            self.effect(number, effect, false, turn);
        }
    }

    fn effect(&mut self, number: u64, effect: Effect, again: bool, turn: &mut Turn<'_>) {
        let id = self.id(number);
        let live = self.live.get_mut(&number).expect("effects come of live executions");
        match effect {
            Effect::RunTask(task) => self.run_task(number, *task, again, turn),
            Effect::RunMapRun(run) => {
                live.map_runs.insert(run.task);
                let (parent, parent_arn) = (live.head.clone(), live.arn.clone());
                let (outside, new) = (self.outside.clone(), NewRun { id, parent, parent_arn, run: *run });
                turn.effect(move || outside(Work::MapRun(Arc::new(new))));
            }
            Effect::CancelTask { task } if live.map_runs.remove(&task) => {
                let (outside, run) = (self.outside.clone(), MapRunId { execution: id, task: task.0 });
                turn.effect(move || outside(Work::CancelMapRun(run)));
            }
            Effect::CancelTask { task } => {
                if live.outbox.remove(&task) {
                    turn.delete(keys::task_effect(turn.cell(), number, task.0));
                }
                let outside = self.outside.clone();
                match live.children.remove(&task) {
                    None => turn.effect(move || outside(Work::Cancel { id, task })),
                    Some(child) => {
                        turn.put(keys::stop(id, task.0), [&[STOP_VERSION], child.as_bytes()].concat());
                        turn.effect(move || outside(Work::StopChild { id, task, child }));
                    }
                }
            }
            Effect::StartTimer { timer, at } => {
                if let Some(old) = live.timers.insert(timer, at) {
                    self.timers.remove(&(old, number, timer));
                }
                self.timers.insert((at, number, timer));
            }
            Effect::CancelTimer { timer } => {
                if let Some(at) = live.timers.remove(&timer) {
                    self.timers.remove(&(at, number, timer));
                }
            }
            Effect::Continue => {
                self.unfinished.insert(number);
            }
            Effect::Ended(outcome) => {
                live.ended = Some(end_record(&outcome, turn.now()));
            }
        }
    }

    fn run_task(&mut self, number: u64, task: RunTask, again: bool, turn: &mut Turn<'_>) {
        let id = self.id(number);
        let live = self.live.get_mut(&number).expect("tasks come of live executions");
        let effect = (!live.express()).then(|| keys::task_effect(turn.cell(), number, task.task.0));
        // A function called by its ARN and an activity have no inbox that the entry would hold open.
        if let Some(key) = &effect
            && matches!(task.resource.kind, asl::ResourceKind::Integration(_))
            && task.progress == Progress::Scheduled
        {
            live.outbox.insert(task.task);
            if !again {
                turn.put(key.clone(), vec![1]);
            }
        }
        let effect = effect.map(|key| EffectId::new(&key));
        if let Some(child) = nested::child_of(&task, effect.as_ref()).filter(|_| !live.express()) {
            live.children.insert(task.task, child);
        }
        let job = Job {
            id,
            scope: live.head.scope(),
            execution_arn: live.arn.clone(),
            role_arn: live.role_arn.clone(),
            task,
            effect,
            test_case: live.test_case.clone(),
        };
        let outside = self.outside.clone();
        turn.effect(move || outside(Work::Run(Box::new(job))));
    }

    /// Issues again what a crash may have cut off: children that are to be stopped.
    fn stop_children(&self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let stops = keys::stops_of_cell(self.cell);
        for (key, value) in turn.scan(&Range::prefix(stops.as_bytes()))? {
            let mut parts = KeyReader::new(&key[stops.as_bytes().len()..]);
            let (id, task) = (self.id(parts.u64()?), TaskId(parts.u64()?));
            let child = value.strip_prefix(&[STOP_VERSION]).and_then(|arn| std::str::from_utf8(arn).ok());
            let child: Arc<str> = child.ok_or_else(|| Error::Corrupt("child to stop".to_owned()))?.into();
            let outside = self.outside.clone();
            turn.effect(move || outside(Work::StopChild { id, task, child }));
        }
        Ok(())
    }

    fn watch(&mut self, number: u64, reply: Reply<Option<EndRecord>>, turn: &mut Turn<'_>) -> Result<(), Error> {
        match self.live.get_mut(&number).filter(|l| l.ended.is_none()) {
            Some(live) => live.watchers.push(Watcher::End(reply)),
            None => {
                let end = match self.live.get(&number) {
                    Some(live) => live.ended.clone(),
                    None => {
                        turn.get(keys::end(self.id(number)).as_bytes())?.map(|e| EndRecord::decode(&e)).transpose()?
                    }
                };
                turn.reply(reply, end);
            }
        }
        Ok(())
    }

    /// Takes an execution up again where the store has it.
    fn resume(&mut self, id: ExecutionId, value: &[u8], parts: u8, turn: &mut Turn<'_>) -> Result<(), Error> {
        let Some(head) = turn.get(keys::head(id).as_bytes())? else {
            // An Express execution: what is stored is its head, and it begins anew.
            let head = HeadRecord::decode(value)?;
            let definition = self.catalog.definition(head.revision.definition_id, true)?;
            let live = self.add(id.number, interp::Execution::new(execution_info(&head, 0), definition), head);
            live.snapshot.1 = parts;
            self.drive(id.number, interp::Input::Start, turn);
            return Ok(());
        };
        let head = HeadRecord::decode(&head)?;
        let definition = self.definition_of(id, &head, turn)?;
        let redriven = turn.get(keys::redriven(id).as_bytes())?.map(|r| RedriveRecord::decode(&r)).transpose()?;
        let info = execution_info(&head, redriven.as_ref().map_or(0, |r| r.count));
        let execution = interp::Execution::restore(value, info, definition)
            .map_err(|e| Error::Corrupt(format!("execution {}: {e}", execution_arn(&head))))?;
        let effects = execution.open_effects();
        let live = self.add(id.number, execution, head);
        (live.snapshot, live.listed) = ((value.len(), parts), true);
        live.running_ms = redriven.as_ref().map_or(live.running_ms, |r| r.last_ms);
        live.redriven = redriven;
        for effect in effects {
            self.effect(id.number, effect, true, turn);
        }
        Ok(())
    }
}

impl Machine for Owner {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        // Watchers of a state that is dropped hear nothing, which their callers take as "ask again".
        self.live.clear();
        self.express_children.clear();
        self.timers.clear();
        self.unfinished.clear();
        self.changed.clear();
        self.uses = Uses::load(self.cell, turn)?;
        let heads = keys::heads_of_cell(self.cell);
        let last_head = turn.scan(&Range::prefix(heads.as_bytes()).reverse().limit(1))?;
        let runs = keys::runs_of_cell(self.cell);
        let mut last = 0;
        if let Some((key, _)) = last_head.first() {
            last = KeyReader::new(&key[heads.as_bytes().len()..]).u64()?;
        }
        let mut entries = turn.scan(&Range::prefix(runs.as_bytes()))?.into_iter().peekable();
        while let Some((key, mut value)) = entries.next() {
            let number = KeyReader::new(&key[runs.as_bytes().len()..]).u64()?;
            let mut parts = 1;
            // Further parts follow in order.
            while let Some((_, more)) = entries.next_if(|(next, _)| next.starts_with(&key)) {
                value = [value, more].concat().into();
                parts += 1;
            }
            last = last.max(number);
            self.resume(self.id(number), &value, parts, turn)?;
        }
        self.next_number = last.max(self.next_number.saturating_sub(1)) + 1;
        self.sweep = Sweep::new(turn.now());
        self.stop_children(turn)
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        match input {
            Input::Start { start, reply } => {
                let answer = self.start(*start, turn)?;
                turn.reply(reply, answer);
            }
            Input::StartSync { start, reply } => {
                let number = self.next_number;
                match self.start(*start, turn)? {
                    Ok(_) => {
                        let live = self.live.get_mut(&number).expect("it was just started");
                        live.watchers.push(Watcher::Sync(reply));
                    }
                    Err(fault) => turn.reply(reply, Err(fault)),
                }
            }
            Input::Task { id, input, reply } => {
                let done = self.drive(id.number, input, turn);
                if let Some(reply) = reply {
                    turn.reply(reply, done);
                }
            }
            Input::Heartbeat { id, task, reply } => {
                let live = self.live.get(&id.number).filter(|l| l.ended.is_none());
                let open = live.is_some_and(|l| l.execution.is_open(task));
                if open {
                    self.drive(id.number, interp::Input::Heartbeat { task }, turn);
                    // No event tells of it, but the deadline that it moved is part of the position.
                    self.changed.insert(id.number);
                }
                turn.reply(reply, open);
            }
            Input::Stop { id, error, cause, reply } => {
                let input = interp::Input::Stop { error: error.map(Into::into), cause: cause.map(Into::into) };
                let stopped = self.drive(id.number, input, turn);
                turn.reply(reply, stopped.then_some(turn.now()));
            }
            Input::Redrive { id, token, reply } => {
                let answer = self.redrive(id, token, turn)?;
                turn.reply(reply, answer);
            }
            Input::ChildStopped { id, task } => turn.delete(keys::stop(id, task.0)),
            Input::Watch { id, reply } => self.watch(id.number, reply, turn)?,
            Input::StartChild { start, reply } => self.start_child(*start, reply, turn)?,
            Input::StopChild { child, reply } => self.stop_child(&child, reply, turn)?,
            Input::IsOpen { id, task, reply } => {
                let live = self.live.get(&id.number).filter(|live| live.ended.is_none());
                turn.reply(reply, live.is_some_and(|live| live.execution.is_open(task)));
            }
        }
        Ok(())
    }

    fn settle(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        for number in std::mem::take(&mut self.changed) {
            self.settle_one(number, turn);
        }
        self.uses.settle(self.cell, turn);
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if !self.unfinished.is_empty() {
            return Some(Timestamp::MIN);
        }
        let sweep_at = self.sweep.next_at();
        Some(self.timers.first().map_or(sweep_at, |(at, ..)| sweep_at.min(*at)))
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        // What is due before those that go on: each of them goes on once in a turn, so that none holds up the others.
        while !turn.is_full()
            && let Some(&(at, number, timer)) = self.timers.first().filter(|(at, ..)| *at <= turn.now())
        {
            self.timers.remove(&(at, number, timer));
            if let Some(live) = self.live.get_mut(&number) {
                live.timers.remove(&timer);
            }
            self.drive(number, interp::Input::TimerFired { timer }, turn);
        }
        for number in std::mem::take(&mut self.unfinished) {
            if turn.is_full() {
                self.unfinished.insert(number);
            } else {
                self.drive(number, interp::Input::Continue, turn);
            }
        }
        if turn.is_full() { Ok(()) } else { self.sweep(turn) }
    }
}

/// The task whose outbox entry an input makes superfluous: its service has answered.
fn settled_task(input: &interp::Input) -> Option<TaskId> {
    use interp::Input as I;
    match input {
        I::TaskSubmitted { task, .. }
        | I::TaskSucceeded { task, .. }
        | I::TaskFailed { task, .. }
        | I::TaskScheduleFailed { task, .. }
        | I::TaskStartFailed { task, .. }
        | I::TaskSubmitFailed { task, .. } => Some(*task),
        _ => None,
    }
}

fn execution_info(head: &HeadRecord, redrive_count: u32) -> interp::ExecutionInfo {
    interp::ExecutionInfo {
        id: execution_arn(head).into(),
        name: head.name.as_str().into(),
        input: head.input.as_str().into(),
        role_arn: head.revision.role_arn.as_str().into(),
        start_time: Timestamp::from_millis(head.start_ms),
        state_machine_id: head.machine_arn().into(),
        state_machine_name: head.machine.as_str().into(),
        state_machine_version_arn: head.version_arn().map(Into::into),
        state_machine_alias_arn: head.alias_arn().map(Into::into),
        redrive_count,
    }
}

fn end_record(outcome: &Outcome, now: Timestamp) -> EndRecord {
    let text = |t: &Option<Arc<str>>| t.as_ref().map(ToString::to_string);
    EndRecord {
        status: match outcome.status {
            interp::ExecutionStatus::Succeeded => EndRecord::SUCCEEDED,
            interp::ExecutionStatus::TimedOut => EndRecord::TIMED_OUT,
            interp::ExecutionStatus::Aborted => EndRecord::ABORTED,
            interp::ExecutionStatus::Failed | interp::ExecutionStatus::Running => EndRecord::FAILED,
        },
        stop_ms: now.as_millis(),
        output: text(&outcome.output),
        error: text(&outcome.error),
        cause: text(&outcome.cause),
    }
}

fn write_started(started: &Started) -> Vec<u8> {
    let mut bytes = started.start.as_millis().to_be_bytes().to_vec();
    bytes.extend_from_slice(started.arn.as_bytes());
    bytes
}

fn read_started(bytes: &[u8]) -> Result<Started, Error> {
    let mut reader = KeyReader::new(bytes);
    let start = reader.u64()? as i64;
    let arn = String::from_utf8(reader.rest().to_vec()).map_err(|_| Error::Corrupt("start answer".to_owned()))?;
    Ok(Started { arn, start: Timestamp::from_millis(start) })
}
