use serde_json::{Map, Value};

use crate::path::Single;
use crate::text::json_text;
use crate::{Path, PathError, Root, Scene, SyntaxError};

/// A path that names exactly one node, which can be read, and written unless it starts from the context object.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePath {
    path: Path,
    steps: Vec<Single>,
}

impl ReferencePath {
    /// Compiles `text`; wildcards, slices, filters, unions and `..` are refused.
    pub fn parse(text: &str) -> Result<ReferencePath, SyntaxError> {
        let path = Path::parse(text)?;
        let message = || "a reference path has no wildcards, slices, filters, unions, '..' or functions".to_owned();
        let steps = path.single_steps().ok_or_else(|| SyntaxError { message: message(), offset: 0 })?;
        Ok(ReferencePath { path, steps })
    }

    /// `$`.
    pub fn whole_input() -> ReferencePath {
        ReferencePath { path: Path::whole_input(), steps: Vec::new() }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        self.path.as_str()
    }

    /// The same as a path.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// Whether it reads the input or the context object.
    pub fn root(&self) -> &Root {
        self.path.root()
    }

    /// Whether it is exactly `$`.
    pub fn is_whole_input(&self) -> bool {
        self.path.is_whole_input()
    }

    /// Reads the node.
    pub fn evaluate<'v>(&self, scene: Scene<'v>) -> Result<&'v Value, PathError> {
        let mut value = match self.path.root() {
            Root::Input => Some(scene.input),
            Root::Context => Some(scene.context),
            Root::Variable(name) => scene.variables.get(name),
        };
        for step in &self.steps {
            value = match (step, value) {
                (Single::Name(name), Some(Value::Object(members))) => members.get(&**name),
                (Single::Index(index), Some(Value::Array(items))) => {
                    position(items.len(), *index).map(|index| &items[index])
                }
                _ => None,
            };
        }
        match value {
            Some(value) => Ok(value),
            // Only a failing path gets here, and it fails again, with the reason.
            None => match self.path.evaluate(scene) {
                Err(error) => Err(error),
                Ok(_) => unreachable!("a reference path is definite"),
            },
        }
    }

    /// Puts `result` at this place of `input` (`ResultPath`), making objects on the way where nothing is.
    ///
    /// A scalar on the way, a name asked of an array, or an index beyond the end is an [`InsertError`].
    pub fn insert(&self, mut input: Value, result: Value) -> Result<Value, InsertError> {
        if !self.fits(&input) {
            return Err(InsertError { path: self.as_str().to_owned(), input: json_text(&input) });
        }
        let mut place = &mut input;
        for step in &self.steps {
            place = match (step, place) {
                (Single::Name(name), Value::Object(members)) => {
                    members.entry(&**name).or_insert_with(|| Value::Object(Map::new()))
                }
                (Single::Index(index), Value::Array(items)) => {
                    let index = position(items.len(), *index).expect("checked by fits");
                    &mut items[index]
                }
                _ => unreachable!("checked by fits"),
            };
        }
        *place = result;
        Ok(input)
    }

    fn fits(&self, input: &Value) -> bool {
        let mut place = input;
        for (i, step) in self.steps.iter().enumerate() {
            match (step, place) {
                (Single::Name(name), Value::Object(members)) => match members.get(&**name) {
                    Some(next) => place = next,
                    // What is not there is made, as objects.
                    None => return self.steps[i + 1..].iter().all(|step| matches!(step, Single::Name(_))),
                },
                (Single::Index(index), Value::Array(items)) => match position(items.len(), *index) {
                    Some(index) => place = &items[index],
                    None => return false,
                },
                _ => return false,
            }
        }
        true
    }
}

fn position(len: usize, index: i64) -> Option<usize> {
    let index = if index < 0 {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    (index < len).then_some(index)
}

/// A result that cannot be put where `ResultPath` says: `States.ResultPathMatchFailure`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unable to apply ReferencePath {path} to input {input}")]
pub struct InsertError {
    /// As written.
    pub path: String,
    /// The raw input, as JSON text.
    pub input: String,
}
