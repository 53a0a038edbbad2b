//! What was acknowledged and what anybody saw, and what must therefore hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::Timestamp;
use engine::sim::{End, Executions};
use interp::{Details, EventType, HistoryEvent};

use crate::process::TaskKey;

/// One execution as its client knows it.
#[derive(Debug, Default)]
pub struct Known {
    pub machine: usize,
    pub name: String,
    pub input: String,
    pub cell: usize,
    /// Its start was acknowledged.
    pub acknowledged: bool,
    pub arn: Option<String>,
    pub number: Option<u64>,
    /// Someone asked it to stop.
    pub stopped: bool,
    /// The history as it was last read.
    history: Vec<HistoryEvent>,
    end: Option<End>,
}

impl Known {
    pub fn new(machine: usize, name: String, input: String, cell: usize) -> Known {
        Known { machine, name, input, cell, ..Known::default() }
    }
}

/// An effect that left an execution's cell.
#[derive(Debug, PartialEq)]
struct Effect {
    task: TaskKey,
    parameters: String,
    token: Option<String>,
}

/// A client's message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    sent: bool,
    refused: bool,
    deleted: bool,
    /// A delete of it was asked for and not answered.
    maybe_deleted: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub executions: Vec<Known>,
    effects: BTreeMap<Vec<u8>, Effect>,
    messages: BTreeMap<String, Message>,
}

type Check = Result<(), String>;

impl Ledger {
    /// An effect has left: its cause must be stored, and a repeated one must be the same.
    pub fn effect_left(
        &mut self,
        executions: &Executions,
        id: &[u8],
        task: TaskKey,
        parameters: &str,
        token: Option<&str>,
    ) -> Check {
        let effect = Effect { task, parameters: parameters.to_owned(), token: token.map(str::to_owned) };
        let history = executions.history(task.0, task.1).map_err(|e| e.to_string())?;
        let scheduled = history.iter().find(|event| event.id == task.2).map(|event| event.event_type);
        if !scheduled.is_some_and(is_scheduled) {
            return Err(format!(
                "a task's effect has left before its cause was durable: {task:?}, event {scheduled:?}"
            ));
        }
        match self.effects.get(id) {
            Some(earlier) if *earlier != effect => {
                Err(format!("an effect's id came with another effect: {effect:?} after {earlier:?}"))
            }
            Some(_) => Ok(()),
            None => {
                self.effects.insert(id.to_vec(), effect);
                Ok(())
            }
        }
    }

    /// Reads all that is known of each execution again and compares.
    pub fn check_executions(&mut self, executions: &Executions, machine_names: &[String]) -> Check {
        for at in 0..self.executions.len() {
            self.check_execution(executions, machine_names, at)?;
        }
        Ok(())
    }

    pub fn check_execution(&mut self, executions: &Executions, machine_names: &[String], at: usize) -> Check {
        let known = &mut self.executions[at];
        let failed = |what: String| Err(format!("execution {}: {what}", known.name));
        let number = executions.find(&machine_names[known.machine], &known.name).map_err(|e| e.to_string())?;
        let Some(number) = number else {
            if known.acknowledged || known.number.is_some() {
                return failed("its start was acknowledged, and it is gone".to_owned());
            }
            return Ok(());
        };
        if known.number.is_some_and(|earlier| earlier != number) {
            return failed(format!("it was number {:?}, and is number {number}", known.number));
        }
        known.number = Some(number);
        let history = executions.history(known.cell, number).map_err(|e| e.to_string())?;
        if let Some(what) = check_prefix(&known.history, &history).or_else(|| check_history(&history)) {
            return failed(what);
        }
        let end = executions.end(known.cell, number).map_err(|e| e.to_string())?;
        if known.end.is_some() && known.end != end {
            return failed(format!("it had ended as {:?}, and has as {end:?}", known.end));
        }
        let last = history.last().map(|event| event.event_type);
        let terminal = last.filter(|last| last.is_terminal()).map(status_of);
        if terminal != end.as_ref().map(|end| end.status) {
            return failed(format!("its last event is {last:?}, and its end {end:?}"));
        }
        (known.history, known.end) = (history, end);
        Ok(())
    }

    pub fn end(&self, at: usize) -> Option<&End> {
        self.executions[at].end.as_ref()
    }

    pub fn history(&self, at: usize) -> &[HistoryEvent] {
        &self.executions[at].history
    }

