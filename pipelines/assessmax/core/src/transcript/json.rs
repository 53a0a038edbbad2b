//! JSON: a list of utterances, bare or as `segments` of an object.

use serde_json::Value;
use serde_json::value::RawValue;

use super::timestamp::{self, Style};
use super::{Cue, ParseError, Role};

/// Members under which programs export the list.
const LISTS: [&str; 4] = ["segments", "utterances", "transcript", "cues"];

pub(super) fn parse(text: &str) -> Result<Vec<Cue>, ParseError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let lines = Lines::new(text);
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| ParseError::new(error.line(), bare(&error)))?;
    let list = if whole.get().starts_with('[') { whole } else { member(&lines, whole)? };
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
        return Err(ParseError::new(lines.of(list), "expected a list of utterances"));
    };
    let mut cues = Vec::with_capacity(items.len());
    let mut last_start = 0;
    for item in items {
        let line = lines.of(item);
        let cue = utterance(line, item).map_err(|message| ParseError::new(line, message))?;
        if cue.start_ms.is_some_and(|start| start < last_start) {
            return Err(ParseError::new(line, "the utterance begins before the one above it"));
        }
        last_start = cue.start_ms.unwrap_or(last_start);
        cues.push(cue);
    }
    Ok(cues)
}

/// The list of utterances within an object.
fn member<'a>(lines: &Lines<'_>, whole: &'a RawValue) -> Result<&'a RawValue, ParseError> {
    let members: Option<std::collections::BTreeMap<String, &RawValue>> = serde_json::from_str(whole.get()).ok();
    members
        .as_ref()
        .and_then(|members| LISTS.iter().find_map(|name| members.get(*name).copied()))
        .ok_or_else(|| ParseError::new(lines.of(whole), "expected an object with a list \"segments\", or a list"))
}

fn utterance(line: usize, item: &RawValue) -> Result<Cue, String> {
    let value: Value = serde_json::from_str(item.get()).map_err(|error| bare(&error))?;
    let members = value.as_object().ok_or("expected an object with \"speaker\" and \"text\"")?;
    let text = |names: &[&str]| match names.iter().find_map(|name| members.get(*name).map(|v| (*name, v))) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text.clone())),
        Some((name, _)) => Err(format!("\"{name}\" is not a string")),
    };
    let spoken = text(&["text", "content", "utterance"])?.ok_or("the utterance has no \"text\"")?;
    let (start_ms, end_ms) = (time(members, "start")?, time(members, "end")?);
    if let (Some(start), Some(end)) = (start_ms, end_ms)
        && end < start
    {
        return Err("the utterance ends before it begins".to_owned());
    }
    Ok(Cue {
        line,
        speaker: text(&["speaker", "name", "speaker_name"])?.unwrap_or_default(),
        role: text(&["role"])?.as_deref().and_then(Role::parse),
        start_ms,
        end_ms,
        text: spoken,
    })
}

/// `start_ms` in milliseconds, `start` in seconds or as `00:01:02.5`.
fn time(members: &serde_json::Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    const SECONDS_MAX: f64 = 99.0 * 3_600.0;
    if let Some(millis) = members.get(&format!("{name}_ms")) {
        return millis.as_u64().map(Some).ok_or_else(|| format!("\"{name}_ms\" is not a number of milliseconds"));
    }
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => timestamp::parse(text.trim(), Style::Loose).map(Some),
        Some(value) => match value.as_f64() {
            // Whole milliseconds below 2^53: exact.
            Some(seconds) if (0.0..=SECONDS_MAX).contains(&seconds) => Ok(Some((seconds * 1_000.0).round() as u64)),
            _ => Err(format!("\"{name}\" is not a time in seconds: {value}")),
        },
    }
}

/// The parser's words without its own position.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.find(" at line ").unwrap_or(text.len());
    format!("not JSON: {}", &text[..end])
}

/// Finds the line of a part of the text.
struct Lines<'a> {
    text: &'a str,
    ends: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        Lines { text, ends: text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect() }
    }

    /// `part` borrows from the text, so that its address tells where it is.
    fn of(&self, part: &RawValue) -> usize {
        let offset = (part.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        1 + self.ends.partition_point(|end| *end < offset)
    }
}
