//! Payload templates: JSON whose keys that end with `.$` hold paths or intrinsic functions.

use serde_json::Value;

use crate::json::{Json, Node};
use crate::template::Piece;
use crate::{Expression, Template};

use super::{Checker, NO_DOLLAR};

/// Compiles a template; what is wrong is reported at `location`.
pub(super) fn compile(c: &mut Checker, node: &Node, location: &str) -> Template {
    Template::new(piece(c, node, location))
}

/// Recurses as deep as the JSON, which its parser bounds.
fn piece(c: &mut Checker, node: &Node, location: &str) -> Piece {
    match &node.json {
        Json::Array(items) => {
            let pieces: Vec<Piece> =
                items.iter().enumerate().map(|(i, item)| piece(c, item, &format!("{location}[{i}]"))).collect();
            if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
                return Piece::Literal(node.to_value());
            }
            Piece::Array(pieces)
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
                        (member.key.clone(), piece(c, &member.value, &child))
                    }
                });
            }
            if pieces.iter().all(|(_, piece)| matches!(piece, Piece::Literal(_))) {
                return Piece::Literal(node.to_value());
            }
            Piece::Object(pieces)
        }
        _ => Piece::Literal(node.to_value()),
    }
}

fn expression(c: &mut Checker, key: &str, node: &Node, location: &str) -> Piece {
    let message =
        format!("The value for the field '{key}' must be a valid JSONPath or a valid intrinsic function call");
    let Some(text) = node.as_str() else {
        c.error(message, location, &node.range);
        return Piece::Literal(Value::Null);
    };
    match Expression::parse(text) {
        Ok(expression) => Piece::Expression { field: key.to_owned(), expression },
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
