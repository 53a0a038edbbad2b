//! The cells of executions without their loops, tasks and clocks, for the simulator: it decides when a turn is taken,
//! when its batch is committed, what becomes of its effects, and what time it is.
//!
//! Nothing here is part of the product's behaviour: the same [`Owner`] runs in the same [`cell::Core`].

use std::future::Future;
use std::sync::Arc;

use base::{Clock, Entropy, Scope, Timestamp};
use cell::{CellError, Core, Outcome, Reply};
use interp::{HistoryEvent, RunTask, TaskId};
use serde_json::json;
use service::{Call, EffectId, Fault, Registry};
use store::{Error, Store};
use tokio::sync::oneshot;

use crate::execution::{self, Outside, Owner, Start, Work};
use crate::keys::ExecutionId;
use crate::map_run::Processors;
use crate::record::HeadRecord;
use crate::{Engine, Invocation, InvokeFuture, Invoker, Options};

/// Over how many cells executions are spread.
pub const CELLS: usize = execution::CELLS;

/// What leaves a cell of executions.
#[derive(Clone, Debug)]
pub enum Wish {
    /// One attempt of one task is to be carried out.
    Run {
        cell: usize,
        execution: u64,
        arn: Arc<str>,
        run: Box<RunTask>,
        /// The id under which our own services do it once.
        effect: EffectId,
    },
    /// Nobody waits for that task any longer.
    Cancel { cell: usize, execution: u64, task: TaskId },
    /// What the simulator does not carry out yet: Map Runs, children, log lines.
    Other,
}

/// What a cell of executions is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// `machine` is an ARN.
    Start {
        machine: String,
        name: String,
        input: String,
    },
    /// What happened to a task.
    Task {
        execution: u64,
        input: interp::Input,
    },
    Heartbeat {
        execution: u64,
        task: TaskId,
    },
    Stop {
        execution: u64,
    },
}

/// What the cell answered to one thing that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The execution's ARN.
    Started(String),
    /// A fault's code.
    Refused(String),
    /// Whether anybody waited for it.
    Taken(bool),
    /// The turn was not committed, or did not come so far: nothing was done.
    NotDone,
}

/// An answer that is there once the turn's outcome is released.
pub struct Pending(Arrival);

type Received<T> = oneshot::Receiver<Result<T, CellError>>;

enum Arrival {
    Start(Received<Result<execution::Started, Fault>>),
    Taken(Received<bool>),
    Stop(Received<Option<Timestamp>>),
    Nowhere,
}

impl Pending {
    /// The answer; nothing that was not answered was done.
    pub fn take(self) -> Answer {
        match self.0 {
            Arrival::Start(mut answer) => match answer.try_recv() {
                Ok(Ok(Ok(started))) => Answer::Started(started.arn),
                Ok(Ok(Err(fault))) => Answer::Refused(fault.code.to_string()),
                Ok(Err(_)) | Err(_) => Answer::NotDone,
            },
            Arrival::Taken(mut answer) => taken(answer.try_recv().map(|answer| answer.ok())),
            Arrival::Stop(mut answer) => taken(answer.try_recv().map(|answer| answer.ok().map(|at| at.is_some()))),
            Arrival::Nowhere => Answer::NotDone,
        }
    }
}

