//! Values with expressions inside: payload templates, whose keys that end with `.$` hold paths or intrinsic functions,
//! and values of JSONata states, whose strings in `{% %}` are expressions.

use serde_json::Value;

use crate::ast::QueryLanguage;
use crate::json::{Json, Node};
use crate::query::expression_text;
use crate::template::Piece;
use crate::{Expression, Jsonata, Root, Severity, Template};

use super::{Checker, INVALID_JSONATA, NO_DOLLAR, UNSUPPORTED_JSONATA};

/// What a value may hold, by where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub language: QueryLanguage,
    /// How much of a location is the state's: errors of JSONata name their field from there.
    pub state_len: usize,
    pub reads: Reads,
}

/// What there is of `$states` besides `input` and `context`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reads {
    pub result: bool,
    pub error_output: bool,
}

impl Reads {
    /// `input` and `context`.
    pub(super) const INPUT: Reads = Reads { result: false, error_output: false };
    /// `Output` and `Assign` of a state that has a result.
    pub(super) const RESULT: Reads = Reads { result: true, error_output: false };
    /// `Output` and `Assign` of a catcher.
    pub(super) const ERROR: Reads = Reads { result: false, error_output: true };
    pub(super) const ALL: Reads = Reads { result: true, error_output: true };
}

/// Compiles a value; what is wrong is reported at `location`.
pub(super) fn compile(c: &mut Checker, node: &Node, location: &str, place: Place) -> Template {
    Template::new(match place.language {
        QueryLanguage::JsonPath => payload(c, node, location),
        QueryLanguage::Jsonata => dynamic(c, node, location, place),
    })
}

/// Compiles the text of `{% %}`, which stands at `location`.
pub(super) fn jsonata(c: &mut Checker, text: &str, node: &Node, location: &str, place: Place) -> Option<Jsonata> {
    let start = node.as_str().and_then(|whole| whole.find(text)).unwrap_or(0);
    let expression = match Jsonata::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            let range = within(node, start + error.offset);
            c.report(Severity::Error, INVALID_JSONATA, error.message, Some(location), &range, None);
            return None;
        }
    };
    top_level_references(c, &expression, node, start, location);
    for variable in expression.variables() {
        let range = within(node, start + variable.offset);
        if &*variable.name != "states" {
            c.reads_variable(&variable.name, location, &range);
            continue;
        }
        let message = match variable.member.as_deref() {
            Some("result") if !place.reads.result => "Field '$states.result' does not exist.".to_owned(),
            Some("errorOutput") if !place.reads.error_output => {
                "Field '$states.errorOutput' does not exist.".to_owned()
            }
            Some("input" | "context" | "result" | "errorOutput") | None => continue,
            Some(other) => format!("Field '$states.{other}' does not exist."),
        };
        c.report(Severity::Error, UNSUPPORTED_JSONATA, message, Some(location), &range, None);
    }
    Some(expression)
}

/// There is no context item in an expression of AWS: what reads one is refused, each name once.
fn top_level_references(c: &mut Checker, expression: &Jsonata, node: &Node, start: usize, location: &str) {
    let references = expression.top_level_references();
    for (i, reference) in references.iter().enumerate() {
        let name = &reference.name;
        if references[..i].iter().any(|before| before.name == *name) {
            continue;
        }
        let message = match &**name {
            "$$" => "Reference to '$$' is not supported.".to_owned(),
            name => format!("Reference to '{name}' at the top level is not supported."),
        };
        let range = within(node, start + reference.offset);
        let help = "the input is '$states.input', a variable is '$name'".to_owned();
        c.report(Severity::Error, UNSUPPORTED_JSONATA, message, Some(location), &range, Some(help));
    }
}

/// From the byte `offset` of a string to its end, as far as escapes let it be told.
pub(super) fn within(node: &Node, offset: usize) -> crate::json::Range {
    let unescaped = node.as_str().map_or(0, str::len) + 2 == node.range.len();
    let start = if unescaped { node.range.start + 1 + offset } else { node.range.start };
    start.min(node.range.end - 1)..node.range.end
}

