//! Intrinsic functions: compiled calls and their evaluation.

mod functions;
mod strings;

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::grammar;
use crate::limits::Budget;
use crate::path::PathErrorReason;
use crate::text::json_text;
use crate::{Env, EvalError, Path, Root, SyntaxError};

/// A compiled call of an intrinsic function: `States.Format('{}', $.name)`, nested calls included.
#[derive(Debug, Clone, PartialEq)]
pub struct Intrinsic {
    text: Box<str>,
    call: Call,
}

impl Intrinsic {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Intrinsic, SyntaxError> {
        Ok(Intrinsic { text: text.into(), call: grammar::parse_call(text)? })
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Calls `each` with what the paths among its arguments start from.
    pub(crate) fn roots(&self, each: &mut impl FnMut(&Root)) {
        self.call.roots(each);
    }

    /// Computes the value; `field` is what an error names.
    pub fn evaluate(&self, field: &str, env: &mut Env<'_>) -> Result<Value, EvalError> {
        self.evaluate_within(field, env, &mut Budget::new())
    }

    pub(crate) fn evaluate_within(
        &self,
        field: &str,
        env: &mut Env<'_>,
        budget: &mut Budget,
    ) -> Result<Value, EvalError> {
        let worded = |message| IntrinsicError {
            message: format!("The function '{}' had the following error: {message}", self.text),
        };
        self.call.evaluate(env, budget).map_err(|failure| match failure {
            Failure::TooLarge => EvalError::TooLarge { field: field.to_owned() },
            Failure::Missing(message) => EvalError::Argument { field: field.to_owned(), source: worded(message) },
            Failure::Refused(message) => EvalError::Intrinsic { field: field.to_owned(), source: worded(message) },
        })
    }
}

/// Why an intrinsic function has no value: `States.IntrinsicFailure`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IntrinsicError {
    /// AWS's wording: `The function '...' had the following error: ...`.
    pub message: String,
}

/// Why a call has no value.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// The function does not take these arguments.
    Refused(String),
    /// An argument's path found nothing.
    Missing(String),
    TooLarge,
}

impl From<crate::limits::Exceeded> for Failure {
    fn from(_: crate::limits::Exceeded) -> Self {
        Failure::TooLarge
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub function: Function,
    pub arguments: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Literal(Value),
    /// A string in quotes, with its placeholders for `States.Format`.
    Text(Vec<TextPart>),
    Path(Path),
    Call(Call),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TextPart {
    Text(String),
    /// `{}`
    Placeholder,
}

/// The string that the parts spell where placeholders mean nothing.
pub(crate) fn spelled(parts: &[TextPart]) -> String {
    parts
        .iter()
        .map(|part| match part {
            TextPart::Text(text) => text.as_str(),
            TextPart::Placeholder => "{}",
        })
        .collect()
}

macro_rules! functions {
    ($($name:ident $arity:expr,)*) => {
        /// The intrinsic functions that AWS documents.
        #[allow(clippy::upper_case_acronyms)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Function { $($name),* }

        impl Function {
            pub(crate) fn from_name(name: &str) -> Option<Function> {
                match name { $(stringify!($name) => Some(Function::$name),)* _ => None }
            }

            /// Without `States.`.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Function::$name => stringify!($name)),* }
            }

            pub(crate) fn arity(self) -> RangeInclusive<usize> {
                match self { $(Function::$name => $arity),* }
            }
        }
    };
}

functions! {
    Format 1..=usize::MAX,
    StringToJson 1..=1,
    JsonToString 1..=1,
    Array 0..=usize::MAX,
    ArrayPartition 2..=2,
    ArrayContains 2..=2,
    ArrayRange 3..=3,
    ArrayGetItem 2..=2,
    ArrayLength 1..=1,
    ArrayUnique 1..=1,
    Base64Encode 1..=1,
    Base64Decode 1..=1,
    Hash 2..=2,
    JsonMerge 3..=3,
    MathRandom 2..=3,
    MathAdd 2..=2,
    StringSplit 2..=2,
    UUID 0..=0,
}

impl Call {
    /// Recurses as deep as calls nest, which the grammar bounds.
    fn roots(&self, each: &mut impl FnMut(&Root)) {
        for argument in &self.arguments {
            match argument {
                Argument::Path(path) => each(path.root()),
                Argument::Call(call) => call.roots(each),
                Argument::Literal(_) | Argument::Text(_) => {}
            }
        }
    }

    fn evaluate(&self, env: &mut Env<'_>, budget: &mut Budget) -> Result<Value, Failure> {
        let mut values = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            values.push(argument.evaluate(env, budget)?);
        }
        if let (Function::Format, Some(Argument::Text(parts))) = (self.function, self.arguments.first()) {
            return strings::format(parts, &values[1..], budget);
        }
        functions::apply(self.function, values, env, budget)
    }
}

impl Argument {
    fn evaluate(&self, env: &mut Env<'_>, budget: &mut Budget) -> Result<Value, Failure> {
        match self {
            Argument::Literal(value) => Ok(budget.copy(value)?),
            Argument::Text(parts) => {
                let text = spelled(parts);
                budget.charge_bytes(text.len())?;
                Ok(Value::String(text))
            }
            Argument::Call(call) => call.evaluate(env, budget),
            Argument::Path(path) => match path.evaluate_within(env.scene, budget) {
                Ok(std::borrow::Cow::Borrowed(value)) => Ok(budget.copy(value)?),
                Ok(std::borrow::Cow::Owned(value)) => Ok(value),
                Err(error) if error.reason == PathErrorReason::TooLarge => Err(Failure::TooLarge),
                // AWS names a context path as if it began with one `$`, and shows the state's input for it.
                Err(error) => Err(Failure::Missing(format!(
                    "The JsonPath argument for the field '{}' could not be found in the input '{}'",
                    error.path.strip_prefix('$').filter(|path| path.starts_with('$')).unwrap_or(&error.path),
                    json_text(env.scene.input)
                ))),
            },
        }
    }
}
