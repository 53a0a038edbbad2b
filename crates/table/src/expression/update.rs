use std::collections::BTreeSet;

use super::projection::check_path;
use super::resolve::{Placeholders, Rank, Resolver};
use super::syntax::{RawAction, RawOperand, RawValue, parse_update};
use super::{ExpressionError, OPERAND_TYPE, Path, Step};
use crate::{AttributeValue, Item, Kind, Number, NumberError};

// Passes over an update, in AWS's order.
const RESERVED: Rank = (0, 0, 0);
const UNKNOWN_FUNCTION: Rank = (1, 0, 0);
const SECTION: Rank = (2, 0, 0);
const UNDEFINED_NAME: Rank = (3, 0, 0);
const UNDEFINED_VALUE: Rank = (4, 0, 0);
const OVERLAP: Rank = (5, 0, 0);
const CONFLICT: Rank = (6, 0, 0);
const OPERAND: Rank = (7, 0, 0);
const FUNCTION: Rank = (8, 0, 0);

/// What an update does to one path.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Set(Path, SetValue),
    Remove(Path),
    Add(Path, AttributeValue),
    Delete(Path, AttributeValue),
}

/// What SET computes.
#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    Path(Path),
    Value(AttributeValue),
    IfNotExists(Path, Box<SetValue>),
    ListAppend(Box<SetValue>, Box<SetValue>),
    Plus(Box<SetValue>, Box<SetValue>),
    Minus(Box<SetValue>, Box<SetValue>),
}

/// Why an update does not fit the item it meets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    NoSuchAttribute,
    #[error("The document path provided in the update expression is invalid for update")]
    InvalidPath,
    #[error(transparent)]
    Number(#[from] NumberError),
}

/// An update, ready to be applied. Its paths are apart from each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    actions: Vec<Action>,
}

impl Update {
    /// Parses an UpdateExpression.
    pub fn parse(source: &str, placeholders: &mut Placeholders) -> Result<Update, ExpressionError> {
        let sections = parse_update(source)?;
        let mut reading = Reading { resolver: Resolver::new(placeholders), paths: Vec::new() };
        let mut seen = BTreeSet::new();
        let mut actions = Vec::new();
        for (keyword, raw) in &sections {
            if !seen.insert(keyword) {
                reading.resolver.problem(SECTION, || {
                    format!("The \"{keyword}\" section can only be used once in an update expression;")
                });
            }
            actions.extend(raw.iter().map(|action| reading.action(action)));
        }
        reading.resolver.finish()?;
        Ok(Update { actions })
    }

    /// An update of actions whose paths are apart.
    pub fn of_actions(actions: Vec<Action>) -> Update {
        Update { actions }
    }

    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The paths it changes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(Action::path)
    }

    /// Applies it: every operand is read from `item` as it was before.
    pub fn apply(&self, item: &Item) -> Result<Item, UpdateError> {
        let mut sets = Vec::new();
        let mut removes = Vec::new();
        for action in &self.actions {
            match action {
                Action::Set(path, value) => sets.push((path, value.evaluate(item)?)),
                Action::Remove(path) => removes.push(path),
                Action::Add(path, operand) => sets.push((path, add(path.get(item), operand)?)),
                Action::Delete(path, operand) => match delete(path.get(item), operand)? {
                    Some(value) => sets.push((path, value)),
                    None => removes.push(path),
                },
            }
        }
        // Appending to a list happens in the order of the indexes; removing from one, from its end.
        sets.sort_by_key(|(path, _)| *path);
        removes.sort();
        let mut updated = item.clone();
        for (path, value) in sets {
            set(&mut updated, path, value)?;
        }
        for path in removes.into_iter().rev() {
            remove(&mut updated, path)?;
        }
        Ok(updated)
    }
}

impl Action {
    /// The path it changes.
    pub fn path(&self) -> &Path {
        match self {
            Action::Set(path, _) | Action::Remove(path) | Action::Add(path, _) | Action::Delete(path, _) => path,
        }
    }

    /// The type it leaves at its path, as far as that is known without an item.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Action::Set(_, value) => value.kind(),
            Action::Add(_, value) | Action::Delete(_, value) => Some(value.kind()),
            Action::Remove(_) => None,
        }
    }
}

impl SetValue {
    fn evaluate(&self, item: &Item) -> Result<AttributeValue, UpdateError> {
        match self {
            SetValue::Path(path) => path.get(item).cloned().ok_or(UpdateError::NoSuchAttribute),
            SetValue::Value(value) => Ok(value.clone()),
            SetValue::IfNotExists(path, value) => {
                path.get(item).map_or_else(|| value.evaluate(item), |v| Ok(v.clone()))
            }
            SetValue::ListAppend(first, second) => match (first.evaluate(item)?, second.evaluate(item)?) {
                (AttributeValue::L(mut list), AttributeValue::L(more)) => {
                    list.extend(more);
                    Ok(AttributeValue::L(list))
                }
                _ => Err(UpdateError::OperandType),
            },
            SetValue::Plus(a, b) => arithmetic(a.evaluate(item)?, b.evaluate(item)?, Number::plus),
            SetValue::Minus(a, b) => arithmetic(a.evaluate(item)?, b.evaluate(item)?, Number::minus),
        }
    }

