//! The parameters that expressions replaced (Expected, AttributeUpdates, KeyConditions, filters), as expressions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use service::Fault;

use crate::expression::{Action, Comparator, Condition, KeyCondition, Operand, Path, SetValue, SortCondition, Update};
use crate::fault::{invalid, validation};
use crate::{AttributeValue, Checked, Kind};

const OPERATORS: [&str; 13] = [
    "IN",
    "NULL",
    "BETWEEN",
    "LT",
    "NOT_CONTAINS",
    "EQ",
    "GT",
    "NOT_NULL",
    "NE",
    "LE",
    "BEGINS_WITH",
    "GE",
    "CONTAINS",
];

/// One entry of Expected.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Expected {
    value: Option<Checked<AttributeValue>>,
    exists: Option<bool>,
    comparison_operator: Option<String>,
    attribute_value_list: Option<Checked<Vec<AttributeValue>>>,
}

/// One entry of KeyConditions, QueryFilter or ScanFilter.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LegacyCondition {
    comparison_operator: Option<String>,
    attribute_value_list: Option<Checked<Vec<AttributeValue>>>,
}

/// One entry of AttributeUpdates.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeUpdate {
    value: Option<Checked<AttributeValue>>,
    action: Option<String>,
}

/// How the entries of a map are joined.
pub(crate) fn join(conditions: Vec<Condition>, operator: Option<&str>) -> Result<Option<Condition>, Fault> {
    let many = match operator {
        None | Some("AND") => Condition::And as fn(Vec<Condition>) -> Condition,
        Some("OR") => Condition::Or,
        Some(other) => {
            return Err(validation(format!(
                "1 validation error detected: Value '{other}' at 'conditionalOperator' failed to satisfy constraint: \
                 Member must satisfy enum value set: [OR, AND]"
            )));
        }
    };
    Ok((!conditions.is_empty()).then(|| many(conditions)))
}

pub(crate) fn expected(map: BTreeMap<String, Expected>, operator: Option<&str>) -> Result<Option<Condition>, Fault> {
    let conditions = map.into_iter().map(|(name, e)| e.into_condition(&name)).collect::<Result<_, _>>()?;
    join(conditions, operator)
}

pub(crate) fn filter(
    map: BTreeMap<String, LegacyCondition>,
    operator: Option<&str>,
) -> Result<Option<Condition>, Fault> {
    let mut conditions = Vec::with_capacity(map.len());
    for (name, condition) in map {
        let (operator, values) = condition.parts(&name)?;
        conditions.push(comparison(&name, &operator, values)?);
    }
    join(conditions, operator)
}

pub(crate) fn key_conditions(map: BTreeMap<String, LegacyCondition>) -> Result<KeyCondition, Fault> {
    if map.is_empty() || map.len() > 2 {
        return Err(validation("Conditions can be of length 1 or 2 only"));
    }
    let mut key = KeyCondition::default();
    for (name, condition) in map {
        let (operator, values) = condition.parts(&name)?;
        check_count(&operator, values.len()).map_err(|_| {
            validation("The attempted filter operation is not supported for the provided filter argument count")
        })?;
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap_or(AttributeValue::Null);
        let compare = |op, value| SortCondition::Compare(op, value);
        let condition = match operator.as_str() {
            "EQ" => compare(Comparator::Equal, next()),
            "LT" => compare(Comparator::Less, next()),
            "LE" => compare(Comparator::LessOrEqual, next()),
            "GT" => compare(Comparator::Greater, next()),
            "GE" => compare(Comparator::GreaterOrEqual, next()),
            "BEGINS_WITH" => SortCondition::BeginsWith(next()),
            "BETWEEN" => SortCondition::Between(next(), next()),
            _ => return Err(validation("Attempted conditional constraint is not an indexable operation")),
        };
        key.add(&name, condition).map_err(|e| validation(e.to_string()))?;
    }
    Ok(key)
}

pub(crate) fn attribute_updates(map: BTreeMap<String, AttributeUpdate>) -> Result<Update, Fault> {
    let actions = map.into_iter().map(|(name, update)| update.into_action(&name)).collect::<Result<_, _>>()?;
    Ok(Update::of_actions(actions))
}

impl Expected {
    fn into_condition(self, name: &str) -> Result<Condition, Fault> {
        let value = self.value.map(|v| v.get().map_err(validation)).transpose()?;
        let list = self.attribute_value_list.map(|v| v.get().map_err(validation)).transpose()?;
        let wrong = |message: &str| Err(invalid(format_args!("{message} for Attribute: {name}")));
        let Some(operator) = self.comparison_operator else {
            if list.is_some() {
                return wrong("AttributeValueList can only be used with a ComparisonOperator");
            }
            let path = Path::new(name, Vec::new());
            return match (self.exists, value) {
                (Some(false), Some(_)) => wrong("Value cannot be used when Exists is false"),
                (Some(false), None) => Ok(Condition::NotExists(path)),
                (exists, None) => {
                    let exists = exists.map_or_else(|| "null".to_owned(), |e| e.to_string());
                    wrong(&format!("Value must be provided when Exists is {exists}"))
                }
                (_, Some(value)) => {
                    Ok(Condition::Compare(Comparator::Equal, Operand::Path(path), Operand::Value(value)))
                }
            };
        };
        if self.exists.is_some() {
            return wrong("Exists and ComparisonOperator cannot be used together");
        }
        let values = match (list, value) {
            (Some(_), Some(_)) => return wrong("Value and AttributeValueList cannot be used together"),
            (Some(list), None) => list,
            (None, value) => value.into_iter().collect(),
        };
        comparison(name, &operator, values)
    }
}

