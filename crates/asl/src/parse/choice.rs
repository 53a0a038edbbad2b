//! The rules of a Choice state.

use serde_json::Value;

use crate::ast::{Choice, ChoiceRule, Comparison, Condition, DataKind, Operand, Operator};
use crate::json::{Json, Node};
use crate::{Jsonata, Path, ReferencePath};

use super::fields::Fields;
use super::template::Reads;
use super::{Checker, assign};

const SELECTORS: &[&str] = &["And", "Or", "Not", "Variable"];

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
        let Some(fields) = state.inner(c, node, &location) else { continue };
        let comment = fields.string(c, "Comment").map(str::to_owned);
        let condition = if state.is_jsonata() {
            fields.required(c, &["Next"]);
            let of_path = [SELECTORS, OPERATORS].concat();
            fields.only_by_language(c, &["Assign", "Comment", "Next"], &of_path, &["Condition", "Output"]);
            jsonata(c, &fields)
        } else {
            fields.required(c, &["Next"]);
            condition(c, &fields, &["Assign", "Next"], &["Condition", "Output"])
        };
        let assign = assign::assign(c, &fields, Reads::INPUT);
        let output = fields.template(c, "Output", Reads::INPUT);
        if let (Some(condition), Some(next)) = (condition, fields.string(c, "Next")) {
            rules.push(ChoiceRule { comment, condition, assign, output, next: next.into() });
        }
    }
    Some(Choice { rules, default })
}

/// `Condition`: an expression, or `true` or `false`.
fn jsonata(c: &mut Checker, fields: &Fields<'_>) -> Option<Condition> {
    let Some(node) = fields.get("Condition") else {
        if !SELECTORS.iter().any(|name| fields.has(name)) {
            one_selector(c, fields);
        }
        return None;
    };
    if let Some(expression) = fields.jsonata(c, "Condition") {
        return expression.map(Condition::Jsonata);
    }
    if let Json::Bool(value) = node.json {
        return Jsonata::parse(if value { "true" } else { "false" }).ok().map(Condition::Jsonata);
    }
    c.error("Expected value of type Boolean", &fields.at("Condition"), &node.range);
    None
}

/// Recurses as deep as the JSON, which its parser bounds. Only the outermost rule has fields that are `extra`, or would
/// have them in JSONata.
fn condition(c: &mut Checker, fields: &Fields<'_>, extra: &[&str], jsonata: &[&str]) -> Option<Condition> {
    let selectors: Vec<&str> = SELECTORS.iter().copied().filter(|name| fields.has(name)).collect();
    let allowed: Vec<&str> = match selectors[..] {
        ["Variable"] => [&["Variable", "Comment"], OPERATORS, extra].concat(),
        [selector] => [&[selector, "Comment"], extra].concat(),
        _ => [SELECTORS, &["Comment"], OPERATORS, extra].concat(),
    };
    let known = fields.only_by_language(c, &allowed, &[], jsonata);
    match selectors[..] {
        // The wrong language, which was reported.
        [] if !jsonata.is_empty() && fields.has("Condition") => None,
        ["Variable"] => test(c, fields, known),
        ["Not"] => {
            let inner = fields.object(c, "Not")?;
            Some(Condition::Not(Box::new(condition(c, &inner, &[], &[])?)))
        }
        [name @ ("And" | "Or")] => {
            let mut list = Vec::new();
            for (node, location) in fields.list(c, name)? {
                let inner = fields.inner(c, node, &location);
                list.extend(inner.and_then(|inner| condition(c, &inner, &[], &[])));
            }
            Some(if name == "And" { Condition::And(list) } else { Condition::Or(list) })
        }
        _ => {
            one_selector(c, fields);
            None
        }
    }
}

/// AWS's wording, which is the same in either language.
fn one_selector(c: &mut Checker, fields: &Fields<'_>) {
    let message = "The object must have only one of the following fields, [And, Or, Not, Variable, Condition]";
    c.error(message, &fields.location, &fields.range);
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
        Ok(path) => {
            c.reads_root(path.root(), &fields.at(name), &node.range);
            Some(path.as_path().clone())
        }
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
