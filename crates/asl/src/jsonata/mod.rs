//! JSONata 2 in AWS's dialect: `{% %}` expressions over `$states` and the workflow's variables.
//!
//! An engine of our own, as an expression is text of a user that runs inside the server: every step, every held byte
//! and every level is counted, so no expression can hang, fill the memory or overflow the stack, and the same expression
//! on the same input ends in the same way on every machine. Data is read where it lies; only what an expression makes is
//! allocated. The reference implementation, jsonata-js, says what is right.

mod ast;
mod build;
mod convert;
mod error;
mod evaluate;
mod function;
mod functions;
mod meter;
mod number;
mod parse;
mod programs;
mod regex;
mod scan;
mod signature;
mod token;
mod value;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use base::Timestamp;
use serde_json::Value;

use crate::Variables;
use crate::path::SyntaxError;
use ast::Program;
use error::Failure;
use evaluate::{Dialect, Environment, Evaluator};
use meter::Meter;
use programs::Programs;
use value::Val;

/// A compiled JSONata expression: the text between `{%` and `%}`.
#[derive(Clone)]
pub struct Jsonata {
    compiled: Arc<Compiled>,
}

struct Compiled {
    text: Box<str>,
    variables: Box<[VariableUse]>,
    references: Box<[TopLevelReference]>,
    program: Program,
}

/// A variable that an expression reads and does not bind itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUse {
    /// Without the `$`.
    pub name: Box<str>,
    /// What directly follows `$states`: `errorOutput` of `$states.errorOutput.Cause`.
    pub member: Option<Box<str>>,
    /// Byte offset of the `$` in the text.
    pub offset: usize,
}

/// A name, `$`, `$$`, `*` or `**` where there is nothing that it could be a member of: AWS evaluates expressions without
/// a context item and refuses a definition that reads one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopLevelReference {
    pub name: Box<str>,
    /// Byte offset in the text.
    pub offset: usize,
}

impl Jsonata {
    /// Compiles `text`. The message is worded as AWS words it, without the code that the reference gives it.
    pub fn parse(text: &str) -> Result<Jsonata, SyntaxError> {
        Jsonata::compile(text)
            .map_err(|error| SyntaxError { message: error.message, offset: error.offset.unwrap_or(0) })
    }

    /// Compiles `text`, and tells a syntax error with its code (`S0202`).
    pub fn compile(text: &str) -> Result<Jsonata, JsonataError> {
        let program = parse::parse(text).and_then(build::build).map_err(public_error)?;
        let (variables, references) = scan::scan(&program);
        let (variables, references) = (variables.into(), references.into());
        Ok(Jsonata { compiled: Arc::new(Compiled { text: text.into(), variables, references, program }) })
    }

    /// The text as written, without the `{% %}` around it.
    pub fn as_str(&self) -> &str {
        &self.compiled.text
    }

    /// The free variables that it reads, in order of appearance; functions of the standard library do not count.
    pub fn variables(&self) -> &[VariableUse] {
        &self.compiled.variables
    }

    /// What it reads of a context item, though in AWS's dialect there is none, in order of appearance.
    pub fn top_level_references(&self) -> &[TopLevelReference] {
        &self.compiled.references
    }

    /// Evaluates it. `None`: it is undefined for this input.
    pub fn evaluate(&self, env: &mut JsonataEnv<'_>) -> Result<Option<Value>, JsonataError> {
        self.run(None, env, Dialect::Aws)
    }

    /// Evaluates it as the reference implementation does: over a document, with `$eval` and without AWS's functions.
    pub fn evaluate_document(
        &self,
        document: Option<&Value>,
        env: &mut JsonataEnv<'_>,
    ) -> Result<Option<Value>, JsonataError> {
        self.run(document, env, Dialect::Standard)
    }

    fn run(
        &self,
        document: Option<&Value>,
        env: &mut JsonataEnv<'_>,
        dialect: Dialect,
    ) -> Result<Option<Value>, JsonataError> {
        let parts = env.states.map(States::parts);
        let programs = Programs::default();
        let meter = Rc::new(Meter::new(env.limits));
        let environment = Environment {
            states: parts.as_deref(),
            variables: env.variables,
            now: env.now,
            random: RefCell::new(env.random),
            dialect,
        };
        let evaluator = Evaluator::new(Rc::clone(&meter), environment, &programs);
        let document = document.map_or(Val::Undefined, Val::from_json);
        let value = evaluator.run(&self.compiled.program, document).map_err(public_error)?;
        convert::output(&meter, &value).map_err(public_error)
    }
}

impl PartialEq for Jsonata {
    fn eq(&self, other: &Jsonata) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Jsonata {}

impl fmt::Debug for Jsonata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jsonata").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Jsonata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `$states`, by reference: nothing is copied to call an expression.
#[derive(Debug, Clone, Copy)]
pub struct States<'a> {
    pub input: &'a Value,
    pub context: &'a Value,
    /// Where a state has one.
    pub result: Option<&'a Value>,
    /// `errorOutput`, in a catcher.
    pub error_output: Option<&'a Value>,
}

impl<'a> States<'a> {
    fn parts(self) -> Vec<(&'static str, &'a Value)> {
        let optional = [("result", self.result), ("errorOutput", self.error_output)];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        [("input", self.input), ("context", self.context)].into_iter().chain(optional).collect()
    }
}

/// What an expression can see and spend.
pub struct JsonataEnv<'a> {
    /// Bound as `$states`.
    pub states: Option<States<'a>>,
    /// The workflow variables.
    pub variables: &'a Variables,
    /// What `$now()` and `$millis()` answer.
    pub now: Timestamp,
    /// For `$random()`, `$uuid()` and `$shuffle()`.
    pub random: &'a mut dyn FnMut() -> u64,
    pub limits: JsonataLimits,
}

/// What one evaluation may cost; beyond it the evaluation is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonataLimits {
    /// Work in steps; one step is about one node evaluated or one small value made.
    pub steps_max: u64,
    /// How deep evaluation may nest; a call that is not a tail call takes about three levels. A level takes up to
    /// 3 KiB of stack (6 KiB without optimisation), so far beyond the default the thread's stack must be larger too.
    pub depth_max: usize,
    /// How much memory the values made on the way may take together: 24 bytes an element, 2 a byte of text.
    pub memory_bytes_max: usize,
    /// How many elements one `[a..b]` or `$range` may have.
    pub range_length_max: usize,
}

impl Default for JsonataLimits {
    /// As AWS has them: it takes 100 nested levels and `[1..873782]`, and refuses one more of either.
    fn default() -> JsonataLimits {
        JsonataLimits {
            steps_max: 10_000_000,
            depth_max: 100,
            memory_bytes_max: 873_782 * 24,
            range_length_max: 10_000_000,
        }
    }
}

/// Why an evaluation failed, in the words of the JSONata reference: `T2001: The left side of the "+" operator ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct JsonataError {
    /// `T2001`, `D3137` and so on; empty for a bound that was met, which AWS reports without a code.
    pub code: Box<str>,
    pub message: String,
    /// Byte offset into the text, where known.
    pub offset: Option<usize>,
}

#[expect(clippy::boxed_local, reason = "failures travel boxed")]
fn public_error(failure: Box<Failure>) -> JsonataError {
    JsonataError { code: failure.code.as_str().into(), message: failure.render(), offset: failure.offset }
}
