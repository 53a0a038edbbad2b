//! JSONata in the fields of a state: what an expression sees, what a field takes of it, and how AWS words what it does
//! not take.

use std::fmt;
use std::ops::RangeInclusive;

use base::Timestamp;
use serde_json::{Number, Value};

use crate::text::json_text;
use crate::{Env, EvalError, Jsonata, JsonataEnv, JsonataError, JsonataLimits, States};

/// A field that holds a JSONata expression, by the name that errors give it: `Seconds`, `Choices[0]/Condition`.
#[derive(Clone, Copy)]
pub struct JsonataField<'a> {
    name: &'a dyn fmt::Display,
    expression: &'a Jsonata,
}

impl<'a> JsonataField<'a> {
    /// The field called `name`; `&format_args!(..)` costs nothing unless the field fails.
    pub fn new(name: &'a dyn fmt::Display, expression: &'a Jsonata) -> JsonataField<'a> {
        JsonataField { name, expression }
    }

    /// Any value. That there is none is an error.
    pub fn value(self, env: &mut Env<'_>) -> Result<Value, EvalError> {
        match evaluate(self.expression, env) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(self.error(QueryErrorReason::Undefined)),
            Err(error) => Err(self.error(QueryErrorReason::Threw { source: error })),
        }
    }

    /// `Condition`.
    pub fn boolean(self, env: &mut Env<'_>) -> Result<bool, EvalError> {
        match self.value(env)? {
            Value::Bool(value) => Ok(value),
            other => Err(self.unexpected("boolean", &other)),
        }
    }

    /// `Error`, `Cause`.
    pub fn text(self, env: &mut Env<'_>) -> Result<String, EvalError> {
        match self.value(env)? {
            Value::String(text) => Ok(text),
            other => Err(self.unexpected("string", &other)),
        }
    }

    /// `Items`.
    pub fn array(self, env: &mut Env<'_>) -> Result<Vec<Value>, EvalError> {
        match self.value(env)? {
            Value::Array(items) => Ok(items),
            other => Err(self.unexpected("array", &other)),
        }
    }

    /// `Timestamp`: an RFC 3339 time.
    pub fn timestamp(self, env: &mut Env<'_>) -> Result<Timestamp, EvalError> {
        let text = self.text(env)?;
        Timestamp::parse_rfc3339(&text).map_err(|_| {
            let (name, expression) = (self.name, self.expression);
            self.refused(format!(
                "The {name} parameter does not reference a valid ISO-8601 extended offset date-time format string: {expression} == {text}"
            ))
        })
    }

    /// `Seconds`, `TimeoutSeconds`, `MaxConcurrency` and the like: a whole number of that range.
    pub fn integer(self, range: RangeInclusive<u64>, env: &mut Env<'_>) -> Result<u64, EvalError> {
        let value = self.value(env)?;
        let Value::Number(number) = &value else { return Err(self.unexpected("number", &value)) };
        whole(number).filter(|whole| range.contains(whole)).ok_or_else(|| {
            let (name, expression, shown) = (self.name.to_string(), self.expression, json_text(&value));
            let fraction = number.as_f64().is_some_and(|float| float.fract() != 0.0);
            // AWS has words of their own for what a Wait state waits for.
            self.refused(match (name == "Seconds", fraction) {
                (true, true) => {
                    format!("The {name} parameter cannot be parsed as a long value: {expression} == {shown}")
                }
                (true, false) if shown.starts_with('-') => {
                    format!("The {name} parameter references a negative value: {expression} == {shown}")
                }
                (false, true) => format!("The {name} field cannot be parsed as an integer: {shown}"),
                _ if *range.end() == u64::MAX => format!("{name} must be at least {} but was: {shown}", range.start()),
                _ => format!("{name} must be between {} and {} but was: {shown}", range.start(), range.end()),
            })
        })
    }

    /// `ToleratedFailurePercentage`: a number of that range.
    pub fn number(self, range: RangeInclusive<f64>, env: &mut Env<'_>) -> Result<f64, EvalError> {
        let value = self.value(env)?;
        let Some(number) = value.as_f64() else { return Err(self.unexpected("number", &value)) };
        if range.contains(&number) {
            return Ok(number);
        }
        Err(self.refused(format!("{} must be between {} and {}.", self.name, range.start(), range.end())))
    }

    /// The error that the expression gave `value`, and not what the field takes (`array`, `string`, ...).
    pub fn unexpected(self, expected: &'static str, value: &Value) -> EvalError {
        let found = type_name(value);
        self.error(QueryErrorReason::WrongType { expected, found, value: json_text(value) })
    }

    fn refused(self, message: String) -> EvalError {
        self.error(QueryErrorReason::Refused { message })
    }

    fn error(self, reason: QueryErrorReason) -> EvalError {
        let (field, expression) = (self.name.to_string(), self.expression.as_str().into());
        EvalError::Query { source: Box::new(QueryError { field, expression, reason }) }
    }
}

impl fmt::Debug for JsonataField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.expression)
    }
}

/// Why a JSONata expression has no value for its field: `States.QueryEvaluationError`, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct QueryError {
    /// From the state down: `Output/y`, `Arguments/Payload/a`, `Choices[0]/Condition`.
    pub field: String,
    /// Without the `{% %}`.
    pub expression: Box<str>,
    pub reason: QueryErrorReason,
}

impl QueryError {
    fn text(&self) -> String {
        let QueryError { field, expression, reason } = self;
        match reason {
            QueryErrorReason::Refused { message } => message.clone(),
            _ => format!("The JSONata expression '{expression}' specified for the field '{field}' {reason}"),
        }
    }
}

/// What is wrong with the value of a JSONata expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryErrorReason {
    /// There is none.
    #[error("returned nothing (undefined).")]
    Undefined,
    /// The expression failed; what has no code of its own (a bound that was met) comes after a colon.
    #[error("threw an error during evaluation{}{source}", if source.code.is_empty() { "" } else { ". " })]
    Threw { source: JsonataError },
    /// It is of a type that the field does not take.
    #[error("returned an unexpected result type. Expected '{expected}', but was '{found}' for value: {value}")]
    WrongType { expected: &'static str, found: &'static str, value: String },
    /// It is of the right type, and not one that the field takes.
    #[error("{message}")]
    Refused { message: String },
}

/// The number, if it is whole and not negative.
fn whole(number: &Number) -> Option<u64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..u64::MAX as f64).contains(float));
    number.as_u64().or_else(|| float().map(|float| float as u64))
}

/// As `$type` names it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Evaluates an expression in the scene of a state: the only place that knows what the language's environment is.
fn evaluate(expression: &Jsonata, env: &mut Env<'_>) -> Result<Option<Value>, JsonataError> {
    let states = States {
        input: env.scene.input,
        context: env.scene.context,
        result: env.result,
        error_output: env.error_output,
    };
    expression.evaluate(&mut JsonataEnv {
        states: Some(states),
        variables: env.scene.variables,
        now: env.now,
        random: env.random,
        limits: JsonataLimits::default(),
    })
}

/// The expression between `{%` and `%}`, if the text is one.
pub(crate) fn expression_text(text: &str) -> Option<&str> {
    text.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
}