    /// The type of its result, as far as that is known without an item.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            SetValue::Path(_) => None,
            SetValue::Value(value) => Some(value.kind()),
            SetValue::IfNotExists(_, value) => value.kind(),
            SetValue::ListAppend(..) => Some(Kind::L),
            SetValue::Plus(..) | SetValue::Minus(..) => Some(Kind::N),
        }
    }

    /// Shows `visit` every path that it reads.
    pub fn paths<'v>(&'v self, visit: &mut impl FnMut(&'v Path)) {
        match self {
            SetValue::Path(path) => visit(path),
            SetValue::Value(_) => {}
            SetValue::IfNotExists(path, value) => {
                visit(path);
                value.paths(visit);
            }
            SetValue::ListAppend(a, b) | SetValue::Plus(a, b) | SetValue::Minus(a, b) => {
                a.paths(visit);
                b.paths(visit);
            }
        }
    }
}

fn arithmetic(
    a: AttributeValue,
    b: AttributeValue,
    operation: fn(Number, Number) -> Result<Number, NumberError>,
) -> Result<AttributeValue, UpdateError> {
    match (a, b) {
        (AttributeValue::N(a), AttributeValue::N(b)) => Ok(AttributeValue::N(operation(a, b)?)),
        _ => Err(UpdateError::OperandType),
    }
}

fn add(old: Option<&AttributeValue>, operand: &AttributeValue) -> Result<AttributeValue, UpdateError> {
    match (old, operand) {
        (None, AttributeValue::N(_) | AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_)) => {
            Ok(operand.clone())
        }
        (Some(AttributeValue::N(a)), AttributeValue::N(b)) => Ok(AttributeValue::N(a.plus(*b)?)),
        (Some(AttributeValue::Ss(a)), AttributeValue::Ss(b)) => Ok(AttributeValue::Ss(union(a, b))),
        (Some(AttributeValue::Ns(a)), AttributeValue::Ns(b)) => Ok(AttributeValue::Ns(union(a, b))),
        (Some(AttributeValue::Bs(a)), AttributeValue::Bs(b)) => Ok(AttributeValue::Bs(union(a, b))),
        _ => Err(UpdateError::OperandType),
    }
}

/// What is left of a set; `None` if that is nothing.
fn delete(old: Option<&AttributeValue>, operand: &AttributeValue) -> Result<Option<AttributeValue>, UpdateError> {
    Ok(match (old, operand) {
        (None, AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_)) => None,
        (Some(AttributeValue::Ss(a)), AttributeValue::Ss(b)) => difference(a, b).map(AttributeValue::Ss),
        (Some(AttributeValue::Ns(a)), AttributeValue::Ns(b)) => difference(a, b).map(AttributeValue::Ns),
        (Some(AttributeValue::Bs(a)), AttributeValue::Bs(b)) => difference(a, b).map(AttributeValue::Bs),
        _ => return Err(UpdateError::OperandType),
    })
}

fn union<T: Ord + Clone>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().chain(b).cloned().collect::<BTreeSet<T>>().into_iter().collect()
}

fn difference<T: Ord + Clone>(a: &[T], b: &[T]) -> Option<Vec<T>> {
    let left: Vec<T> = a.iter().filter(|e| b.binary_search(e).is_err()).cloned().collect();
    (!left.is_empty()).then_some(left)
}

/// The map or list that holds the path's last step, and that step. Only for nested paths.
fn parent<'i, 'p>(item: &'i mut Item, path: &'p Path) -> Result<(&'i mut AttributeValue, &'p Step), UpdateError> {
    let (last, inner) = path.steps().split_last().ok_or(UpdateError::InvalidPath)?;
    let mut value = item.get_mut(path.name()).ok_or(UpdateError::InvalidPath)?;
    for step in inner {
        value = match (value, step) {
            (AttributeValue::M(map), Step::Name(name)) => map.get_mut(name),
            (AttributeValue::L(list), Step::Index(index)) => list.get_mut(*index),
            _ => None,
        }
        .ok_or(UpdateError::InvalidPath)?;
    }
    Ok((value, last))
}

fn set(item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), UpdateError> {
    if !path.is_nested() {
        item.insert(path.name().to_owned(), value);
        return Ok(());
    }
    match parent(item, path)? {
        (AttributeValue::M(map), Step::Name(name)) => {
            map.insert(name.clone(), value);
            Ok(())
        }
        (AttributeValue::L(list), Step::Index(index)) => {
            match list.get_mut(*index) {
                Some(old) => *old = value,
                None => list.push(value),
            }
            Ok(())
        }
        _ => Err(UpdateError::InvalidPath),
    }
}

