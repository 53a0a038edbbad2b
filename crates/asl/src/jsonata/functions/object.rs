//! Objects, types and truth.

use indexmap::IndexSet;

use super::super::convert;
use super::super::error::{Failure, Result};
use super::super::evaluate::{Evaluator, boolean as is_true};
use super::super::function::Arguments;
use super::super::value::{Array, Flags, List, Made, Text, Val};

pub(super) fn keys<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let mut keys = IndexSet::new();
    collect_keys(evaluator, &arguments.next(), &mut keys)?;
    evaluator.sequence(keys.into_iter().map(Val::Text))
}

fn collect_keys<'a>(evaluator: &Evaluator<'a, '_>, value: &Val<'a>, keys: &mut IndexSet<Text<'a>>) -> Result<()> {
    match value {
        Val::Object(object) => {
            evaluator.meter.step(object.len() as u64 / 4)?;
            keys.extend(object.members().into_iter().map(|(key, _)| key));
            Ok(())
        }
        Val::Array(array) => {
            evaluator.meter.step(array.len() as u64 / 4)?;
            array.iter().try_for_each(|item| collect_keys(evaluator, &item, keys))
        }
        _ => Ok(()),
    }
}

pub(super) fn lookup<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (value, key) = (arguments.next(), arguments.next());
    match key.as_text() {
        Some(key) => evaluator.lookup(&value, key),
        None => Ok(Val::Undefined),
    }
}

pub(super) fn spread<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    match arguments.next() {
        Val::Object(object) => {
            let mut list = List::new(&evaluator.meter);
            spread_into(evaluator, &Val::Object(object), &mut list)?;
            Ok(list.into_value(Flags::SEQUENCE))
        }
        Val::Array(array) => {
            let mut list = List::new(&evaluator.meter);
            spread_array(evaluator, &array, &mut list)?;
            let flags = if array.is_empty() { Flags::SEQUENCE } else { Flags::default() };
            Ok(list.into_value(flags))
        }
        value => Ok(value),
    }
}

fn spread_array<'a>(evaluator: &Evaluator<'a, '_>, array: &Array<'a>, list: &mut List<'a>) -> Result<()> {
    array.iter().try_for_each(|item| spread_into(evaluator, &item, list))
}

fn spread_into<'a>(evaluator: &Evaluator<'a, '_>, value: &Val<'a>, list: &mut List<'a>) -> Result<()> {
    evaluator.meter.step(1)?;
    match value {
        Val::Undefined => Ok(()),
        Val::Array(array) => spread_array(evaluator, array, list),
        Val::Object(object) => object.members().into_iter().try_for_each(|(key, value)| {
            let single = Made::new(&evaluator.meter);
            single.insert(key, value)?;
            list.push(single.into_value())
        }),
        value => list.push(value.clone()),
    }
}

pub(super) fn merge<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(objects) = arguments.next() else { return Ok(Val::Undefined) };
    let merged = Made::new(&evaluator.meter);
    for object in objects.iter() {
        let Val::Object(object) = object else { continue };
        evaluator.meter.step(object.len() as u64 / 4 + 1)?;
        object.members().into_iter().try_for_each(|(key, value)| merged.insert(key, value))?;
    }
    Ok(merged.into_value())
}

pub(super) fn clone<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    match arguments.next() {
        Val::Undefined => Ok(Val::Undefined),
        value => convert::copy(&evaluator.meter, &value, 0),
    }
}

pub(super) fn exists<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    Ok(Val::Bool(!arguments.next().is_undefined()))
}

pub(super) fn type_name<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    Ok(match arguments.next() {
        Val::Undefined => Val::Undefined,
        value => Val::Text(Text::Borrowed(value.type_name())),
    })
}

pub(super) fn boolean<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    Ok(match arguments.next() {
        Val::Undefined => Val::Undefined,
        value => Val::Bool(is_true(&evaluator.meter, &value)?),
    })
}

pub(super) fn not<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    Ok(match arguments.next() {
        Val::Undefined => Val::Undefined,
        value => Val::Bool(!is_true(&evaluator.meter, &value)?),
    })
}

pub(super) fn error<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    Err(Failure::message("D3137", message(&arguments.next(), "$error() function evaluated")))
}

pub(super) fn assert<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    match arguments.next() {
        Val::Bool(true) => Ok(Val::Undefined),
        _ => Err(Failure::message("D3141", message(&arguments.next(), "$assert() statement failed"))),
    }
}

fn message(value: &Val<'_>, otherwise: &str) -> String {
    value.as_text().filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned()
}
