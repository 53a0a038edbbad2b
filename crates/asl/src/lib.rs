//! Amazon States Language: parse and validate with source spans, JSONPath, intrinsic functions, JSONata.
//!
//! Text goes in, a [`StateMachine`] that cannot be wrong comes out, or every [`Diagnostic`] at once. Paths, payload
//! templates and intrinsic functions are compiled when the definition is parsed and evaluated against JSON values.
//!
//! Refuses to do I/O, to know the time and to be random: chance comes in through [`Env`].
//!
//! Invariants:
//! - Every transition of a parsed machine names a state of the same scope; every scope ends somewhere.
//! - No text and no value, however deep or hostile, overflows the stack or makes this crate panic: the parsers bound
//!   depth, evaluation bounds its work.
//! - What it does not know is a diagnostic, never silently ignored.

mod ast;
mod diagnostic;
mod grammar;
mod integration;
mod intrinsic;
mod json;
mod jsonata;
mod limits;
mod parse;
mod path;
mod query;
mod reference_path;
mod template;
mod text;
mod variables;

pub use ast::{
    Branch, Catcher, Choice, ChoiceRule, Comparison, Condition, Count, CsvDelimiter, CsvHeaders, DataKind,
    ExecutionType, Fail, InputType, Integration, IntegrationPattern, ItemBatcher, ItemReader, Items, Jitter,
    ManifestType, Map, Name, Operand, Operator, OutputType, Percentage, ProcessorConfig, ProcessorMode, QueryLanguage,
    ReaderConfig, Resource, ResourceKind, ResultPath, ResultWriter, Retrier, Seconds, Selection, State, StateKind,
    StateMachine, Task, TextSource, Transformation, Transition, Wait, WriterConfig,
};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Span};
pub use integration::ParameterTemplate;
pub use intrinsic::{Intrinsic, IntrinsicError};
pub use jsonata::{Jsonata, JsonataEnv, JsonataError, JsonataLimits, States, TopLevelReference, VariableUse};
pub use limits::{DEFINITION_BYTES_MAX, EVALUATION_BYTES_MAX};
pub use parse::{parse, validate, validate_template};
pub use path::{Path, PathError, PathErrorReason, Root, SyntaxError};
pub use query::{JsonataField, QueryError, QueryErrorReason};
pub use reference_path::{InsertError, ReferencePath};
pub use template::{Env, EvalError, Expression, Part, Template};
pub use text::json_text;
pub use variables::{NO_VARIABLES, Scene, Variables};
