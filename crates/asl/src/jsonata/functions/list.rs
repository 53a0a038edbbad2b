//! Arrays.

use super::super::error::Result;
use super::super::evaluate::{Evaluator, deep_equal};
use super::super::function::Arguments;
use super::super::value::{Flags, List, Val};

pub(super) fn append<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (first, second) = (arguments.next(), arguments.next());
    match (&first, &second) {
        (Val::Undefined, _) => return Ok(second),
        (_, Val::Undefined) => return Ok(first),
        _ => {}
    }
    let mut list = List::new(&evaluator.meter);
    for value in [first, second] {
        match value {
            Val::Array(array) => list.extend(&array)?,
            value => list.push(value)?,
        }
    }
    Ok(list.into_value(Flags::default()))
}

pub(super) fn reverse<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    if array.len() <= 1 {
        return Ok(Val::Array(array));
    }
    evaluator.meter.step(array.len() as u64 / 8)?;
    let reversed = (0..array.len()).rev().map(|index| array.get(index));
    Ok(List::of(&evaluator.meter, reversed)?.into_value(Flags::default()))
}

pub(super) fn shuffle<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    if array.len() <= 1 {
        return Ok(Val::Array(array));
    }
    evaluator.meter.step(array.len() as u64 / 4)?;
    let mut list = List::of(&evaluator.meter, array.iter())?;
    let items = list.items_mut();
    for index in (1..items.len()).rev() {
        let random = (evaluator.environment.random.borrow_mut())();
        items.swap(index, ((u128::from(random) * (index as u128 + 1)) >> 64) as usize);
    }
    Ok(list.into_value(Flags::default()))
}

pub(super) fn distinct<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let array = match arguments.next() {
        Val::Array(array) if array.len() > 1 => array,
        value => return Ok(value),
    };
    let mut kept = List::new(&evaluator.meter);
    'items: for item in array.iter() {
        for known in kept.items() {
            if deep_equal(&evaluator.meter, known, &item)? {
                continue 'items;
            }
        }
        kept.push(item)?;
    }
    Ok(kept.into_value(if array.flags.sequence { Flags::SEQUENCE } else { Flags::default() }))
}

pub(super) fn zip<'a>(evaluator: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    let mut arrays = Vec::new();
    for value in arguments.values {
        match value {
            Val::Array(array) => arrays.push(array),
            _ => return Ok(List::new(&evaluator.meter).into_value(Flags::default())),
        }
    }
    let length = arrays.iter().map(|array| array.len()).min().unwrap_or(0);
    let mut tuples = List::new(&evaluator.meter);
    for index in 0..length {
        evaluator.meter.step(1)?;
        let tuple = List::of(&evaluator.meter, arrays.iter().map(|array| array.get(index)))?;
        tuples.push(tuple.into_value(Flags::default()))?;
    }
    Ok(tuples.into_value(Flags::default()))
}
