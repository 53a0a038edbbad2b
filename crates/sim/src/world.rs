//! One run: a workload, a schedule and faults from a seed, and the checks while and after it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base::{Entropy, ManualClock, Timestamp};
use engine::sim::{Answer, Executions, Told, Wish};
use interp::{Input, Progress, RunTask, TaskId};
use service::EffectId;
use store_embedded::{Options, SimDisk};

use crate::Trace;
use crate::chance::Chance;
use crate::faults::Faults;
use crate::generate::{self, Machine};
use crate::ledger::{Known, Ledger, check_waits};
use crate::outcome::{self, Kind};
use crate::process::{
    Answered, CLIENTS_QUEUE, EFFECTS_QUEUE, ExecutionMail, Letter, Outage, Process, QueueMail, TaskKey, lane_name,
};
use crate::reference::{self, Subject};

/// When every run begins.
pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Steps of one run; a run that needs more does not end.
const STEPS_MAX: u64 = 60_000;
/// After the faults are over everything has this long to come to an end.
const CALM_MAX: Duration = Duration::from_secs(4 * 86_400);
/// How often a caller that was told to try again does.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// As the cell's loop pauses after a turn that failed.
const TURN_PAUSE: Duration = Duration::from_millis(20);

/// What is broken on purpose, to show that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Nothing is.
    None,
    /// The log is acknowledged without a sync.
    NoSync,
    /// Effects and replies leave before the commit.
    EarlyEffects,
    /// Deliveries carry no id, so that the receiver cannot know them again.
    NoEffectIds,
}

/// What came of one seed.
#[derive(Debug, Default)]
pub struct Verdict {
    pub seed: u64,
    /// Over everything that happened: the same for the same seed.
    pub trace_hash: u64,
    pub steps: u64,
    pub crashes: u64,
    pub executions: u64,
    /// Of these, how many were compared with a run without crashes.
    pub compared: u64,
    pub failure: Option<String>,
    /// The last things that happened before a failure.
    pub trace: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, control: Control, echo: bool) -> Verdict {
    let mut world = World::new(seed, control, echo);
    let failure = world.run().err();
    Verdict {
        seed,
        trace_hash: world.trace.hash(),
        steps: world.steps,
        crashes: world.crashes,
        executions: world.ledger.executions.len() as u64,
        compared: world.compared,
        trace: if failure.is_some() { world.trace.lines.iter().cloned().collect() } else { Vec::new() },
        failure,
    }
}

/// What happens at a time.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The client of an execution asks for its start, unless it was acknowledged.
    Start(usize),
    Stop(usize),
    /// What a task came to arrives; `outside` survives the server's crashes.
    Answer {
        key: TaskKey,
        input: Input,
        outside: bool,
    },
    /// A task's message arrives at the queue.
    Deliver {
        key: TaskKey,
        effect: EffectId,
    },
    Send(String),
    Receive,
    /// The disk works again.
    Heal,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    control: Control,
    schedule: Chance,
    pub(crate) luck: Chance,
    pub(crate) faults: Faults,
    entropy: Arc<Entropy>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) now: Timestamp,
    dir: tempfile::TempDir,
    pub(crate) disk: Outage,
    cells: Vec<usize>,
    pub(crate) process: Option<Process>,
    machines: Vec<Machine>,
    pub(crate) machine_names: Vec<String>,
    machine_arns: Vec<String>,
    pub(crate) agenda: BTreeMap<(Timestamp, u64), Event>,
    numbers: u64,
    /// Tasks that are being carried out: each once at a time.
    pub(crate) jobs: BTreeSet<TaskKey>,
    /// Tasks whose messages are on their way, or were.
    sending: BTreeMap<TaskKey, Sending>,
    /// Answers from outside that were not acknowledged: whoever gives them asks again.
    pub(crate) outside: BTreeMap<TaskKey, Input>,
    pub(crate) ledger: Ledger,
    trace: Trace,
    steps: u64,
    pub(crate) crashes: u64,
    compared: u64,
    calm_since: Option<Timestamp>,
    draining: Option<Drain>,
}

