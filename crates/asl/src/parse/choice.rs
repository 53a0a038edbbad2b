//! The rules of a Choice state.

use serde_json::Value;

use crate::ast::{Choice, ChoiceRule, Comparison, Condition, DataKind, Operand, Operator};
use crate::json::{Json, Node};
use crate::{Path, ReferencePath};

use super::Checker;
use super::fields::Fields;

const SELECTORS: &[&str] = &["And", "Or", "Not", "Variable", "Condition"];

/// Every data-test operator.
const OPERATORS: &[&str] = &[
    "BooleanEquals",
    "BooleanEqualsPath",
    "IsBoolean",
    "IsNull",
    "IsNumeric",
    "IsPresent",
    "IsString",
    "IsTimestamp",
    "NumericEquals",
    "NumericEqualsPath",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericGreaterThanEqualsPath",
    "NumericGreaterThanPath",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericLessThanEqualsPath",
    "NumericLessThanPath",
    "StringEquals",
    "StringEqualsPath",
    "StringGreaterThan",
    "StringGreaterThanEquals",
    "StringGreaterThanEqualsPath",
    "StringGreaterThanPath",
    "StringLessThan",
    "StringLessThanEquals",
    "StringLessThanEqualsPath",
    "StringLessThanPath",
    "StringMatches",
    "TimestampEquals",
    "TimestampEqualsPath",
    "TimestampGreaterThan",
    "TimestampGreaterThanEquals",
    "TimestampGreaterThanEqualsPath",
    "TimestampGreaterThanPath",
    "TimestampLessThan",
    "TimestampLessThanEquals",
    "TimestampLessThanEqualsPath",
    "TimestampLessThanPath",
];

pub(super) fn choice(c: &mut Checker, state: &Fields<'_>) -> Option<Choice> {
    state.required(c, &["Choices"]);
    let default = state.string(c, "Default").map(Into::into);
    let mut rules = Vec::new();
    for (node, location) in state.list(c, "Choices")? {
        let Some(fields) = Fields::of(c, node, &location) else { continue };
        fields.required(c, &["Next"]);
        let comment = fields.string(c, "Comment").map(str::to_owned);
        let next = fields.string(c, "Next");
        super::state::refuse_later(c, &fields);
        if let (Some(condition), Some(next)) = (condition(c, &fields, &["Next", "Assign", "Output"]), next) {
            rules.push(ChoiceRule { comment, condition, assign: None, output: None, next: next.into() });
        }
    }
    Some(Choice { rules, default })
}

/// Recurses as deep as the JSON, which its parser bounds. Only the outermost rule has `extra` fields.
fn condition(c: &mut Checker, fields: &Fields<'_>, extra: &[&str]) -> Option<Condition> {
    if fields.has("Condition") {
        let message = "The QueryLanguage is set to 'JSONPath', but field 'Condition' is only supported for the 'JSONata' QueryLanguage";
        c.error(message, &fields.location, &fields.get("Condition")?.range);
        return None;
    }
    let selectors: Vec<&str> = SELECTORS.iter().copied().filter(|name| fields.has(name)).collect();
    let allowed: Vec<&str> = match selectors[..] {
        ["Variable"] => [&["Variable", "Comment"], OPERATORS, extra].concat(),
        [selector] => [&[selector, "Comment"], extra].concat(),
        _ => [SELECTORS, &["Comment"], OPERATORS, extra].concat(),
    };
    let known = fields.only(c, &allowed);
    match selectors[..] {
        ["Variable"] => test(c, fields, known),
        ["Not"] => {
            let inner = fields.object(c, "Not")?;
            Some(Condition::Not(Box::new(condition(c, &inner, &[])?)))
        }
        [name @ ("And" | "Or")] => {
            let mut list = Vec::new();
            for (node, location) in fields.list(c, name)? {
                let inner = Fields::of(c, node, &location);
                list.extend(inner.and_then(|inner| condition(c, &inner, &[])));
            }
            Some(if name == "And" { Condition::And(list) } else { Condition::Or(list) })
        }
        _ => {
            let message = format!("The object must have only one of the following fields, [{}]", SELECTORS.join(", "));
            c.error(message, &fields.location, &fields.range);
            None
        }
    }
}

