use base::Timestamp;
use serde_json::{Map, Value};

use crate::limits::{Budget, EVALUATION_BYTES_MAX, Exceeded};
use crate::parse;
use crate::path::PathErrorReason;
use crate::query::{JsonataField, QueryError};
use crate::{Diagnostics, Intrinsic, IntrinsicError, Jsonata, Path, PathError, QueryLanguage, Scene, SyntaxError};

/// What an evaluation reads.
pub struct Env<'a> {
    /// In JSONata, `$states.input`, `$states.context` and the variables.
    pub scene: Scene<'a>,
    /// `$states.result`
    pub result: Option<&'a Value>,
    /// `$states.errorOutput`
    pub error_output: Option<&'a Value>,
    /// For `$now()` and `$millis()`.
    pub now: Timestamp,
    /// For `States.UUID`, `States.MathRandom`, `$random()`, `$uuid()` and `$shuffle()`.
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
        self.evaluate_within(field, env, &mut Budget::new())
    }

    fn evaluate_within(&self, field: &str, env: &mut Env<'_>, budget: &mut Budget) -> Result<Value, EvalError> {
        let path = match self {
            Expression::Intrinsic(intrinsic) => return intrinsic.evaluate_within(field, env, budget),
            Expression::Path(path) => path,
        };
        let too_large = |_: Exceeded| EvalError::TooLarge { field: field.to_owned() };
        match path.evaluate_within(env.scene, budget) {
            Ok(std::borrow::Cow::Borrowed(value)) => budget.copy(value).map_err(too_large),
            Ok(std::borrow::Cow::Owned(value)) => Ok(value),
            Err(PathError { reason: PathErrorReason::TooLarge, .. }) => Err(too_large(Exceeded)),
            Err(source) => Err(EvalError::Path { field: field.to_owned(), source }),
        }
    }
}

/// A payload template (`Parameters`, `ResultSelector`, `Assign`), or a value with JSONata inside (`Arguments`, `Output`),
/// compiled once.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    root: Piece,
}

/// An expression inside a template.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    Expression(&'a Expression),
    Jsonata(&'a Jsonata),
}

/// A part of a template. What has no expression inside is one literal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Literal(Value),
    Object(Vec<(String, Piece)>),
    Array(Vec<Piece>),
    /// The key as written (`name.$`) is what errors name.
    Expression {
        field: String,
        expression: Expression,
    },
    /// Where it stands (`Output/a[0]`) is what errors name.
    Jsonata {
        field: Box<str>,
        expression: Jsonata,
    },
}

impl Template {
    /// Compiles a payload template from its JSON text.
    pub fn parse(text: &str) -> Result<Template, Diagnostics> {
        parse::parse_template(text, "", QueryLanguage::JsonPath)
    }

    /// Compiles a value with JSONata expressions inside, from its JSON text; errors call it `field`.
    pub fn parse_jsonata(text: &str, field: &str) -> Result<Template, Diagnostics> {
        parse::parse_template(text, field, QueryLanguage::Jsonata)
    }

    pub(crate) fn new(root: Piece) -> Template {
        Template { root }
    }

    /// Computes the value.
    pub fn evaluate(&self, env: &mut Env<'_>) -> Result<Value, EvalError> {
        self.root.evaluate(env, &mut Budget::new())
    }

    /// Computes the value, which must be an array: `Items`.
    pub fn evaluate_items(&self, env: &mut Env<'_>) -> Result<Vec<Value>, EvalError> {
        if let Piece::Jsonata { field, expression } = &self.root {
            return JsonataField::new(field, expression).array(env);
        }
        match self.evaluate(env)? {
            Value::Array(items) => Ok(items),
            // No definition holds this: the parser takes arrays and expressions.
            other => Ok(vec![other]),
        }
    }

    /// Whether `test` holds for any of the expressions inside.
    pub fn any(&self, test: &mut dyn FnMut(Part<'_>) -> bool) -> bool {
        self.root.any(test)
    }

    /// The value, if nothing in it depends on the input.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.root {
            Piece::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Piece {
    fn any(&self, test: &mut dyn FnMut(Part<'_>) -> bool) -> bool {
        match self {
            Piece::Literal(_) => false,
            Piece::Object(members) => members.iter().any(|(_, piece)| piece.any(test)),
            Piece::Array(pieces) => pieces.iter().any(|piece| piece.any(test)),
            Piece::Expression { expression, .. } => test(Part::Expression(expression)),
            Piece::Jsonata { expression, .. } => test(Part::Jsonata(expression)),
        }
    }

    /// Recurses as deep as the template's text, which the parser bounds.
    fn evaluate(&self, env: &mut Env<'_>, budget: &mut Budget) -> Result<Value, EvalError> {
        match self {
            Piece::Literal(value) => Ok(value.clone()),
            Piece::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (key, piece) in members {
                    object.insert(key.clone(), piece.evaluate(env, budget)?);
                }
                Ok(Value::Object(object))
            }
            Piece::Array(pieces) => pieces.iter().map(|piece| piece.evaluate(env, budget)).collect(),
            Piece::Expression { field, expression } => match expression.evaluate_within(field, env, budget) {
                // AWS gives null for an index beyond the end here, unlike for a name that is missing.
                Err(EvalError::Path {
                    source: PathError { reason: PathErrorReason::IndexOutOfRange { .. }, .. },
                    ..
                }) => Ok(Value::Null),
                result => result,
            },
            Piece::Jsonata { field, expression } => {
                let value = JsonataField::new(field, expression).value(env)?;
                match budget.charge(&value) {
                    Ok(()) => Ok(value),
                    Err(Exceeded) => Err(EvalError::TooLarge { field: field.to_string() }),
                }
            }
        }
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A path found nothing: `States.Runtime`.
    #[error("{source}")]
    Path { field: String, source: PathError },
    /// The path of a function's argument found nothing: `States.Runtime`.
    #[error("{source}")]
    Argument { field: String, source: IntrinsicError },
    /// An intrinsic function refused its arguments: `States.IntrinsicFailure`.
    #[error("{source}")]
    Intrinsic { field: String, source: IntrinsicError },
    /// The result would be larger, or nest deeper, than any payload: `States.DataLimitExceeded`.
    #[error("the value of the field '{field}' exceeds {EVALUATION_BYTES_MAX} bytes, or nests too deeply")]
    TooLarge { field: String },
    /// A JSONata expression has no value, or not one for its field: `States.QueryEvaluationError`.
    #[error("{source}")]
    Query { source: Box<QueryError> },
}

impl EvalError {
    /// The error name to fail the state with.
    pub fn error_name(&self) -> &'static str {
        match self {
            EvalError::Path { .. } | EvalError::Argument { .. } => "States.Runtime",
            EvalError::Intrinsic { .. } => "States.IntrinsicFailure",
            EvalError::TooLarge { .. } => "States.DataLimitExceeded",
            EvalError::Query { .. } => "States.QueryEvaluationError",
        }
    }

    /// `location` of the event EvaluationFailed: the field that failed, of JSONata alone.
    pub fn location(&self) -> Option<&str> {
        match self {
            EvalError::Query { source } => Some(&source.field),
            _ => None,
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
