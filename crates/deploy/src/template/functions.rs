//! The intrinsic functions.

use base64::Engine as _;

use super::diagnostic::Diagnostic;
use super::evaluate::{Evaluator, Lookup};
use super::limits::TEXT_BYTES_MAX;
use super::node::{Kind, Node, Position};
use super::sub::{self, Part};

type Value = Result<Option<Node>, Diagnostic>;

impl Evaluator<'_> {
    pub(super) fn call(&self, function: &str, argument: &Node, at: Position) -> Value {
        match function {
            "Ref" => match argument.scalar() {
                Some(name) => self.reference(&name, at),
                None => error("Template error: every Ref object must have a single String value.", at),
            },
            "Fn::If" => self.branch(argument, at),
            "Fn::GetAtt" => self.get_att(argument, at).map(Some),
            "Fn::Sub" => self.substitute(argument, at).map(Some),
            "Fn::Join" => self.join(argument, at).map(Some),
            "Fn::Select" => self.select(argument, at),
            "Fn::Split" => self.split(argument, at).map(Some),
            "Fn::FindInMap" => self.find_in_map(argument, at),
            "Fn::ImportValue" => self.import(argument, at).map(Some),
            "Fn::Base64" => self.base64(argument, at).map(Some),
            "Fn::GetAZs" => self.zones(argument, at).map(Some),
            "Fn::Length" => self.length(argument, at).map(Some),
            "Fn::ToJsonString" => self.json_string(argument, at).map(Some),
            "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Equals" => {
                error(format!("Template error: {function} is only allowed in the Conditions block"), at)
            }
            "Fn::Transform" => error("Template error: Fn::Transform (macros and AWS::Include) is not supported", at),
            "Fn::Cidr" | "Fn::ForEach" => error(format!("Template error: {function} is not supported"), at),
            _ => error(format!("Template error: unknown function {function}"), at),
        }
    }

    fn branch(&self, argument: &Node, at: Position) -> Value {
        let Some([name, then, otherwise]) = argument.items() else {
            return error("Template error: every Fn::If object requires a list argument with three elements", at);
        };
        let Some(name_text) = name.as_str() else {
            return error("Template error: the first argument of Fn::If must be the name of a condition", at);
        };
        self.evaluate(if self.condition(name_text, name.at)? { then } else { otherwise })
    }

    fn get_att(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let malformed = || {
            let message = "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name \
                           and the resource attribute";
            Diagnostic::new(message, at)
        };
        if let Some(text) = argument.as_str() {
            let (name, attribute) = text.split_once('.').ok_or_else(malformed)?;
            return self.attribute(name, attribute, at);
        }
        let Some([name, attribute]) = argument.items() else { return Err(malformed()) };
        let name = name.as_str().filter(|n| !n.is_empty()).ok_or_else(malformed)?;
        let attribute = self.evaluate(attribute)?.ok_or_else(malformed)?;
        let attribute = attribute.as_str().filter(|a| !a.is_empty()).ok_or_else(malformed)?;
        self.attribute(name, attribute, at)
    }

    fn substitute(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let malformed = || {
            let message = "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. \
                           Specify a string as first argument, and an optional second argument to specify a mapping of \
                           values to replace in the string";
            Diagnostic::new(message, at)
        };
        let (text, variables) = match argument.items() {
            None => (argument, None),
            Some([text]) => (text, None),
            Some([text, variables]) if variables.is_map() => (text, Some(variables)),
            Some(_) => return Err(malformed()),
        };
        let text = text.scalar().ok_or_else(malformed)?;
        let mut result = String::with_capacity(text.len());
        let mut unknown = false;
        for part in sub::parts(&text).map_err(|message| Diagnostic::new(message, at))? {
            let value = match part {
                Part::Literal(literal) => {
                    result.push_str(literal);
                    continue;
                }
                Part::Escaped(name) => {
                    result.push_str(&format!("${{{name}}}"));
                    continue;
                }
                Part::Variable(name) => self.variable(name, variables, at)?,
            };
            match value {
                Some(value) if value.is_unknown() => unknown = true,
                Some(value) => match value.scalar() {
                    Some(text) => result.push_str(&text),
                    None => {
                        let message = "Template error: every value in the context object of every Fn::Sub object must \
                                       be a string or a function that returns a string";
                        return Err(Diagnostic::new(message, at));
                    }
                },
                None => {}
            }
            bounded(&result, at)?;
        }
        Ok(if unknown { Node::new(Kind::Unknown, at) } else { Node::text(result, at) })
    }

    fn variable(&self, name: &str, variables: Option<&Node>, at: Position) -> Value {
        if let Some(node) = variables.and_then(|v| v.get(name)) {
            return self.evaluate(node);
        }
        match name.split_once('.') {
            Some((resource, attribute)) => self.attribute(resource, attribute, at).map(Some),
            None => self.reference(name, at),
        }
    }

    fn join(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let malformed = || {
            let message = "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) \
                           a list of strings to be joined or a function that returns a list of strings (such as \
                           Fn::GetAZs) to be joined.";
            Diagnostic::new(message, at)
        };
        let Some([delimiter, list]) = argument.items() else { return Err(malformed()) };
        let delimiter = self.evaluate(delimiter)?.ok_or_else(malformed)?;
        let list = self.evaluate(list)?.ok_or_else(malformed)?;
        if delimiter.is_unknown() || list.is_unknown() {
            return Ok(Node::new(Kind::Unknown, at));
        }
        let delimiter = delimiter.scalar().ok_or_else(malformed)?;
        let mut result = String::new();
        let mut unknown = false;
        for (i, item) in list.items().ok_or_else(malformed)?.iter().enumerate() {
            if i > 0 {
                result.push_str(&delimiter);
            }
            match item.scalar() {
                Some(text) => result.push_str(&text),
                None if item.is_unknown() => unknown = true,
                None => return Err(malformed()),
            }
            bounded(&result, at)?;
        }
        Ok(if unknown { Node::new(Kind::Unknown, at) } else { Node::text(result, at) })
    }

    fn select(&self, argument: &Node, at: Position) -> Value {
        let message =
            "Template error: Fn::Select requires a list argument with two elements: an integer index and a list";
        let malformed = || Diagnostic::new(message, at);
        let Some([index, list]) = argument.items() else { return Err(malformed()) };
        let index = self.evaluate(index)?.ok_or_else(malformed)?;
        let list = self.evaluate(list)?.ok_or_else(malformed)?;
        if index.is_unknown() || list.is_unknown() {
            return Ok(Some(Node::new(Kind::Unknown, at)));
        }
        let index = index.scalar().and_then(|t| t.parse::<usize>().ok()).ok_or_else(malformed)?;
        let items = list.items().ok_or_else(malformed)?;
        match items.get(index) {
            Some(item) => Ok(Some(item.clone())),
            None => error(format!("Template error: Fn::Select cannot select nonexistent value at index {index}"), at),
        }
    }

    fn split(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let malformed = || {
            let message = "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) \
                           a string to be split or a function that returns a string to be split.";
            Diagnostic::new(message, at)
        };
        let Some([delimiter, text]) = argument.items() else { return Err(malformed()) };
        let delimiter = delimiter.as_str().filter(|d| !d.is_empty()).ok_or_else(malformed)?;
        let text = self.evaluate(text)?.ok_or_else(malformed)?;
        if text.is_unknown() {
            return Ok(text);
        }
        let text = text.scalar().ok_or_else(malformed)?;
        Ok(Node::list(text.split(delimiter).map(|t| Node::text(t, at)).collect(), at))
    }

    fn find_in_map(&self, argument: &Node, at: Position) -> Value {
        let malformed = || {
            let message = "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and \
                           the attribute for return value";
            Diagnostic::new(message, at)
        };
        let (names, default) = match argument.items() {
            Some([map, top, second]) => ([map, top, second], None),
            Some([map, top, second, options]) => {
                ([map, top, second], Some(options.get("DefaultValue").ok_or_else(malformed)?))
            }
            _ => return Err(malformed()),
        };
        let mut keys = Vec::with_capacity(3);
        for name in names {
            let value = self.evaluate(name)?.ok_or_else(malformed)?;
            if value.is_unknown() {
                return error("Template error: Fn::FindInMap cannot depend on a resource", at);
            }
            keys.push(value.scalar().ok_or_else(malformed)?.into_owned());
        }
        let map = self.mappings.iter().find(|m| m.key == keys[0]);
        let value = map.and_then(|m| m.value.get(&keys[1])).and_then(|t| t.get(&keys[2]));
        match (value, default) {
            (Some(value), _) => Ok(Some(Node::new(value.kind.clone(), at))),
            (None, Some(default)) => self.evaluate(default),
            (None, None) if map.is_none() => {
                let message = format!(
                    "Template error: Mapping named '{}' is not present in the 'Mappings' section of template.",
                    keys[0]
                );
                error(message, at)
            }
            (None, None) => error(format!("Template error: Unable to get mapping for {}", keys.join("::")), at),
        }
    }

    fn import(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let message =
            "Template error: the attribute in Fn::ImportValue must be a string or a function that returns a string";
        let malformed = || Diagnostic::new(message, at);
        let name = self.evaluate(argument)?.ok_or_else(malformed)?;
        if name.is_unknown() {
            return Err(Diagnostic::new(
                "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs",
                at,
            ));
        }
        let name = name.scalar().ok_or_else(malformed)?;
        match self.environment.import(&name) {
            Lookup::Found(value) => Ok(Node::from_json(&value, at)),
            Lookup::Unknown => Ok(Node::new(Kind::Unknown, at)),
            Lookup::Undefined | Lookup::NoAttribute => {
                Err(Diagnostic::new(format!("No export named {name} found"), at))
            }
        }
    }

    fn base64(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let malformed =
            || Diagnostic::new("Template error: every Fn::Base64 object must have a String-typed value.", at);
        let value = self.evaluate(argument)?.ok_or_else(malformed)?;
        if value.is_unknown() {
            return Ok(value);
        }
        let text = value.scalar().ok_or_else(malformed)?;
        Ok(Node::text(base64::engine::general_purpose::STANDARD.encode(text.as_bytes()), at))
    }

    fn zones(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let value = self.evaluate(argument)?;
        let text = value.as_ref().and_then(Node::scalar).unwrap_or_default();
        let region = if text.is_empty() { self.pseudo.region.as_str() } else { &text };
        Ok(Node::list(["a", "b", "c"].iter().map(|z| Node::text(format!("{region}{z}"), at)).collect(), at))
    }

    fn length(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let value = self.evaluate(argument)?;
        match value.as_ref().map(|v| &v.kind) {
            Some(Kind::Unknown) => Ok(Node::new(Kind::Unknown, at)),
            Some(Kind::List(items)) => Ok(Node::new(Kind::Number(items.len().to_string()), at)),
            _ => Err(Diagnostic::new("Template error: every Fn::Length object requires a list", at)),
        }
    }

    fn json_string(&self, argument: &Node, at: Position) -> Result<Node, Diagnostic> {
        let message = "Template error: every Fn::ToJsonString object requires an object or a list";
        let malformed = || Diagnostic::new(message, at);
        if argument.scalar().is_some() {
            return Err(malformed());
        }
        let value = self.evaluate(argument)?.ok_or_else(malformed)?;
        if value.has_unknown() {
            return Ok(Node::new(Kind::Unknown, at));
        }
        Ok(Node::text(value.to_json().to_string(), at))
    }
}

fn error<T>(message: impl Into<String>, at: Position) -> Result<T, Diagnostic> {
    Err(Diagnostic::new(message, at))
}

fn bounded(text: &str, at: Position) -> Result<(), Diagnostic> {
    if text.len() > TEXT_BYTES_MAX {
        return error(format!("Template error: a text of more than {TEXT_BYTES_MAX} bytes"), at);
    }
    Ok(())
}
