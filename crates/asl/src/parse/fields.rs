//! Reads the members of one JSON object, and says what is wrong with them.

use crate::ast::QueryLanguage;
use crate::json::{Json, Member, Node, Range};

use super::Checker;
use super::suggest::did_you_mean;
use super::template::{Place, Reads};

/// Seconds that AWS takes for waits and timeouts.
pub(super) const SECONDS_MAX: u64 = 99_999_999;

/// An object of the definition, and where it is.
#[derive(Debug, Clone)]
pub(super) struct Fields<'n> {
    pub members: &'n [Member],
    pub location: String,
    pub range: Range,
    /// Of the state that it belongs to.
    pub language: QueryLanguage,
    /// How much of the location is the state's: errors of JSONata name their field from there.
    pub state_len: usize,
}

impl<'n> Fields<'n> {
    /// The node as an object outside of any state.
    pub(super) fn of(c: &mut Checker, node: &'n Node, location: &str) -> Option<Fields<'n>> {
        let Some(members) = node.as_members() else {
            c.error("Expected value of type Object", location, &node.range);
            return None;
        };
        let (location, range) = (location.to_owned(), node.range.clone());
        Some(Fields { members, location, range, language: QueryLanguage::JsonPath, state_len: 0 })
    }

    /// A node somewhere inside of this object, as an object of the same state.
    pub(super) fn inner(&self, c: &mut Checker, node: &'n Node, location: &str) -> Option<Fields<'n>> {
        let fields = Fields::of(c, node, location)?;
        Some(Fields { language: self.language, state_len: self.state_len, ..fields })
    }

    /// Where a value of the object stands.
    pub(super) fn place(&self, reads: Reads) -> Place {
        Place { language: self.language, state_len: self.state_len, reads }
    }

    pub(super) fn is_jsonata(&self) -> bool {
        self.language == QueryLanguage::Jsonata
    }

    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.members.iter().find(|member| member.key == name).map(|member| &member.value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// AWS's location of a field.
    pub(super) fn at(&self, name: &str) -> String {
        if self.location == "/" { format!("/{name}") } else { format!("{}/{name}", self.location) }
    }

    /// Reports members whose names are not in `allowed`. True if there are none.
    pub(super) fn only(&self, c: &mut Checker, allowed: &[&str]) -> bool {
        self.only_by_language(c, allowed, &[], &[])
    }

    /// The same, where some names are of one query language alone.
    pub(super) fn only_by_language(&self, c: &mut Checker, both: &[&str], path: &[&str], jsonata: &[&str]) -> bool {
        let (own, other) = if self.is_jsonata() { (jsonata, path) } else { (path, jsonata) };
        let mut all = true;
        for member in self.members {
            let name = member.key.as_str();
            if both.contains(&name) || own.contains(&name) {
                continue;
            }
            all = false;
            if other.contains(&name) {
                let (set, needed) = if self.is_jsonata() { ("JSONata", "JSONPath") } else { ("JSONPath", "JSONata") };
                let message = format!(
                    "The QueryLanguage is set to '{set}', but field '{name}' is only supported for the '{needed}' QueryLanguage"
                );
                c.error(message, &self.location, &member.value.range);
                continue;
            }
            let help = did_you_mean(name, both.iter().chain(own).copied());
            c.error_with_help(format!("Field '{name}' is not supported"), &self.location, &member.key_range, help);
        }
        all
    }

    /// Reports which of `names` are missing.
    pub(super) fn required(&self, c: &mut Checker, names: &[&str]) {
        let missing: Vec<&str> = names.iter().copied().filter(|name| !self.has(name)).collect();
        if !missing.is_empty() {
            let message = format!("These fields are required: [{}]", missing.join(", "));
            c.error(message, &self.location, &self.range);
        }
    }

    /// Reports if more than one of `names` is there.
    pub(super) fn at_most_one(&self, c: &mut Checker, names: &[&str]) {
        if names.iter().filter(|name| self.has(name)).count() > 1 {
            let message = format!("There should only be one of the following fields: [{}]", names.join(", "));
            c.error(message, &self.location, &self.range);
        }
    }

    /// Reports if not exactly one of `names` is there.
    pub(super) fn exactly_one(&self, c: &mut Checker, names: &[&str]) {
        if !names.iter().any(|name| self.has(name)) {
            let message = format!("This object should have only one of the following fields: [{}]", names.join(", "));
            c.error(message, &self.location, &self.range);
        }
        self.at_most_one(c, names);
    }

    fn typed<T>(
        &self,
        c: &mut Checker,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(name)?;
        let value = read(node);
        if value.is_none() {
            c.error(format!("Expected value of type {wanted}"), &self.at(name), &node.range);
        }
        value
    }

    pub(super) fn string(&self, c: &mut Checker, name: &str) -> Option<&'n str> {
        self.typed(c, name, "String", Node::as_str)
    }

    pub(super) fn boolean(&self, c: &mut Checker, name: &str) -> Option<bool> {
        self.typed(c, name, "Boolean", |node| match node.json {
            Json::Bool(value) => Some(value),
            _ => None,
        })
    }

    pub(super) fn object(&self, c: &mut Checker, name: &str) -> Option<Fields<'n>> {
        self.inner(c, self.get(name)?, &self.at(name))
    }

    /// An array that must not be empty, with each item's location.
    pub(super) fn list(&self, c: &mut Checker, name: &str) -> Option<Vec<(&'n Node, String)>> {
        let items = self.typed(c, name, "Array", Node::as_items)?;
        let location = self.at(name);
        if items.is_empty() {
            c.error("Value cannot be empty", &location, &self.get(name)?.range);
        }
        Some(items.iter().enumerate().map(|(i, item)| (item, format!("{location}[{i}]"))).collect())
    }

    pub(super) fn integer(&self, c: &mut Checker, name: &str, min: u64, max: u64) -> Option<u64> {
        let number = self.typed(c, name, "Integer", |node| match &node.json {
            Json::Number(number) if !number.is_f64() => Some(number),
            _ => None,
        })?;
        let (message, value) = match number.as_u64() {
            Some(value) if value > max => (format!("Maximum value is {max}"), None),
            Some(value) if value >= min => return Some(value),
            value => (format!("Minimum value is {min}"), value),
        };
        c.error(message, &self.at(name), &self.get(name)?.range);
        value
    }

    pub(super) fn float(&self, c: &mut Checker, name: &str, min: f64, max: f64) -> Option<f64> {
        let value = self.typed(c, name, "Float", |node| match &node.json {
            Json::Number(number) => number.as_f64(),
            _ => None,
        })?;
        if value < min {
            c.error(format!("Minimum value is {min:.1}"), &self.at(name), &self.get(name)?.range);
        } else if value > max {
            c.error(format!("Maximum value is {max:.1}"), &self.at(name), &self.get(name)?.range);
        }
        Some(value)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, c: &mut Checker, name: &str, words: &[(&str, T)]) -> Option<T> {
        let written = self.string(c, name)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*value);
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("Value should be one of the following: [{}]", words.join(", "));
        let help = if words.len() > 1 { did_you_mean(written, words.iter().copied()) } else { None };
        c.error_with_help(message, &self.at(name), &self.get(name)?.range, help);
        None
    }
}
