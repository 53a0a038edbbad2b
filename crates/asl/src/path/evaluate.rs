//! Walks a value along a path. Nothing here recurses into the value: only into nested filters, which are bounded.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::{Aggregate, Filter, FilterPath, PathErrorReason, Selector, Step, Term, compare};
use crate::limits::{Budget, Exceeded, PATH_VISITS_MAX};
use crate::text::json_text;

impl From<Exceeded> for PathErrorReason {
    fn from(_: Exceeded) -> Self {
        PathErrorReason::TooLarge
    }
}

pub(super) fn evaluate<'v>(
    steps: &[Step],
    aggregate: Option<Aggregate>,
    definite: bool,
    document: &'v Value,
    budget: &mut Budget,
) -> Result<Cow<'v, Value>, PathErrorReason> {
    let mut walk = Walk { document, visits: 0 };
    let found = if definite {
        walk.definite(steps, document, budget)?
    } else {
        let mut list = Vec::new();
        for value in walk.all(steps, document)? {
            list.push(match value {
                Cow::Borrowed(value) => budget.copy(value)?,
                Cow::Owned(value) => value,
            });
        }
        Cow::Owned(Value::Array(list))
    };
    match aggregate {
        None => Ok(found),
        Some(aggregate) => {
            let result = aggregate.apply(&found, budget)?;
            result.map(Cow::Owned).ok_or_else(|| PathErrorReason::NoResults { at: normalised(steps) })
        }
    }
}

/// One evaluation: what `$` means inside filters, and how much was looked at.
struct Walk<'v> {
    document: &'v Value,
    visits: usize,
}

impl<'v> Walk<'v> {
    fn visit(&mut self) -> Result<(), Exceeded> {
        self.visits += 1;
        if self.visits > PATH_VISITS_MAX { Err(Exceeded) } else { Ok(()) }
    }

