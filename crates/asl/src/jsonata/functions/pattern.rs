//! Searching texts, for texts and for patterns.

use std::rc::Rc;

use super::super::convert;
use super::super::error::{Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::{Arguments, Frame, Func, Made as MadeFunction, MadeKind};
use super::super::regex::{Match, Regex};
use super::super::value::{Flags, List, Made, Text, TextBuilder, Val};
use super::text::part;

/// What was found, by a pattern or by a function that stands for one.
struct Found<'a> {
    matched: Val<'a>,
    /// In bytes.
    start: usize,
    end: usize,
    groups: Vec<Val<'a>>,
    /// As a replacing function gets it.
    object: Option<Val<'a>>,
}

/// The matches of a text one after the other.
struct Matches<'a, 'f> {
    text: Text<'a>,
    frame: &'f Rc<Frame<'a>>,
    source: Source<'a>,
}

enum Source<'a> {
    Regex {
        regex: &'a Regex,
        from: usize,
        first: bool,
    },
    /// Called with the text, then without: each answer brings the function for the next.
    Function {
        function: Val<'a>,
        first: bool,
    },
    Done,
}

impl<'a, 'f> Matches<'a, 'f> {
    fn new(text: &Text<'a>, matcher: Val<'a>, frame: &'f Rc<Frame<'a>>) -> Matches<'a, 'f> {
        let source = match matcher {
            Val::Function(Func::Regex(regex)) => Source::Regex { regex, from: 0, first: true },
            function => Source::Function { function, first: true },
        };
        Matches { text: text.clone(), frame, source }
    }

    fn next(&mut self, evaluator: &Evaluator<'a, '_>) -> Result<Option<Found<'a>>> {
        evaluator.meter.step(2)?;
        match std::mem::replace(&mut self.source, Source::Done) {
            Source::Regex { from, first: false, .. } if from >= self.text.len() => Ok(None),
            Source::Regex { regex, from, first } => self.next_match(evaluator, regex, from, first),
            Source::Function { function, first } => self.next_answer(evaluator, &function, first),
            Source::Done => Ok(None),
        }
    }

    fn next_match(
        &mut self,
        evaluator: &Evaluator<'a, '_>,
        regex: &'a Regex,
        from: usize,
        first: bool,
    ) -> Result<Option<Found<'a>>> {
        let Some(found) = regex.find(&evaluator.meter, &self.text, from)? else { return Ok(None) };
        if found.range.is_empty() && !first {
            return Err(Failure::new("D1004").text(regex.source()));
        }
        let (start, end) = (found.range.start, found.range.end);
        self.source = Source::Regex { regex, from: end, first: false };
        let groups = groups(evaluator, &self.text, &found)?;
        Ok(Some(Found { matched: part(evaluator, &self.text, start, end)?, start, end, groups, object: None }))
    }

    fn next_answer(
        &mut self,
        evaluator: &Evaluator<'a, '_>,
        function: &Val<'a>,
        first: bool,
    ) -> Result<Option<Found<'a>>> {
        let arguments = if first { vec![Val::Text(self.text.clone())] } else { Vec::new() };
        let answer = evaluator.call_back(function, arguments, self.frame)?;
        let member = |name| evaluator.lookup(&answer, name);
        let (start, end, groups, next) = (member("start")?, member("end")?, member("groups")?, member("next")?);
        let is_match = matches!(start, Val::Number(_)) || matches!(groups, Val::Array(_)) || next.is_function();
        match &answer {
            Val::Undefined | Val::Null | Val::Bool(false) => return Ok(None),
            _ if !is_match => return Err(Failure::new("T1010")),
            _ => {}
        }
        if next.is_function() {
            self.source = Source::Function { function: next, first: false };
        }
        let groups = match groups {
            Val::Array(groups) => groups.iter().collect(),
            _ => Vec::new(),
        };
        let at = |value: Val<'a>| match value {
            Val::Number(number) => byte_of(&self.text, number.as_f64()),
            _ => 0,
        };
        let (start, end) = (at(start), at(end));
        Ok(Some(Found { matched: member("match")?, start, end: end.max(start), groups, object: Some(answer.clone()) }))
    }
}

fn groups<'a>(evaluator: &Evaluator<'a, '_>, text: &Text<'a>, found: &Match) -> Result<Vec<Val<'a>>> {
    let group = |group: &Option<std::ops::Range<usize>>| match group {
        Some(range) => part(evaluator, text, range.start, range.end),
        None => Ok(Val::Undefined),
    };
    found.groups.iter().map(group).collect()
}

