//! What requests have in common: names, enumerations, placeholders, and the messages of AWS's model validation.

use std::collections::BTreeMap;

use base::{Arn, Scope};
use service::{Call, Fault};

use crate::capacity::ReturnCapacity;
use crate::expression::Placeholders;
use crate::fault::{INVALID, validation};
use crate::schema::TableName;
use crate::{AttributeValue, Checked};

/// Violations that one answer names at most.
const VIOLATIONS_MAX: usize = 10;
const NAME_PATTERN: &str = "[a-zA-Z0-9_.-]+";

pub(crate) type Names = BTreeMap<String, String>;
pub(crate) type Values = BTreeMap<String, Checked<AttributeValue>>;

/// What of a request breaks the model, gathered as AWS gathers it.
#[derive(Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    pub fn add(&mut self, path: &str, value: Option<&str>, constraint: impl std::fmt::Display) {
        let value = value.map_or_else(|| "null".to_owned(), |v| format!("'{v}'"));
        self.0.push(format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}"));
    }

    pub fn require<T>(&mut self, path: &str, value: Option<&T>) {
        if value.is_none() {
            self.add(path, None, "Member must not be null");
        }
    }

    pub fn one_of(&mut self, path: &str, value: Option<&str>, allowed: &[&str]) {
        if let Some(value) = value.filter(|v| !allowed.contains(v)) {
            let constraint = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
            self.add(path, Some(value), constraint);
        }
    }

    pub fn at_least(&mut self, path: &str, value: Option<i64>, least: i64) {
        if let Some(value) = value.filter(|v| *v < least) {
            let constraint = format!("Member must have value greater than or equal to {least}");
            self.add(path, Some(&value.to_string()), constraint);
        }
    }

    pub fn at_most(&mut self, path: &str, value: Option<i64>, most: i64) {
        if let Some(value) = value.filter(|v| *v > most) {
            let constraint = format!("Member must have value less than or equal to {most}");
            self.add(path, Some(&value.to_string()), constraint);
        }
    }

    pub fn length(&mut self, path: &str, shown: &str, length: usize, least: usize, most: usize) {
        if length < least {
            let constraint = format!("Member must have length greater than or equal to {least}");
            self.add(path, Some(shown), constraint);
        }
        if length > most {
            let constraint = format!("Member must have length less than or equal to {most}");
            self.add(path, Some(shown), constraint);
        }
    }

    /// A name of a table or index.
    pub fn name(&mut self, path: &str, name: &str) {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            let constraint = format!("Member must satisfy regular expression pattern: {NAME_PATTERN}");
            self.add(path, Some(name), constraint);
        }
        self.length(path, name, name.len(), 3, 255);
    }

    pub fn finish(mut self) -> Result<(), Fault> {
        if self.0.is_empty() {
            return Ok(());
        }
        let count = self.0.len().min(VIOLATIONS_MAX);
        self.0.truncate(count);
        let errors = if count == 1 { "error" } else { "errors" };
        Err(validation(format!("{count} validation {errors} detected: {}", self.0.join("; "))))
    }
}

/// Account, region and name of the table that a request names, by its name or ARN.
pub(crate) fn table_name(call: &Call, given: Option<&str>, violations: &mut Violations) -> TableName {
    let unnamed = || TableName { scope: call.scope.clone(), name: "".into() };
    let Some(given) = given else {
        violations.require::<()>("tableName", None);
        return unnamed();
    };
    if let Some(name) = table_of_arn(given) {
        return name;
    }
    violations.name("tableName", given);
    TableName { scope: call.scope.clone(), name: given.into() }
}

/// The table that `arn:aws:dynamodb:region:account:table/name…` names.
pub(crate) fn table_of_arn(text: &str) -> Option<TableName> {
    let arn: Arn = text.parse().ok()?;
    let name = arn.resource().strip_prefix("table/")?;
    let name = name.split('/').next()?;
    (arn.service() == "dynamodb" && !name.is_empty())
        .then(|| TableName { scope: Scope::new(arn.account(), arn.region()), name: name.into() })
}

const RETURN_CAPACITY: [&str; 3] = ["INDEXES", "TOTAL", "NONE"];

