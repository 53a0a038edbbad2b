use std::borrow::Cow;

use serde_json::Value;

/// Why a text is not a path, template expression or intrinsic function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// Byte offset into the text.
    pub offset: usize,
}

/// What a path starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `$`
    Input,
    /// `$$`
    Context,
}

/// A compiled JSONPath in AWS's dialect: `$.a['b'][0:2]..c[?(@.d > 1)]`, from the input or the context object.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    text: Box<str>,
    root: Root,
    definite: bool,
}

impl Path {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Path, SyntaxError> {
        Err(SyntaxError { message: format!("Value is not a valid JSONPath: {text}"), offset: 0 })
    }

    /// `$`.
    pub fn whole_input() -> Path {
        Path { text: "$".into(), root: Root::Input, definite: true }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it reads the input or the context object.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Whether it is exactly `$`.
    pub fn is_whole_input(&self) -> bool {
        &*self.text == "$"
    }

    /// Whether it names at most one node; an indefinite path gives an array of what it finds.
    pub fn is_definite(&self) -> bool {
        self.definite
    }

    /// Finds the value. A definite path that finds nothing is an error; an indefinite one gives an array.
    pub fn evaluate<'v>(&self, input: &'v Value, context: &'v Value) -> Result<Cow<'v, Value>, PathError> {
        let _ = (input, context);
        Err(PathError {
            path: self.text.clone().into(),
            reason: PathErrorReason::NoResults { at: self.text.to_string() },
        })
    }
}

/// A path that found nothing.
///
/// AWS words it in two ways: `InputPath` and the like answer `Invalid path '{path}' : {reason}` ([`std::fmt::Display`]),
/// payload templates and `...Path` fields answer [`PathError::not_found`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid path '{path}' : {reason}")]
pub struct PathError {
    /// As written.
    pub path: String,
    pub reason: PathErrorReason,
}

impl PathError {
    /// `The JSONPath '$.x' specified for the field 'F' could not be found in the input '...'`.
    pub fn not_found(&self, field: &str, input: &Value) -> String {
        format!(
            "The JSONPath '{}' specified for the field '{field}' could not be found in the input '{input}'",
            self.path
        )
    }
}

/// Why a path found nothing, in the words that AWS uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathErrorReason {
    /// The last step found nothing; `at` is the normalised path (`$['a']['b']`).
    #[error("No results for path: {at}")]
    NoResults { at: String },
    /// A step before the last found nothing.
    #[error("Missing property in path {at}")]
    MissingProperty { at: String },
    /// Anything else, worded already.
    #[error("{0}")]
    Other(String),
}
