use std::collections::BTreeMap;

use super::{Comparator, Condition, ExpressionError, Operand, Path, Placeholders};
use crate::AttributeValue;

/// What a Query wants of a sort key.
#[derive(Clone, Debug, PartialEq)]
pub enum SortCondition {
    Compare(Comparator, AttributeValue),
    Between(AttributeValue, AttributeValue),
    BeginsWith(AttributeValue),
}

/// A KeyConditionExpression: at most one condition for each key attribute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyCondition {
    by_name: BTreeMap<String, SortCondition>,
}

impl KeyCondition {
    /// Parses a KeyConditionExpression. Its conditions may stand in any order, their operands in either.
    pub fn parse(source: &str, placeholders: &mut Placeholders) -> Result<KeyCondition, ExpressionError> {
        let invalid = |e: ExpressionError| ExpressionError::new(format!("Invalid KeyConditionExpression: {e}"));
        let condition = Condition::parse(source, placeholders).map_err(invalid)?;
        let mut key = KeyCondition::default();
        key.take(&condition)?;
        Ok(key)
    }

    /// Adds one condition.
    pub fn add(&mut self, name: &str, condition: SortCondition) -> Result<(), ExpressionError> {
        if self.by_name.insert(name.to_owned(), condition).is_some() {
            let message = "KeyConditionExpressions must only contain one condition per key";
            return Err(ExpressionError::new(message));
        }
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&SortCondition> {
        self.by_name.get(name)
    }

    /// The attributes it is about.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    fn take(&mut self, condition: &Condition) -> Result<(), ExpressionError> {
        match condition {
            Condition::And(all) => all.iter().try_for_each(|c| self.take(c)),
            Condition::Compare(Comparator::NotEqual, ..) => Err(invalid_operator("<>")),
            Condition::Compare(op, Operand::Path(path), Operand::Value(value)) => {
                self.add_path(path, SortCondition::Compare(*op, value.clone()))
            }
            Condition::Compare(op, Operand::Value(value), Operand::Path(path)) => {
                self.add_path(path, SortCondition::Compare(op.mirrored(), value.clone()))
            }
            Condition::Compare(_, a, b) => Err(misplaced(&[a, b])),
            Condition::Between(Operand::Path(path), Operand::Value(low), Operand::Value(high)) => {
                self.add_path(path, SortCondition::Between(low.clone(), high.clone()))
            }
            Condition::Between(Operand::Value(_), ..) => Err(first_operand("BETWEEN")),
            Condition::Between(a, b, c) => Err(misplaced(&[a, b, c])),
            Condition::BeginsWith(Operand::Path(path), Operand::Value(prefix)) => {
                self.add_path(path, SortCondition::BeginsWith(prefix.clone()))
            }
            Condition::BeginsWith(Operand::Value(_), _) => Err(first_operand("begins_with")),
            Condition::BeginsWith(a, b) => Err(misplaced(&[a, b])),
            Condition::Or(_) => Err(invalid_operator("OR")),
            Condition::Not(_) => Err(invalid_operator("NOT")),
            Condition::In(..) => Err(invalid_operator("IN")),
            Condition::Exists(_) => Err(invalid_operator("attribute_exists")),
            Condition::NotExists(_) => Err(invalid_operator("attribute_not_exists")),
            Condition::HasType(..) => Err(invalid_operator("attribute_type")),
            Condition::Contains(..) => Err(invalid_operator("contains")),
        }
    }

    fn add_path(&mut self, path: &Path, condition: SortCondition) -> Result<(), ExpressionError> {
        if path.is_nested() {
            let message = "KeyConditionExpressions cannot have conditions on nested attributes";
            return Err(ExpressionError::new(message));
        }
        self.add(path.name(), condition)
    }
}

fn invalid_operator(name: &str) -> ExpressionError {
    ExpressionError::new(format!("Invalid operator used in KeyConditionExpression: {name}"))
}

fn first_operand(name: &str) -> ExpressionError {
    ExpressionError::new(format!(
        "Invalid condition in KeyConditionExpression: {name} operator must have the key attribute as its first operand"
    ))
}

/// Operands that are not one attribute and values.
fn misplaced(operands: &[&Operand]) -> ExpressionError {
    if operands.iter().any(|o| matches!(o, Operand::Size(_))) {
        return ExpressionError::new("KeyConditionExpressions cannot contain nested operations");
    }
    let paths = operands.iter().filter(|o| matches!(o, Operand::Path(_))).count();
    let problem =
        if paths > 1 { "Multiple attribute names used in one condition" } else { "No key attribute specified" };
    ExpressionError::new(format!("Invalid condition in KeyConditionExpression: {problem}"))
}