fn taken(answer: Result<Option<bool>, oneshot::error::TryRecvError>) -> Answer {
    answer.ok().flatten().map_or(Answer::NotDone, Answer::Taken)
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub status: &'static str,
    pub stop_ms: i64,
    pub output: Option<String>,
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// The engine on a store, with some of its cells of executions claimed.
pub struct Executions {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cores: Vec<(usize, Core<Owner>)>,
    /// Drives what is asynchronous of opening an engine and of making machines; never time.
    runtime: tokio::runtime::Runtime,
}

struct NoFunctions;

impl Invoker for NoFunctions {
    fn invoke(&self, _: Invocation) -> InvokeFuture {
        Box::pin(std::future::pending())
    }
}

impl Executions {
    /// Opens the engine and claims `cells`. The store must commit without anybody's help meanwhile.
    pub fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        cells: &[usize],
        outside: impl Fn(Wish) + Send + Sync + 'static,
    ) -> Result<Executions, Error> {
        let failed = |e: std::io::Error| Error::Retryable(e.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let options = Options::default();
        let opening = async {
            let (clock, entropy) = (clock.clone(), entropy.clone());
            let engine = Engine::new(store.clone(), clock, entropy, Arc::new(NoFunctions), options).await?;
            execution::upgrade(&*store).await?;
            Ok::<_, Error>(engine)
        };
        let engine = runtime.block_on(opening)?;
        let outside: Outside = Arc::new(move |work| outside(wish(work)));
        let (catalog, tokens) = (&engine.inner.catalog, &engine.inner.tokens);
        let mut cores = Vec::new();
        for cell in cells {
            let (catalog, processors) = (catalog.clone(), Processors::new(catalog.clone()));
            let (tokens, entropy, outside) = (tokens.clone(), entropy.clone(), outside.clone());
            let owner = Owner::new(*cell, catalog, processors, tokens, entropy, outside, options);
            cores.push((*cell, Core::claim(&format!("execution/{cell}"), owner, store.clone())?));
        }
        Ok(Executions { engine, store, clock, cores, runtime })
    }

    /// CreateStateMachine, as its callers call it; answers with the ARN, or why it was refused.
    pub fn create_machine(&self, name: &str, definition: &str) -> Result<String, String> {
        let input = json!({"name": name, "definition": definition, "roleArn": "arn:aws:iam::000000000000:role/r"});
        let mut registry = Registry::new();
        registry.add(self.engine.service());
        let call = Call::internal(Scope::default(), "r", "simulator");
        let created = self.block_on(registry.call_value("states", "CreateStateMachine", call, input));
        let created = created.map_err(|fault| format!("{}: {}", fault.code, fault.message))?;
        Ok(created["stateMachineArn"].as_str().unwrap_or_default().to_owned())
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn core(&mut self, cell: usize) -> &mut Core<Owner> {
        &mut self.cores.iter_mut().find(|(index, _)| *index == cell).expect("a cell that was claimed").1
    }

    /// A turn of one cell; see [`Core::turn`]. The answers are in the order of the inputs.
    pub fn turn(&mut self, cell: usize, told: Vec<Told>, now: Timestamp) -> (Result<Outcome, Error>, Vec<Pending>) {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        for told in told {
            let (input, arrival) = self.input(cell, told);
            inputs.extend(input);
            answers.push(Pending(arrival));
        }
        (self.core(cell).turn(inputs, now), answers)
    }

    /// See [`Core::not_committed`].
    pub fn not_committed(&mut self, cell: usize) {
        self.core(cell).not_committed();
    }

    /// See [`Core::wake_at`].
    pub fn wake_at(&mut self, cell: usize) -> Option<Timestamp> {
        self.core(cell).wake_at()
    }

    /// The cell that owns the executions of that name; `machine` is the machine's name.
    pub fn cell_of(machine: &str, name: &str) -> usize {
        execution::cell_of(&Scope::default(), machine, name)
    }

    fn input(&self, cell: usize, told: Told) -> (Option<execution::Input>, Arrival) {
        let id = |number| ExecutionId { cell: u8::try_from(cell).expect("few cells"), number };
        match told {
            Told::Start { machine, name, input } => {
                let Some(start) = self.start(&machine, name, input) else { return (None, Arrival::Nowhere) };
                let (reply, answer) = Reply::channel();
                (Some(execution::Input::Start { start: Box::new(start), reply }), Arrival::Start(answer))
            }
            Told::Task { execution, input } => {
                let (reply, answer) = Reply::channel();
                let reply = Some(reply);
                (Some(execution::Input::Task { id: id(execution), input, reply }), Arrival::Taken(answer))
            }
            Told::Heartbeat { execution, task } => {
                let (reply, answer) = Reply::channel();
                (Some(execution::Input::Heartbeat { id: id(execution), task, reply }), Arrival::Taken(answer))
            }
            Told::Stop { execution } => {
                let (error, cause) = (Some("Stopped".to_owned()), Some("by the simulator".to_owned()));
                let (reply, answer) = Reply::channel();
                (Some(execution::Input::Stop { id: id(execution), error, cause, reply }), Arrival::Stop(answer))
            }
        }
    }

    fn start(&self, machine: &str, name: String, input: String) -> Option<Start> {
        let machine = self.engine.inner.catalog.machine(machine)?;
        let revision = machine.record.revision.clone();
        let definition = self.engine.inner.catalog.definition_of(&machine, &revision).ok()?;
        let head = HeadRecord {
            account: machine.scope.account().to_owned(),
            region: machine.scope.region().to_owned(),
            machine: machine.record.name.clone(),
            name,
            express_id: None,
            start_ms: self.clock.now().as_millis(),
            input,
            revision,
            version: None,
            alias: None,
            map_run_arn: None,
            trace_header: None,
            test_case: None,
        };
        Some(Start { head, definition, effect: None, durable: true, child: None })
    }

    /// The number of the execution of that name, as it is stored.
    pub fn find(&self, machine: &str, name: &str) -> Result<Option<u64>, Error> {
        Ok(execution::find(&*self.store, &Scope::default(), machine, name)?.map(|id| id.number))
    }

    /// All events of an execution, as they are stored.
    pub fn history(&self, cell: usize, execution: u64) -> Result<Vec<HistoryEvent>, Error> {
        let id = ExecutionId { cell: u8::try_from(cell).expect("few cells"), number: execution };
        let bounds = execution::PageBounds { events_max: usize::MAX, bytes_max: usize::MAX };
        Ok(execution::history_page(&*self.store, id, None, false, &bounds)?.events)
    }

    /// How the execution ended, as it is stored; `None` while it runs.
    pub fn end(&self, cell: usize, execution: u64) -> Result<Option<End>, Error> {
        let id = ExecutionId { cell: u8::try_from(cell).expect("few cells"), number: execution };
        let end = execution::read(&*self.store, id)?.and_then(|execution| execution.end);
        Ok(end.map(|end| End {
            status: end.status(),
            stop_ms: end.stop_ms,
            output: end.output,
            error: end.error,
            cause: end.cause,
        }))
    }
}

fn wish(work: Work) -> Wish {
    match work {
        Work::Run(job) => {
            let job = *job;
            Wish::Run {
                cell: usize::from(job.id.cell),
                execution: job.id.number,
                arn: job.execution_arn,
                run: Box::new(job.task),
                effect: job.effect.expect("executions here are Standard ones"),
            }
        }
        Work::Cancel { id, task } => Wish::Cancel { cell: usize::from(id.cell), execution: id.number, task },
        Work::MapRun(_) | Work::CancelMapRun(_) | Work::StopChild { .. } | Work::Log(_) | Work::Announce(_) => {
            Wish::Other
        }
    }
}
