//! SubRip: numbered cues with times; `Name: text` for who speaks.

use super::timestamp::{self, Style};
use super::txt::shortened;
use super::{Cue, ParseError, label, vtt};

pub(super) fn parse(text: &str) -> Result<Vec<Cue>, ParseError> {
    let lines = text.split('\n').enumerate().map(|(index, line)| (index + 1, line.trim()));
    let mut cues = Vec::new();
    let mut last_start = 0;
    for block in vtt::blocks(lines) {
        let Some((number, first)) = block.first().copied() else { continue };
        if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("expected the number of a cue, found \"{}\"", shortened(first));
            return Err(ParseError::new(number, message));
        }
        let Some((at, times)) = block.get(1).copied() else {
            return Err(ParseError::new(number, format!("cue {first} has no times")));
        };
        let (start, end) = timestamp::range(times, Style::Srt).map_err(|message| ParseError::new(at, message))?;
        if start < last_start {
            return Err(ParseError::new(at, "the cue begins before the one above it"));
        }
        last_start = start;
        let times = Cue { start_ms: Some(start), end_ms: Some(end), ..Cue::default() };
        spoken(&block[2..], times, &mut cues);
    }
    Ok(cues)
}

/// The lines of one cue: each name, and each dash, begins an utterance.
fn spoken(lines: &[(usize, &str)], times: Cue, cues: &mut Vec<Cue>) {
    let mut begun = false;
    for (number, line) in lines {
        let line = strip_tags(line);
        let dashed = line.starts_with(['-', '–']);
        let bare = line.trim_start_matches(['-', '–']).trim();
        if bare.is_empty() || label::is_remark(bare) {
            continue;
        }
        let (speaker, text) = label::split(bare).unwrap_or(("", bare));
        match cues.last_mut() {
            Some(last) if begun && speaker.is_empty() && !dashed => {
                last.text.push(' ');
                last.text.push_str(text);
            }
            _ => {
                begun = true;
                cues.push(Cue { line: *number, speaker: speaker.into(), text: text.into(), ..times.clone() });
            }
        }
    }
}

/// Without `<i>`, `<b>`, `<font ...>` and `{\an8}`.
fn strip_tags(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(['<', '{']) {
        let close = if rest[start..].starts_with('<') { '>' } else { '}' };
        let Some(end) = rest[start..].find(close) else { break };
        plain.push_str(&rest[..start]);
        rest = &rest[start + end + 1..];
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}
