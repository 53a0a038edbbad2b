//! WebVTT: cues with times, `<v Name>` for who speaks, notes and styles between them.

use super::timestamp::{self, Style};
use super::txt::shortened;
use super::{Cue, ParseError, label};

pub(super) fn parse(text: &str) -> Result<Vec<Cue>, ParseError> {
    let mut lines = text.split('\n').enumerate().map(|(index, line)| (index + 1, line.trim_end()));
    match lines.next() {
        Some((_, "WEBVTT")) => {}
        Some((_, first)) if first.starts_with("WEBVTT ") || first.starts_with("WEBVTT\t") => {}
        Some((_, "")) if text.trim().is_empty() => return Ok(Vec::new()),
        first => {
            let found = first.map_or("", |(_, line)| line);
            return Err(ParseError::new(1, format!("expected \"WEBVTT\", found \"{}\"", shortened(found))));
        }
    }
    let mut cues = Vec::new();
    let mut last_start = 0;
    for block in blocks(lines) {
        cue(&block, &mut last_start, &mut cues)?;
    }
    Ok(cues)
}

/// Lines between empty lines, each with its number.
pub(super) fn blocks<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Vec<(usize, &'a str)>> {
    let mut blocks = Vec::new();
    let mut block = Vec::new();
    for line in lines {
        if !line.1.trim().is_empty() {
            block.push(line);
        } else if !block.is_empty() {
            blocks.push(std::mem::take(&mut block));
        }
    }
    if !block.is_empty() {
        blocks.push(block);
    }
    blocks
}

fn cue(block: &[(usize, &str)], last_start: &mut u64, cues: &mut Vec<Cue>) -> Result<(), ParseError> {
    let Some((number, first)) = block.first().copied() else { return Ok(()) };
    let word = first.split([' ', '\t']).next().unwrap_or_default();
    if matches!(word, "NOTE" | "STYLE" | "REGION") {
        return Ok(());
    }
    let has_times = |line: Option<&(usize, &str)>| line.is_some_and(|(_, text)| text.contains("-->"));
    if !has_times(block.first()) && !has_times(block.get(1)) {
        // The header may go on over several lines, which look like `Kind: captions`.
        if number == 2 {
            return Ok(());
        }
        let (at, found) = block.get(1).copied().unwrap_or((number, first));
        let message = format!("expected times like \"00:00:01.000 --> 00:00:04.000\", found \"{}\"", shortened(found));
        return Err(ParseError::new(at, message));
    }
    let times = usize::from(!has_times(block.first()));
    let (at, line) = block[times];
    let (start, end) = timestamp::range(line, Style::Vtt).map_err(|message| ParseError::new(at, message))?;
    if start < *last_start {
        return Err(ParseError::new(at, "the cue begins before the one above it"));
    }
    *last_start = start;
    let mut open = Cue { line: at + 1, start_ms: Some(start), end_ms: Some(end), ..Cue::default() };
    for (number, line) in &block[times + 1..] {
        payload(*number, line, &mut open, cues);
    }
    close(&mut open, 0, cues);
    Ok(())
}

/// Reads one line of a cue; a new voice begins a new utterance.
fn payload(number: usize, line: &str, open: &mut Cue, cues: &mut Vec<Cue>) {
    let mut rest = line;
    while let Some((before, tag, after)) = next_tag(rest) {
        push(open, number, before);
        if let Some(name) = voice(tag) {
            close(open, number, cues);
            open.speaker = unescape(name);
        }
        rest = after;
    }
    let bare = rest.trim_start_matches(['-', '–']).trim();
    let unnamed = open.text.is_empty() && open.speaker.is_empty() || rest.trim_start().starts_with(['-', '–']);
    match label::split(bare) {
        Some((name, spoken)) if unnamed => {
            close(open, number, cues);
            open.speaker = unescape(name);
            push(open, number, spoken);
        }
        _ => push(open, number, rest),
    }
}

fn push(open: &mut Cue, number: usize, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    if open.text.is_empty() {
        open.line = number;
    } else {
        open.text.push(' ');
    }
    open.text.push_str(&unescape(text));
}

/// Ends an utterance and begins the next within the same cue.
fn close(open: &mut Cue, number: usize, cues: &mut Vec<Cue>) {
    let next = Cue { line: number, start_ms: open.start_ms, end_ms: open.end_ms, ..Cue::default() };
    let done = std::mem::replace(open, next);
    if !done.text.trim().is_empty() && !label::is_remark(done.text.trim()) {
        cues.push(done);
    }
}

/// What is before the next `<tag>`, the tag, and what is after it.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find('<')?;
    let end = start + text[start..].find('>')?;
    Some((&text[..start], &text[start + 1..end], &text[end + 1..]))
}

/// The name in `v Name` and `v.loud Name`.
fn voice(tag: &str) -> Option<&str> {
    let (kind, name) = tag.split_once([' ', '\t'])?;
    (kind == "v" || kind.starts_with("v.")).then(|| name.trim())
}

fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    // The ampersand last, so that `&amp;lt;` becomes `&lt;`.
    [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&quot;", "\""), ("&#39;", "'"), ("&lrm;", ""), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
