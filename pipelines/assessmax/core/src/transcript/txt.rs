//! Plain text: `[00:01:02] Maya: I think so`, with or without the time and its brackets.

use super::timestamp::{self, Style};
use super::{Cue, ParseError, label};

pub(super) fn parse(text: &str) -> Result<Vec<Cue>, ParseError> {
    let mut cues: Vec<Cue> = Vec::new();
    let mut last_ms = 0;
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (start_ms, rest) = time(line).map_err(|message| ParseError::new(number, message))?;
        if let Some(ms) = start_ms {
            if ms < last_ms {
                let message = format!("the time goes back: {} after {}", shown(ms), shown(last_ms));
                return Err(ParseError::new(number, message));
            }
            last_ms = ms;
        }
        if rest.is_empty() || label::is_remark(rest) {
            continue;
        }
        match (label::split(rest), cues.last_mut()) {
            (Some((name, spoken)), _) => {
                cues.push(Cue {
                    line: number,
                    speaker: name.to_owned(),
                    start_ms,
                    text: spoken.to_owned(),
                    ..Cue::default()
                });
            }
            // A line without a name and a time goes on with what was said before.
            (None, Some(last)) if start_ms.is_none() => {
                last.text.push(' ');
                last.text.push_str(rest);
            }
            (None, _) if start_ms.is_some() => {
                cues.push(Cue { line: number, start_ms, text: rest.to_owned(), ..Cue::default() });
            }
            (None, _) => {
                let message = format!("expected \"Name: what was said\", found \"{}\"", shortened(rest));
                return Err(ParseError::new(number, message));
            }
        }
    }
    Ok(cues)
}

/// The time at the start of a line, if there is one, and the rest.
fn time(line: &str) -> Result<(Option<u64>, &str), String> {
    let bracketed = line.strip_prefix('[').map(|l| (l, ']')).or_else(|| line.strip_prefix('(').map(|l| (l, ')')));
    if let Some((inner, close)) = bracketed {
        if !inner.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok((None, line));
        }
        let Some((time, rest)) = inner.split_once(close) else {
            return Err(format!("the time at the start has no \"{close}\": \"{}\"", shortened(line)));
        };
        return Ok((Some(timestamp::parse(time.trim(), Style::Loose)?), rest.trim()));
    }
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let looks_like_time = first.starts_with(|c: char| c.is_ascii_digit()) && first.contains(':');
    if !looks_like_time {
        return Ok((None, line));
    }
    Ok((Some(timestamp::parse(first, Style::Loose)?), rest.trim()))
}

fn shown(ms: u64) -> String {
    let seconds = ms / 1_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
