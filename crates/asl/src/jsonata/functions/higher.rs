//! Functions that take functions.

use std::rc::Rc;

use super::super::error::{Failure, Result};
use super::super::evaluate::{Evaluator, boolean, merge_sort, order, truthy};
use super::super::function::{Arguments, Frame};
use super::super::value::{Array, Flags, List, Made, Val};
use super::super::{build, parse};

/// Calls `function` with as many of the three arguments as it takes.
fn call<'a>(
    evaluator: &Evaluator<'a, '_>,
    function: &Val<'a>,
    frame: &Rc<Frame<'a>>,
    value: Val<'a>,
    place: impl FnOnce() -> Val<'a>,
    whole: impl FnOnce() -> Val<'a>,
) -> Result<Val<'a>> {
    let arity = arity(function);
    let mut arguments = Vec::with_capacity(3);
    arguments.push(value);
    if arity >= 2 {
        arguments.push(place());
    }
    if arity >= 3 {
        arguments.push(whole());
    }
    evaluator.call_back(function, arguments, frame)
}

fn arity(function: &Val<'_>) -> usize {
    match function {
        Val::Function(function) => function.arity(),
        _ => 0,
    }
}

/// Calls `function` for each element, and gives element and answer to `keep`.
fn for_each<'a>(
    evaluator: &Evaluator<'a, '_>,
    array: &Array<'a>,
    function: &Val<'a>,
    frame: &Rc<Frame<'a>>,
    mut keep: impl FnMut(Val<'a>, Val<'a>) -> Result<()>,
) -> Result<()> {
    for (index, item) in array.iter().enumerate() {
        let whole = || Val::Array(array.clone());
        let answer = call(evaluator, function, frame, item.clone(), || Val::from(index), whole)?;
        keep(item, answer)?;
    }
    Ok(())
}

pub(super) fn map<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    let function = arguments.next();
    let mut mapped = List::new(&evaluator.meter);
    for_each(evaluator, &array, &function, &arguments.frame, |_, answer| match answer {
        Val::Undefined => Ok(()),
        answer => mapped.push(answer),
    })?;
    Ok(mapped.into_value(Flags::SEQUENCE))
}

pub(super) fn filter<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    let function = arguments.next();
    let mut kept = List::new(&evaluator.meter);
    for_each(evaluator, &array, &function, &arguments.frame, |item, answer| {
        if boolean(&evaluator.meter, &answer)? { kept.push(item) } else { Ok(()) }
    })?;
    Ok(kept.into_value(Flags::SEQUENCE))
}

pub(super) fn single<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    let function = arguments.next();
    let mut found = None;
    for (index, item) in array.iter().enumerate() {
        if function.is_function() {
            let whole = || Val::Array(array.clone());
            let frame = &arguments.frame;
            let answer = call(evaluator, &function, frame, item.clone(), || Val::from(index), whole)?;
            if !boolean(&evaluator.meter, &answer)? {
                continue;
            }
        }
        if found.replace(item).is_some() {
            return Err(Failure::new("D3138").index(index));
        }
    }
    found.ok_or_else(|| Failure::new("D3139"))
}

pub(super) fn reduce<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    let (function, first) = (arguments.next(), arguments.next());
    let arity = arity(&function);
    if arity < 2 {
        return Err(Failure::new("D3050").index(1));
    }
    let (mut result, start) = match first {
        Val::Undefined => (array.get(0), 1),
        first => (first, 0),
    };
    for index in start..array.len() {
        let mut given = vec![result, array.get(index)];
        if arity >= 3 {
            given.push(Val::from(index));
        }
        if arity >= 4 {
            given.push(Val::Array(array.clone()));
        }
        result = evaluator.call_back(&function, given, &arguments.frame)?;
    }
    Ok(result)
}

pub(super) fn each<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (value, function) = (arguments.next(), arguments.next());
    let mut results = List::new(&evaluator.meter);
    if let Val::Object(object) = &value {
        for (key, member) in object.members() {
            let key = || Val::Text(key);
            match call(evaluator, &function, &arguments.frame, member, key, || value.clone())? {
                Val::Undefined => {}
                answer => results.push(answer)?,
            }
        }
    }
    Ok(results.into_value(Flags::SEQUENCE))
}

pub(super) fn sift<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (value, function) = (arguments.next(), arguments.next());
    let Val::Object(object) = &value else { return Ok(Val::Undefined) };
    let kept = Made::new(&evaluator.meter);
    for (key, member) in object.members() {
        let name = || Val::Text(key.clone());
        let answer = call(evaluator, &function, &arguments.frame, member.clone(), name, || value.clone())?;
        if boolean(&evaluator.meter, &answer)? {
            kept.insert(key, member)?;
        }
    }
    let empty = kept.members().is_empty();
    Ok(if empty { Val::Undefined } else { kept.into_value() })
}

pub(super) fn sort<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(array) = arguments.next() else { return Ok(Val::Undefined) };
    let comparator = arguments.next();
    if array.len() <= 1 {
        return Ok(Val::Array(array));
    }
    let items: Vec<Val<'a>> = array.iter().collect();
    let sorted = if comparator.is_function() {
        merge_sort(items, &mut |left: &mut Val<'a>, right: &mut Val<'a>| {
            let given = vec![left.clone(), right.clone()];
            evaluator.call_back(&comparator, given, &arguments.frame).map(|answer| truthy(&answer))
        })?
    } else {
        let numbers = items.iter().all(|item| matches!(item, Val::Number(_)));
        if !numbers && !items.iter().all(|item| matches!(item, Val::Text(_))) {
            return Err(Failure::new("D3070").index(1));
        }
        merge_sort(items, &mut |left: &mut Val<'a>, right: &mut Val<'a>| {
            evaluator.meter.step(1)?;
            Ok(order(left, right).flatten().is_some_and(|order| order.is_gt()))
        })?
    };
    Ok(List::of(&evaluator.meter, sorted)?.into_value(Flags::default()))
}

/// Runs a text as an expression. Not in AWS's dialect.
pub(super) fn eval<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (expression, focus) = (arguments.next(), arguments.next());
    let Val::Text(text) = &expression else { return Ok(Val::Undefined) };
    let input = match focus {
        Val::Undefined => arguments.input.clone(),
        focus => evaluator.wrap_document(focus)?,
    };
    evaluator.meter.step(100 + text.len() as u64)?;
    let program =
        parse::parse(text).and_then(build::build).map_err(|failure| Failure::new("D3120").text(&failure.render()))?;
    let program = evaluator.programs.keep(program).ok_or_else(|| Failure::new("D3121").text("too many expressions"))?;
    match evaluator.evaluate(&program.root, &input, &arguments.frame) {
        Err(failure) if !failure.code.as_str().is_empty() => Err(Failure::new("D3121").text(&failure.render())),
        result => result,
    }
}
