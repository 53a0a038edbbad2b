//! Text to times.

use std::collections::BTreeMap;

use super::super::super::error::{Failure, Result};
use super::super::super::meter::Meter;
use super::super::super::regex::Regex;
use super::super::integer::parse_int;
use super::calendar::{DAY_MS, Moment, days};
use super::format::{DAYS, MONTHS};
use super::picture::{Marker, Part, Picture};

/// Milliseconds since 1970 of an ISO 8601 text: any beginning of a date, a time to the second or finer, an offset.
pub fn iso_8601(text: &str) -> Option<f64> {
    let mut rest = text;
    let year = number(&mut rest, 4)?;
    let (mut month, mut day) = (1, 1);
    if let Some(after) = rest.strip_prefix('-') {
        rest = after;
        month = number(&mut rest, 2).filter(|month| (1..=12).contains(month))?;
        if let Some(after) = rest.strip_prefix('-') {
            rest = after;
            day = number(&mut rest, 2).filter(|day| (1..=31).contains(day))?;
        }
    }
    let mut millis = (days(year, month, day) * DAY_MS) as f64;
    if let Some(after) = rest.strip_prefix('T') {
        rest = after;
        let hour = number(&mut rest, 2).filter(|hour| *hour <= 24)?;
        let minute = clock_part(&mut rest)?;
        let second = clock_part(&mut rest)?;
        millis += (((hour * 60 + minute) * 60 + second) * 1000) as f64;
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let fraction: f64 = format!("0.{}", &after[..digits]).parse().ok().filter(|_| digits > 0)?;
            millis += (fraction * 1000.0).floor();
            rest = &after[digits..];
        }
    }
    match rest {
        "" | "Z" => Some(millis),
        rest => Some(millis - offset(rest)? as f64 * 60_000.0),
    }
}

fn clock_part(rest: &mut &str) -> Option<i64> {
    *rest = rest.strip_prefix(':')?;
    number(rest, 2).filter(|value| *value < 60)
}

/// Minutes of `+HH:MM` or `+HHMM`.
fn offset(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut rest = text.strip_prefix(['+', '-'])?;
    let hours = number(&mut rest, 2).filter(|hours| *hours < 30)?;
    rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = number(&mut rest, 2).filter(|minutes| *minutes < 60)?;
    rest.is_empty().then_some(sign * (hours * 60 + minutes))
}

/// Exactly so many digits.
fn number(rest: &mut &str, digits: usize) -> Option<i64> {
    let text = rest.get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    *rest = &rest[digits..];
    text.parse().ok()
}

/// Milliseconds since 1970; `None` for a text that is not of the picture.
pub fn read(meter: &Meter<'_>, picture: &Picture, text: &str, now: &Moment) -> Result<Option<f64>> {
    let mut pattern = String::from("^");
    for part in &picture.parts {
        pattern.push('(');
        match part {
            Part::Literal(literal) => literal.chars().for_each(|c| {
                if c.is_ascii_punctuation() {
                    pattern.push('\\');
                }
                pattern.push(c);
            }),
            Part::Marker(marker) => pattern.push_str(&marker_pattern(marker)?),
        }
        pattern.push(')');
    }
    pattern.push('$');
    let Some(found) = Regex::parse(&pattern, true, false)?.find(meter, text, 0)? else { return Ok(None) };
    let mut components = BTreeMap::new();
    for (part, group) in picture.parts.iter().zip(&found.groups) {
        if let (Part::Marker(marker), Some(range)) = (part, group) {
            components.insert(marker.component, marker_value(marker, &text[range.clone()])?);
        }
    }
    if components.is_empty() {
        return Ok(None);
    }
    assemble(components, now).map(Some)
}

fn marker_pattern(marker: &Marker) -> Result<String> {
    match (&marker.integer, marker.component) {
        (Some(picture), 'Z' | 'z') => {
            let separator = picture.decimal().and_then(|decimal| decimal.separator());
            let minutes = separator.map(|separator| format!("\\{separator}[0-9]+")).unwrap_or_default();
            let prefix = if marker.component == 'z' { "GMT" } else { "" };
            Ok(format!("{prefix}[-+][0-9]+{minutes}"))
        }
        (Some(picture), _) => picture.pattern(),
        (None, 'M' | 'x' | 'F' | 'P') => Ok("[a-zA-Z]+".to_owned()),
        (None, other) => Err(Failure::new("D3133").text(other.encode_utf8(&mut [0; 4]))),
    }
}