    pub fn sent(&mut self, body: &str) {
        self.messages.entry(body.to_owned()).or_default().sent = true;
    }

    /// The sender was told that nothing was done.
    pub fn refused(&mut self, body: &str) {
        self.messages.entry(body.to_owned()).or_default().refused = true;
    }

    pub fn asked_to_delete(&mut self, body: &str) {
        self.messages.entry(body.to_owned()).or_default().maybe_deleted = true;
    }

    pub fn deleted(&mut self, body: &str) {
        self.messages.entry(body.to_owned()).or_default().deleted = true;
    }

    pub fn received(&mut self, body: &str) -> Check {
        match self.messages.get(body) {
            Some(Message { refused: true, .. }) => Err(format!("message {body} was refused, and is received")),
            Some(Message { deleted: true, .. }) => Err(format!("message {body} was deleted, and is received again")),
            // One that was not answered may be there.
            Some(_) | None => Ok(()),
        }
    }

    /// At the end: the clients' queue holds what was acknowledged and not deleted.
    pub fn check_messages(&self, held: &[String]) -> Check {
        let distinct: BTreeSet<&String> = held.iter().collect();
        if distinct.len() != held.len() {
            return Err("a client's message is in its queue twice".to_owned());
        }
        for (body, message) in &self.messages {
            if message.sent && !message.maybe_deleted && !distinct.contains(body) {
                return Err(format!("message {body} was acknowledged, and is gone"));
            }
        }
        Ok(())
    }

    /// At the end: each message that an execution sent is in the queue once, whatever was delivered twice. `held` are
    /// bodies as the world writes them: cell, execution and task.
    pub fn check_effects(&self, held: &[String]) -> Check {
        let mut counts: BTreeMap<TaskKey, u64> = BTreeMap::new();
        for body in held {
            let mut parts = body.split('/').map(|part| part.parse::<u64>().unwrap_or_default());
            let mut next = || parts.next().unwrap_or_default();
            *counts.entry((next() as usize, next(), next())).or_default() += 1;
        }
        if let Some((task, count)) = counts.iter().find(|(_, count)| **count > 1) {
            return Err(format!("the message of task {task:?} was sent {count} times"));
        }
        for known in &self.executions {
            let Some(number) = known.number else { continue };
            let chain = Chain(&known.history);
            for event in &known.history {
                if matches!(event.event_type, EventType::TaskSucceeded | EventType::TaskSubmitted)
                    && let Some(scheduled) = chain.scheduled_of(event)
                    && !counts.contains_key(&(known.cell, number, scheduled))
                {
                    return Err(format!(
                        "execution {}: task {scheduled} has sent, and its message is gone",
                        known.name
                    ));
                }
            }
            for (_, _, task) in counts.keys().filter(|(cell, execution, _)| (*cell, *execution) == (known.cell, number))
            {
                let cause = known.history.iter().find(|event| event.id == *task).map(|event| event.event_type);
                if cause != Some(EventType::TaskScheduled) {
                    return Err(format!("execution {}: a message came of event {task}, {cause:?}", known.name));
                }
            }
        }
        Ok(())
    }
}

fn is_scheduled(event: EventType) -> bool {
    matches!(event, EventType::LambdaFunctionScheduled | EventType::TaskScheduled | EventType::ActivityScheduled)
}

fn status_of(event: EventType) -> &'static str {
    match event {
        EventType::ExecutionSucceeded => "SUCCEEDED",
        EventType::ExecutionTimedOut => "TIMED_OUT",
        EventType::ExecutionAborted => "ABORTED",
        _ => "FAILED",
    }
}

/// Events that were read once never change and never go.
fn check_prefix(earlier: &[HistoryEvent], now: &[HistoryEvent]) -> Option<String> {
    if now.len() < earlier.len() {
        return Some(format!("its history had {} events, and has {}", earlier.len(), now.len()));
    }
    let changed = earlier.iter().zip(now).find(|(was, is)| was != is)?;
    Some(format!("event {} was {:?}, and is {:?}", changed.0.id, changed.0.event_type, changed.1.event_type))
}

