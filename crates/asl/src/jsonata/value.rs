//! Values during evaluation: JSON by reference, what is made on the way by count, functions.

use std::borrow::Borrow;
use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::Value;

use super::error::{Code, Failure, Result};
use super::function::{Func, Key};
use super::meter::{CHAR_BYTES, ELEMENT_BYTES, Meter};
use super::number::Number;

/// How deep arrays and objects may nest that an expression builds; they are dropped and printed by recursion.
pub(super) const NESTING_MAX: u32 = 500;

/// A value. Cheap to clone; JSON from outside stays where it is.
#[derive(Clone)]
pub(super) enum Val<'a> {
    Undefined,
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    Array(Array<'a>),
    Object(Object<'a>),
    Function(Func<'a>),
    /// An element of a tuple stream: `@` and what a path has bound on the way to it.
    Tuple(Rc<Tuple<'a>>),
}

/// What [`Val::Tuple`] carries.
#[derive(Clone)]
pub(super) struct Tuple<'a> {
    /// `@`
    pub context: Val<'a>,
    pub bindings: Vec<(Key<'a>, Val<'a>)>,
}

impl<'a> Tuple<'a> {
    pub fn bind(&mut self, key: Key<'a>, value: Val<'a>) {
        match self.bindings.iter_mut().find(|(bound, _)| *bound == key) {
            Some((_, old)) => *old = value,
            None => self.bindings.push((key, value)),
        }
    }
}

impl<'a> Val<'a> {
    pub fn from_json(json: &'a Value) -> Val<'a> {
        match json {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(*value),
            Value::Number(number) => Val::Number(Number::from_json(number)),
            Value::String(text) => Val::Text(Text::Borrowed(text)),
            Value::Array(items) => Val::Array(Array { items: Items::Json(items), flags: Flags::default() }),
            Value::Object(members) => Val::Object(Object::Json(members)),
        }
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Val::Undefined)
    }

    pub fn is_function(&self) -> bool {
        matches!(self, Val::Function(_))
    }

    /// A number that counts as one: an infinite one is an error wherever it is looked at.
    pub fn as_numeric(&self) -> Result<Option<Number>> {
        match self {
            Val::Number(number) if number.as_f64().is_infinite() => Err(Failure::new("D1001").value(self)),
            Val::Number(number) if !number.as_f64().is_nan() => Ok(Some(*number)),
            _ => Ok(None),
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Val::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How deep dropping it recurses.
    fn nesting(&self) -> u32 {
        match self {
            Val::Array(Array { items: Items::List(list), .. }) => list.nesting,
            Val::Object(Object::Made(made)) => made.nesting.get(),
            Val::Tuple(tuple) => {
                tuple.bindings.iter().map(|(_, value)| value.nesting()).max().unwrap_or(0).max(tuple.context.nesting())
                    + 1
            }
            _ => 0,
        }
    }

    /// Whether dropping it does anything.
    pub fn is_shared(&self) -> bool {
        match self {
            Val::Undefined | Val::Null | Val::Bool(_) | Val::Number(_) => false,
            Val::Text(text) => matches!(text, Text::Made(_)),
            Val::Array(array) => matches!(array.items, Items::List(_)),
            Val::Object(object) => matches!(object, Object::Made(_)),
            Val::Function(_) | Val::Tuple(_) => true,
        }
    }

    /// What the reference's `typeof` with arrays and null told apart calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Val::Undefined => "undefined",
            Val::Null => "null",
            Val::Bool(_) => "boolean",
            Val::Number(_) => "number",
            Val::Text(_) => "string",
            Val::Array(_) => "array",
            Val::Object(_) | Val::Tuple(_) => "object",
            Val::Function(_) => "function",
        }
    }
}

impl From<bool> for Val<'_> {
    fn from(value: bool) -> Self {
        Val::Bool(value)
    }
}

impl From<Number> for Val<'_> {
    fn from(number: Number) -> Self {
        Val::Number(number)
    }
}

impl From<f64> for Val<'_> {
    fn from(number: f64) -> Self {
        Val::Number(Number::from(number))
    }
}

impl From<usize> for Val<'_> {
    fn from(number: usize) -> Self {
        Val::Number(Number::Int(number as i64))
    }
}

/// A text of the input, of the expression, or made.
#[derive(Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<MadeText<'a>>),
}

pub(super) struct MadeText<'a> {
    text: Box<str>,
    meter: Rc<Meter<'a>>,
}

impl Drop for MadeText<'_> {
    fn drop(&mut self) {
        self.meter.release(self.text.len() * CHAR_BYTES);
    }
}

