use std::collections::{BTreeMap, BTreeSet};

use super::path::{Path, Step};
use super::reserved::is_reserved;
use super::syntax::{RawPath, RawStep};
use super::{ExpressionError, OPERAND_TYPE};
use crate::{AttributeValue, Kind};

/// The largest list index; AWS refuses larger ones.
const INDEX_MAX: usize = i32::MAX as usize;

/// ExpressionAttributeNames and ExpressionAttributeValues of a request, and which of them no expression used yet.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    unused_names: BTreeSet<String>,
    unused_values: BTreeSet<String>,
}

impl Placeholders {
    /// Takes placeholders that were checked for their form already.
    pub fn new(names: BTreeMap<String, String>, values: BTreeMap<String, AttributeValue>) -> Placeholders {
        let (unused_names, unused_values) = (names.keys().cloned().collect(), values.keys().cloned().collect());
        Placeholders { names, values, unused_names, unused_values }
    }

    /// Names the placeholders that no expression of the request used.
    pub fn check_used(&self) -> Result<(), ExpressionError> {
        for (what, unused) in [("Names", &self.unused_names), ("Values", &self.unused_values)] {
            if !unused.is_empty() {
                let keys = unused.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(ExpressionError::new(format!(
                    "Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{keys}}}"
                )));
            }
        }
        Ok(())
    }
}

/// Turns what was parsed into what can be evaluated, and gathers what AWS would complain about first.
///
/// AWS checks an expression in several passes. A problem has the rank of its pass, so that the order in which the
/// expression is walked does not matter.
pub(crate) struct Resolver<'p> {
    placeholders: &'p mut Placeholders,
    problem: Option<(Rank, String)>,
}

/// Pass, then the number of the condition it is in, then the pass within it.
pub(crate) type Rank = (u8, usize, u8);

impl<'p> Resolver<'p> {
    pub fn new(placeholders: &'p mut Placeholders) -> Resolver<'p> {
        Resolver { placeholders, problem: None }
    }

    pub fn problem(&mut self, rank: Rank, message: impl FnOnce() -> String) {
        if self.problem.as_ref().is_none_or(|(first, _)| rank < *first) {
            self.problem = Some((rank, message()));
        }
    }

    /// The problem that AWS would name, if there is one.
    pub fn finish(self) -> Result<(), ExpressionError> {
        self.problem.map_or(Ok(()), |(_, message)| Err(ExpressionError::new(message)))
    }

    /// Resolves a path; `reserved` and `undefined` are the ranks of the two things that can be wrong with a name.
    pub fn path(&mut self, raw: &RawPath<'_>, reserved: Rank, undefined: Rank) -> Path {
        let mut steps = raw.iter().map(|step| match step {
            RawStep::Word(word) => {
                if is_reserved(word) {
                    self.problem(reserved, || {
                        format!("Attribute name is a reserved keyword; reserved keyword: {word}")
                    });
                }
                Step::Name((*word).to_owned())
            }
            RawStep::Name(name) => {
                self.placeholders.unused_names.remove(*name);
                if let Some(name) = self.placeholders.names.get(*name) {
                    return Step::Name(name.clone());
                }
                self.problem(undefined, || {
                    let message = "An expression attribute name used in the document path is not defined";
                    format!("{message}; attribute name: {name}")
                });
                Step::Name(String::new())
            }
            RawStep::Index(digits) => match digits.parse() {
                Ok(index) if index <= INDEX_MAX => Step::Index(index),
                _ => {
                    self.problem(undefined, || {
                        format!("List index is not within the allowable range; index: [{digits}]")
                    });
                    Step::Index(0)
                }
            },
        });
        let Some(Step::Name(name)) = steps.next() else {
            unreachable!("the parser begins a path with a name");
        };
        let steps = steps.collect();
        Path::new(name, steps)
    }

    pub fn value(&mut self, name: &str, undefined: Rank) -> AttributeValue {
        self.placeholders.unused_values.remove(name);
        if let Some(value) = self.placeholders.values.get(name) {
            return value.clone();
        }
        self.problem(undefined, || {
            let message = "An expression attribute value used in expression is not defined";
            format!("{message}; attribute value: {name}")
        });
        AttributeValue::Null
    }

    pub fn wrong_operand_count(&mut self, rank: Rank, name: &str, count: usize) {
        self.problem(rank, || {
            let message = "Incorrect number of operands for operator or function; operator or function: ";
            format!("{message}{name}, number of operands: {count}")
        });
    }

    pub fn wrong_operand_type(&mut self, rank: Rank, name: &str, kind: Kind) {
        self.problem(rank, || format!("{OPERAND_TYPE}operator or function: {name}, operand type: {}", kind.name()));
    }

    pub fn path_required(&mut self, rank: Rank, name: &str) {
        self.problem(rank, || format!("Operator or function requires a document path; operator or function: {name}"));
    }
}
