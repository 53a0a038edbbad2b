//! Objects: `{...}` by itself and as grouping.

use std::rc::Rc;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::super::ast::Group;
use super::super::error::{Failure, Result};
use super::super::function::{Frame, Key};
use super::super::value::{Array, Flags, List, Made, Text, Tuple, Val};
use super::Evaluator;
use super::path::tuple_frame;

/// The items that have come to one key, and which pair they came by.
struct Members<'a> {
    pair: usize,
    items: Gathered<'a>,
}

enum Gathered<'a> {
    /// As it was found: an array is not yet a list of items.
    One(Val<'a>),
    Many(List<'a>),
}

impl<'a> Evaluator<'a, '_> {
    pub(super) fn evaluate_group(&self, group: &'a Group, input: Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        let groups = self.gather(group, input, frame)?;
        let object = Made::new(&self.meter);
        for (key, members) in groups {
            let context = match members.items {
                Gathered::One(value) => value,
                Gathered::Many(list) => list.into_value(Flags::default()),
            };
            let expression = &group.pairs[members.pair].1;
            let value = match self.merge_tuples(&context)? {
                Some(tuple) => {
                    let frame = tuple_frame(&tuple, frame)?;
                    self.evaluate(expression, &tuple.context, &frame)?
                }
                None => self.evaluate(expression, &context, frame)?,
            };
            if !value.is_undefined() {
                object.insert(key, value)?;
            }
        }
        Ok(object.into_value())
    }

    fn gather(
        &self,
        group: &'a Group,
        input: Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<IndexMap<Text<'a>, Members<'a>>> {
        let mut groups: IndexMap<Text<'a>, Members<'a>> = IndexMap::new();
        let items = match input {
            Val::Array(array) if array.is_empty() => single(Val::Undefined),
            Val::Array(array) => GroupItems::Array(array),
            value => single(value),
        };
        for index in 0..items.len() {
            let item = items.get(index);
            let (context, frame) = match &item {
                Val::Tuple(tuple) => (&tuple.context, tuple_frame(tuple, frame)?),
                item => (item, Rc::clone(frame)),
            };
            for (pair, (key, _)) in group.pairs.iter().enumerate() {
                let key = match self.evaluate(key, context, &frame)? {
                    Val::Undefined => continue,
                    Val::Text(key) => key,
                    other => return Err(Failure::new("T1003").at(group.offset).value(&other)),
                };
                match groups.entry(key) {
                    Entry::Vacant(entry) => {
                        entry.insert(Members { pair, items: Gathered::One(item.clone()) });
                    }
                    Entry::Occupied(entry) if entry.get().pair != pair => {
                        return Err(Failure::new("D1009").at(group.offset).text(entry.key()));
                    }
                    Entry::Occupied(mut entry) => self.append_to(&mut entry.get_mut().items, &item)?,
                }
            }
        }
        Ok(groups)
    }

    fn append_to(&self, gathered: &mut Gathered<'a>, item: &Val<'a>) -> Result<()> {
        if let Gathered::One(first) = gathered {
            let mut list = List::new(&self.meter);
            append(first.clone(), &mut list)?;
            *gathered = Gathered::Many(list);
        }
        match gathered {
            Gathered::Many(list) => append(item.clone(), list),
            Gathered::One(_) => Ok(()),
        }
    }

    /// One tuple with the values of all: what each has under a name becomes an array under it.
    fn merge_tuples(&self, context: &Val<'a>) -> Result<Option<Tuple<'a>>> {
        let tuples = match context {
            Val::Tuple(tuple) => return Ok(Some((**tuple).clone())),
            Val::Array(array) if matches!(array.get(0), Val::Tuple(_)) => array,
            _ => return Ok(None),
        };
        let mut contexts = List::new(&self.meter);
        let mut bindings: Vec<(Key<'a>, List<'a>)> = Vec::new();
        for tuple in tuples.iter() {
            let Val::Tuple(tuple) = tuple else { continue };
            append(tuple.context.clone(), &mut contexts)?;
            for (key, value) in &tuple.bindings {
                let list = match bindings.iter().position(|(known, _)| known == key) {
                    Some(index) => &mut bindings[index].1,
                    None => {
                        bindings.push((*key, List::new(&self.meter)));
                        let last = bindings.len() - 1;
                        &mut bindings[last].1
                    }
                };
                append(value.clone(), list)?;
            }
        }
        let bindings = bindings.into_iter().map(|(key, list)| (key, list.into_value(Flags::default()))).collect();
        Ok(Some(Tuple { context: contexts.into_value(Flags::default()), bindings }))
    }
}

enum GroupItems<'a> {
    One(Val<'a>),
    Array(Array<'a>),
}

fn single<'a>(value: Val<'a>) -> GroupItems<'a> {
    GroupItems::One(value)
}

impl<'a> GroupItems<'a> {
    fn len(&self) -> usize {
        match self {
            GroupItems::One(_) => 1,
            GroupItems::Array(array) => array.len(),
        }
    }

    fn get(&self, index: usize) -> Val<'a> {
        match self {
            GroupItems::One(value) => value.clone(),
            GroupItems::Array(array) => array.get(index),
        }
    }
}

/// As `$append` joins: an array gives its elements, nothing gives nothing.
fn append<'a>(value: Val<'a>, list: &mut List<'a>) -> Result<()> {
    match value {
        Val::Undefined => Ok(()),
        Val::Array(array) => list.extend(&array),
        value => list.push(value),
    }
}
