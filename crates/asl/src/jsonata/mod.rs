//! JSONata 2 in AWS's dialect: `{% %}` expressions over `$states` and the workflow's variables.

mod library;
mod scan;

use std::fmt;
use std::sync::Arc;

use base::Timestamp;
use serde_json::Value;

use crate::Variables;
use crate::path::SyntaxError;

/// A compiled JSONata expression: the text between `{%` and `%}`.
#[derive(Clone)]
pub struct Jsonata {
    compiled: Arc<Compiled>,
}

struct Compiled {
    text: Box<str>,
    variables: Box<[VariableUse]>,
    program: library::Program,
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

impl Jsonata {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Jsonata, SyntaxError> {
        let program = library::Program::parse(text)?;
        let variables = scan::variables(text).into();
        Ok(Jsonata { compiled: Arc::new(Compiled { text: text.into(), variables, program }) })
    }

    /// The text as written, without the `{% %}` around it.
    pub fn as_str(&self) -> &str {
        &self.compiled.text
    }

    /// The free variables that it reads, in order of appearance; functions of the standard library do not count.
    pub fn variables(&self) -> &[VariableUse] {
        &self.compiled.variables
    }

    /// Evaluates it. `None`: it is undefined for this input.
    pub fn evaluate(&self, env: &mut JsonataEnv<'_>) -> Result<Option<Value>, JsonataError> {
        self.compiled.program.evaluate(&self.compiled.variables, env)
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

impl States<'_> {
    fn to_value(self) -> Value {
        let mut members = serde_json::Map::new();
        members.insert("input".into(), self.input.clone());
        members.insert("context".into(), self.context.clone());
        let optional = [("result", self.result), ("errorOutput", self.error_output)];
        members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.into(), value?.clone()))));
        Value::Object(members)
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
    /// How deep evaluation may nest; a call that is not a tail call takes about three levels.
    pub depth_max: usize,
    /// How much memory the values made on the way may take together.
    pub memory_bytes_max: usize,
    /// How many elements one `[a..b]` or `$range` may have.
    pub range_length_max: usize,
}

impl Default for JsonataLimits {
    fn default() -> JsonataLimits {
        JsonataLimits {
            steps_max: 10_000_000,
            depth_max: 1000,
            memory_bytes_max: 256 * 1024 * 1024,
            range_length_max: 10_000_000,
        }
    }
}

/// Why an evaluation failed, in the words of the JSONata reference: `T2001: The left side of the "+" operator ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct JsonataError {
    /// `T2001`, `D3137` and so on.
    pub code: Box<str>,
    pub message: String,
    /// Byte offset into the text, where known.
    pub offset: Option<usize>,
}
