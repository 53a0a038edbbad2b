//! Fields that hold paths, and numbers that may come from one.

use crate::ast::{Count, Percentage, ResultPath, Seconds, Selection, TextSource};
use crate::json::{Json, Node};
use crate::query::expression_text;
use crate::{Expression, Jsonata, Path, ReferencePath, Root, Template};

use super::Checker;
use super::fields::{Fields, SECONDS_MAX};
use super::template::{self, Reads};

impl Fields<'_> {
    /// A path; AWS's wording, what the parser expected as help.
    pub(super) fn path(&self, c: &mut Checker, name: &str) -> Option<Path> {
        let text = self.string(c, name)?;
        let node = self.get(name)?;
        match Path::parse(text) {
            Ok(path) => {
                c.reads_root(path.root(), &self.at(name), &node.range);
                Some(path)
            }
            Err(error) => {
                c.not_an_expression("Value must be a valid JSONPath.", &self.at(name), node, &error);
                None
            }
        }
    }

    /// A value with expressions inside.
    pub(super) fn template(&self, c: &mut Checker, name: &str, reads: Reads) -> Option<Template> {
        self.get(name).map(|node| template::compile(c, node, &self.at(name), self.place(reads)))
    }

    /// The expression that a field of a JSONata state holds. `None`: it holds something else; `Some(None)`: it is wrong.
    pub(super) fn jsonata(&self, c: &mut Checker, name: &str) -> Option<Option<Jsonata>> {
        let node = self.get(name).filter(|_| self.is_jsonata())?;
        let text = node.as_str()?;
        match expression_text(text) {
            Some(text) => Some(template::jsonata(c, text, node, &self.at(name), self.place(Reads::INPUT))),
            None if text.starts_with("{%") => {
                template::check_delimiters(c, text, node, &self.at(name));
                Some(None)
            }
            None => None,
        }
    }

    /// A reference path. Few fields may read the context object.
    pub(super) fn reference_path(&self, c: &mut Checker, name: &str, context: bool) -> Option<ReferencePath> {
        let path = self.path(c, name)?;
        let (message, help) = match ReferencePath::parse(path.as_str()) {
            Ok(path) if context || *path.root() != Root::Context => return Some(path),
            Ok(_) => ("Value is not a Reference Path", "this field cannot read the context object ('$$')".to_owned()),
            Err(error) => ("Value is not a Reference Path", error.message),
        };
        c.error_with_help(message, &self.at(name), &self.get(name)?.range, Some(help));
        None
    }

    pub(super) fn selection(&self, c: &mut Checker, name: &str) -> Selection {
        match self.get(name) {
            None => Selection::default(),
            Some(Node { json: Json::Null, .. }) => Selection::Discard,
            Some(_) => self.path(c, name).map_or_else(Selection::default, Selection::Path),
        }
    }

    pub(super) fn result_path(&self, c: &mut Checker) -> ResultPath {
        match self.get("ResultPath") {
            None => ResultPath::default(),
            Some(Node { json: Json::Null, .. }) => ResultPath::Discard,
            Some(node) => {
                let Some(path) = self.reference_path(c, "ResultPath", false) else { return ResultPath::default() };
                if matches!(path.root(), Root::Variable(_)) {
                    let help = "a result is put into the input, which starts with '$' alone".to_owned();
                    let message = "Value is not a Reference Path";
                    c.error_with_help(message, &self.at("ResultPath"), &node.range, Some(help));
                    return ResultPath::default();
                }
                ResultPath::At(path)
            }
        }
    }

    /// `TimeoutSeconds` or `TimeoutSecondsPath`, and the like.
    pub(super) fn seconds(&self, c: &mut Checker, name: &str, min: u64) -> Option<Seconds> {
        if let Some(expression) = self.jsonata(c, name) {
            return expression.map(Seconds::Jsonata);
        }
        let path = format!("{name}Path");
        self.at_most_one(c, &[name, &path]);
        match self.integer(c, name, min, SECONDS_MAX) {
            Some(seconds) => Some(Seconds::Literal(seconds)),
            None => self.reference_path(c, &path, false).map(Seconds::Path),
        }
    }

    pub(super) fn count(&self, c: &mut Checker, name: &str, min: u64, max: u64) -> Option<Count> {
        if let Some(expression) = self.jsonata(c, name) {
            return expression.map(Count::Jsonata);
        }
        let path = format!("{name}Path");
        self.at_most_one(c, &[name, &path]);
        match self.integer(c, name, min, max) {
            Some(count) => Some(Count::Literal(count)),
            None => self.reference_path(c, &path, false).map(Count::Path),
        }
    }

    pub(super) fn percentage(&self, c: &mut Checker, name: &str) -> Option<Percentage> {
        if let Some(expression) = self.jsonata(c, name) {
            return expression.map(Percentage::Jsonata);
        }
        let path = format!("{name}Path");
        self.at_most_one(c, &[name, &path]);
        match self.float(c, name, 0.0, 100.0) {
            Some(percentage) => Some(Percentage::Literal(percentage)),
            None => self.reference_path(c, &path, false).map(Percentage::Path),
        }
    }

    /// `Error` or `ErrorPath`, `Cause` or `CausePath`.
    pub(super) fn text_source(&self, c: &mut Checker, name: &str) -> Option<TextSource> {
        if let Some(expression) = self.jsonata(c, name) {
            return expression.map(TextSource::Jsonata);
        }
        let path = format!("{name}Path");
        self.at_most_one(c, &[name, &path]);
        if let Some(text) = self.string(c, name) {
            if self.is_jsonata() {
                return Some(TextSource::Literal(text.to_owned()));
            }
            if text.starts_with("$.") || text.starts_with("$$.") || super::template::looks_like_call(text) {
                let message = "Field value looks like a path, but field name does not end with 'Path'.";
                c.warn(super::NO_PATH, message, &self.at(name), &self.get(name)?.range);
            }
            return Some(TextSource::Literal(text.to_owned()));
        }
        let text = self.string(c, &path)?;
        if text.starts_with('$') {
            self.reference_path(c, &path, true)?;
        }
        match Expression::parse(text) {
            Ok(expression) => {
                if let Expression::Intrinsic(call) = &expression {
                    let node = self.get(&path)?;
                    call.roots(&mut |root| c.reads_root(root, &self.at(&path), &node.range));
                }
                Some(TextSource::Expression(expression))
            }
            Err(error) => {
                let node = self.get(&path)?;
                let message = format!(
                    "The value for the field '{path}' must be a valid JSONPath or a valid intrinsic function call"
                );
                c.not_an_expression(&message, &self.at(&path), node, &error);
                None
            }
        }
    }
}
