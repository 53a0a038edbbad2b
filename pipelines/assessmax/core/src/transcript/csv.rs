//! Comma-separated values: a header with `speaker` and `text`, and if need be `start`, `end`, `role`.

use super::timestamp::{self, Style};
use super::txt::shortened;
use super::{Cue, ParseError, Role};

/// Names under which programs export the columns.
const SPEAKER: &[&str] = &["speaker", "name", "speaker name", "speaker_name", "participant"];
const TEXT: &[&str] = &["text", "utterance", "transcript", "content", "caption", "message"];
const START: &[&str] = &["start", "start_time", "start time", "timestamp", "time", "begin"];
const END: &[&str] = &["end", "end_time", "end time", "stop"];
const ROLE: &[&str] = &["role", "speaker_role", "speaker role"];

/// One record and the line on which it begins.
type Record = (usize, Vec<String>);

pub(super) fn parse(text: &str) -> Result<Vec<Cue>, ParseError> {
    let first = text.split('\n').next().unwrap_or_default();
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|d| first.matches(*d).count()).unwrap_or(',');
    let mut records = records(text, delimiter)?.into_iter();
    let Some((line, header)) = records.next() else { return Ok(Vec::new()) };
    let columns = Columns::find(line, &header)?;
    let mut cues = Vec::new();
    let mut last_start = 0;
    for (line, fields) in records {
        if fields.len() != header.len() {
            let message = format!("expected {} fields as in the header, found {}", header.len(), fields.len());
            return Err(ParseError::new(line, message));
        }
        let cue = columns.cue(line, &fields)?;
        if cue.start_ms.is_some_and(|start| start < last_start) {
            return Err(ParseError::new(line, "the row begins before the one above it"));
        }
        last_start = cue.start_ms.unwrap_or(last_start);
        cues.push(cue);
    }
    Ok(cues)
}

/// Where the columns are.
struct Columns {
    speaker: usize,
    text: usize,
    start: Option<usize>,
    end: Option<usize>,
    role: Option<usize>,
}

impl Columns {
    fn find(line: usize, header: &[String]) -> Result<Columns, ParseError> {
        let place = |names: &[&str]| {
            names.iter().find_map(|name| header.iter().position(|h| h.trim().eq_ignore_ascii_case(name)))
        };
        let needed = |name: &str, names: &[&str]| {
            place(names).ok_or_else(|| {
                let found = shortened(&header.join(", "));
                ParseError::new(line, format!("the header has no column \"{name}\": found {found}"))
            })
        };
        Ok(Columns {
            speaker: needed("speaker", SPEAKER)?,
            text: needed("text", TEXT)?,
            start: place(START),
            end: place(END),
            role: place(ROLE),
        })
    }

    fn cue(&self, line: usize, fields: &[String]) -> Result<Cue, ParseError> {
        let time = |column: Option<usize>| {
            let text = column.map_or("", |c| fields[c].trim());
            (!text.is_empty()).then(|| timestamp::parse(text, Style::Loose)).transpose()
        };
        let at = |message| ParseError::new(line, message);
        let (start_ms, end_ms) = (time(self.start).map_err(at)?, time(self.end).map_err(at)?);
        if let (Some(start), Some(end)) = (start_ms, end_ms)
            && end < start
        {
            return Err(ParseError::new(line, "the row ends before it begins"));
        }
        Ok(Cue {
            line,
            speaker: fields[self.speaker].trim().to_owned(),
            role: self.role.and_then(|c| Role::parse(&fields[c])),
            start_ms,
            end_ms,
            text: fields[self.text].clone(),
        })
    }
}

/// Splits a text into records: quotes may hold delimiters and line ends, two quotes are one.
fn records(text: &str, delimiter: char) -> Result<Vec<Record>, ParseError> {
    let mut records = Vec::new();
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut line, mut begun) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted(&mut chars, &mut field, &mut line)?;
                let closed = chars.peek().is_none_or(|next| *next == delimiter || *next == '\n');
                if !closed {
                    return Err(ParseError::new(
                        line,
                        "text after a closing quote; a quote within a field is written \"\"",
                    ));
                }
            }
            '\n' => {
                line += 1;
                fields.push(std::mem::take(&mut field));
                finish(&mut records, begun, std::mem::take(&mut fields));
                begun = line;
            }
            c if c == delimiter => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    finish(&mut records, begun, fields);
    Ok(records)
}

/// Empty lines are no records.
fn finish(records: &mut Vec<Record>, line: usize, fields: Vec<String>) {
    if fields.len() > 1 || !fields.iter().all(|f| f.trim().is_empty()) {
        records.push((line, fields));
    }
}

fn quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    field: &mut String,
    line: &mut usize,
) -> Result<(), ParseError> {
    let opened = *line;
    loop {
        match chars.next() {
            None => return Err(ParseError::new(opened, "a quote is opened here and never closed")),
            Some('"') if chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            Some('"') => return Ok(()),
            Some(c) => {
                *line += usize::from(c == '\n');
                field.push(c);
            }
        }
    }
}