/// A match as a function sees it: `{ match, start, end, groups, next }`.
pub(in super::super) fn match_object<'a>(
    evaluator: &Evaluator<'a, '_>,
    regex: &'a Regex,
    text: &Text<'a>,
    found: &Match,
) -> Result<Val<'a>> {
    let object = Made::new(&evaluator.meter);
    let range = &found.range;
    object.insert(Text::Borrowed("match"), part(evaluator, text, range.start, range.end)?)?;
    object.insert(Text::Borrowed("start"), Val::from(units(&text[..range.start])))?;
    object.insert(Text::Borrowed("end"), Val::from(units(&text[..range.end])))?;
    let groups = List::of(&evaluator.meter, groups(evaluator, text, found)?)?;
    object.insert(Text::Borrowed("groups"), groups.into_value(Flags::default()))?;
    let next = MadeKind::NextMatch { regex, text: text.clone(), from: range.end };
    object.insert(Text::Borrowed("next"), Val::Function(MadeFunction::function(&evaluator.meter, next)))?;
    Ok(object.into_value())
}

/// How many UTF-16 units a text has: what positions count for the reference.
fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn byte_of(text: &str, units: f64) -> usize {
    let mut left = units.max(0.0) as usize;
    for (at, c) in text.char_indices() {
        if left < c.len_utf16() {
            return at;
        }
        left -= c.len_utf16();
    }
    text.len()
}

/// A limit on how many; not given is none.
fn limit(value: &Val<'_>, code: &'static str, index: usize) -> Result<f64> {
    match value {
        Val::Number(number) if number.as_f64() < 0.0 => Err(Failure::new(code).value(value).index(index)),
        Val::Number(number) => Ok(number.as_f64()),
        _ => Ok(f64::INFINITY),
    }
}

pub(super) fn contains<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    Ok(Val::Bool(match arguments.next() {
        Val::Text(sought) => {
            evaluator.meter.step_bytes(text.len())?;
            text.contains(&*sought)
        }
        Val::Undefined => return Ok(Val::Undefined),
        matcher => Matches::new(&text, matcher, &arguments.frame).next(evaluator)?.is_some(),
    }))
}

pub(super) fn match_all<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, matcher, most) = (arguments.next(), arguments.next(), arguments.next());
    let Val::Text(text) = text else { return Ok(Val::Undefined) };
    let most = limit(&most, "D3040", 3)?;
    let mut found = List::new(&evaluator.meter);
    let mut matches = Matches::new(&text, matcher, &arguments.frame);
    let (mut byte, mut unit) = (0, 0);
    while (found.len() as f64) < most {
        let Some(next) = matches.next(evaluator)? else { break };
        if next.start >= byte {
            unit += units(&text[byte..next.start]);
            byte = next.start;
        } else {
            (byte, unit) = (next.start, units(&text[..next.start]));
        }
        let object = Made::new(&evaluator.meter);
        object.insert(Text::Borrowed("match"), next.matched)?;
        object.insert(Text::Borrowed("index"), Val::from(unit))?;
        let groups = List::of(&evaluator.meter, next.groups)?.into_value(Flags::default());
        object.insert(Text::Borrowed("groups"), groups)?;
        found.push(object.into_value())?;
    }
    Ok(found.into_value(Flags::SEQUENCE))
}

pub(super) fn split<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, separator, most) = (arguments.next(), arguments.next(), arguments.next());
    let Val::Text(text) = text else { return Ok(Val::Undefined) };
    let most = limit(&most, "D3020", 3)?;
    let mut parts = List::new(&evaluator.meter);
    match separator {
        Val::Text(separator) => {
            evaluator.meter.step_bytes(text.len())?;
            split_at_text(evaluator, &text, &separator, most.floor(), &mut parts)?;
        }
        Val::Undefined => parts.push(Val::Text(text))?,
        matcher => {
            let mut matches = Matches::new(&text, matcher, &arguments.frame);
            let mut start = 0;
            while (parts.len() as f64) < most
                && let Some(found) = matches.next(evaluator)?
            {
                parts.push(part(evaluator, &text, start.min(found.start), found.start)?)?;
                start = found.end;
            }
            if (parts.len() as f64) < most {
                parts.push(part(evaluator, &text, start, text.len())?)?;
            }
        }
    }
    Ok(parts.into_value(Flags::default()))
}

