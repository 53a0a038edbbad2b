//! Texts.

use super::super::convert;
use super::super::error::Result;
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::value::{Text, TextBuilder, Val};

pub(super) fn string<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let value = arguments.next();
    let pretty = matches!(arguments.next(), Val::Bool(true));
    match value {
        Val::Undefined | Val::Text(_) => Ok(value),
        value => {
            let mut text = TextBuilder::new(&evaluator.meter);
            convert::write_text(&mut text, &value, pretty)?;
            Ok(text.finish())
        }
    }
}

pub(super) fn length<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.meter.step_bytes(text.len())?;
    Ok(Val::from(text.chars().count()))
}

pub(super) fn lowercase<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.text(text.to_lowercase())
}

pub(super) fn uppercase<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.text(text.to_uppercase())
}

pub(super) fn substring<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.meter.step_bytes(text.len())?;
    let length = text.chars().count() as f64;
    let mut start = match arguments.next() {
        Val::Number(number) => number.as_f64(),
        _ => 0.0,
    };
    if length + start < 0.0 {
        start = 0.0;
    }
    let end = match arguments.next() {
        Val::Number(wanted) if wanted.as_f64() <= 0.0 => return Ok(Val::Text(Text::Borrowed(""))),
        Val::Number(wanted) if start >= 0.0 => start + wanted.as_f64(),
        Val::Number(wanted) => length + start + wanted.as_f64(),
        _ => length,
    };
    slice(evaluator, &text, position(start, length), position(end, length))
}

/// As `Array.prototype.slice` takes a position.
fn position(position: f64, length: f64) -> usize {
    let position = position.trunc();
    let position = if position < 0.0 { position + length } else { position };
    position.clamp(0.0, length) as usize
}

fn slice<'a>(evaluator: &Evaluator<'a, '_>, text: &Text<'a>, start: usize, end: usize) -> Result<Val<'a>> {
    let byte = |position: usize| text.char_indices().nth(position).map_or(text.len(), |(at, _)| at);
    if start >= end {
        return Ok(Val::Text(Text::Borrowed("")));
    }
    part(evaluator, text, byte(start), byte(end))
}

/// A part of a text; of a text from outside without a copy.
pub(super) fn part<'a>(evaluator: &Evaluator<'a, '_>, text: &Text<'a>, start: usize, end: usize) -> Result<Val<'a>> {
    match text {
        Text::Borrowed(text) => Ok(Val::Text(Text::Borrowed(&text[start..end]))),
        Text::Made(_) => evaluator.text(text[start..end].to_owned()),
    }
}

pub(super) fn substring_before<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, separator) = match (arguments.next(), arguments.next()) {
        (Val::Text(text), Val::Text(separator)) => (text, separator),
        (text, _) => return Ok(text),
    };
    evaluator.meter.step_bytes(text.len())?;
    match text.find(&*separator) {
        Some(end) => part(evaluator, &text, 0, end),
        None => Ok(Val::Text(text)),
    }
}

pub(super) fn substring_after<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, separator) = match (arguments.next(), arguments.next()) {
        (Val::Text(text), Val::Text(separator)) => (text, separator),
        (text, _) => return Ok(text),
    };
    evaluator.meter.step_bytes(text.len())?;
    match text.find(&*separator) {
        Some(start) => part(evaluator, &text, start + separator.len(), text.len()),
        None => Ok(Val::Text(text)),
    }
}

/// Runs of white space become one space, those at the ends nothing.
pub(super) fn trim<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    let words = text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
    let mut trimmed = TextBuilder::new(&evaluator.meter);
    evaluator.meter.step_bytes(text.len())?;
    for (index, word) in words.enumerate() {
        if index > 0 {
            trimmed.push(" ")?;
        }
        trimmed.push(word)?;
    }
    Ok(trimmed.finish())
}

pub(super) fn pad<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    let width = match arguments.next() {
        Val::Number(number) => number.as_f64(),
        _ => 0.0,
    };
    let filler = match arguments.next() {
        Val::Text(filler) if !filler.is_empty() => filler,
        _ => Text::Borrowed(" "),
    };
    let missing = width.abs() - text.chars().count() as f64;
    if missing < 1.0 {
        return Ok(Val::Text(text));
    }
    let mut padded = TextBuilder::new(&evaluator.meter);
    if width > 0.0 {
        padded.push(&text)?;
    }
    for c in filler.chars().cycle().take(missing as usize) {
        padded.push_char(c)?;
    }
    if width <= 0.0 {
        padded.push(&text)?;
    }
    Ok(padded.finish())
}

pub(super) fn join<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Array(texts) = arguments.next() else { return Ok(Val::Undefined) };
    let separator = arguments.next();
    let mut joined = TextBuilder::new(&evaluator.meter);
    evaluator.meter.step(texts.len() as u64 / 4)?;
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            joined.push(separator.as_text().unwrap_or_default())?;
        }
        joined.push(text.as_text().unwrap_or_default())?;
    }
    Ok(joined.finish())
}
