use std::fmt;

use crate::{AttributeValue, Item};

/// One step of a document path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Name(String),
    Index(usize),
}

/// A document path: an attribute's name, then names within maps and indexes within lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    name: String,
    steps: Vec<Step>,
}

impl Path {
    pub fn new(name: impl Into<String>, steps: Vec<Step>) -> Path {
        Path { name: name.into(), steps }
    }

    /// The attribute it begins with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What follows the attribute's name.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it leads into the attribute.
    pub fn is_nested(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The value it leads to.
    pub fn get<'i>(&self, item: &'i Item) -> Option<&'i AttributeValue> {
        self.steps.iter().try_fold(item.get(&self.name)?, |value, step| match (value, step) {
            (AttributeValue::M(map), Step::Name(name)) => map.get(name),
            (AttributeValue::L(list), Step::Index(index)) => list.get(*index),
            _ => None,
        })
    }

    /// How two paths of one update or projection stand to each other.
    pub(crate) fn relation(&self, other: &Path) -> Relation {
        if self.name != other.name {
            return Relation::Apart;
        }
        for (a, b) in self.steps.iter().zip(&other.steps) {
            match (a, b) {
                (Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_)) => return Relation::Conflict,
                _ if a != b => return Relation::Apart,
                _ => {}
            }
        }
        Relation::Overlap
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Apart,
    /// One is the other, or leads into it.
    Overlap,
    /// They take the same value for a map and for a list.
    Conflict,
}

impl fmt::Display for Path {
    /// As AWS's messages show it: `[a, [1], b]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.name)?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(f, ", {name}")?,
                Step::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}
