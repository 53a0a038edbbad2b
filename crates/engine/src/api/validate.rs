//! What speaks against a definition: what the language says, and what cannot run here.

use std::sync::Arc;

use asl::{Diagnostics, IntegrationPattern, ResourceKind, StateKind};
use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::Adder;
use crate::engine::Inner;
use crate::task::integration::unsupported;

const CODE: &str = "SCHEMA_VALIDATION_FAILED";
const RESULTS_MAX: usize = 100;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("ValidateStateMachineDefinition", validate);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    definition: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    severity: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
struct Output {
    result: &'static str,
    diagnostics: Vec<DiagnosticOutput>,
    truncated: bool,
}

#[derive(Serialize)]
struct DiagnosticOutput {
    severity: &'static str,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

async fn validate(engine: Arc<Inner>, _: Call, input: Input) -> Result<Output, Fault> {
    let found = asl::validate(&input.definition);
    let mut failed = found.has_errors();
    let mut shown = show(&found, input.severity.as_deref() == Some("WARNING"));
    if let Some(Ok(definition)) = (!failed).then(|| asl::parse(&input.definition)) {
        let problems = problems(&engine, &definition, input.kind.as_deref() == Some("EXPRESS"));
        failed |= !problems.is_empty();
        shown.extend(problems.into_iter().map(|Problem { message, location }| DiagnosticOutput {
            severity: asl::Severity::Error.as_str(),
            code: CODE,
            message,
            location: Some(location),
        }));
    }
    let limit = match usize::try_from(input.max_results.unwrap_or(0)) {
        Ok(0) | Err(_) => RESULTS_MAX,
        Ok(limit) => limit.min(RESULTS_MAX),
    };
    let truncated = shown.len() > limit;
    shown.truncate(limit);
    Ok(Output { result: if failed { "FAIL" } else { "OK" }, diagnostics: shown, truncated })
}

fn show(found: &Diagnostics, warnings: bool) -> Vec<DiagnosticOutput> {
    let shown = found.iter().filter(|d| warnings || d.severity == asl::Severity::Error);
    let shown = shown.map(|d| DiagnosticOutput {
        severity: d.severity.as_str(),
        code: d.code,
        message: d.message.clone(),
        location: d.location.clone(),
    });
    shown.collect()
}

/// A definition that can run here, or `InvalidDefinition` with all that speaks against it.
pub(super) fn parse(engine: &Inner, text: &str, express: bool) -> Result<asl::StateMachine, Fault> {
    let invalid = |message: String| Fault::client("InvalidDefinition", message);
    let definition = asl::parse(text).map_err(|diagnostics| invalid(diagnostics.aws_message()))?;
    let problems = problems(engine, &definition, express);
    if problems.is_empty() {
        return Ok(definition);
    }
    let problems: Vec<_> = problems.iter().map(|p| format!("{CODE}: {} at {}", p.message, p.location)).collect();
    Err(invalid(format!("Invalid State Machine Definition: '{}'", problems.join(", "))))
}

struct Problem {
    message: String,
    location: String,
}

/// Tasks that cannot run: a service or pattern that is not there, or not for this type of machine.
fn problems(engine: &Inner, definition: &asl::StateMachine, express: bool) -> Vec<Problem> {
    let mut finder = Finder { engine, found: Vec::new() };
    finder.branch(&definition.body, express, "");
    finder.found
}

struct Finder<'a> {
    engine: &'a Inner,
    found: Vec<Problem>,
}

impl Finder<'_> {
    fn branch(&mut self, branch: &asl::Branch, express: bool, at: &str) {
        for state in branch.states.values() {
            let at = format!("{at}/States/{}", state.name);
            match &state.kind {
                StateKind::Task(task) => {
                    if let Some(message) = self.task(task, express) {
                        self.found.push(Problem { message, location: format!("{at}/Resource") });
                    }
                }
                StateKind::Parallel { branches } => {
                    for (i, branch) in branches.iter().enumerate() {
                        self.branch(branch, express, &format!("{at}/Branches[{i}]"));
                    }
                }
                StateKind::Map(map) => {
                    if express && map.config.mode == asl::ProcessorMode::Distributed {
                        let field = if map.legacy_iterator { "Iterator" } else { "ItemProcessor" };
                        self.found.push(Problem {
                            message: "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state machines"
                                .to_owned(),
                            location: format!("{at}/{field}/ProcessorConfig/Mode"),
                        });
                    }
                    let express = express || map.config.execution_type == Some(asl::ExecutionType::Express);
                    let field = if map.legacy_iterator { "Iterator" } else { "ItemProcessor" };
                    self.branch(&map.processor, express, &format!("{at}/{field}"));
                }
                _ => {}
            }
        }
    }

    fn task(&self, task: &asl::Task, express: bool) -> Option<String> {
        let integration = match &task.resource.kind {
            ResourceKind::Activity { .. } if express => {
                return Some("Express state machine does not support Activity ARN".to_owned());
            }
            ResourceKind::Integration(integration) => integration,
            _ => return None,
        };
        if express && integration.pattern != IntegrationPattern::RequestResponse {
            // The blank at the end of one of them is AWS's.
            let end = if integration.pattern == IntegrationPattern::WaitForTaskToken { " " } else { "" };
            return Some(format!(
                "Express state machine does not support '{}' service integration{end}",
                integration.pattern.suffix()
            ));
        }
        let registry = self.engine.dispatcher.registry.get()?;
        unsupported(integration, |service, operation| registry.has_operation(service, operation))
    }
}