/// A task that sends a message.
#[derive(Clone)]
struct Sending {
    /// The execution's.
    name: String,
    run: RunTask,
}

/// Reads a queue empty at the end.
#[derive(Default)]
struct Drain {
    bodies: Vec<String>,
    is_empty: bool,
}

pub(crate) type Check = Result<(), String>;

fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder for the index")
}

impl World {
    fn new(seed: u64, control: Control, echo: bool) -> World {
        let luck = Chance::new(seed, "faults");
        let schedule = Chance::new(seed, "schedule");
        let first = schedule.index(engine::sim::CELLS);
        let cells = vec![first, (first + 1 + schedule.index(engine::sim::CELLS - 1)) % engine::sim::CELLS];
        World {
            seed,
            control,
            faults: Faults::of(&luck),
            luck,
            schedule,
            entropy: Arc::new(Entropy::from_seed(seed)),
            clock: Arc::new(ManualClock::new(EPOCH)),
            now: EPOCH,
            dir: folder(),
            disk: Outage { disk: SimDisk::new(), left: Arc::new(AtomicU64::new(0)) },
            cells,
            process: None,
            machines: Vec::new(),
            machine_names: Vec::new(),
            machine_arns: Vec::new(),
            agenda: BTreeMap::new(),
            numbers: 0,
            jobs: BTreeSet::new(),
            sending: BTreeMap::new(),
            outside: BTreeMap::new(),
            ledger: Ledger::default(),
            trace: Trace::new(echo),
            steps: 0,
            crashes: 0,
            compared: 0,
            calm_since: None,
            draining: None,
        }
    }

    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.trace.note(self.now, line.into());
    }

    pub(crate) fn at(&mut self, time: Timestamp, event: Event) {
        self.numbers += 1;
        self.agenda.insert((time, self.numbers), event);
    }

    pub(crate) fn soon(&mut self, ms_max: u64, event: Event) {
        let at = self.now + Duration::from_millis(self.schedule.below(ms_max));
        self.at(at, event);
    }

    fn run(&mut self) -> Check {
        self.set_up()?;
        while !self.is_over() {
            self.step()?;
        }
        self.finish()
    }

    /// Makes the machines and plans what clients will do. Nothing goes wrong yet.
    fn set_up(&mut self) -> Check {
        self.open(self.store_options()).map_err(|e| format!("the first start failed: {e}"))?;
        let generator = Chance::new(self.seed, "machines");
        let process = self.process.as_mut().expect("it was opened");
        process.store.set_immediate(true);
        for number in 0..1 + generator.below(3) {
            let (name, machine) = (format!("m{number}"), generate::machine(&generator));
            let made = process.executions.create_machine(&name, &machine.definition);
            let arn = made.map_err(|e| format!("a generated machine was refused: {e}\n{}", machine.definition))?;
            self.machines.push(machine);
            self.machine_names.push(name);
            self.machine_arns.push(arn);
        }
        process.store.set_immediate(false);
        for number in 0..1 + generator.below(6) {
            let machine = generator.index(self.machines.len());
            let input = generate::input(&generator);
            let name = self.name_in_cells(&self.machine_names[machine], number);
            let cell = Executions::cell_of(&self.machine_names[machine], &name);
            self.ledger.executions.push(Known::new(machine, name, input, cell));
            let execution = number as usize;
            self.soon(20_000, Event::Start(execution));
            if generator.one_in(4) {
                self.soon(20_000, Event::Start(execution));
            }
            if generator.one_in(8) {
                self.soon(60_000, Event::Stop(execution));
            }
        }
        for number in 0..generator.below(8) {
            self.soon(30_000, Event::Send(format!("client-{number}")));
            self.soon(60_000, Event::Receive);
        }
        for queue in [EFFECTS_QUEUE, CLIENTS_QUEUE] {
            self.post(None, Letter::Queue(queue::sim::Told::Create { queue: queue.to_owned() }, QueueMail::Create));
        }
        Ok(())
    }

    /// A name that belongs to one of the cells that run.
    fn name_in_cells(&self, machine: &str, number: u64) -> String {
        let names = (0u64..).map(|salt| format!("e{number}-{salt}"));
        let mut of_ours = names.filter(|name| self.cells.contains(&Executions::cell_of(machine, name)));
        of_ours.next().expect("names are spread over all cells")
    }

    pub(crate) fn store_options(&self) -> Options {
        Options {
            segment_bytes: [4096, 16 << 10, 128 << 10][self.seed as usize % 3],
            checkpoint_bytes: [20_000, 100_000, 1 << 20][(self.seed / 3) as usize % 3],
            overlay_bytes_max: 16 << 20,
            cache_bytes: 1 << 20,
            lose_acknowledged_data_on_power_cut: self.control == Control::NoSync,
            entropy: Arc::new(Entropy::from_seed(self.seed ^ self.crashes << 48)),
            ..Options::default()
        }
    }

    pub(crate) fn open(&mut self, options: Options) -> Check {
        let (dir, clock, entropy) = (self.dir.path().to_owned(), self.clock.clone(), self.entropy.clone());
        self.process = Some(Process::open(&dir, &self.disk, options, &clock, &entropy, &self.cells)?);
        Ok(())
    }

    pub(crate) fn is_faulty(&self) -> bool {
        self.steps < self.faults.until
    }

    /// Everything that was asked for has come to its end.
    fn is_over(&mut self) -> bool {
        let ended = (0..self.ledger.executions.len())
            .all(|at| self.ledger.executions[at].acknowledged && self.ledger.end(at).is_some());
        let idle = self.process.as_ref().is_some_and(|p| p.lanes.iter().all(|lane| lane.inbox.is_empty()));
        let sent = !self.agenda.values().any(|event| matches!(event, Event::Send(_) | Event::Deliver { .. }));
        ended && idle && sent && !self.is_faulty() && self.process.as_mut().is_some_and(|p| !p.has_queued())
    }

    fn step(&mut self) -> Check {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.stuck("after many steps"));
        }
        if !self.is_faulty() {
            let since = *self.calm_since.get_or_insert(self.now);
            if self.now > since + CALM_MAX {
                return Err(self.stuck("long after the last fault"));
            }
        }
        if self.disk.disk.has_crashed() {
            self.note("the machine has stopped within an operation");
            return self.crash();
        }
        if self.is_faulty() {
            self.inject();
            if self.faults.crash > 0 && self.luck.one_in(self.faults.crash) {
                return self.crash();
            }
        }
        let now = self.now;
        let process = self.process.as_mut().expect("it runs");
        let mut actions = Vec::new();
        for lane in 0..process.lanes.len() {
            if process.is_settled(lane) {
                actions.push(Action::Release(lane));
            } else if !process.is_in_turn(lane) && process.lanes[lane].not_before <= now {
                let due = process.wake_at(lane).is_some_and(|at| at <= now);
                if due || !process.lanes[lane].inbox.is_empty() {
                    actions.push(Action::Turn(lane));
                }
            }
        }
        if process.has_queued() {
            actions.push(Action::WriteLog);
        }
        if self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            actions.push(Action::Happen);
        }
        if self.schedule.one_in(12) {
            actions.push(Action::Background);
        }
        let Some(at) = (!actions.is_empty()).then(|| self.schedule.index(actions.len())) else {
            return self.pass_time();
        };
        self.act(actions.swap_remove(at))
    }

    fn act(&mut self, action: Action) -> Check {
        match action {
            Action::Turn(lane) => {
                let most = 1 + self.schedule.index(8);
                let (now, is_early) = (self.now, self.control == Control::EarlyEffects);
                let process = self.process.as_mut().expect("it runs");
                let line = process.begin_turn(lane, most, now, is_early).map_err(|e| format!("a cell stopped: {e}"))?;
                self.note(line);
                self.take_wishes()
            }
            Action::WriteLog => {
                let process = self.process.as_mut().expect("it runs");
                let batches = process.store.write_group();
                process.poll_commits();
                let operations = self.disk.disk.operations();
                self.note(format!("log: {batches} batches, {operations} operations"));
                Ok(())
            }
            Action::Release(lane) => self.release(lane),
            Action::Happen => {
                let Some((_, event)) = self.agenda.pop_first() else { return Ok(()) };
                self.happen(event)
            }
            Action::Background => {
                let process = self.process.as_mut().expect("it runs");
                let what = match self.schedule.below(8) {
                    0 => {
                        process.store.checkpoint();
                        "checkpoint asked for".to_owned()
                    }
                    1 if !process.has_queued() => {
                        process.store.write_group();
                        "mark".to_owned()
                    }
                    2 => {
                        let at = self.schedule.index(self.ledger.executions.len());
                        self.ledger.check_execution(&process.executions, &self.machine_names, at)?;
                        "a reader".to_owned()
                    }
                    _ => format!("background: {}", process.store.work_once()),
                };
                self.note(what);
                Ok(())
            }
        }
    }

    /// Nothing is to be done now: on to the next thing that is due.
    fn pass_time(&mut self) -> Check {
        let process = self.process.as_mut().expect("it runs");
        let mut next = self.agenda.first_key_value().map(|((at, _), _)| *at);
        for lane in 0..process.lanes.len() {
            let waits = !process.lanes[lane].inbox.is_empty();
            let wake = process.wake_at(lane).into_iter().chain(waits.then_some(Timestamp::MIN)).min();
            let at = wake.map(|wake| wake.max(process.lanes[lane].not_before));
            next = next.into_iter().chain(at).min();
        }
        let Some(next) = next else { return Err(self.stuck("with nothing left to happen")) };
        self.now = self.now.max(next);
        self.clock.set(self.now);
        Ok(())
    }

    fn stuck(&mut self, when: &str) -> String {
        let open: Vec<String> = (0..self.ledger.executions.len())
            .filter(|at| self.ledger.end(*at).is_none())
            .map(|at| {
                let known = &self.ledger.executions[at];
                let last = self.ledger.history(at).last().map(|event| (event.id, event.event_type));
                format!("{} (acknowledged: {}, last event {last:?})", known.name, known.acknowledged)
            })
            .collect();
        format!("stuck {when}: {}", open.join(", "))
    }

    pub(crate) fn post(&mut self, cell: Option<usize>, letter: Letter) {
        let process = self.process.as_mut().expect("it runs");
        let lane = process.lane_of(cell);
        process.lanes[lane].inbox.push_back(letter);
    }

    fn happen(&mut self, event: Event) -> Check {
        self.note(format!("{event:?}"));
        match event {
            Event::Start(at) => {
                let known = &self.ledger.executions[at];
                let (machine, name, input) =
                    (self.machine_arns[known.machine].clone(), known.name.clone(), known.input.clone());
                let told = Told::Start { machine, name, input };
                self.post(Some(known.cell), Letter::Execution(told, ExecutionMail::Start(at)));
            }
            Event::Stop(at) => {
                let known = &mut self.ledger.executions[at];
                known.stopped = true;
                if let Some(execution) = known.number {
                    let cell = known.cell;
                    self.post(Some(cell), Letter::Execution(Told::Stop { execution }, ExecutionMail::Stop(at)));
                }
            }
            Event::Answer { key, input, outside } => {
                if outside {
                    self.outside.insert(key, input.clone());
                }
                let told = Told::Task { execution: key.1, input };
                self.post(Some(key.0), Letter::Execution(told, ExecutionMail::Answer(key)));
            }
            Event::Deliver { key, effect } => {
                let effect = (self.control != Control::NoEffectIds).then_some(effect);
                let body = format!("{}/{}/{}", key.0, key.1, key.2);
                let told = queue::sim::Told::Send { queue: EFFECTS_QUEUE.to_owned(), body, effect };
                self.post(None, Letter::Queue(told, QueueMail::Effect(key)));
            }
            Event::Send(body) => {
                let told = queue::sim::Told::Send { queue: CLIENTS_QUEUE.to_owned(), body: body.clone(), effect: None };
                self.post(None, Letter::Queue(told, QueueMail::Client(body)));
            }
            Event::Receive => self.receive(CLIENTS_QUEUE, 1 + self.schedule.index(3), 30),
            Event::Heal => {
                self.disk.disk.set_full(false);
                self.disk.disk.set_broken(false);
                self.disk.disk.fail_syncs(0);
            }
        }
        Ok(())
    }

    fn receive(&mut self, queue: &str, max: usize, visibility_timeout_seconds: u32) {
        let told = queue::sim::Told::Receive { queue: queue.to_owned(), max, visibility_timeout_seconds };
        self.post(None, Letter::Queue(told, QueueMail::Receive));
    }

    fn release(&mut self, lane: usize) -> Check {
        let process = self.process.as_mut().expect("it runs");
        let name = lane_name(process.lanes[lane].cell);
        let (committed, answered) = process.release(lane).map_err(|e| format!("cell {name} stopped: {e}"))?;
        if !committed {
            process.lanes[lane].not_before = self.now + TURN_PAUSE;
        }
        self.note(format!("release {name}: {}", if committed { "durable" } else { "refused" }));
        for answer in answered {
            match answer {
                Answered::Execution(told, mail, answer) => self.execution_answered(told, mail, answer)?,
                Answered::Queue(told, mail, answer) => self.queue_answered(told, mail, answer)?,
            }
        }
        self.take_wishes()
    }

    fn execution_answered(&mut self, told: Told, mail: ExecutionMail, answer: Answer) -> Check {
        match (mail, answer) {
            (ExecutionMail::Start(at), Answer::Started(arn)) => {
                let known = &mut self.ledger.executions[at];
                known.acknowledged = true;
                if known.arn.get_or_insert_with(|| arn.clone()) != &arn {
                    return Err(format!("execution {} was answered with another ARN: {arn}", known.name));
                }
                let process = self.process.as_ref().expect("it runs");
                self.ledger.check_execution(&process.executions, &self.machine_names, at)
            }
            (ExecutionMail::Start(at), Answer::Refused(code)) if code == "ExecutionAlreadyExists" => {
                // It was started, by a call whose answer was lost or by the other one, and has ended.
                self.ledger.executions[at].acknowledged = true;
                let process = self.process.as_ref().expect("it runs");
                self.ledger.check_execution(&process.executions, &self.machine_names, at)
            }
            (ExecutionMail::Start(at), Answer::NotDone) => {
                let again = self.now + RETRY_AFTER;
                self.at(again, Event::Start(at));
                Ok(())
            }
            (ExecutionMail::Answer(key), Answer::Taken(_)) => {
                if !matches!(told, Told::Task { input: Input::TaskSubmitted { .. }, .. }) {
                    self.jobs.remove(&key);
                    self.outside.remove(&key);
                }
                Ok(())
            }
            (ExecutionMail::Answer(key), Answer::NotDone) => {
                let Told::Task { input, .. } = told else { return Ok(()) };
                let again = self.now + RETRY_AFTER;
                self.at(again, Event::Answer { key, input, outside: false });
                Ok(())
            }
            (ExecutionMail::Stop(_), _) => Ok(()),
            (mail, answer) => Err(format!("{mail:?} was answered with {answer:?}")),
        }
    }

    fn queue_answered(&mut self, told: queue::sim::Told, mail: QueueMail, answer: queue::sim::Answer) -> Check {
        use queue::sim::{Answer as A, Told as T};
        match (mail, told, answer) {
            (QueueMail::Create, T::Create { queue }, A::NotDone) => {
                self.post(None, Letter::Queue(T::Create { queue }, QueueMail::Create));
            }
            (QueueMail::Create, ..) => {}
            (QueueMail::Effect(key), _, A::Sent(_)) => self.message_sent(key),
            (QueueMail::Effect(key), told, A::NotDone) => {
                // As the dispatcher tries again, with the same id.
                self.post(None, Letter::Queue(told, QueueMail::Effect(key)));
            }
            (QueueMail::Client(body), _, A::Sent(_)) => self.ledger.sent(&body),
            (QueueMail::Client(body), _, A::NotDone) => self.ledger.refused(&body),
            (QueueMail::Receive, _, A::Received(messages)) => return self.received(messages),
            (QueueMail::Receive, _, A::NotDone) if self.draining.is_none() => {}
            (QueueMail::Delete(body), _, A::Done) => self.ledger.deleted(&body),
            (QueueMail::Delete(_), ..) => {}
            (mail, _, answer) => return Err(format!("{mail:?} was answered with {answer:?}")),
        }
        Ok(())
    }

    fn received(&mut self, messages: Vec<(String, queue::sim::Handle)>) -> Check {
        if let Some(drain) = &mut self.draining {
            drain.is_empty = messages.is_empty();
            drain.bodies.extend(messages.into_iter().map(|(body, _)| body));
            return Ok(());
        }
        for (body, receipt) in messages {
            self.ledger.received(&body)?;
            if self.schedule.one_in(2) {
                self.ledger.asked_to_delete(&body);
                let told = queue::sim::Told::Delete { queue: CLIENTS_QUEUE.to_owned(), receipt };
                self.post(None, Letter::Queue(told, QueueMail::Delete(body)));
            }
        }
        Ok(())
    }

    /// The queue has a task's message: the task learns of it, and whoever reads the message answers its token.
    fn message_sent(&mut self, key: TaskKey) {
        let Some(waits) = self.sending.get(&key).cloned() else { return };
        let output = outcome::message_answer();
        let task = TaskId(key.2);
        if outcome::kind(&waits.run) == Kind::Message {
            self.soon(200, Event::Answer { key, input: Input::TaskSucceeded { task, output }, outside: false });
            return;
        }
        self.soon(200, Event::Answer { key, input: Input::TaskSubmitted { task, output }, outside: false });
        if let Some(input) = outcome::of(self.seed, &waits.name, &waits.run).input(&waits.run) {
            for _ in 0..1 + self.schedule.below(2) {
                self.soon(20_000, Event::Answer { key, input: input.clone(), outside: true });
            }
        }
    }

    fn take_wishes(&mut self) -> Check {
        while let Some(wish) = self.process.as_ref().expect("it runs").take_wish() {
            match wish {
                Wish::Run { cell, execution, arn, run, effect } => {
                    self.carry_out((cell, execution, run.task.0), &arn, *run, effect)?;
                }
                Wish::Cancel { cell, execution, task } => {
                    self.note(format!("cancel {cell}/{execution}/{task}"));
                    self.jobs.remove(&(cell, execution, task.0));
                }
                Wish::Other => {}
            }
        }
        Ok(())
    }

    /// As the dispatcher does: once at a time.
    fn carry_out(&mut self, key: TaskKey, arn: &str, run: RunTask, effect: EffectId) -> Check {
        self.note(format!("run {}/{}/{} {} ({})", key.0, key.1, key.2, run.state_name, run.retry_count));
        let executions = &self.process.as_ref().expect("it runs").executions;
        self.ledger.effect_left(executions, &effect.0, key, &run.parameters, run.token.as_deref())?;
        if !self.jobs.insert(key) {
            return Ok(());
        }
        let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
        if outcome::kind(&run) != Kind::Function {
            if !matches!(run.progress, Progress::Submitted { .. }) {
                self.sending.insert(key, Sending { name, run });
                self.soon(400, Event::Deliver { key, effect });
            }
            return Ok(());
        }
        let Some(input) = outcome::of(self.seed, &name, &run).input(&run) else { return Ok(()) };
        let slow = if self.schedule.one_in(4) { 40_000 } else { 3_000 };
        self.soon(slow, Event::Answer { key, input: input.clone(), outside: false });
        if self.schedule.one_in(6) {
            // It comes again, from a caller that did not hear that it had arrived.
            self.soon(60_000, Event::Answer { key, input, outside: true });
        }
        Ok(())
    }

    /// The world is calm and everything has ended: crash once more, and look at all that is left.
    fn finish(&mut self) -> Check {
        self.note("all has ended");
        if self.control != Control::NoSync {
            self.faults.loss = self.luck.below(5);
        }
        self.crash()?;
        let held = self.drain(EFFECTS_QUEUE)?;
        self.ledger.check_effects(&held)?;
        let held = self.drain(CLIENTS_QUEUE)?;
        for body in &held {
            self.ledger.received(body)?;
        }
        self.ledger.check_messages(&held)?;
        let definitions: Result<Vec<_>, String> = self
            .machines
            .iter()
            .map(|m| asl::parse(&m.definition).map(Arc::new).map_err(|e| e.aws_message()))
            .collect();
        let definitions = definitions?;
        let waits: Vec<_> = self.machines.iter().map(|m| generate::waits(&m.definition)).collect();
        for at in 0..self.ledger.executions.len() {
            check_waits(self.ledger.history(at), &waits[self.ledger.executions[at].machine])?;
            self.compare(at, &definitions)?;
        }
        self.note("over");
        Ok(())
    }

    fn compare(&mut self, at: usize, definitions: &[Arc<asl::StateMachine>]) -> Check {
        let known = &self.ledger.executions[at];
        let (Some(end), Some(started)) = (self.ledger.end(at), self.ledger.history(at).first()) else {
            return Err(format!("execution {} has not ended", known.name));
        };
        if known.stopped || !self.machines[known.machine].is_pure {
            return Ok(());
        }
        let subject = Subject {
            seed: self.seed,
            definition: &definitions[known.machine],
            arn: known.arn.as_deref().unwrap_or_default(),
            name: &known.name,
            machine: &self.machine_names[known.machine],
            input: &known.input,
            start: started.timestamp,
        };
        let result = reference::Result::new(end.status, end.output.as_deref(), end.error.as_deref());
        self.compared += 1;
        reference::explains(&subject, &result).map_err(|without| {
            let definition = &self.machines[known.machine].definition;
            format!(
                "execution {} came to {result:?} ({:?}), without crashes to {without:?}\n{definition}\n{}",
                known.name, end.cause, known.input
            )
        })
    }

    fn drain(&mut self, queue: &str) -> Result<Vec<String>, String> {
        // Messages that a client received before are hidden for a while.
        self.now = self.now + Duration::from_secs(60);
        self.clock.set(self.now);
        self.faults.until = 0;
        self.agenda.clear();
        let process = self.process.as_mut().expect("it runs");
        process.lanes.iter_mut().for_each(|lane| lane.inbox.clear());
        process.store.set_immediate(true);
        let lane = process.lane_of(None);
        self.draining = Some(Drain::default());
        while self.draining.as_ref().is_some_and(|drain| !drain.is_empty) {
            self.receive(queue, 10, 3_600);
            let now = self.now;
            let process = self.process.as_mut().expect("it runs");
            process.begin_turn(lane, 8, now, false).map_err(|e| e.to_string())?;
            process.poll_commits();
            self.release(lane)?;
        }
        Ok(self.draining.take().unwrap_or_default().bodies)
    }
}

/// One thing that may be done next.
enum Action {
    Turn(usize),
    WriteLog,
    Release(usize),
    Happen,
    Background,
}
