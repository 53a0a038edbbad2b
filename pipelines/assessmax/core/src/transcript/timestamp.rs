//! Times within a recording: `01:02`, `00:01:02`, `00:01:02.250`, `00:01:02,250`.

/// Hours that a recording may have; more is a slip of the pen.
const HOURS_MAX: u64 = 99;

/// Which forms are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Hours may be left out, the fraction too.
    Loose,
    /// WebVTT: hours may be left out, three digits after a point.
    Vtt,
    /// SubRip: hours, minutes, seconds, and three digits after a comma.
    Srt,
}

impl Style {
    fn form(self) -> &'static str {
        match self {
            Style::Loose => "HH:MM:SS",
            Style::Vtt => "HH:MM:SS.mmm",
            Style::Srt => "HH:MM:SS,mmm",
        }
    }
}

/// Milliseconds from the start of the recording.
pub(super) fn parse(text: &str, style: Style) -> Result<u64, String> {
    let malformed = || format!("\"{text}\" is not a time like {}", style.form());
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let separator = text.as_bytes().get(clock.len());
    let fraction_ms = match (style, fraction) {
        (Style::Loose, None) => 0,
        (Style::Loose, Some(digits)) if (1..=3).contains(&digits.len()) => {
            number(digits).ok_or_else(malformed)? * 10_u64.pow(3 - u32::try_from(digits.len()).unwrap_or(3))
        }
        (Style::Vtt, Some(digits)) if digits.len() == 3 && separator == Some(&b'.') => {
            number(digits).ok_or_else(malformed)?
        }
        (Style::Srt, Some(digits)) if digits.len() == 3 && separator == Some(&b',') => {
            number(digits).ok_or_else(malformed)?
        }
        _ => return Err(malformed()),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes, seconds] => (number(hours).ok_or_else(malformed)?, *minutes, *seconds),
        [minutes, seconds] if style != Style::Srt => (0, *minutes, *seconds),
        _ => return Err(malformed()),
    };
    let two = |digits: &str| if digits.len() == 2 { number(digits) } else { None };
    let seconds = two(seconds).ok_or_else(malformed)?;
    // Recorders without hours count minutes beyond sixty.
    let counts_minutes = style == Style::Loose && parts.len() == 2;
    let minutes = if counts_minutes { number(minutes) } else { two(minutes) }.ok_or_else(malformed)?;
    if seconds > 59 {
        return Err(format!("\"{text}\" has {seconds} seconds in a minute"));
    }
    if minutes > 59 && !counts_minutes {
        return Err(format!("\"{text}\" has {minutes} minutes in an hour"));
    }
    if hours > HOURS_MAX || minutes > HOURS_MAX * 60 {
        return Err(format!("\"{text}\" is beyond {HOURS_MAX} hours"));
    }
    Ok(((hours * 60 + minutes) * 60 + seconds) * 1_000 + fraction_ms)
}

/// The two times of a cue: `00:00:01.000 --> 00:00:04.000`, and settings after them in WebVTT.
pub(super) fn range(text: &str, style: Style) -> Result<(u64, u64), String> {
    let (start, end) = text.split_once("-->").ok_or_else(|| format!("\"{text}\" has no -->"))?;
    let end = end.split_whitespace().next().unwrap_or_default();
    let (start, end) = (parse(start.trim(), style)?, parse(end, style)?);
    if end < start {
        return Err(format!("the cue ends before it begins: \"{}\"", text.trim()));
    }
    Ok((start, end))
}

fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
