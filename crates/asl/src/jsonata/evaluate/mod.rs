//! Walking the tree.

mod call;
mod group;
mod operator;
mod path;
mod sort;
mod transform;

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use base::Timestamp;
use serde_json::Value;

use crate::Variables;

use super::ast::{Kind, Node, Program};
use super::error::{Failure, Result};
use super::function::{Builtin, Frame, Func, Key, Lambda, Made, MadeKind};
use super::meter::Meter;
use super::programs::Programs;
use super::value::{Array, Flags, List, Object, Text, Val};
pub(super) use operator::{boolean, deep_equal, order, truthy};
pub(super) use sort::merge_sort;

/// One evaluation.
pub(super) struct Evaluator<'a, 'e> {
    pub meter: Rc<Meter<'a>>,
    pub environment: Environment<'a, 'e>,
    root: Rc<Frame<'a>>,
    /// Frames that closures hold: each may be part of a circle.
    captured: RefCell<Vec<Weak<Frame<'a>>>>,
    /// Where `$eval` keeps what it compiles.
    pub programs: &'a Programs,
}

/// What an expression sees of the world.
pub(super) struct Environment<'a, 'e> {
    pub states: Option<&'a [(&'static str, &'a Value)]>,
    pub variables: &'a Variables,
    pub now: Timestamp,
    pub random: RefCell<&'e mut dyn FnMut() -> u64>,
    pub dialect: Dialect,
}

/// Whose additions and restrictions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// AWS Step Functions: more functions, no `$eval`.
    Aws,
    /// The reference implementation.
    Standard,
}

impl<'a, 'e> Evaluator<'a, 'e> {
    pub fn new(meter: Rc<Meter<'a>>, environment: Environment<'a, 'e>, programs: &'a Programs) -> Evaluator<'a, 'e> {
        let root = Frame::root(&meter);
        Evaluator { meter, environment, root, captured: RefCell::default(), programs }
    }

