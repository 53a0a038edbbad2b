use serde_json::Value;

use crate::{Env, EvalError, SyntaxError};

/// A compiled call of an intrinsic function: `States.Format('{}', $.name)`, nested calls included.
#[derive(Debug, Clone, PartialEq)]
pub struct Intrinsic {
    text: Box<str>,
}

impl Intrinsic {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Intrinsic, SyntaxError> {
        Err(SyntaxError { message: format!("not an intrinsic function: {text}"), offset: 0 })
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Computes the value; `field` is what an error names.
    pub fn evaluate(&self, field: &str, env: &mut Env<'_>) -> Result<Value, EvalError> {
        let _ = env;
        Err(EvalError::Intrinsic { field: field.to_owned(), source: IntrinsicError { message: String::new() } })
    }
}

/// Why an intrinsic function has no value: `States.IntrinsicFailure`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IntrinsicError {
    /// AWS's wording.
    pub message: String,
}
