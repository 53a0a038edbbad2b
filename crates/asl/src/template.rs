use serde_json::Value;

use crate::{Intrinsic, IntrinsicError, Path, PathError, SyntaxError};

/// What an evaluation reads.
pub struct Env<'a> {
    /// `$`
    pub input: &'a Value,
    /// `$$`
    pub context: &'a Value,
    /// For `States.UUID` and `States.MathRandom`.
    pub random: &'a mut dyn FnMut() -> u64,
}

/// A path or an intrinsic function: what stands at a `.$` key.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    Path(Path),
    Intrinsic(Intrinsic),
}

impl Expression {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Expression, SyntaxError> {
        if text.starts_with('$') {
            Path::parse(text).map(Expression::Path)
        } else {
            Intrinsic::parse(text).map(Expression::Intrinsic)
        }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        match self {
            Expression::Path(path) => path.as_str(),
            Expression::Intrinsic(intrinsic) => intrinsic.as_str(),
        }
    }

    /// Computes the value; `field` (`ErrorPath`, `value.$`) is what an error names.
    pub fn evaluate(&self, field: &str, env: &mut Env<'_>) -> Result<Value, EvalError> {
        match self {
            Expression::Path(path) => match path.evaluate(env.input, env.context) {
                Ok(value) => Ok(value.into_owned()),
                Err(source) => Err(EvalError::Path { field: field.to_owned(), source }),
            },
            Expression::Intrinsic(intrinsic) => intrinsic.evaluate(field, env),
        }
    }
}

/// A payload template (`Parameters`, `ResultSelector`, `ItemSelector`), compiled once.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    literal: Value,
}

impl Template {
    /// Computes the value.
    pub fn evaluate(&self, env: &mut Env<'_>) -> Result<Value, EvalError> {
        let _ = env;
        Ok(self.literal.clone())
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A path found nothing. Fails the state with `States.ParameterPathFailure` in templates, `States.Runtime` elsewhere.
    #[error("{source}")]
    Path { field: String, source: PathError },
    /// An intrinsic function refused its arguments.
    #[error("{source}")]
    Intrinsic { field: String, source: IntrinsicError },
    /// The result would be larger than any payload: `States.DataLimitExceeded`.
    #[error("the result of '{field}' exceeds {bytes_max} bytes")]
    TooLarge { field: String, bytes_max: usize },
}

impl EvalError {
    /// The error name to fail the state with.
    pub fn error_name(&self) -> &'static str {
        match self {
            EvalError::Path { .. } => "States.Runtime",
            EvalError::Intrinsic { .. } => "States.IntrinsicFailure",
            EvalError::TooLarge { .. } => "States.DataLimitExceeded",
        }
    }

    /// The cause as AWS words it, without "An error occurred while executing the state ...".
    pub fn cause(&self, input: &Value) -> String {
        match self {
            EvalError::Path { field, source } => source.not_found(field, input),
            other => other.to_string(),
        }
    }
}
