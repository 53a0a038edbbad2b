//! DynamoDB's expressions: parsed, checked as AWS checks them, evaluated against items.
//!
//! Tokens by winnow, grammar by hand (AWS's syntax errors name the token and its neighbours). Pure: no store, no clock.

mod condition;
mod key_condition;
mod path;
mod projection;
mod reserved;
mod resolve;
mod syntax;
mod token;
mod update;

#[cfg(test)]
mod tests;

pub use condition::{Comparator, Condition, Operand};
pub use key_condition::{KeyCondition, SortCondition};
pub use path::{Path, Step};
pub use projection::Projection;
pub use resolve::Placeholders;
pub use update::{Action, SetValue, Update, UpdateError};

/// What is wrong with an expression, in AWS's words, without the `Invalid ...Expression: ` before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(String);

impl ExpressionError {
    pub(crate) fn new(message: impl Into<String>) -> ExpressionError {
        ExpressionError(message.into())
    }
}

pub(crate) const OPERAND_TYPE: &str = "Incorrect operand type for operator or function; ";
