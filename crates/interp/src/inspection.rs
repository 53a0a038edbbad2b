//! One state that is tested by itself: what it is given instead of the world, and what is seen of it.

use std::sync::Arc;

use asl::{Name, State};
use serde_json::Value;

use crate::failure::Failure;
use crate::frame::FrameId;
use crate::payload::Payload;
use crate::run::Run;
use crate::state::{Flow, data};
use crate::variables::Assigned;
use crate::{Execution, ExecutionInfo};

/// How a state is tested.
#[derive(Debug, Clone, Default)]
pub struct StateTest {
    /// Instead of the work of a Task, Parallel or Map state.
    pub mock: Option<MockedWork>,
    /// How often the retrier that fits an error was used before.
    pub retrier_attempts: Option<u64>,
    /// Iterations of a Map state in DISTRIBUTED mode that count as failed.
    pub failed_iterations: u64,
    /// Variables that the state finds.
    pub variables: Vec<(Name, Value)>,
    /// Members of the context object, over those that it has anyway.
    pub context: Option<Value>,
}

/// What the work of a state came to.
#[derive(Debug, Clone)]
pub enum MockedWork {
    /// JSON text.
    Result(Arc<str>),
    Failure {
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
    },
}

/// What was seen of a tested state. Data is JSON text; what the state's type or query language does not have is `None`.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    pub after_input_path: Option<Arc<str>>,
    pub after_parameters: Option<Arc<str>>,
    pub after_arguments: Option<Arc<str>>,
    pub after_items_path: Option<Arc<str>>,
    pub after_item_selector: Option<Arc<str>>,
    pub max_concurrency: Option<u64>,
    pub tolerated_failure_count: Option<u64>,
    pub tolerated_failure_percentage: Option<f64>,
    pub result: Option<Arc<str>>,
    pub after_result_selector: Option<Arc<str>>,
    pub after_result_path: Option<Arc<str>>,
    /// All that are visible when the state is done, as one JSON object.
    pub variables: Option<Arc<str>>,
    /// The error that a retrier or a catcher took.
    pub handled: Option<HandledError>,
}

/// An error that the tested state handles itself.
#[derive(Debug, Clone)]
pub struct HandledError {
    pub error: Option<Arc<str>>,
    pub cause: Option<Arc<str>>,
    pub handler: Handler,
}

/// Which of a state's handlers took an error, by its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Handler {
    Retry { index: usize, wait_seconds: f64 },
    Catch { index: usize },
}

/// The test that an execution is, with what it has seen.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub given: StateTest,
    pub seen: Inspection,
}

impl Execution {
    /// An execution that tests the first state of `machine`. A retrier that would try it again ends the test instead.
    pub fn test(info: ExecutionInfo, machine: Arc<asl::StateMachine>, given: StateTest) -> Execution {
        let mut execution = Execution::new(info, machine);
        execution.context.give(given.context.clone());
        execution.test = Some(Box::new(Test { given, seen: Inspection::default() }));
        execution
    }

    /// What was seen of the tested state so far.
    pub fn inspection(&self) -> Option<&Inspection> {
        self.test.as_ref().map(|test| &test.seen)
    }
}

impl Run<'_, '_> {
    /// Notes what is seen of the tested state, if the execution is a test. Once there are variables it is done.
    pub fn see(&mut self, note: impl FnOnce(&mut Inspection)) {
        if let Some(test) = self.test.as_mut().filter(|test| test.seen.variables.is_none()) {
            note(&mut test.seen);
        }
    }

    /// What the tested state finds before it begins.
    pub fn begin_test(&mut self, id: FrameId, state: &State) {
        if self.test.is_none() || state.query_language == asl::QueryLanguage::Jsonata {
            return;
        }
        if let Ok(input) = data::effective_input(self, id, state) {
            self.see(|seen| seen.after_input_path = Some(input.text().clone()));
        }
    }

    /// The variables that the tested state finds.
    pub fn given_variables(&self) -> Option<Assigned> {
        let given = &self.test.as_ref()?.given.variables;
        let payload = |(name, value): &(Name, Value)| Some((name.clone(), Payload::new(value.clone()).ok()?));
        Some(given.iter().filter_map(payload).collect())
    }

    /// The end of the tested state's work, if that is mocked.
    pub fn mocked(&mut self, id: FrameId, state: &State) -> Option<Result<Flow, Failure>> {
        let mock = self.test.as_mut()?.given.mock.take()?;
        Some(match mock {
            MockedWork::Failure { error, cause } => Err(Failure::reported(error, cause)),
            MockedWork::Result(text) => match Payload::parse(text) {
                Ok(result) => data::finish(self, id, state, result),
                Err(error) => Err(Failure::runtime(format_args!("The mocked result is not valid JSON: {error}"))),
            },
        })
    }
}
