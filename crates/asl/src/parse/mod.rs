//! Text to [`StateMachine`]: one pass over the JSON that builds the machine and collects every finding.

mod assign;
mod choice;
mod fields;
mod graph;
mod handlers;
mod map;
mod map_data;
mod paths;
mod placeholders;
mod resource;
mod scope;
mod state;
mod suggest;
mod template;

use std::collections::{BTreeSet, HashSet};

use crate::json::{self, Range};
use crate::limits::DEFINITION_BYTES_MAX;
use crate::{Diagnostic, Diagnostics, Name, QueryLanguage, Severity, Span, StateMachine, SyntaxError, Template};

const SCHEMA: &str = "SCHEMA_VALIDATION_FAILED";
const INVALID_JSON: &str = "INVALID_JSON_DESCRIPTION";
const MISSING_TARGET: &str = "MISSING_TRANSITION_TARGET";
const MISSING_END: &str = "MISSING_END_STATE";
const DUPLICATE_STATE: &str = "DUPLICATE_STATE_NAME";
const INVALID_STATE_NAME: &str = "INVALID_STATE_NAME";
const TOO_DEEP: &str = "TOO_DEEPLY_NESTED";
const NO_DOLLAR: &str = "NO_DOLLAR";
const NO_PATH: &str = "NO_PATH";
const STATIC_RESULT: &str = "PASS_RESULT_IS_STATIC";
const INVALID_LABEL: &str = "INVALID_LABEL_NAME";
const DUPLICATE_LABEL: &str = "DUPLICATE_LABEL_NAME";
const INVALID_VARIABLE: &str = "INVALID_VARIABLE_NAME";
const RESERVED_VARIABLE: &str = "RESERVED_VARIABLE_NAME";
const DUPLICATE_VARIABLE: &str = "DUPLICATE_VARIABLE_NAME";
const UNDEFINED_VARIABLE: &str = "POSSIBLY_UNDEFINED_VARIABLE";
const INVALID_JSONATA: &str = "INVALID_JSONATA_EXPRESSION";
const UNSUPPORTED_JSONATA: &str = "UNSUPPORTED_JSONATA_EXPRESSION";

/// Parses and validates a definition; every error comes back in one pass. Warnings alone do not refuse it.
pub fn parse(text: &str) -> Result<StateMachine, Diagnostics> {
    match check(text) {
        (Some(machine), found) if !found.has_errors() => Ok(machine),
        (_, found) => Err(found),
    }
}

/// All that is wrong or doubtful with a definition; empty when it is fine.
pub fn validate(text: &str) -> Diagnostics {
    check(text).1
}

/// The same for a definition in which `${Name}` stands for what a template of CloudFormation, SAM or Terraform puts there.
pub fn validate_template(text: &str) -> Diagnostics {
    let substituted = placeholders::outside_strings(text);
    let mut checker = Checker { substitutes: true, ..Checker::default() };
    checker.definition(&substituted);
    checker.found.locate(text)
}

/// Parses a payload template alone.
pub(crate) fn parse_template(text: &str, field: &str, language: QueryLanguage) -> Result<Template, Diagnostics> {
    let mut checker = Checker::default();
    let template = checker.document(text).map(|node| {
        let place = template::Place { language, state_len: 0, reads: template::Reads::ALL };
        template::compile(&mut checker, &node, &format!("/{field}"), place)
    });
    let found = checker.found.locate(text);
    match template {
        Some(template) if !found.has_errors() => Ok(template),
        _ => Err(found),
    }
}

fn check(text: &str) -> (Option<StateMachine>, Diagnostics) {
    let mut checker = Checker::default();
    let machine = checker.definition(text);
    (machine, checker.found.locate(text))
}