/// Recurses as deep as the JSON, which its parser bounds.
fn dynamic(c: &mut Checker, node: &Node, location: &str, place: Place) -> Piece {
    match &node.json {
        Json::Array(items) => {
            let pieces = items.iter().enumerate().map(|(i, item)| dynamic(c, item, &format!("{location}[{i}]"), place));
            array(node, pieces.collect())
        }
        Json::Object(members) => {
            let pieces = members
                .iter()
                .map(|member| (member.key.clone(), dynamic(c, &member.value, &join(location, &member.key), place)));
            object(node, pieces.collect())
        }
        Json::String(text) => match expression_text(text) {
            Some(inner) => jsonata(c, inner, node, location, place).map_or(Piece::Literal(Value::Null), |expression| {
                let field = location.get(place.state_len..).unwrap_or(location);
                Piece::Jsonata { field: field.strip_prefix('/').unwrap_or(field).into(), expression }
            }),
            None => {
                check_delimiters(c, text, node, location);
                Piece::Literal(node.to_value())
            }
        },
        _ => Piece::Literal(node.to_value()),
    }
}

/// What begins like an expression must end like one.
pub(super) fn check_delimiters(c: &mut Checker, text: &str, node: &Node, location: &str) {
    if text.starts_with("{%") {
        c.error("JSONata string must start with {% and end with %}", location, &node.range);
    }
}

/// Recurses as deep as the JSON, which its parser bounds.
fn payload(c: &mut Checker, node: &Node, location: &str) -> Piece {
    match &node.json {
        Json::Array(items) => {
            let pieces = items.iter().enumerate().map(|(i, item)| payload(c, item, &format!("{location}[{i}]")));
            array(node, pieces.collect())
        }
        Json::Object(members) => {
            let mut pieces = Vec::with_capacity(members.len());
            for member in members {
                let child = join(location, &member.key);
                pieces.push(match member.key.strip_suffix(".$") {
                    Some(key) => (key.to_owned(), expression(c, &member.key, &member.value, location)),
                    None => {
                        if member.value.as_str().is_some_and(looks_dynamic) {
                            let message = "No .$ on a field that appears to be a JSONPath or Intrinsic Function.";
                            c.warn(NO_DOLLAR, message, &child, &member.key_range);
                        }
                        (member.key.clone(), payload(c, &member.value, &child))
                    }
                });
            }
            object(node, pieces)
        }
        _ => Piece::Literal(node.to_value()),
    }
}

fn array(node: &Node, pieces: Vec<Piece>) -> Piece {
    if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
        return Piece::Literal(node.to_value());
    }
    Piece::Array(pieces)
}

fn object(node: &Node, pieces: Vec<(String, Piece)>) -> Piece {
    if pieces.iter().all(|(_, piece)| matches!(piece, Piece::Literal(_))) {
        return Piece::Literal(node.to_value());
    }
    Piece::Object(pieces)
}

fn expression(c: &mut Checker, key: &str, node: &Node, location: &str) -> Piece {
    let message =
        format!("The value for the field '{key}' must be a valid JSONPath or a valid intrinsic function call");
    let Some(text) = node.as_str() else {
        c.error(message, location, &node.range);
        return Piece::Literal(Value::Null);
    };
    match Expression::parse(text) {
        Ok(expression) => {
            let mut check = |root: &Root| c.reads_root(root, location, &node.range);
            match &expression {
                Expression::Path(path) => check(path.root()),
                Expression::Intrinsic(call) => call.roots(&mut check),
            }
            Piece::Expression { field: key.to_owned(), expression }
        }
        Err(error) => {
            c.not_an_expression(&message, location, node, &error);
            Piece::Literal(Value::Null)
        }
    }
}

fn join(location: &str, name: &str) -> String {
    if location == "/" { format!("/{name}") } else { format!("{location}/{name}") }
}

fn looks_dynamic(text: &str) -> bool {
    text == "$" || text.starts_with("$.") || text.starts_with("$$.") || text.starts_with("$[") || looks_like_call(text)
}

/// `States.Name(...`.
pub(super) fn looks_like_call(text: &str) -> bool {
    let name = text.strip_prefix("States.").and_then(|rest| rest.split_once('(')).map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
}
