//! Paths: `a.b[c].d`, and tuple streams, which carry what `@`, `#` and `%` need.

use std::rc::Rc;

use super::super::ast::{Kind, Node, Stage};
use super::super::error::Result;
use super::super::function::{Frame, Key};
use super::super::value::{Array, Flags, List, Tuple, Val};
use super::{Evaluator, as_array, boolean};

/// What flows from step to step. One value, the usual case, needs no array.
#[derive(Clone)]
enum Stream<'a> {
    One(Val<'a>),
    Many(Array<'a>),
}

impl<'a> Evaluator<'a, '_> {
    pub(super) fn evaluate_path(
        &self,
        node: &'a Node,
        steps: &'a [Node],
        keep_singleton: bool,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        if steps.iter().any(|step| step.tuple) {
            return self.evaluate_tuple_path(node, steps, keep_singleton, input, frame);
        }
        let mut stream = self.start(steps, input);
        for (index, step) in steps.iter().enumerate() {
            let last = index + 1 == steps.len();
            stream = if index == 0 && step.constructs_array {
                self.constructed(step, stream, frame)?
            } else {
                self.step(step, stream, last, frame)?
            };
            if matches!(&stream, Stream::Many(array) if array.is_empty()) {
                break;
            }
        }
        self.finish_path(node, stream, keep_singleton, frame)
    }

    fn finish_path(
        &self,
        node: &'a Node,
        stream: Stream<'a>,
        keep_singleton: bool,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let mut array = match stream {
            Stream::One(value) if !keep_singleton && !node.keep_array && node.group().is_none() => return Ok(value),
            Stream::One(value) => List::of(&self.meter, [value])?.into_array(Flags::SEQUENCE),
            Stream::Many(array) => array,
        };
        if keep_singleton {
            if array.flags.constructed && !array.flags.sequence {
                array = List::of(&self.meter, [Val::Array(array)])?.into_array(Flags::SEQUENCE);
            }
            array.flags.keep_singleton = true;
        }
        match node.group() {
            Some(group) => self.evaluate_group(group, Val::Array(array), frame),
            None => Ok(Val::Array(array)),
        }
    }

    /// A variable starts from its value, any other first step maps over an array.
    fn start(&self, steps: &[Node], input: &Val<'a>) -> Stream<'a> {
        match input {
            Val::Array(array) if !matches!(steps[0].kind, Kind::Variable { .. }) => Stream::Many(array.clone()),
            input => Stream::One(input.clone()),
        }
    }

    /// An array constructor as first step is evaluated once, not for each element of the input.
    fn constructed(&self, step: &'a Node, stream: Stream<'a>, frame: &Rc<Frame<'a>>) -> Result<Stream<'a>> {
        let input = match stream {
            Stream::One(value) => List::of(&self.meter, [value])?.into_value(Flags::SEQUENCE),
            Stream::Many(array) => Val::Array(array),
        };
        Ok(match self.evaluate(step, &input, frame)? {
            Val::Array(array) => Stream::Many(array),
            Val::Undefined => nothing(self),
            value => Stream::One(value),
        })
    }

    fn step(&self, step: &'a Node, stream: Stream<'a>, last: bool, frame: &Rc<Frame<'a>>) -> Result<Stream<'a>> {
        if let Kind::Sort(terms) = &step.kind {
            let array = match stream {
                Stream::One(value) => List::of(&self.meter, [value])?.into_array(Flags::SEQUENCE),
                Stream::Many(array) => array,
            };
            let sorted = self.sort_by(terms, array, frame)?;
            return Ok(Stream::Many(self.stages(step, sorted, frame)?));
        }
        match stream {
            Stream::One(value) => Ok(match self.step_value(step, &value, frame)? {
                Val::Undefined => nothing(self),
                value => flatten_only(value, last),
            }),
            Stream::Many(array) => self.map_step(step, &array, last, frame),
        }
    }

    fn step_value(&self, step: &'a Node, input: &Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        let mut value = self.evaluate(step, input, frame)?;
        for stage in step.stages() {
            if let Stage::Filter(predicate) = stage {
                value = self.filter(predicate, value, frame)?;
            }
        }
        Ok(value)
    }

    fn map_step(&self, step: &'a Node, array: &Array<'a>, last: bool, frame: &Rc<Frame<'a>>) -> Result<Stream<'a>> {
        let mut only: Option<Val<'a>> = None;
        let mut list: Option<List<'a>> = None;
        for item in array.iter() {
            let value = self.step_value(step, &item, frame)?;
            if value.is_undefined() {
                continue;
            }
            match (&mut list, only.take()) {
                (None, None) => only = Some(value),
                (None, Some(first)) => {
                    let mut started = List::new(&self.meter);
                    flatten_into(first, &mut started)?;
                    flatten_into(value, &mut started)?;
                    list = Some(started);
                }
                (Some(list), _) => flatten_into(value, list)?,
            }
        }
        Ok(match (list, only) {
            (Some(list), _) => Stream::Many(list.into_array(Flags::SEQUENCE)),
            (None, Some(only)) => flatten_only(only, last),
            (None, None) => nothing(self),
        })
    }

    /// The elements of `input` for which `predicate` holds, or that it numbers.
    pub(super) fn filter(&self, predicate: &'a Node, input: Val<'a>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        let array = as_array(&self.meter, input)?;
        let flags = if array.flags.tuples { Flags::TUPLES } else { Flags::SEQUENCE };
        if let Kind::Number(number) = &predicate.kind {
            return Ok(match array.get(position(number.floor(), array.len())) {
                Val::Undefined => List::new(&self.meter).into_value(flags),
                Val::Array(item) => Val::Array(item),
                item => List::of(&self.meter, [item])?.into_value(flags),
            });
        }
        let mut list = List::new(&self.meter);
        for (index, item) in array.iter().enumerate() {
            let selected = match &item {
                Val::Tuple(tuple) if array.flags.tuples => {
                    let frame = tuple_frame(tuple, frame)?;
                    self.evaluate(predicate, &tuple.context, &frame)?
                }
                item => self.evaluate(predicate, item, frame)?,
            };
            // Nothing was asked too, as that may fail, but is nothing still.
            if self.selects(&selected, index, array.len())? && !item.is_undefined() {
                list.push(item)?;
            }
        }
        Ok(list.into_value(flags))
    }

    fn selects(&self, selected: &Val<'a>, index: usize, length: usize) -> Result<bool> {
        if let Some(number) = selected.as_numeric()? {
            return Ok(position(number.floor(), length) == index);
        }
        if let Val::Array(numbers) = selected {
            self.meter.step(numbers.len() as u64 / 8)?;
            let mut found = false;
            for number in numbers.iter() {
                match number.as_numeric()? {
                    Some(number) => found |= position(number.floor(), length) == index,
                    None => return boolean(&self.meter, selected),
                }
            }
            return Ok(found);
        }
        boolean(&self.meter, selected)
    }

    fn stages(&self, step: &'a Node, array: Array<'a>, frame: &Rc<Frame<'a>>) -> Result<Array<'a>> {
        let mut array = array;
        for stage in step.stages() {
            match stage {
                Stage::Filter(predicate) => {
                    let filtered = self.filter(predicate, Val::Array(array), frame)?;
                    array = as_array(&self.meter, filtered)?;
                }
                Stage::Index(name) => {
                    let mut list = List::new(&self.meter);
                    for (index, item) in array.iter().enumerate() {
                        list.push(match item {
                            Val::Tuple(tuple) => {
                                let mut tuple = (*tuple).clone();
                                tuple.bind(Key::Name(name), Val::from(index));
                                Val::Tuple(Rc::new(tuple))
                            }
                            item => item,
                        })?;
                    }
                    array = list.into_array(array.flags);
                }
            }
        }
        Ok(array)
    }

    fn evaluate_tuple_path(
        &self,
        node: &'a Node,
        steps: &'a [Node],
        keep_singleton: bool,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let mut stream = self.start(steps, input);
        let mut tuples: Option<Array<'a>> = None;
        let mut streaming = false;
        for (index, step) in steps.iter().enumerate() {
            streaming |= step.tuple;
            if index == 0 && step.constructs_array {
                let values = self.constructed(step, stream.clone(), frame)?;
                // A focus leaves the context what it was; an array constructor binds none, as in the reference.
                if step.focus().is_none() {
                    stream = values;
                }
                if !streaming && matches!(&stream, Stream::Many(array) if array.is_empty()) {
                    break;
                }
                continue;
            }
            if streaming {
                let before = match tuples.take() {
                    Some(tuples) => tuples,
                    None => self.first_tuples(step, std::mem::replace(&mut stream, nothing(self)))?,
                };
                tuples = Some(self.tuple_step(step, before, frame)?);
                continue;
            }
            stream = self.step(step, stream, false, frame)?;
            if matches!(&stream, Stream::Many(array) if array.is_empty()) {
                break;
            }
        }
        let Some(tuples) = tuples else { return self.finish_path(node, stream, keep_singleton, frame) };
        if let Some(group) = node.group() {
            return self.evaluate_group(group, Val::Array(tuples.with_flags(Flags::TUPLES)), frame);
        }
        if node.tuple {
            return Ok(Val::Array(tuples.with_flags(Flags::TUPLES)));
        }
        let mut list = List::new(&self.meter);
        for tuple in tuples.iter() {
            list.push(match tuple {
                Val::Tuple(tuple) => tuple.context.clone(),
                other => other,
            })?;
        }
        let flags = Flags { keep_singleton, ..Flags::SEQUENCE };
        Ok(list.into_value(flags))
    }

    /// The values that enter the first step of a stream, each as a tuple that binds nothing.
    fn first_tuples(&self, step: &'a Node, stream: Stream<'a>) -> Result<Array<'a>> {
        let array = match stream {
            Stream::One(value) => List::of(&self.meter, [value])?.into_array(Flags::SEQUENCE),
            Stream::Many(array) => array,
        };
        // A sort that comes first sorts the values themselves.
        if matches!(step.kind, Kind::Sort(_)) {
            return Ok(array);
        }
        let tuple = |context| Val::Tuple(Rc::new(Tuple { context, bindings: Vec::new() }));
        Ok(List::of(&self.meter, array.iter().map(tuple))?.into_array(Flags::TUPLES))
    }

    fn tuple_step(&self, step: &'a Node, before: Array<'a>, frame: &Rc<Frame<'a>>) -> Result<Array<'a>> {
        let after = if let Kind::Sort(terms) = &step.kind {
            let streamed = before.flags.tuples;
            let sorted = self.sort_by(terms, before, frame)?;
            if streamed { sorted.with_flags(Flags::TUPLES) } else { self.number_tuples(step, &sorted)? }
        } else {
            let mut list = List::new(&self.meter);
            for item in before.iter() {
                let Val::Tuple(tuple) = item else { continue };
                self.tuple_values(step, &tuple, &mut list, frame)?;
            }
            list.into_array(Flags::TUPLES)
        };
        self.stages(step, after, frame)
    }

    fn number_tuples(&self, step: &'a Node, sorted: &Array<'a>) -> Result<Array<'a>> {
        let mut list = List::new(&self.meter);
        for (index, context) in sorted.iter().enumerate() {
            let mut tuple = Tuple { context, bindings: Vec::new() };
            if let Some(name) = step.index() {
                tuple.bind(Key::Name(name), Val::from(index));
            }
            list.push(Val::Tuple(Rc::new(tuple)))?;
        }
        Ok(list.into_array(Flags::TUPLES))
    }

    /// What one tuple becomes in a step.
    fn tuple_values(
        &self,
        step: &'a Node,
        tuple: &Tuple<'a>,
        list: &mut List<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<()> {
        let inner = tuple_frame(tuple, frame)?;
        let value = self.evaluate(step, &tuple.context, &inner)?;
        if value.is_undefined() {
            return Ok(());
        }
        let values = as_array(&self.meter, value)?;
        for (index, value) in values.iter().enumerate() {
            let mut next = tuple.clone();
            match value {
                Val::Tuple(found) if values.flags.tuples => {
                    next.context = found.context.clone();
                    found.bindings.iter().for_each(|(key, value)| next.bind(*key, value.clone()));
                }
                value => {
                    match step.focus() {
                        Some(name) => next.bind(Key::Name(name), value),
                        None => next.context = value,
                    }
                    if let Some(name) = step.index() {
                        next.bind(Key::Name(name), Val::from(index));
                    }
                    if let Some(label) = step.ancestor() {
                        next.bind(Key::Label(label), tuple.context.clone());
                    }
                }
            }
            self.meter.step(1 + next.bindings.len() as u64 / 4)?;
            list.push(Val::Tuple(Rc::new(next)))?;
        }
        Ok(())
    }
}

/// A frame with what the tuple binds.
pub(super) fn tuple_frame<'a>(tuple: &Tuple<'a>, frame: &Rc<Frame<'a>>) -> Result<Rc<Frame<'a>>> {
    let frame = Frame::within(frame)?;
    tuple.bindings.iter().for_each(|(key, value)| frame.bind(*key, value.clone()));
    Ok(frame)
}

fn nothing<'a>(evaluator: &Evaluator<'a, '_>) -> Stream<'a> {
    Stream::Many(List::new(&evaluator.meter).into_array(Flags::SEQUENCE))
}

/// The only result of a step: an array of the data stays as it is if it is what the path ends in.
fn flatten_only<'a>(value: Val<'a>, last: bool) -> Stream<'a> {
    match value {
        Val::Array(array) if last && !array.flags.sequence => Stream::Many(array),
        Val::Array(array) if !array.flags.constructed => Stream::Many(array.with_flags(Flags::SEQUENCE)),
        value => Stream::One(value),
    }
}

fn flatten_into<'a>(value: Val<'a>, list: &mut List<'a>) -> Result<()> {
    match value {
        Val::Array(array) if !array.flags.constructed => list.extend(&array),
        value => list.push(value),
    }
}

/// Counted from the end if negative; beyond the ends it is no position.
fn position(index: i64, length: usize) -> usize {
    let index = if index < 0 { index.saturating_add(length as i64) } else { index };
    usize::try_from(index).unwrap_or(usize::MAX)
}