pub(crate) fn return_capacity(given: Option<&str>, violations: &mut Violations) -> ReturnCapacity {
    violations.one_of("returnConsumedCapacity", given, &RETURN_CAPACITY);
    match given {
        Some("TOTAL") => ReturnCapacity::Total,
        Some("INDEXES") => ReturnCapacity::Indexes,
        _ => ReturnCapacity::None,
    }
}

pub(crate) fn return_metrics(given: Option<&str>, violations: &mut Violations) -> bool {
    violations.one_of("returnItemCollectionMetrics", given, &["SIZE", "NONE"]);
    given == Some("SIZE")
}

pub(crate) fn return_on_failure(given: Option<&str>, violations: &mut Violations) -> bool {
    violations.one_of("returnValuesOnConditionCheckFailure", given, &["ALL_OLD", "NONE"]);
    given == Some("ALL_OLD")
}

/// Parameters of a request by name, those of them that are given.
pub(crate) fn given<'a>(parameters: &[(&'a str, bool)]) -> Vec<&'a str> {
    parameters.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
}

/// Refuses requests that mix expressions with the parameters that were there before them.
pub(crate) fn not_both(expressions: &[(&str, bool)], legacy: &[(&str, bool)]) -> Result<(), Fault> {
    let (new, old) = (given(expressions), given(legacy));
    if new.is_empty() || old.is_empty() {
        return Ok(());
    }
    Err(validation(format!(
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \
         {{{}}} Expression parameters: {{{}}}",
        old.join(", "),
        new.join(", ")
    )))
}

/// Checks names and values for expressions and makes them ready for these.
///
/// `expressions` are those that may use names, `with_values` those that may use values.
pub(crate) fn placeholders(
    expressions: &[(&str, bool)],
    with_values: &[(&str, bool)],
    names: Option<Names>,
    values: Option<Values>,
) -> Result<Placeholders, Fault> {
    if let Some(names) = &names {
        if given(expressions).is_empty() {
            return Err(validation("ExpressionAttributeNames can only be specified when using expressions"));
        }
        check_keys("ExpressionAttributeNames", '#', names)?;
    }
    if let Some(values) = &values {
        if given(with_values).is_empty() {
            let parameters: Vec<_> = with_values.iter().map(|(name, _)| *name).collect();
            let verb = if parameters.len() == 1 { "is" } else { "are" };
            return Err(validation(format!(
                "ExpressionAttributeValues can only be specified when using expressions: {} {verb} null",
                parameters.join(" and ")
            )));
        }
        check_keys("ExpressionAttributeValues", ':', values)?;
    }
    let mut read = BTreeMap::new();
    for (key, value) in values.unwrap_or_default() {
        let value = value.get().map_err(|problem| {
            validation(format!("ExpressionAttributeValues contains invalid value: {problem} for key {key}"))
        })?;
        read.insert(key, value);
    }
    Ok(Placeholders::new(names.unwrap_or_default(), read))
}

fn check_keys<T>(parameter: &str, sigil: char, map: &BTreeMap<String, T>) -> Result<(), Fault> {
    if map.is_empty() {
        return Err(validation(format!("{parameter} must not be empty")));
    }
    for key in map.keys() {
        let name = key.strip_prefix(sigil).filter(|n| !n.is_empty());
        let is_word = |n: &str| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !name.is_some_and(is_word) || key.len() > 255 {
            return Err(validation(format!("{parameter} contains invalid key: Syntax error; key: \"{key}\"")));
        }
    }
    Ok(())
}

/// All placeholders were used.
pub(crate) fn all_used(placeholders: &Placeholders) -> Result<(), Fault> {
    placeholders.check_used().map_err(|e| validation(e.to_string()))
}

/// The value, or the rule that it breaks.
pub(crate) fn checked<T>(value: Checked<T>) -> Result<T, Fault> {
    value.get().map_err(validation)
}

/// AttributesToGet must not name an attribute twice.
pub(crate) fn check_duplicates(names: &[String]) -> Result<(), Fault> {
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(validation(format!("{INVALID}Duplicate value in attribute name: {name}")));
        }
    }
    Ok(())
}