    fn definite(
        &mut self,
        steps: &[Step],
        document: &'v Value,
        budget: &mut Budget,
    ) -> Result<Cow<'v, Value>, PathErrorReason> {
        let mut value = document;
        for (i, step) in steps.iter().enumerate() {
            let found = match &step.selector {
                Selector::Name(name) => {
                    let members = value.as_object().ok_or_else(|| not_an_object(&steps[..i], step, value))?;
                    members.get(&**name)
                }
                Selector::Index(index) => {
                    let items = value.as_array().ok_or_else(|| not_an_array(&steps[..i], &steps[i..], value))?;
                    element(items, *index)
                }
                Selector::Names(names) => {
                    let members = value.as_object().ok_or_else(|| not_an_object(&steps[..i], step, value))?;
                    let picked = pick(members, names);
                    for (_, value) in &picked {
                        budget.charge(value)?;
                    }
                    return Ok(Cow::Owned(Value::Object(
                        picked.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
                    )));
                }
                _ => unreachable!("a definite path has names and indexes alone"),
            };
            let last = i + 1 == steps.len();
            value = found.ok_or_else(|| match &step.selector {
                Selector::Index(_) if last => PathErrorReason::IndexOutOfRange { at: normalised(steps) },
                Selector::Name(_) if !last => PathErrorReason::MissingProperty { at: normalised(&steps[..=i]) },
                _ => PathErrorReason::NoResults { at: normalised(steps) },
            })?;
        }
        Ok(Cow::Borrowed(value))
    }

    /// All that the steps find from `start`; what does not fit is skipped.
    fn all<'a>(&mut self, steps: &[Step], start: &'a Value) -> Result<Vec<Cow<'a, Value>>, Exceeded> {
        let mut current = vec![start];
        for (i, step) in steps.iter().enumerate() {
            let last = i + 1 == steps.len();
            if let (Selector::Names(names), true) = (&step.selector, last) {
                return self.picked(step.descend, names, &current);
            }
            let mut next = Vec::new();
            for value in current {
                if step.descend {
                    self.descend(&step.selector, value, &mut next)?;
                } else {
                    self.select(&step.selector, value, &mut next)?;
                }
            }
            current = next;
        }
        Ok(current.into_iter().map(Cow::Borrowed).collect())
    }

    /// A union of names at the end: one object for each node, with the members that are there.
    fn picked<'a>(
        &mut self,
        descend: bool,
        names: &[Box<str>],
        current: &[&'a Value],
    ) -> Result<Vec<Cow<'a, Value>>, Exceeded> {
        let mut nodes = Vec::new();
        for value in current {
            if descend {
                self.containers(value, |node| nodes.push(node))?;
            } else {
                self.visit()?;
                nodes.push(value);
            }
        }
        let mut budget = Budget::new();
        let mut found = Vec::new();
        for members in nodes.into_iter().filter_map(Value::as_object) {
            let picked = pick(members, names);
            if descend && picked.is_empty() {
                continue;
            }
            let mut object = Map::new();
            for (key, value) in picked {
                object.insert(key.clone(), budget.copy(value)?);
            }
            found.push(Cow::Owned(Value::Object(object)));
        }
        Ok(found)
    }

    fn select<'a>(&mut self, selector: &Selector, value: &'a Value, out: &mut Vec<&'a Value>) -> Result<(), Exceeded> {
        self.visit()?;
        match (selector, value) {
            (Selector::Name(name), Value::Object(members)) => out.extend(members.get(&**name)),
            (Selector::Names(names), Value::Object(members)) => {
                out.extend(names.iter().filter_map(|name| members.get(&**name)));
            }
            (Selector::Wildcard, Value::Object(members)) => {
                for member in members.values() {
                    self.visit()?;
                    out.push(member);
                }
            }
            (Selector::Wildcard, Value::Array(items)) => {
                for item in items {
                    self.visit()?;
                    out.push(item);
                }
            }
            (Selector::Index(index), Value::Array(items)) => out.extend(element(items, *index)),
            (Selector::Indexes(indexes), Value::Array(items)) => {
                out.extend(indexes.iter().filter_map(|index| element(items, *index)));
            }
            (Selector::Slice { start, end, step }, Value::Array(items)) => {
                for index in slice(items.len(), *start, *end, *step) {
                    self.visit()?;
                    out.push(&items[index]);
                }
            }
            // Jayway tests an object itself, and the elements of an array.
            (Selector::Filter(filter), Value::Object(_)) if self.accepts(filter, value)? => out.push(value),
            (Selector::Filter(filter), Value::Array(items)) => {
                for item in items {
                    if self.accepts(filter, item)? {
                        out.push(item);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `..selector`: every object and array below and including `value`, parents first.
    fn descend<'a>(&mut self, selector: &Selector, value: &'a Value, out: &mut Vec<&'a Value>) -> Result<(), Exceeded> {
        let mut nodes = Vec::new();
        self.containers(value, |node| nodes.push(node))?;
        for node in nodes {
            match (selector, node) {
                // Objects inside an array are visited themselves: once is enough.
                (Selector::Filter(filter), Value::Array(items)) => {
                    for item in items {
                        if !item.is_object() && !item.is_array() && self.accepts(filter, item)? {
                            out.push(item);
                        }
                    }
                }
                _ => self.select(selector, node, out)?,
            }
        }
        Ok(())
    }

    fn containers<'a>(&mut self, value: &'a Value, mut each: impl FnMut(&'a Value)) -> Result<(), Exceeded> {
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            self.visit()?;
            match value {
                Value::Object(members) => {
                    each(value);
                    stack.extend(members.values().rev());
                }
                Value::Array(items) => {
                    each(value);
                    stack.extend(items.iter().rev());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn accepts(&mut self, filter: &Filter, value: &Value) -> Result<bool, Exceeded> {
        self.visit()?;
        Ok(match filter {
            Filter::Or(list) => {
                for filter in list {
                    if self.accepts(filter, value)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::And(list) => {
                for filter in list {
                    if !self.accepts(filter, value)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Not(filter) => !self.accepts(filter, value)?,
            Filter::Exists(path) => self.resolve(path, value)?.is_some(),
            Filter::Compare { left, operator, right } => {
                let (left, right) = (self.operand(left, value)?, self.operand(right, value)?);
                self.visits += compare::cost(*operator, &left, &right);
                self.visit()?;
                compare::holds(*operator, &left, &right)
            }
        })
    }

    fn operand<'t>(&mut self, term: &'t Term, value: &'t Value) -> Result<compare::Operand<'t>, Exceeded> {
        Ok(match term {
            Term::Literal(value) => compare::Operand::Value(Cow::Borrowed(value)),
            Term::Pattern(pattern) => compare::Operand::Pattern(&pattern.regex),
            Term::Path(path) => match self.resolve(path, value)? {
                Some(value) => compare::Operand::Value(Cow::Owned(value)),
                None => compare::Operand::Nothing,
            },
        })
    }

    /// A path inside a filter; an indefinite one that finds nothing counts as nothing.
    fn resolve(&mut self, path: &FilterPath, current: &Value) -> Result<Option<Value>, Exceeded> {
        let start = if path.current { current } else { self.document };
        let mut budget = Budget::new();
        let found = if super::is_definite(&path.steps) {
            match self.all(&path.steps, start)?.pop() {
                Some(Cow::Borrowed(value)) => budget.copy(value)?,
                Some(Cow::Owned(value)) => value,
                None => return Ok(None),
            }
        } else {
            let found = self.all(&path.steps, start)?;
            if found.is_empty() {
                return Ok(None);
            }
            let mut list = Vec::with_capacity(found.len());
            for value in found {
                list.push(match value {
                    Cow::Borrowed(value) => budget.copy(value)?,
                    Cow::Owned(value) => value,
                });
            }
            Value::Array(list)
        };
        match path.aggregate {
            None => Ok(Some(found)),
            Some(aggregate) => aggregate.apply(&found, &mut budget),
        }
    }
}

impl Aggregate {
    fn apply(self, value: &Value, budget: &mut Budget) -> Result<Option<Value>, Exceeded> {
        let numbers = || -> Option<Vec<f64>> {
            let list: Vec<f64> = value.as_array()?.iter().filter_map(Value::as_f64).collect();
            (!list.is_empty()).then_some(list)
        };
        let number = |of: fn(&[f64]) -> f64| numbers().and_then(|list| Number::from_f64(of(&list))).map(Value::Number);
        Ok(match self {
            Aggregate::Length => match value {
                Value::Array(items) => Some(items.len().into()),
                Value::Object(members) => Some(members.len().into()),
                Value::String(text) => Some(text.chars().count().into()),
                _ => None,
            },
            Aggregate::Min => number(|list| list.iter().copied().fold(f64::INFINITY, f64::min)),
            Aggregate::Max => number(|list| list.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            Aggregate::Sum => number(|list| list.iter().sum()),
            Aggregate::Average => number(|list| list.iter().sum::<f64>() / list.len() as f64),
            Aggregate::StandardDeviation => number(|list| {
                let mean = list.iter().sum::<f64>() / list.len() as f64;
                (list.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / list.len() as f64).sqrt()
            }),
            Aggregate::Keys => {
                value.as_object().map(|members| members.keys().map(|key| Value::from(key.as_str())).collect())
            }
            Aggregate::First => value.as_array().and_then(|items| items.first()).map(|v| budget.copy(v)).transpose()?,
            Aggregate::Last => value.as_array().and_then(|items| items.last()).map(|v| budget.copy(v)).transpose()?,
        })
    }
}

/// The named members that are there, in the order of the names.
fn pick<'a>(members: &'a Map<String, Value>, names: &[Box<str>]) -> Vec<(&'a String, &'a Value)> {
    names.iter().filter_map(|name| members.get_key_value(&**name)).collect()
}

fn element(items: &[Value], index: i64) -> Option<&Value> {
    let index = if index < 0 {
        items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    items.get(index)
}

/// The indexes of `[start:end:step]`, clamped as in Python.
fn slice(len: usize, start: Option<i64>, end: Option<i64>, step: i64) -> Vec<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let resolve = |index: i64, low: i64, high: i64| {
        let index = if index < 0 { index.saturating_add(len) } else { index };
        index.clamp(low, high)
    };
    let mut indexes = Vec::new();
    if step > 0 {
        let (mut i, end) = (resolve(start.unwrap_or(0), 0, len), resolve(end.unwrap_or(len), 0, len));
        while i < end {
            indexes.push(i as usize);
            i = i.saturating_add(step);
        }
    } else {
        let mut i = start.map_or(len - 1, |start| resolve(start, -1, len - 1));
        let end = end.map_or(-1, |end| resolve(end, -1, len - 1));
        while i > end {
            indexes.push(i as usize);
            i = i.saturating_add(step);
        }
    }
    indexes
}

fn normalised(steps: &[Step]) -> String {
    let mut text = "$".to_owned();
    for step in steps {
        text.push_str(&fragment(step));
    }
    text
}

fn fragment(step: &Step) -> String {
    let mut text = if step.descend { "..".to_owned() } else { String::new() };
    let _ = match &step.selector {
        Selector::Name(name) => write!(text, "['{name}']"),
        Selector::Index(index) => write!(text, "[{index}]"),
        Selector::Wildcard => write!(text, "[*]"),
        Selector::Slice { start, end, step } => {
            let bound = |bound: &Option<i64>| bound.map(|n| n.to_string()).unwrap_or_default();
            let by = if *step == 1 { String::new() } else { format!(":{step}") };
            write!(text, "[{}:{}{by}]", bound(start), bound(end))
        }
        Selector::Names(names) => {
            write!(text, "[{}]", names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(","))
        }
        Selector::Indexes(indexes) => {
            write!(text, "[{}]", indexes.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
        }
        Selector::Filter(_) => write!(text, "[?]"),
    };
    text
}

fn not_an_object(before: &[Step], step: &Step, value: &Value) -> PathErrorReason {
    let class = match value {
        Value::Null => "null",
        Value::Bool(_) => "java.lang.Boolean",
        Value::Number(n) if n.is_f64() => "java.lang.Double",
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => "java.lang.Integer",
        Value::Number(n) if n.is_i64() => "java.lang.Long",
        Value::Number(_) => "java.math.BigInteger",
        Value::String(_) => "java.lang.String",
        Value::Array(_) => "java.util.ArrayList",
        Value::Object(_) => "java.util.LinkedHashMap",
    };
    PathErrorReason::WrongType(format!(
        "Expected to find an object with property {} in path {} but found '{class}'. This is not a json object \
         according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'.",
        fragment(step),
        normalised(before)
    ))
}

fn not_an_array(before: &[Step], rest: &[Step], value: &Value) -> PathErrorReason {
    PathErrorReason::WrongType(if value.is_null() {
        format!("The path {} is null", normalised(before))
    } else {
        let token: String = rest.iter().map(fragment).collect();
        format!("Filter: {token} can only be applied to arrays. Current context is: {}", json_text(value))
    })
}

#[cfg(test)]
mod tests {
    use super::slice;

    #[test]
    fn slices_clamp_as_in_python() {
        assert_eq!(slice(5, Some(1), Some(3), 1), [1, 2]);
        assert_eq!(slice(5, Some(-2), None, 1), [3, 4]);
        assert_eq!(slice(5, None, Some(-3), 1), [0, 1]);
        assert_eq!(slice(5, None, None, 2), [0, 2, 4]);
        assert_eq!(slice(5, None, None, -1), [4, 3, 2, 1, 0]);
        assert_eq!(slice(5, Some(3), Some(0), -2), [3, 1]);
        assert_eq!(slice(5, Some(9), Some(99), 1), [0usize; 0]);
        assert_eq!(slice(0, None, None, -1), [0usize; 0]);
        assert_eq!(slice(3, Some(i64::MIN), Some(i64::MAX), i64::MAX), [0]);
    }
}