/// A history by itself: without gaps, well nested, each state entered once, one end, no timer early.
fn check_history(history: &[HistoryEvent]) -> Option<String> {
    let chain = Chain(history);
    let mut entered = BTreeSet::new();
    let mut exited = BTreeSet::new();
    let mut answered = BTreeSet::new();
    for (event, id) in history.iter().zip(1..) {
        if event.id != id {
            return Some(format!("event {} stands where event {id} belongs", event.id));
        }
        if event.previous_event_id >= id {
            return Some(format!("event {id} follows event {}", event.previous_event_id));
        }
        if event.event_type.is_terminal() && history.len() as u64 != id {
            return Some(format!("it ended with event {id}, and goes on"));
        }
        match &event.details {
            Details::StateEntered { name, .. } if !entered.insert((event.previous_event_id, name.clone())) => {
                return Some(format!("state {name} was entered twice behind event {}", event.previous_event_id));
            }
            Details::StateExited { name, .. } => {
                let Some(start) = chain.entered_of(event, name) else {
                    return Some(format!("event {id} leaves state {name}, which was not entered"));
                };
                if !exited.insert(start.id) {
                    return Some(format!("state {name} of event {} was left twice", start.id));
                }
            }
            _ if is_answer(event.event_type) => {
                let scheduled = chain.scheduled_of(event);
                if scheduled.is_none_or(|scheduled| !answered.insert(scheduled)) {
                    return Some(format!("event {id} answers task {scheduled:?}, which has an answer"));
                }
            }
            _ => {}
        }
        if let Some(early) = chain.early(event) {
            return Some(early);
        }
    }
    None
}

fn is_answer(event: EventType) -> bool {
    matches!(
        event,
        EventType::LambdaFunctionSucceeded
            | EventType::LambdaFunctionFailed
            | EventType::LambdaFunctionTimedOut
            | EventType::TaskSucceeded
            | EventType::TaskFailed
            | EventType::TaskTimedOut
    )
}

/// Events by what they follow.
struct Chain<'a>(&'a [HistoryEvent]);

impl<'a> Chain<'a> {
    fn get(&self, id: u64) -> Option<&'a HistoryEvent> {
        usize::try_from(id).ok()?.checked_sub(1).and_then(|at| self.0.get(at))
    }

    fn back(&self, event: &'a HistoryEvent) -> impl Iterator<Item = &'a HistoryEvent> {
        std::iter::successors(self.get(event.previous_event_id), |event| self.get(event.previous_event_id))
    }

    fn entered_of(&self, event: &'a HistoryEvent, name: &str) -> Option<&'a HistoryEvent> {
        self.back(event).find(|event| matches!(&event.details, Details::StateEntered { name: n, .. } if **n == *name))
    }

    /// The `...Scheduled` event that an answer or a submission belongs to.
    fn scheduled_of(&self, event: &'a HistoryEvent) -> Option<u64> {
        self.back(event).find(|event| is_scheduled(event.event_type)).map(|event| event.id)
    }

    /// A timeout that came before its time.
    fn early(&self, event: &'a HistoryEvent) -> Option<String> {
        if !matches!(event.event_type, EventType::LambdaFunctionTimedOut | EventType::TaskTimedOut) {
            return None;
        }
        let scheduled = self.get(self.scheduled_of(event)?)?;
        let (timeout, heartbeat) = match &scheduled.details {
            Details::FunctionScheduled { timeout_seconds, .. } => (*timeout_seconds, None),
            Details::TaskScheduled { timeout_seconds, heartbeat_seconds, .. } => (*timeout_seconds, *heartbeat_seconds),
            _ => (None, None),
        };
        // A function's history does not show its heartbeat, which is at least half of its timeout here.
        let least = heartbeat.or(timeout.map(|seconds| seconds / 2)).min(timeout)?;
        is_early(scheduled.timestamp, event.timestamp, least)
            .then(|| format!("event {} timed out before {least} s were over", event.id))
    }
}

fn is_early(from: Timestamp, to: Timestamp, seconds: u64) -> bool {
    to < from + Duration::from_secs(seconds)
}

/// Waits of a literal number of seconds, by their states: none may end early.
pub fn check_waits(history: &[HistoryEvent], seconds_of: &BTreeMap<String, u64>) -> Check {
    let chain = Chain(history);
    for event in history.iter().filter(|event| event.event_type == EventType::WaitStateExited) {
        if let Details::StateExited { name, .. } = &event.details
            && let Some(seconds) = seconds_of.get(&**name)
            && let Some(entered) = chain.entered_of(event, name)
            && is_early(entered.timestamp, event.timestamp, *seconds)
        {
            return Err(format!("state {name} waited less than {seconds} s"));
        }
    }
    Ok(())
}
