//! Pictures of times: `[Y0001]-[M01]-[D01]`.

use super::super::super::error::{Failure, Result};
use super::super::integer::{self, Case};

#[derive(Debug)]
pub struct Picture {
    pub parts: Vec<Part>,
}

#[derive(Debug)]
pub enum Part {
    Literal(String),
    Marker(Marker),
}

#[derive(Debug)]
pub struct Marker {
    pub component: char,
    /// Written as a name.
    pub names: Option<Case>,
    pub integer: Option<integer::Picture>,
    pub width_max: Option<usize>,
    /// How many digits of the year are written.
    pub year_digits: Option<usize>,
    /// UTC is `Z`.
    pub traditional: bool,
}

/// What a marker without a modifier means.
fn default_presentation(component: char) -> Option<&'static str> {
    Some(match component {
        'Y' | 'M' | 'D' | 'd' | 'W' | 'w' | 'X' | 'x' | 'H' | 'h' | 'f' => "1",
        'F' | 'P' | 'C' | 'E' => "n",
        'm' | 's' => "01",
        'Z' | 'z' => "01:01",
        _ => return None,
    })
}

impl Picture {
    pub fn parse(text: &str) -> Result<Picture> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            push_literal(&mut parts, &rest[..open]);
            rest = &rest[open + 1..];
            if let Some(after) = rest.strip_prefix('[') {
                parts.push(Part::Literal("[".to_owned()));
                rest = after;
                continue;
            }
            let close = rest.find(']').ok_or_else(|| Failure::new("D3135"))?;
            let marker = Marker::parse(&rest[..close])?;
            // Digits that follow digits directly: how many the first have must be known.
            if let (Some(Part::Marker(previous)), Some(_)) = (parts.last_mut(), &marker.integer)
                && let Some(decimal) = previous.integer.as_mut().and_then(integer::Picture::decimal_mut)
            {
                decimal.parse_width = Some(decimal.mandatory);
            }
            parts.push(Part::Marker(marker));
            rest = &rest[close + 1..];
        }
        push_literal(&mut parts, rest);
        Ok(Picture { parts })
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.replace("]]", "]")));
    }
}

impl Marker {
    fn parse(text: &str) -> Result<Marker> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let component = text.chars().next();
        let unknown = || Failure::new("D3132").text(&component.map(String::from).unwrap_or_default());
        let component = component.ok_or_else(unknown)?;
        let (modifiers, width) = match text.rsplit_once(',') {
            Some((before, width)) => (before.get(component.len_utf8()..).unwrap_or_default(), Some(width)),
            None => (&text[component.len_utf8()..], None),
        };
        let (presentation, second) = match modifiers.char_indices().next_back() {
            Some((at, last @ ('a' | 't' | 'c' | 'o'))) if at > 0 => (&modifiers[..at], Some(last)),
            Some(_) => (modifiers, None),
            None => (default_presentation(component).ok_or_else(unknown)?, None),
        };
        let (width_min, width_max) = widths(width);
        let mut marker = Marker {
            component,
            names: names(presentation),
            integer: None,
            width_max,
            year_digits: None,
            traditional: second == Some('t'),
        };
        if marker.names.is_none() && "YMDdFWwXxHhmsf".contains(component) {
            let modifier = second.map(|second| format!(";{second}")).unwrap_or_default();
            let mut picture = integer::Picture::parse(&format!("{presentation}{modifier}"))?;
            if let Some(decimal) = picture.decimal_mut() {
                decimal.mandatory = decimal.mandatory.max(width_min.unwrap_or(0)).min(100);
                if component == 'Y' {
                    match width_max {
                        Some(width) => (marker.year_digits, decimal.mandatory) = (Some(width), width.min(100)),
                        None => {
                            let digits = decimal.mandatory + decimal.optional;
                            marker.year_digits = (digits >= 2).then_some(digits);
                        }
                    }
                }
            }
            marker.integer = Some(picture);
        }
        if matches!(component, 'Z' | 'z') {
            marker.integer = Some(integer::Picture::parse(presentation)?);
            marker.names = None;
        }
        Ok(marker)
    }
}

fn names(presentation: &str) -> Option<Case> {
    match presentation.strip_prefix('N') {
        Some(rest) if rest.starts_with('n') => Some(Case::Title),
        Some(_) => Some(Case::Upper),
        None => presentation.starts_with('n').then_some(Case::Lower),
    }
}

/// `min-max`, either of which may be `*` or left out.
fn widths(text: Option<&str>) -> (Option<usize>, Option<usize>) {
    let Some(text) = text else { return (None, None) };
    let (min, max) = text.split_once('-').map_or((text, None), |(min, max)| (min, Some(max)));
    (min.parse().ok(), max.and_then(|max| max.parse().ok()))
}