impl<'a> Text<'a> {
    /// Keeps a text that was made; [`TextBuilder`] for what may be long.
    pub fn made(meter: &Rc<Meter<'a>>, text: String) -> Result<Text<'a>> {
        meter.hold(text.len() * CHAR_BYTES)?;
        meter.step_bytes(text.len())?;
        Ok(Text::Made(Rc::new(MadeText { text: text.into(), meter: Rc::clone(meter) })))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Made(made) => &made.text,
        }
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A text in the making, paid for as it grows.
pub(super) struct TextBuilder<'a> {
    text: String,
    meter: Rc<Meter<'a>>,
}

impl<'a> TextBuilder<'a> {
    pub fn new(meter: &Rc<Meter<'a>>) -> TextBuilder<'a> {
        TextBuilder { text: String::new(), meter: Rc::clone(meter) }
    }

    pub fn push(&mut self, text: &str) -> Result<()> {
        self.meter.hold(text.len() * CHAR_BYTES)?;
        self.meter.step_bytes(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    pub fn push_char(&mut self, c: char) -> Result<()> {
        self.push(c.encode_utf8(&mut [0; 4]))
    }

    pub fn finish(mut self) -> Val<'a> {
        let text = std::mem::take(&mut self.text).into_boxed_str();
        Val::Text(Text::Made(Rc::new(MadeText { text, meter: Rc::clone(&self.meter) })))
    }
}

impl Drop for TextBuilder<'_> {
    fn drop(&mut self) {
        self.meter.release(self.text.len() * CHAR_BYTES);
    }
}

/// An array and what the reference remembers about it.
#[derive(Clone)]
pub(super) struct Array<'a> {
    pub items: Items<'a>,
    pub flags: Flags,
}

/// Marks of an array; they belong to this use of it, not to its elements.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// A result sequence: one element stands for itself, none for nothing.
    pub sequence: bool,
    /// Made by `[...]` as a step: not flattened into its surroundings.
    pub constructed: bool,
    /// `[]`: one element stays an array.
    pub keep_singleton: bool,
    /// The input document, wrapped so that it counts as one item.
    pub outer: bool,
    /// Its elements are [`Val::Tuple`].
    pub tuples: bool,
}

impl Flags {
    pub const SEQUENCE: Flags =
        Flags { sequence: true, constructed: false, keep_singleton: false, outer: false, tuples: false };
    pub const TUPLES: Flags = Flags { tuples: true, ..Flags::SEQUENCE };
}

/// The elements of an array.
#[derive(Clone)]
pub(super) enum Items<'a> {
    Json(&'a [Value]),
    List(Rc<List<'a>>),
    /// `[start..]` of so many integers, made as they are read.
    Range(Rc<Range<'a>>),
}

pub(super) struct Range<'a> {
    start: i64,
    length: usize,
    meter: Rc<Meter<'a>>,
}

impl Drop for Range<'_> {
    fn drop(&mut self) {
        self.meter.release(self.length * ELEMENT_BYTES);
    }
}

