//! Times: `$now`, `$millis`, `$fromMillis`, `$toMillis` with pictures of XPath's `format-dateTime`.

mod calendar;
mod format;
mod picture;
mod read;

use calendar::Moment;

use super::super::error::{Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::value::Val;
use picture::Picture;

/// How far from 1970 a time may be, as in ECMAScript.
const MILLIS_MAX: f64 = 8.64e15;

pub(super) fn millis<'a>(evaluator: &Evaluator<'a, '_>, _: Arguments<'a>) -> Result<Val<'a>> {
    Ok(Val::from(evaluator.environment.now.as_millis() as f64))
}

pub(super) fn now<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let now = evaluator.environment.now.as_millis() as f64;
    write(evaluator, now, &arguments.next(), &arguments.next())
}

pub(super) fn from_millis<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Number(millis) = arguments.next() else { return Ok(Val::Undefined) };
    write(evaluator, millis.as_f64(), &arguments.next(), &arguments.next())
}

fn write<'a>(evaluator: &Evaluator<'a, '_>, millis: f64, picture: &Val<'a>, zone: &Val<'a>) -> Result<Val<'a>> {
    if millis.is_nan() || millis.abs() > MILLIS_MAX {
        return Err(Failure::new("D1001").value(&Val::from(millis)));
    }
    let picture = picture.as_text().unwrap_or("[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]");
    evaluator.meter.step(10 + picture.len() as u64)?;
    let picture = Picture::parse(picture)?;
    // `+HHMM`, so hours and minutes are read apart.
    let offset = zone.as_text().map_or(0.0, super::integer::parse_int);
    let offset = if offset.is_nan() { 0 } else { offset.clamp(-9999.0, 9999.0) as i64 };
    let (hours, minutes) = (offset / 100, offset % 100);
    let moment = Moment::from_millis(millis.floor() as i64 + (hours * 60 + minutes) * 60_000);
    evaluator.text(format::format(&picture, &moment, hours, minutes)?)
}

pub(super) fn to_millis<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, picture) = (arguments.next(), arguments.next());
    let Val::Text(text) = text else { return Ok(Val::Undefined) };
    evaluator.meter.step(10 + text.len() as u64)?;
    let Val::Text(picture) = picture else {
        return match read::iso_8601(&text) {
            Some(millis) => Ok(Val::from(millis)),
            None => Err(Failure::new("D3110").text(&text)),
        };
    };
    evaluator.meter.step(picture.len() as u64)?;
    let now = Moment::from_millis(evaluator.environment.now.as_millis());
    let millis = read::read(&evaluator.meter, &Picture::parse(&picture)?, &text, &now)?;
    Ok(millis.map_or(Val::Undefined, Val::from))
}
