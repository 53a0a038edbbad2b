//! Mocked answers of tasks, in the form of AWS's local Step Functions.
//!
//! A start of `<state machine ARN>#<test case>` runs the machine with the answers that the test case names for its
//! states; states that it does not name are carried out.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/sfn-local-mock-cfg-file.html>

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use crate::keys::ExecutionId;

/// States of executions that are counted at once; beyond it all counts begin anew.
const COUNTS_MAX: usize = 100_000;

/// What a file of mocked answers says.
#[derive(Debug)]
pub struct MockConfig {
    /// Responses by machine, test case and state.
    machines: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    responses: BTreeMap<String, Vec<(RangeInclusive<u32>, Mocked)>>,
}

/// One answer of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mocked {
    /// JSON text.
    Return(Arc<str>),
    Throw {
        error: Arc<str>,
        cause: Arc<str>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "StateMachines")]
    machines: BTreeMap<String, FileMachine>,
    #[serde(rename = "MockedResponses", default)]
    responses: BTreeMap<String, BTreeMap<String, FileAnswer>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMachine {
    #[serde(rename = "TestCases")]
    cases: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
enum FileAnswer {
    Return(Value),
    Throw(FileError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileError {
    #[serde(rename = "Error")]
    error: String,
    #[serde(rename = "Cause", default)]
    cause: String,
}

impl MockConfig {
    /// Reads a file's text; the error says what is wrong, and where.
    pub fn parse(text: &str) -> Result<MockConfig, String> {
        let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let machines: BTreeMap<_, _> = file.machines.into_iter().map(|(name, m)| (name, m.cases)).collect();
        let mut responses = BTreeMap::new();
        for (name, answers) in file.responses {
            let mut read = Vec::new();
            for (key, answer) in answers {
                let range = read_range(&key).ok_or_else(|| {
                    format!("MockedResponses.{name}: '{key}' is neither the number of an invocation nor a range")
                })?;
                read.push((range, Mocked::from(answer)));
            }
            responses.insert(name, read);
        }
        for (machine, cases) in &machines {
            for (case, states) in cases {
                if let Some((state, name)) = states.iter().find(|(_, name)| !responses.contains_key(*name)) {
                    return Err(format!(
                        "StateMachines.{machine}.TestCases.{case}.{state}: there is no mocked response '{name}'"
                    ));
                }
            }
        }
        Ok(MockConfig { machines, responses })
    }
}

impl From<FileAnswer> for Mocked {
    fn from(answer: FileAnswer) -> Mocked {
        match answer {
            FileAnswer::Return(json) => Mocked::Return(json.to_string().into()),
            FileAnswer::Throw(FileError { error, cause }) => Mocked::Throw { error: error.into(), cause: cause.into() },
        }
    }
}

/// `3` or `1-2`.
fn read_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

/// The test case that an execution runs.
#[derive(Debug, PartialEq)]
pub(crate) struct TestCase {
    pub machine: String,
    pub name: String,
}

/// The mocked answers, and how often each state has asked.
pub(crate) struct Mocks {
    config: MockConfig,
    counts: Mutex<HashMap<(ExecutionId, Arc<str>), u32>>,
}

impl Mocks {
    pub fn new(config: MockConfig) -> Mocks {
        Mocks { config, counts: Mutex::default() }
    }

    pub fn has_case(&self, machine: &str, case: &str) -> bool {
        self.config.machines.get(machine).is_some_and(|cases| cases.contains_key(case))
    }

    /// The next answer of a state; `None` if the test case does not name it.
    pub fn next(&self, case: &TestCase, id: ExecutionId, state: &Arc<str>) -> Option<Mocked> {
        let name = self.config.machines.get(&case.machine)?.get(&case.name)?.get(&**state)?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTS_MAX {
            counts.clear();
        }
        let count = counts.entry((id, state.clone())).or_default();
        let invocation = *count;
        *count += 1;
        let answers = self.config.responses.get(name)?;
        let answer = answers.iter().find(|(range, _)| range.contains(&invocation)).map(|(_, answer)| answer.clone());
        Some(answer.unwrap_or_else(|| Mocked::Throw {
            error: "States.Runtime".into(),
            cause:
                format!("The mocked response '{name}' has no answer for invocation {invocation} of '{state}'.").into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"StateMachines": {"m": {"TestCases": {"Happy": {"A": "Twice"}}}},
        "MockedResponses": {"Twice": {"0": {"Return": {"n": 1.50}}, "1-2": {"Throw": {"Error": "E", "Cause": "C"}}}}}"#;

    #[test]
    fn answers_come_by_invocation() {
        let mocks = Mocks::new(MockConfig::parse(FILE).unwrap());
        assert!(mocks.has_case("m", "Happy") && !mocks.has_case("m", "Sad") && !mocks.has_case("n", "Happy"));
        let case = TestCase { machine: "m".into(), name: "Happy".into() };
        let (one, two) = (ExecutionId { cell: 0, number: 1 }, ExecutionId { cell: 0, number: 2 });
        let (state, other): (Arc<str>, Arc<str>) = ("A".into(), "B".into());
        let thrown = Mocked::Throw { error: "E".into(), cause: "C".into() };
        assert_eq!(mocks.next(&case, one, &state), Some(Mocked::Return(r#"{"n":1.5}"#.into())));
        assert_eq!(mocks.next(&case, one, &state), Some(thrown.clone()));
        assert_eq!(mocks.next(&case, two, &state), Some(Mocked::Return(r#"{"n":1.5}"#.into())));
        assert_eq!(mocks.next(&case, one, &state), Some(thrown));
        let last = mocks.next(&case, one, &state);
        assert!(matches!(last, Some(Mocked::Throw { error, .. }) if &*error == "States.Runtime"));
        assert_eq!(mocks.next(&case, one, &other), None);
    }

    #[test]
    fn mistakes_are_named() {
        let missing = FILE.replace("\"A\": \"Twice\"", "\"A\": \"Thrice\"");
        assert!(MockConfig::parse(&missing).unwrap_err().contains("TestCases.Happy.A: there is no mocked response"));
        assert!(MockConfig::parse(&FILE.replace("1-2", "2-1")).unwrap_err().contains("'2-1'"));
        assert!(MockConfig::parse(&FILE.replace("Throw", "Raise")).is_err());
        assert!(MockConfig::parse("{}").unwrap_err().contains("StateMachines"));
    }
}