fn test(c: &mut Checker, fields: &Fields<'_>, known: bool) -> Option<Condition> {
    let variable = rule_path(c, fields, "Variable");
    let written: Vec<&str> = OPERATORS.iter().copied().filter(|name| fields.has(name)).collect();
    let [name] = written[..] else {
        // A misspelt operator was reported already.
        if known {
            let message = format!("There should only be one of the following fields: [{}]", OPERATORS.join(", "));
            c.error(message, &fields.location, &fields.range);
        }
        return None;
    };
    let operator = operator(c, fields, name)?;
    Some(Condition::Test { variable: variable?, operator })
}

/// A reference path, with the wording that AWS has for Choice rules.
fn rule_path(c: &mut Checker, fields: &Fields<'_>, name: &str) -> Option<Path> {
    let text = fields.string(c, name)?;
    let node = fields.get(name)?;
    match ReferencePath::parse(text) {
        Ok(path) => Some(path.as_path().clone()),
        Err(error) => {
            let message = if text.starts_with('$') {
                "Value is not a Reference Path"
            } else {
                "Value is not a Reference Path: Reference path didn't start with '$'"
            };
            c.not_an_expression(message, &fields.at(name), node, &error);
            None
        }
    }
}

fn operator(c: &mut Checker, fields: &Fields<'_>, name: &str) -> Option<Operator> {
    if let Some(kind) = name.strip_prefix("Is") {
        let wanted = fields.boolean(c, name)?;
        return Some(match kind {
            "Null" => Operator::IsNull(wanted),
            "Present" => Operator::IsPresent(wanted),
            "Numeric" => Operator::IsNumeric(wanted),
            "String" => Operator::IsString(wanted),
            "Boolean" => Operator::IsBoolean(wanted),
            _ => Operator::IsTimestamp(wanted),
        });
    }
    if name == "StringMatches" {
        return fields.string(c, name).map(|pattern| Operator::StringMatches(pattern.to_owned()));
    }
    let kinds = [
        ("String", DataKind::String),
        ("Numeric", DataKind::Numeric),
        ("Boolean", DataKind::Boolean),
        ("Timestamp", DataKind::Timestamp),
    ];
    let (kind, rest) = kinds.iter().find_map(|(prefix, kind)| Some((*kind, name.strip_prefix(prefix)?)))?;
    let (order, path) = rest.strip_suffix("Path").map_or((rest, false), |order| (order, true));
    let comparison = match order {
        "Equals" => Comparison::Equals,
        "LessThan" => Comparison::LessThan,
        "LessThanEquals" => Comparison::LessThanEquals,
        "GreaterThan" => Comparison::GreaterThan,
        _ => Comparison::GreaterThanEquals,
    };
    let operand = if path { Operand::Path(rule_path(c, fields, name)?) } else { literal(c, fields, name, kind)? };
    Some(Operator::Compare { kind, comparison, operand })
}

fn literal(c: &mut Checker, fields: &Fields<'_>, name: &str, kind: DataKind) -> Option<Operand> {
    let node = fields.get(name)?;
    let value = match kind {
        DataKind::String => Value::from(fields.string(c, name)?),
        DataKind::Boolean => Value::from(fields.boolean(c, name)?),
        DataKind::Numeric => match node {
            Node { json: Json::Number(number), .. } => Value::Number(number.clone()),
            _ => {
                c.error("Expected value of type Number", &fields.at(name), &node.range);
                return None;
            }
        },
        DataKind::Timestamp => {
            let text = fields.string(c, name)?;
            if base::Timestamp::parse_rfc3339(text).is_err() {
                c.error("String does not match RFC3339 timestamp", &fields.at(name), &node.range);
                return None;
            }
            Value::from(text)
        }
    };
    Some(Operand::Literal(value))
}
