//! Times to text.

use super::super::super::error::{Failure, Result};
use super::super::integer::{self, Case};
use super::calendar::Moment;
use super::picture::{Marker, Part, Picture};

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub fn format(picture: &Picture, moment: &Moment, hours: i64, minutes: i64) -> Result<String> {
    let mut text = String::new();
    for part in &picture.parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Marker(marker) => text.push_str(&component(marker, moment, hours, minutes)?),
        }
    }
    Ok(text)
}

fn component(marker: &Marker, moment: &Moment, hours: i64, minutes: i64) -> Result<String> {
    let value = moment.component(marker.component);
    match marker.component {
        'Z' | 'z' => zone(marker, hours, minutes),
        'P' => {
            let text = if value == 0 { "am" } else { "pm" };
            Ok(if marker.names == Some(Case::Upper) { text.to_uppercase() } else { text.to_owned() })
        }
        'C' | 'E' => Ok("ISO".to_owned()),
        _ => match (&marker.integer, marker.names) {
            (Some(picture), _) => {
                let value = match marker.year_digits {
                    Some(digits) => value % 10i64.checked_pow(digits as u32).unwrap_or(i64::MAX),
                    None => value,
                };
                picture.format(value as f64)
            }
            (None, case) => name(marker, value, case.unwrap_or(Case::Title)),
        },
    }
}

fn name(marker: &Marker, value: i64, case: Case) -> Result<String> {
    let names: &[&str] = match marker.component {
        'M' | 'x' => &MONTHS,
        'F' => &DAYS,
        other => return Err(Failure::new("D3133").text(other.encode_utf8(&mut [0; 4]))),
    };
    let name = usize::try_from(value - 1).ok().and_then(|index| names.get(index)).copied().unwrap_or_default();
    let name = match case {
        Case::Upper => name.to_uppercase(),
        Case::Lower => name.to_lowercase(),
        Case::Title => name.to_owned(),
    };
    Ok(name.chars().take(marker.width_max.unwrap_or(usize::MAX)).collect())
}

fn zone(marker: &Marker, hours: i64, minutes: i64) -> Result<String> {
    let offset = hours * 100 + minutes;
    if offset == 0 && marker.traditional {
        return Ok("Z".to_owned());
    }
    let Some(picture) = &marker.integer else { return Ok(String::new()) };
    let whole = picture.decimal().is_some_and(integer::Decimal::is_grouped);
    let mut text = match picture.decimal().map(|decimal| decimal.mandatory) {
        _ if whole => picture.format(offset as f64)?,
        Some(1 | 2) => {
            let hours = picture.format(hours as f64)?;
            if minutes == 0 { hours } else { format!("{hours}:{:02}", minutes.abs()) }
        }
        Some(3 | 4) => picture.format(offset as f64)?,
        _ => return Err(Failure::new("D3134")),
    };
    if offset >= 0 {
        text.insert(0, '+');
    }
    if marker.component == 'z' {
        text.insert_str(0, "GMT");
    }
    Ok(text)
}