    /// Evaluates a whole expression over `document`.
    pub fn run(&self, program: &'a Program, document: Val<'a>) -> Result<Val<'a>> {
        self.root.bind(Key::Name("$"), document.clone());
        self.evaluate(&program.root, &self.wrap_document(document)?, &self.root)
    }

    /// An array as a document counts as one item.
    pub fn wrap_document(&self, document: Val<'a>) -> Result<Val<'a>> {
        match &document {
            Val::Array(array) if !array.flags.sequence => {
                let flags = Flags { outer: true, ..Flags::SEQUENCE };
                Ok(List::of(&self.meter, [document])?.into_value(flags))
            }
            _ => Ok(document),
        }
    }

    pub fn evaluate(&self, node: &'a Node, input: &Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        self.meter.enter()?;
        let result = self.evaluate_entered(node, input, frame);
        self.meter.leave();
        result
    }

    fn evaluate_entered(&self, node: &'a Node, input: &Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        let mut value = self.evaluate_kind(node, input, frame)?;
        if node.extra.is_some() {
            value = self.evaluate_extra(node, value, frame)?;
        }
        match value {
            Val::Array(array) if array.flags.sequence && !array.flags.tuples => {
                Ok(unwrap_sequence(array, node.keep_array))
            }
            value => Ok(value),
        }
    }

    /// Predicates and grouping.
    #[inline(never)]
    fn evaluate_extra(&self, node: &'a Node, mut value: Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        for predicate in node.predicates() {
            value = self.filter(predicate, value, frame)?;
        }
        match node.group() {
            Some(group) if !matches!(node.kind, Kind::Path { .. }) => self.evaluate_group(group, value, frame),
            _ => Ok(value),
        }
    }

    fn evaluate_kind(&self, node: &'a Node, input: &Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        match &node.kind {
            Kind::Path { steps, keep_singleton } => self.evaluate_path(node, steps, *keep_singleton, input, frame),
            Kind::Name(name) => self.lookup(input, name),
            Kind::Text(text) => Ok(Val::Text(Text::Borrowed(text))),
            Kind::Number(number) => Ok(Val::Number(*number)),
            Kind::Bool(value) => Ok(Val::Bool(*value)),
            Kind::Null => Ok(Val::Null),
            Kind::Regex(regex) => Ok(Val::Function(Func::Regex(regex))),
            Kind::Wildcard => self.wildcard(input),
            Kind::Descendant => self.descendants(input),
            Kind::Parent(label) => Ok(frame.lookup(Key::Label(label.number())).unwrap_or(Val::Undefined)),
            Kind::Variable { name, .. } if name.is_empty() => Ok(context(input)),
            Kind::Variable { name, builtin } => self.variable(name, *builtin, frame),
            Kind::Binary { operator, left, right } => self.binary(node.offset, *operator, left, right, input, frame),
            Kind::Negate(inner) => self.negate(node.offset, inner, input, frame),
            Kind::Array(items) => self.construct_array(items, node.constructs_array, input, frame),
            Kind::Object(group) => self.evaluate_group(group, input.clone(), frame),
            Kind::Block(expressions) => self.block(expressions, input, frame),
            Kind::Condition { condition, then, otherwise } => {
                let condition = self.evaluate(condition, input, frame)?;
                if boolean(&self.meter, &condition)? {
                    return self.evaluate(then, input, frame);
                }
                otherwise.as_ref().map_or(Ok(Val::Undefined), |otherwise| self.evaluate(otherwise, input, frame))
            }
            Kind::Elvis { left, right } => match self.evaluate(left, input, frame)? {
                value if boolean(&self.meter, &value)? => Ok(value),
                _ => self.evaluate(right, input, frame),
            },
            Kind::Coalesce { left, right } => match self.evaluate(left, input, frame)? {
                Val::Undefined => self.evaluate(right, input, frame),
                value => Ok(value),
            },
            Kind::Bind { name, value } => {
                let value = self.evaluate(value, input, frame)?;
                frame.bind(Key::Name(name), value.clone());
                Ok(value)
            }
            Kind::Function(call) => self.call(call, node.offset, None, input, frame),
            Kind::TailCall(call) => {
                self.capture(frame)?;
                let kind = MadeKind::TailCall { call, input: input.clone(), frame: Rc::clone(frame) };
                Ok(Val::Function(Made::function(&self.meter, kind)))
            }
            Kind::Partial(call) => self.partial(call, node.offset, input, frame),
            Kind::Placeholder => Err(Failure::new("S0201").at(node.offset).token("?")),
            Kind::Lambda(lambda) => {
                self.capture(frame)?;
                let lambda = Lambda { node: lambda, parameters: None, input: input.clone(), frame: Rc::clone(frame) };
                Ok(Val::Function(Made::function(&self.meter, MadeKind::Lambda(lambda))))
            }
            Kind::Apply { left, right } => self.apply_operator(node.offset, left, right, input, frame),
            Kind::Transform(transform) => {
                self.capture(frame)?;
                let kind = MadeKind::Transform { node: transform, frame: Rc::clone(frame), input: input.clone() };
                Ok(Val::Function(Made::function(&self.meter, kind)))
            }
            Kind::Sort(_) => Err(Failure::new("S0201").at(node.offset).token("^")),
        }
    }

    /// The value of `$name`: bound by the expression, given, or of the library.
    pub fn variable(&self, name: &str, builtin: Option<&'static Builtin>, frame: &Frame<'a>) -> Result<Val<'a>> {
        let searched = match frame.lookup(Key::Name(name)) {
            Ok(value) => return Ok(value),
            Err(searched) => searched,
        };
        self.meter.step(u64::from(searched / 16))?;
        if name == "states"
            && let Some(parts) = self.environment.states
        {
            return Ok(Val::Object(Object::Parts(parts)));
        }
        Ok(match (self.environment.variables.get(name), builtin) {
            (Some(json), _) => Val::from_json(json),
            (None, Some(builtin)) if builtin.is_in(self.environment.dialect) => Val::Function(Func::Builtin(builtin)),
            (None, _) => Val::Undefined,
        })
    }

    fn block(&self, expressions: &'a [Node], input: &Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        let frame = Frame::within(frame)?;
        let mut value = Val::Undefined;
        for expression in expressions {
            value = self.evaluate(expression, input, &frame)?;
        }
        Ok(value)
    }

    fn construct_array(
        &self,
        items: &'a [Node],
        constructed: bool,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let flags = Flags { constructed, ..Flags::default() };
        // One element that is an array already is taken over whole: `[1..1000000]` is not copied.
        if let [item] = items
            && !matches!(item.kind, Kind::Array(_))
        {
            return Ok(match self.evaluate(item, input, frame)? {
                Val::Array(array) => Val::Array(array.with_flags(flags)),
                Val::Undefined => List::new(&self.meter).into_value(flags),
                value => List::of(&self.meter, [value])?.into_value(flags),
            });
        }
        let mut list = List::new(&self.meter);
        for item in items {
            match self.evaluate(item, input, frame)? {
                Val::Undefined => {}
                Val::Array(array) if !matches!(item.kind, Kind::Array(_)) => list.extend(&array)?,
                value => list.push(value)?,
            }
        }
        Ok(list.into_value(flags))
    }

    /// The members of that name, of an object or of all objects in an array.
    pub fn lookup(&self, input: &Val<'a>, name: &str) -> Result<Val<'a>> {
        match input {
            Val::Object(object) => Ok(object.get(name)),
            Val::Array(array) => {
                let mut found = List::new(&self.meter);
                self.lookup_all(array, name, &mut found)?;
                Ok(found.into_value(Flags::SEQUENCE))
            }
            Val::Tuple(tuple) => self.lookup(&tuple.context.clone(), name),
            _ => Ok(Val::Undefined),
        }
    }

    fn lookup_all(&self, array: &Array<'a>, name: &str, found: &mut List<'a>) -> Result<()> {
        self.meter.step(array.len() as u64 / 4 + 1)?;
        for item in array.iter() {
            match &item {
                Val::Array(inner) => self.lookup_all(inner, name, found)?,
                item => match self.lookup(item, name)? {
                    Val::Undefined => {}
                    Val::Array(inner) => found.extend(&inner)?,
                    value => found.push(value)?,
                },
            }
        }
        Ok(())
    }

    fn wildcard(&self, input: &Val<'a>) -> Result<Val<'a>> {
        let input = context(input);
        let values: Vec<Val<'a>> = match &input {
            Val::Array(array) => array.iter().collect(),
            Val::Object(object) => object.members().into_iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        };
        self.meter.step(values.len() as u64 / 4)?;
        let mut found = List::new(&self.meter);
        let mut flags = Flags::SEQUENCE;
        for value in values {
            match value {
                Val::Array(array) => {
                    self.flatten(&array, &mut found)?;
                    flags = Flags::default();
                }
                value => found.push(value)?,
            }
        }
        Ok(found.into_value(flags))
    }

    fn flatten(&self, array: &Array<'a>, into: &mut List<'a>) -> Result<()> {
        self.meter.step(array.len() as u64 / 4 + 1)?;
        array.iter().try_for_each(|item| match &item {
            Val::Array(inner) => self.flatten(inner, into),
            _ => into.push(item),
        })
    }

    fn descendants(&self, input: &Val<'a>) -> Result<Val<'a>> {
        if input.is_undefined() {
            return Ok(Val::Undefined);
        }
        let mut found = List::new(&self.meter);
        self.descend(input, &mut found)?;
        Ok(match found.items() {
            [only] => only.clone(),
            _ => found.into_value(Flags::SEQUENCE),
        })
    }

    fn descend(&self, input: &Val<'a>, found: &mut List<'a>) -> Result<()> {
        self.meter.step(1)?;
        match input {
            Val::Array(array) => array.iter().try_for_each(|item| self.descend(&item, found)),
            Val::Object(object) => {
                found.push(input.clone())?;
                object.members().into_iter().try_for_each(|(_, value)| self.descend(&value, found))
            }
            _ => found.push(input.clone()),
        }
    }

    /// Notes that a closure holds `frame`.
    fn capture(&self, frame: &Rc<Frame<'a>>) -> Result<()> {
        if !frame.capture()? {
            return Ok(());
        }
        let mut captured = self.captured.borrow_mut();
        if captured.len() == captured.capacity() {
            captured.retain(|frame| frame.strong_count() > 0);
        }
        captured.push(Rc::downgrade(frame));
        Ok(())
    }

    pub fn text(&self, text: String) -> Result<Val<'a>> {
        Text::made(&self.meter, text).map(Val::Text)
    }

    pub fn sequence(&self, items: impl IntoIterator<Item = Val<'a>>) -> Result<Val<'a>> {
        Ok(List::of(&self.meter, items)?.into_value(Flags::SEQUENCE))
    }
}

impl Drop for Evaluator<'_, '_> {
    fn drop(&mut self) {
        for frame in self.captured.borrow_mut().drain(..) {
            if let Some(frame) = frame.upgrade() {
                frame.clear();
            }
        }
    }
}

/// What `$` means.
fn context<'a>(input: &Val<'a>) -> Val<'a> {
    match input {
        Val::Array(array) if array.flags.outer => array.get(0),
        Val::Tuple(tuple) => tuple.context.clone(),
        input => input.clone(),
    }
}

fn unwrap_sequence<'a>(mut array: Array<'a>, keep: bool) -> Val<'a> {
    array.flags.keep_singleton |= keep;
    match array.len() {
        0 => Val::Undefined,
        1 if !array.flags.keep_singleton => array.get(0),
        _ => Val::Array(array),
    }
}

/// `array`, or what is no array as the only element of one. Nothing is an element too, as in the reference.
fn as_array<'a>(meter: &Rc<Meter<'a>>, value: Val<'a>) -> Result<Array<'a>> {
    match value {
        Val::Array(array) => Ok(array),
        value => Ok(List::of(meter, [value])?.into_array(Flags::SEQUENCE)),
    }
}