impl<'a> Array<'a> {
    pub fn range(meter: &Rc<Meter<'a>>, start: i64, length: usize) -> Result<Array<'a>> {
        meter.hold(length.saturating_mul(ELEMENT_BYTES))?;
        let range = Range { start, length, meter: Rc::clone(meter) };
        Ok(Array { items: Items::Range(Rc::new(range)), flags: Flags::SEQUENCE })
    }

    pub fn len(&self) -> usize {
        match &self.items {
            Items::Json(items) => items.len(),
            Items::List(list) => list.items.len(),
            Items::Range(range) => range.length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `Undefined` beyond the end, as in the reference.
    pub fn get(&self, index: usize) -> Val<'a> {
        match &self.items {
            Items::Json(items) => items.get(index).map_or(Val::Undefined, Val::from_json),
            Items::List(list) => list.items.get(index).cloned().unwrap_or(Val::Undefined),
            Items::Range(range) if index < range.length => Val::Number(Number::Int(range.start + index as i64)),
            Items::Range(_) => Val::Undefined,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    pub fn with_flags(self, flags: Flags) -> Array<'a> {
        Array { items: self.items, flags }
    }

    /// Whether both are the same elements in memory.
    pub fn is_same(&self, other: &Array<'a>) -> bool {
        match (&self.items, &other.items) {
            (Items::Json(a), Items::Json(b)) => std::ptr::eq(*a, *b),
            (Items::List(a), Items::List(b)) => Rc::ptr_eq(a, b),
            (Items::Range(a), Items::Range(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// An array in the making, paid for as it grows.
pub(super) struct List<'a> {
    items: Vec<Val<'a>>,
    nesting: u32,
    held_bytes: usize,
    meter: Rc<Meter<'a>>,
}

impl<'a> List<'a> {
    pub fn new(meter: &Rc<Meter<'a>>) -> List<'a> {
        List { items: Vec::new(), nesting: 1, held_bytes: 0, meter: Rc::clone(meter) }
    }

    pub fn of(meter: &Rc<Meter<'a>>, items: impl IntoIterator<Item = Val<'a>>) -> Result<List<'a>> {
        let mut list = List::new(meter);
        for item in items {
            list.push(item)?;
        }
        Ok(list)
    }

    pub fn push(&mut self, value: Val<'a>) -> Result<()> {
        self.meter.hold(ELEMENT_BYTES)?;
        self.held_bytes += ELEMENT_BYTES;
        self.nesting = self.nesting.max(value.nesting() + 1);
        if self.nesting > NESTING_MAX {
            return Err(Failure::bound(Code::Depth));
        }
        self.items.push(value);
        Ok(())
    }

    /// Adds the elements of `array`.
    pub fn extend(&mut self, array: &Array<'a>) -> Result<()> {
        self.meter.step(array.len() as u64 / 8)?;
        self.items.reserve(array.len().min(1024));
        array.iter().try_for_each(|item| self.push(item))
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn items(&self) -> &[Val<'a>] {
        &self.items
    }

    pub fn items_mut(&mut self) -> &mut [Val<'a>] {
        &mut self.items
    }

    pub fn into_array(self, flags: Flags) -> Array<'a> {
        Array { items: Items::List(Rc::new(self)), flags }
    }

    pub fn into_value(self, flags: Flags) -> Val<'a> {
        Val::Array(self.into_array(flags))
    }
}

impl Drop for List<'_> {
    fn drop(&mut self) {
        self.meter.release(self.held_bytes);
    }
}

/// An object.
#[derive(Clone)]
pub(super) enum Object<'a> {
    Json(&'a serde_json::Map<String, Value>),
    /// `$states`, of parts that lie apart.
    Parts(&'a [(&'static str, &'a Value)]),
    Made(Rc<Made<'a>>),
}

/// An object made on the way; only the transform operator changes one.
pub(super) struct Made<'a> {
    members: RefCell<IndexMap<Text<'a>, Val<'a>>>,
    nesting: Cell<u32>,
    held_bytes: Cell<usize>,
    generation: u64,
    meter: Rc<Meter<'a>>,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        self.meter.release(self.held_bytes.get());
    }
}

impl<'a> Made<'a> {
    pub fn new(meter: &Rc<Meter<'a>>) -> Made<'a> {
        Made::of_generation(meter, 0)
    }

    /// An object of the copy with that number.
    pub fn of_generation(meter: &Rc<Meter<'a>>, generation: u64) -> Made<'a> {
        Made {
            members: RefCell::default(),
            nesting: Cell::new(1),
            held_bytes: Cell::new(0),
            generation,
            meter: Rc::clone(meter),
        }
    }

    pub fn insert(&self, key: Text<'a>, value: Val<'a>) -> Result<()> {
        let bytes = 2 * ELEMENT_BYTES;
        self.meter.hold(bytes)?;
        self.held_bytes.set(self.held_bytes.get() + bytes);
        self.nesting.set(self.nesting.get().max(value.nesting() + 1));
        if self.nesting.get() > NESTING_MAX {
            return Err(Failure::bound(Code::Depth));
        }
        // What it replaces is dropped after the borrow has ended.
        let _replaced = self.members.borrow_mut().insert(key, value);
        Ok(())
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn remove(&self, key: &str) {
        let _removed = self.members.borrow_mut().shift_remove(key);
    }

    pub fn into_value(self) -> Val<'a> {
        Val::Object(Object::Made(Rc::new(self)))
    }

    pub fn members(&self) -> Ref<'_, IndexMap<Text<'a>, Val<'a>>> {
        self.members.borrow()
    }
}

impl<'a> Object<'a> {
    pub fn get(&self, key: &str) -> Val<'a> {
        match self {
            Object::Json(members) => members.get(key).map_or(Val::Undefined, Val::from_json),
            Object::Parts(parts) => {
                let part = parts.iter().find(|(name, _)| *name == key);
                part.map_or(Val::Undefined, |(_, value)| Val::from_json(value))
            }
            Object::Made(made) => made.members.borrow().get(key).cloned().unwrap_or(Val::Undefined),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Object::Json(members) => members.len(),
            Object::Parts(parts) => parts.len(),
            Object::Made(made) => made.members.borrow().len(),
        }
    }

    /// Its members as they are now. Copied, so that nothing stays borrowed while an expression runs.
    pub fn members(&self) -> Vec<(Text<'a>, Val<'a>)> {
        match self {
            Object::Json(members) => {
                members.iter().map(|(key, value)| (Text::Borrowed(key), Val::from_json(value))).collect()
            }
            Object::Parts(parts) => {
                parts.iter().map(|(key, value)| (Text::Borrowed(key), Val::from_json(value))).collect()
            }
            Object::Made(made) => {
                made.members.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            }
        }
    }

    pub fn is_same(&self, other: &Object<'a>) -> bool {
        match (self, other) {
            (Object::Json(a), Object::Json(b)) => std::ptr::eq(*a, *b),
            (Object::Parts(a), Object::Parts(b)) => std::ptr::eq(*a, *b),
            (Object::Made(a), Object::Made(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}