/// NaN where the text says nothing.
fn marker_value(marker: &Marker, text: &str) -> Result<f64> {
    let named = |names: &[&str]| {
        let width = marker.width_max.unwrap_or(usize::MAX);
        let index = names.iter().position(|name| name.get(..width.min(name.len())) == Some(text));
        index.map_or(f64::NAN, |index| index as f64 + 1.0)
    };
    Ok(match (&marker.integer, marker.component) {
        (Some(picture), 'Z' | 'z') => {
            let text = text.get(if marker.component == 'z' { 3 } else { 0 }..).unwrap_or_default();
            let separator = picture.decimal().and_then(|decimal| decimal.separator());
            let (hours, minutes) = match separator.and_then(|separator| text.split_once(separator)) {
                Some((hours, minutes)) => (hours, minutes),
                None if text.len() <= 3 => (text, "0"),
                None => text.split_at(3),
            };
            let sign = if hours.starts_with('-') { -1.0 } else { 1.0 };
            parse_int(hours) * 60.0 + sign * parse_int(minutes)
        }
        // Digits of a fraction, however many: thousandths are wanted.
        (Some(picture), 'f') if picture.decimal().is_some() => {
            let digits: String = text.chars().filter(char::is_ascii_digit).chain("000".chars()).take(3).collect();
            parse_int(&digits)
        }
        (Some(picture), _) => picture.read(text)?,
        (None, 'F') => named(&DAYS),
        (None, 'P') => match text {
            "am" | "AM" => 0.0,
            "pm" | "PM" => 1.0,
            _ => f64::NAN,
        },
        (None, _) => named(&MONTHS),
    })
}

/// Which components a text may give together.
fn gives(components: &BTreeMap<char, f64>, of: &str, only: &str) -> bool {
    let given = |component: char| components.get(&component).is_some_and(|value| *value != 0.0 && !value.is_nan());
    let (some, beyond) = of.chars().fold((false, false), |(some, beyond), component| {
        let given = given(component);
        (some || given && only.contains(component), beyond || given && !only.contains(component))
    });
    some && !beyond
}

/// A time from its components: what is missing before the first is that of now, after the last it is zero.
fn assemble(mut components: BTreeMap<char, f64>, now: &Moment) -> Result<f64> {
    let date = |only| gives(&components, "YXMxWwdD", only);
    let by_day_of_year = !date("YMD") && date("Yd");
    let by_week = !date("YMD") && (date("Xxw") || date("XW"));
    let twelve_hours = !gives(&components, "PHhmsf", "Hmsf") && gives(&components, "PHhmsf", "Phmsf");
    let dates = match () {
        () if by_day_of_year => "Yd",
        () if date("Xxw") && by_week => "XxwF",
        () if by_week => "XWF",
        () => "YMD",
    };
    let times = if twelve_hours { "Phmsf" } else { "Hmsf" };
    let (mut started, mut ended) = (false, false);
    for component in dates.chars().chain(times.chars()) {
        if components.contains_key(&component) {
            started = true;
            if ended {
                return Err(Failure::new("D3136"));
            }
            continue;
        }
        let missing = match started {
            true if "MDd".contains(component) => 1.0,
            true => 0.0,
            false => now.component(component) as f64,
        };
        ended = started;
        components.insert(component, missing);
    }
    if by_week {
        return Err(Failure::new("D3136"));
    }
    let part = |component: char| components.get(&component).copied().unwrap_or(0.0);
    let mut hour = part('H');
    if twelve_hours {
        hour = part('h') % 12.0 + if part('P') == 1.0 { 12.0 } else { 0.0 };
    }
    let (month, day) = if by_day_of_year { (1.0, part('d')) } else { (part('M').max(1.0), part('D')) };
    let parts = [part('Y'), month, day, hour, part('m'), part('s'), part('f')];
    if parts.iter().any(|part| part.is_nan() || part.abs() > 1e8) {
        return Err(Failure::new("D3136"));
    }
    let midnight = days(parts[0] as i64, parts[1] as i64, parts[2] as i64) * DAY_MS;
    let in_day = ((hour * 60.0 + parts[4]) * 60.0 + parts[5]) * 1000.0 + parts[6];
    let zone = components.get(&'Z').or_else(|| components.get(&'z')).copied().unwrap_or(0.0);
    Ok(midnight as f64 + in_day - zone * 60_000.0)
}