impl LegacyCondition {
    fn parts(self, name: &str) -> Result<(String, Vec<AttributeValue>), Fault> {
        let Some(operator) = self.comparison_operator else {
            return Err(validation(format!(
                "1 validation error detected: Value null at 'keyConditions.{name}.member.comparisonOperator' failed to \
                 satisfy constraint: Member must not be null"
            )));
        };
        let values = self.attribute_value_list.map(|v| v.get().map_err(validation)).transpose()?;
        Ok((operator, values.unwrap_or_default()))
    }
}

/// How many values an operator takes.
fn check_count(operator: &str, count: usize) -> Result<(), Fault> {
    let fits = match operator {
        "NULL" | "NOT_NULL" => count == 0,
        "IN" => count >= 1,
        "BETWEEN" => count == 2,
        _ => count == 1,
    };
    if fits {
        return Ok(());
    }
    Err(invalid(format_args!("Invalid number of argument(s) for the {operator} ComparisonOperator")))
}

fn comparison(name: &str, operator: &str, values: Vec<AttributeValue>) -> Result<Condition, Fault> {
    if !OPERATORS.contains(&operator) {
        return Err(validation(format!(
            "1 validation error detected: Value '{operator}' at 'comparisonOperator' failed to satisfy constraint: \
             Member must satisfy enum value set: [{}]",
            OPERATORS.join(", ")
        )));
    }
    check_count(operator, values.len())?;
    check_kinds(operator, &values)?;
    let path = Path::new(name, Vec::new());
    let left = Operand::Path(path.clone());
    let mut rest = values.into_iter();
    let mut next = || Operand::Value(rest.next().unwrap_or(AttributeValue::Null));
    Ok(match operator {
        "EQ" => Condition::Compare(Comparator::Equal, left, next()),
        "NE" => Condition::Compare(Comparator::NotEqual, left, next()),
        "LT" => Condition::Compare(Comparator::Less, left, next()),
        "LE" => Condition::Compare(Comparator::LessOrEqual, left, next()),
        "GT" => Condition::Compare(Comparator::Greater, left, next()),
        "GE" => Condition::Compare(Comparator::GreaterOrEqual, left, next()),
        "NULL" => Condition::NotExists(path),
        "NOT_NULL" => Condition::Exists(path),
        "CONTAINS" => Condition::Contains(left, next()),
        "NOT_CONTAINS" => Condition::Not(Box::new(Condition::Contains(left, next()))),
        "BEGINS_WITH" => Condition::BeginsWith(left, next()),
        "BETWEEN" => Condition::Between(left, next(), next()),
        _ => Condition::In(left, rest.map(Operand::Value).collect()),
    })
}

fn check_kinds(operator: &str, values: &[AttributeValue]) -> Result<(), Fault> {
    let fits = |kind: Kind| match operator {
        "LT" | "LE" | "GT" | "GE" | "BETWEEN" | "IN" => kind.is_ordered(),
        "BEGINS_WITH" => matches!(kind, Kind::S | Kind::B),
        "CONTAINS" | "NOT_CONTAINS" => !matches!(kind, Kind::Ss | Kind::Ns | Kind::Bs | Kind::L | Kind::M),
        _ => true,
    };
    match values.iter().map(AttributeValue::kind).find(|k| !fits(*k)) {
        Some(kind) => Err(invalid(format_args!(
            "ComparisonOperator {operator} is not valid for {} AttributeValue type",
            kind.name()
        ))),
        None => Ok(()),
    }
}

impl AttributeUpdate {
    fn into_action(self, name: &str) -> Result<Action, Fault> {
        let path = Path::new(name, Vec::new());
        let value = self.value.map(|v| v.get().map_err(validation)).transpose()?;
        let needs_value = |action: &str| {
            invalid(format_args!("Only DELETE action is allowed when no attribute value is specified, not {action}"))
        };
        match (self.action.as_deref().unwrap_or("PUT"), value) {
            ("PUT", Some(value)) => Ok(Action::Set(path, SetValue::Value(value))),
            ("ADD", Some(list @ AttributeValue::L(_))) => {
                let old = SetValue::IfNotExists(path.clone(), Box::new(SetValue::Value(AttributeValue::L(Vec::new()))));
                Ok(Action::Set(path, SetValue::ListAppend(Box::new(old), Box::new(SetValue::Value(list)))))
            }
            ("ADD", Some(value)) => match value.kind() {
                Kind::N | Kind::Ss | Kind::Ns | Kind::Bs => Ok(Action::Add(path, value)),
                kind => Err(invalid(format_args!("ADD action is not supported for the type {}", kind.name()))),
            },
            ("DELETE", None) => Ok(Action::Remove(path)),
            ("DELETE", Some(value)) => match value.kind() {
                Kind::Ss | Kind::Ns | Kind::Bs => Ok(Action::Delete(path, value)),
                kind => {
                    Err(invalid(format_args!("DELETE action with value is not supported for the type {}", kind.name())))
                }
            },
            (action @ ("PUT" | "ADD"), None) => Err(needs_value(action)),
            (action, _) => Err(validation(format!(
                "1 validation error detected: Value '{action}' at 'attributeUpdates.{name}.member.action' failed to \
                 satisfy constraint: Member must satisfy enum value set: [ADD, DELETE, PUT]"
            ))),
        }
    }
}