fn split_at_text<'a>(
    evaluator: &Evaluator<'a, '_>,
    text: &Text<'a>,
    separator: &str,
    most: f64,
    parts: &mut List<'a>,
) -> Result<()> {
    if separator.is_empty() {
        for (at, c) in text.char_indices() {
            if parts.len() as f64 >= most {
                break;
            }
            parts.push(part(evaluator, text, at, at + c.len_utf8())?)?;
        }
        return Ok(());
    }
    let mut start = 0;
    for (at, _) in text.match_indices(separator) {
        if parts.len() as f64 >= most {
            return Ok(());
        }
        parts.push(part(evaluator, text, start, at)?)?;
        start = at + separator.len();
    }
    if (parts.len() as f64) < most {
        parts.push(part(evaluator, text, start, text.len())?)?;
    }
    Ok(())
}

pub(super) fn replace<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, pattern) = (arguments.next(), arguments.next());
    let (replacement, most) = (arguments.next(), arguments.next());
    let Val::Text(text) = text else { return Ok(Val::Undefined) };
    if pattern.as_text() == Some("") {
        return Err(Failure::new("D3010").value(&pattern).index(2));
    }
    let most = limit(&most, "D3011", 4)?;
    let mut replaced = TextBuilder::new(&evaluator.meter);
    let mut position = 0;
    match pattern {
        Val::Text(pattern) => {
            evaluator.meter.step_bytes(text.len())?;
            let replacement = match &replacement {
                Val::Undefined => Text::Borrowed(""),
                replacement => convert::to_text(&evaluator.meter, replacement)?,
            };
            for (count, (at, _)) in text.match_indices(&*pattern).enumerate() {
                if count as f64 >= most {
                    break;
                }
                replaced.push(&text[position..at])?;
                replaced.push(&replacement)?;
                position = at + pattern.len();
            }
        }
        matcher => {
            let mut matches = Matches::new(&text, matcher.clone(), &arguments.frame);
            let mut count = 0;
            while f64::from(count) < most
                && let Some(found) = matches.next(evaluator)?
            {
                replaced.push(&text[position.min(found.start)..found.start])?;
                let length = found.matched.as_text().map_or(0, str::len);
                position = (found.start + length).min(text.len());
                substitute(evaluator, &mut replaced, &replacement, &matcher, &text, found, &arguments.frame)?;
                count += 1;
            }
        }
    }
    // A match object that lies about its place may point into a character.
    let rest = text.get(position..).unwrap_or_default();
    replaced.push(rest)?;
    Ok(replaced.finish())
}

/// Writes what takes the place of one match.
fn substitute<'a>(
    evaluator: &Evaluator<'a, '_>,
    replaced: &mut TextBuilder<'a>,
    replacement: &Val<'a>,
    matcher: &Val<'a>,
    text: &Text<'a>,
    found: Found<'a>,
    frame: &Rc<Frame<'a>>,
) -> Result<()> {
    if let Val::Text(template) = replacement {
        return expand(replaced, template, &found);
    }
    let object = match (found.object, matcher) {
        (Some(object), _) => object,
        (None, Val::Function(Func::Regex(regex))) => {
            let again = regex.find(&evaluator.meter, text, found.start)?;
            let again = again.unwrap_or(Match { range: found.start..found.end, groups: Vec::new() });
            match_object(evaluator, regex, text, &again)?
        }
        (None, _) => Val::Undefined,
    };
    match evaluator.call_back(replacement, vec![object], frame)? {
        Val::Text(text) => replaced.push(&text),
        other => Err(Failure::new("D3012").value(&other)),
    }
}

/// `$0`, `$1`, `$$` of a replacement.
fn expand<'a>(replaced: &mut TextBuilder<'a>, template: &str, found: &Found<'a>) -> Result<()> {
    let count = found.groups.len();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        replaced.push(&rest[..dollar])?;
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            replaced.push("$")?;
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix('0') {
            replaced.push(found.matched.as_text().unwrap_or_default())?;
            rest = after;
            continue;
        }
        // As many digits as the number of groups has, one less if that names no group.
        let digits_max = if count == 0 { 1 } else { count.ilog10() as usize + 1 };
        let digits = rest.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
        let number = |digits: usize| rest[..digits].parse::<usize>().ok();
        let (digits, index) = match number(digits) {
            Some(index) if index > count && digits > 1 => (digits - 1, number(digits - 1)),
            index => (digits, index),
        };
        match index {
            Some(index) => {
                let group = index.checked_sub(1).and_then(|index| found.groups.get(index));
                replaced.push(group.and_then(Val::as_text).unwrap_or_default())?;
                rest = &rest[digits..];
            }
            None => replaced.push("$")?,
        }
    }
    replaced.push(rest)
}