/// What one pass carries along.
#[derive(Debug, Default)]
struct Checker {
    found: Diagnostics,
    /// The machine's own query language; nested scopes inherit it.
    language: QueryLanguage,
    /// The states of all scopes so far: their names are unique in the whole machine.
    names: HashSet<String>,
    /// The labels of Map states so far: they are unique too.
    labels: HashSet<String>,
    /// The variables of the scopes around what is being checked, from the outermost.
    scopes: Vec<assign::Scope>,
    /// What the states around, and the one that is being checked, read of them.
    variables_read: Vec<BTreeSet<Name>>,
    /// Whether `${Name}` in a resource stands for something.
    substitutes: bool,
}

impl Checker {
    fn definition(&mut self, text: &str) -> Option<StateMachine> {
        let mut node = self.document(text)?;
        if node.as_members().is_none() {
            self.not_an_object(text);
            return None;
        }
        if self.substitutes {
            placeholders::in_resources(&mut node);
        }
        scope::machine(self, &node)
    }

    /// The text's JSON, or what is wrong with it.
    fn document(&mut self, text: &str) -> Option<json::Node> {
        if text.trim().is_empty() {
            self.not_an_object(text);
            return None;
        }
        if text.len() > DEFINITION_BYTES_MAX {
            let message = format!("The definition exceeds {DEFINITION_BYTES_MAX} bytes");
            self.report(Severity::Error, SCHEMA, message, None, &(0..0), None);
            return None;
        }
        match json::parse(text) {
            Ok((node, duplicates)) => {
                for member in duplicates {
                    let message = format!("Duplicate field '{}'", member.key);
                    self.json_fault(text, message, &member.key_range);
                }
                Some(node)
            }
            Err(fault) if fault.too_deep => {
                self.report(Severity::Error, TOO_DEEP, fault.message, None, &fault.range, None);
                None
            }
            Err(fault) => {
                self.json_fault(text, fault.message, &fault.range);
                None
            }
        }
    }

    fn not_an_object(&mut self, text: &str) {
        let message = "Definition must be a valid JSON object".to_owned();
        self.report(Severity::Error, SCHEMA, message, None, &(0..text.len()), None);
    }

    /// AWS shows Jackson's message, with the source and the position after the token.
    fn json_fault(&mut self, text: &str, message: String, range: &Range) {
        const SHOWN_CHARS_MAX: usize = 500;
        let before = &text[..range.end.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        let cut = text.chars().count().saturating_sub(SHOWN_CHARS_MAX);
        shown = if cut > 0 { format!("\"{shown}\"[truncated {cut} chars]") } else { format!("\"{shown}\"") };
        let source = format!("[Source: (String){shown}; line: {line}, column: {column}]");
        let message = format!("{message}\n at {source}");
        self.report(Severity::Error, INVALID_JSON, message, Some(&source), range, None);
    }

    fn report(
        &mut self,
        severity: Severity,
        code: &'static str,
        message: String,
        location: Option<&str>,
        range: &Range,
        help: Option<String>,
    ) {
        let span = Span { start: range.start, end: range.end, ..Span::default() };
        let location = location.map(str::to_owned);
        self.found.push(Diagnostic { severity, code, message, location, span, help });
    }

    /// A `SCHEMA_VALIDATION_FAILED`.
    fn error(&mut self, message: impl Into<String>, location: &str, range: &Range) {
        self.report(Severity::Error, SCHEMA, message.into(), Some(location), range, None);
    }

    fn error_with_help(&mut self, message: impl Into<String>, location: &str, range: &Range, help: Option<String>) {
        self.report(Severity::Error, SCHEMA, message.into(), Some(location), range, help);
    }

    fn warn(&mut self, code: &'static str, message: &str, location: &str, range: &Range) {
        self.report(Severity::Warning, code, message.to_owned(), Some(location), range, None);
    }

    /// A path or call that does not parse: AWS's wording, what our parser expected as help.
    fn not_an_expression(&mut self, message: &str, location: &str, node: &json::Node, error: &SyntaxError) {
        let range = template::within(node, error.offset);
        self.error_with_help(message, location, &range, Some(error.message.clone()));
    }
}
