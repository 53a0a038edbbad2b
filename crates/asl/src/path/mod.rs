//! JSONPath in AWS's dialect, which is Jayway's.

mod compare;
mod evaluate;

use std::borrow::Cow;

use serde_json::Value;

use crate::grammar;
use crate::limits::{Budget, EVALUATION_BYTES_MAX, REGEX_BYTES_MAX};
use crate::text::json_text;
use crate::{Name, Scene};

/// Why a text is not a path, template expression or intrinsic function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// Byte offset into the text.
    pub offset: usize,
}

/// What a path starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// `$`
    Input,
    /// `$$`
    Context,
    /// `$name`
    Variable(Name),
}

/// A compiled JSONPath in AWS's dialect: `$.a['b'][0:2]..c[?(@.d > 1)]`, from the input or the context object.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    text: Box<str>,
    root: Root,
    steps: Box<[Step]>,
    aggregate: Option<Aggregate>,
    definite: bool,
}

impl Path {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Path, SyntaxError> {
        grammar::parse_path(text)
    }

    /// `$`.
    pub fn whole_input() -> Path {
        Path::new("$", Root::Input, Vec::new(), None)
    }

    pub(crate) fn new(text: &str, root: Root, steps: Vec<Step>, aggregate: Option<Aggregate>) -> Path {
        let definite = is_definite(&steps);
        Path { text: text.into(), root, steps: steps.into(), aggregate, definite }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it reads the input or the context object.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Whether it is exactly `$`.
    pub fn is_whole_input(&self) -> bool {
        self.root == Root::Input && self.steps.is_empty() && self.aggregate.is_none()
    }

    /// Whether it names at most one node; an indefinite path gives an array of what it finds.
    pub fn is_definite(&self) -> bool {
        self.definite
    }

    /// Finds the value. A definite path that finds nothing is an error; an indefinite one gives an array.
    pub fn evaluate<'v>(&self, scene: Scene<'v>) -> Result<Cow<'v, Value>, PathError> {
        self.evaluate_within(scene, &mut Budget::new())
    }

    pub(crate) fn evaluate_within<'v>(
        &self,
        scene: Scene<'v>,
        budget: &mut Budget,
    ) -> Result<Cow<'v, Value>, PathError> {
        let fail = |reason| PathError {
            path: self.text.to_string(),
            reason,
            context: (self.root == Root::Context).then(|| json_text(scene.context)),
        };
        let document = match &self.root {
            Root::Input => scene.input,
            Root::Context => scene.context,
            Root::Variable(name) => {
                let missing = || fail(PathErrorReason::NoVariable { name: name.to_string() });
                scene.variables.get(name).ok_or_else(missing)?
            }
        };
        evaluate::evaluate(&self.steps, self.aggregate, self.definite, document, budget).map_err(fail)
    }

    /// Its steps, if each names one member or element: the form of a reference path.
    pub(crate) fn single_steps(&self) -> Option<Vec<Single>> {
        if self.aggregate.is_some() {
            return None;
        }
        let single = |step: &Step| match &step.selector {
            _ if step.descend => None,
            Selector::Name(name) => Some(Single::Name(name.clone())),
            Selector::Index(index) => Some(Single::Index(*index)),
            _ => None,
        };
        self.steps.iter().map(single).collect()
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
    /// The context object, if that was searched.
    context: Option<String>,
}

impl PathError {
    /// `The JSONPath '$.x' specified for the field 'F' could not be found in the input '...'`.
    pub fn not_found(&self, field: &str, input: &Value) -> String {
        let path = &self.path;
        let searched = self.context.clone().unwrap_or_else(|| json_text(input));
        format!("The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{searched}'")
    }
}

/// Why a path found nothing, in the words that AWS uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathErrorReason {
    /// The last step found nothing; `at` is the normalised path (`$['a']['b']`).
    #[error("No results for path: {at}")]
    NoResults { at: String },
    /// The same, because an array is shorter than the last step's index.
    #[error("No results for path: {at}")]
    IndexOutOfRange { at: String },
    /// A step before the last found nothing.
    #[error("Missing property in path {at}")]
    MissingProperty { at: String },
    /// A name was asked of something that is not an object, or an index of something that is not an array.
    #[error("{0}")]
    WrongType(String),
    /// The variable that the path starts from is not assigned.
    #[error("Variable '{name}' is not defined")]
    NoVariable { name: String },
    /// The result is larger than any payload may be.
    #[error("the result exceeds {EVALUATION_BYTES_MAX} bytes, or nests too deeply")]
    TooLarge,
}

/// A step of a reference path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Single {
    Name(Box<str>),
    Index(i64),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// After `..`.
    pub descend: bool,
    pub selector: Selector,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Selector {
    Name(Box<str>),
    Index(i64),
    Wildcard,
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        /// Never 0.
        step: i64,
    },
    Names(Vec<Box<str>>),
    Indexes(Vec<i64>),
    Filter(Filter),
}

/// Jayway: a union of names at the end is one result, an object; everything else but a name or index may be many.
fn is_definite(steps: &[Step]) -> bool {
    steps.iter().enumerate().all(|(i, step)| {
        !step.descend
            && match step.selector {
                Selector::Name(_) | Selector::Index(_) => true,
                Selector::Names(_) => i + 1 == steps.len(),
                _ => false,
            }
    })
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Exists(FilterPath),
    Compare { left: Term, operator: FilterOperator, right: Term },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    Path(FilterPath),
    Literal(Value),
    Pattern(Pattern),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilterPath {
    /// `@`, otherwise `$`.
    pub current: bool,
    pub steps: Vec<Step>,
    pub aggregate: Option<Aggregate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterOperator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    SubsetOf,
    AnyOf,
    NoneOf,
    Contains,
    Size,
    Empty,
}

/// `/regex/flags`, matched against the whole text.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: String,
    regex: regex_lite::Regex,
}

impl Pattern {
    pub(crate) fn new(text: &str, flags: &str) -> Option<Pattern> {
        let regex = regex_lite::RegexBuilder::new(&format!("^(?:{text})$"))
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'))
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .ok()?;
        Some(Pattern { text: format!("/{text}/{flags}"), regex })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A function at the end of a path: `$.items.length()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Length,
    Min,
    Max,
    Average,
    Sum,
    StandardDeviation,
    Keys,
    First,
    Last,
}

impl Aggregate {
    pub(crate) fn from_name(name: &str) -> Option<Aggregate> {
        Some(match name {
            "length" | "size" => Aggregate::Length,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "avg" => Aggregate::Average,
            "sum" => Aggregate::Sum,
            "stddev" => Aggregate::StandardDeviation,
            "keys" => Aggregate::Keys,
            "first" => Aggregate::First,
            "last" => Aggregate::Last,
            _ => return None,
        })
    }
}
