//! Bytes to text: UTF-8 and UTF-16, and a refusal of what was spoiled on the way.

use super::ParseError;

/// How much of a spoiled line a message shows.
const SHOWN_CHARS: usize = 24;

/// Decodes UTF-8 (with or without a byte order mark) or UTF-16 (with one); line ends become `\n`.
pub(super) fn decode(bytes: &[u8]) -> Result<String, ParseError> {
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest)?,
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    match text.split('\n').enumerate().find_map(|(index, line)| spoiled(line).map(|what| (index + 1, what))) {
        Some((line, message)) => Err(ParseError::new(line, message)),
        None => Ok(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, ParseError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
            let message = format!("byte 0x{:02X} is not UTF-8; save the transcript as UTF-8", bytes[at]);
            Err(ParseError::new(line, message))
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, ParseError> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for read in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match read {
            Ok(c) => text.push(c),
            Err(_) => {
                let line = 1 + text.matches('\n').count();
                return Err(ParseError::new(line, "half of a UTF-16 character; save the transcript as UTF-8"));
            }
        }
    }
    if !odd.is_empty() {
        let line = 1 + text.matches('\n').count();
        return Err(ParseError::new(line, "the file ends within a UTF-16 character"));
    }
    Ok(text)
}

/// What shows that a line was decoded wrongly before it came to us.
fn spoiled(line: &str) -> Option<String> {
    if let Some(at) = line.find('\u{FFFD}') {
        let near = shown(line, at);
        return Some(format!(
            "\"{near}\" holds the replacement character: letters were lost before the upload; export the transcript \
             again as UTF-8"
        ));
    }
    if let Some(c) = line.chars().find(|c| c.is_control() && *c != '\t') {
        return Some(format!("control character U+{:04X}; is this a text file in UTF-8?", c as u32));
    }
    let at = mojibake(line)?;
    Some(format!(
        "\"{}\" is garbled: UTF-8 was read as Windows-1252 before the upload; export the transcript again as UTF-8",
        shown(line, at)
    ))
}

/// The word around a byte of the line.
fn shown(line: &str, at: usize) -> String {
    let start = line[..at].rfind(char::is_whitespace).map_or(0, |i| i + 1);
    line[start..].split_whitespace().next().unwrap_or_default().chars().take(SHOWN_CHARS).collect()
}

/// Where a line holds UTF-8 that was read as Windows-1252: `Ã©` for `é`, `â€™` for `’`, `ï»¿` for the mark at the start.
///
/// Only what a transcript would hold is looked for (Latin letters, typographic marks, emoji), because two signs of
/// Windows-1252 may well stand side by side on purpose: `”—`.
fn mojibake(line: &str) -> Option<usize> {
    if line.is_ascii() {
        return None;
    }
    let mut rest = line;
    while let Some(offset) = rest.find(['Â', 'Ã', 'â', 'ï', 'ð']) {
        let at = line.len() - rest.len() + offset;
        let bytes: Vec<u8> = line[at..].chars().map_while(windows_1252).take(4).collect();
        let hit = matches!(
            bytes.as_slice(),
            [0xC2 | 0xC3, 0x80..=0xBF, ..]
                | [0xE2, 0x80, 0x90..=0xBF, ..]
                | [0xE2, 0x82, 0xAC, ..]
                | [0xE2, 0x84, 0xA2, ..]
                | [0xEF, 0xBB, 0xBF, ..]
                | [0xF0, 0x9F, 0x80..=0xBF, 0x80..=0xBF]
        );
        if hit {
            return Some(at);
        }
        let mut chars = rest[offset..].chars();
        chars.next();
        rest = chars.as_str();
    }
    None
}

/// The byte that Windows-1252 has for a character which is not ASCII. The five bytes that it leaves open come through
/// as control characters.
fn windows_1252(c: char) -> Option<u8> {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
    ];
    match c as u32 {
        code @ 0xA0..=0xFF => u8::try_from(code).ok(),
        _ => HIGH.iter().position(|h| *h == c).and_then(|i| u8::try_from(0x80 + i).ok()),
    }
}