fn remove(item: &mut Item, path: &Path) -> Result<(), UpdateError> {
    if !path.is_nested() {
        item.remove(path.name());
        return Ok(());
    }
    match parent(item, path)? {
        (AttributeValue::M(map), Step::Name(name)) => {
            map.remove(name);
            Ok(())
        }
        (AttributeValue::L(list), Step::Index(index)) => {
            if *index < list.len() {
                list.remove(*index);
            }
            Ok(())
        }
        _ => Err(UpdateError::InvalidPath),
    }
}

/// The walk that checks and resolves.
struct Reading<'p> {
    resolver: Resolver<'p>,
    paths: Vec<Path>,
}

impl Reading<'_> {
    fn action(&mut self, raw: &RawAction<'_>) -> Action {
        match raw {
            RawAction::Set(path, value) => {
                let path = self.target(path);
                Action::Set(path, self.set_value(value))
            }
            RawAction::Remove(path) => Action::Remove(self.target(path)),
            RawAction::Add(path, name) => {
                let path = self.target(path);
                let value = self.resolver.value(name, UNDEFINED_VALUE);
                let kind = value.kind();
                self.check_set(kind == Kind::N || is_set(kind), "ADD", kind);
                Action::Add(path, value)
            }
            RawAction::Delete(path, name) => {
                let path = self.target(path);
                let value = self.resolver.value(name, UNDEFINED_VALUE);
                self.check_set(is_set(value.kind()), "DELETE", value.kind());
                Action::Delete(path, value)
            }
        }
    }

    fn target(&mut self, raw: &super::syntax::RawPath<'_>) -> Path {
        let path = self.resolver.path(raw, RESERVED, UNDEFINED_NAME);
        check_path(&mut self.resolver, &self.paths, &path, OVERLAP, CONFLICT);
        self.paths.push(path.clone());
        path
    }

    fn check_set(&mut self, fits: bool, name: &str, kind: Kind) {
        if !fits {
            self.resolver
                .problem(OPERAND, || format!("{OPERAND_TYPE}operator: {name}, operand type: {}", kind.long_name()));
        }
    }

    fn set_value(&mut self, raw: &RawValue<'_>) -> SetValue {
        match raw {
            RawValue::Operand(operand) => self.operand(operand),
            RawValue::Sum(symbol, left, right) => {
                let (left, right) = (self.operand(left), self.operand(right));
                self.check_literals(symbol, &[&left, &right], Kind::N);
                let (left, right) = (Box::new(left), Box::new(right));
                if *symbol == "+" { SetValue::Plus(left, right) } else { SetValue::Minus(left, right) }
            }
        }
    }

    fn operand(&mut self, raw: &RawOperand<'_>) -> SetValue {
        match raw {
            RawOperand::Path(path) => SetValue::Path(self.resolver.path(path, RESERVED, UNDEFINED_NAME)),
            RawOperand::Value(name) => SetValue::Value(self.resolver.value(name, UNDEFINED_VALUE)),
            RawOperand::Function(name, arguments) => self.function(name, arguments),
        }
    }

    fn function(&mut self, name: &str, arguments: &[RawOperand<'_>]) -> SetValue {
        let operands: Vec<_> = arguments.iter().map(|a| self.operand(a)).collect();
        if name != "if_not_exists" && name != "list_append" {
            self.resolver.problem(UNKNOWN_FUNCTION, || {
                if matches!(
                    name,
                    "attribute_exists"
                        | "attribute_not_exists"
                        | "attribute_type"
                        | "begins_with"
                        | "contains"
                        | "size"
                ) {
                    format!("The function is not allowed in an update expression; function: {name}")
                } else {
                    format!("Invalid function name; function: {name}")
                }
            });
        }
        let count = operands.len();
        let Ok([first, second]) = <[SetValue; 2]>::try_from(operands) else {
            self.resolver.wrong_operand_count(FUNCTION, name, count);
            return SetValue::Value(AttributeValue::Null);
        };
        if name == "if_not_exists" {
            let SetValue::Path(path) = first else {
                self.resolver.path_required(FUNCTION, name);
                return second;
            };
            return SetValue::IfNotExists(path, Box::new(second));
        }
        self.check_literals(name, &[&first, &second], Kind::L);
        SetValue::ListAppend(Box::new(first), Box::new(second))
    }

    fn check_literals(&mut self, name: &str, operands: &[&SetValue], wanted: Kind) {
        for operand in operands {
            if let SetValue::Value(value) = operand
                && value.kind() != wanted
            {
                self.resolver.wrong_operand_type(FUNCTION, name, value.kind());
            }
        }
    }
}

fn is_set(kind: Kind) -> bool {
    matches!(kind, Kind::Ss | Kind::Ns | Kind::Bs)
}
