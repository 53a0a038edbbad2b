/// Whether `text` matches `pattern`, in which `*` is any characters and `?` any one.
///
/// Never recursive; the work is at worst the product of both lengths.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    matches_parts(&parts(pattern), text)
}

/// A pattern taken apart, without variables.
pub(crate) fn parts(pattern: &str) -> Vec<Part> {
    pattern.chars().map(Part::of).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Any,
    One,
    Char(char),
}

impl Part {
    fn of(c: char) -> Part {
        match c {
            '*' => Part::Any,
            '?' => Part::One,
            c => Part::Char(c),
        }
    }
}

pub(crate) fn matches_parts(pattern: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how far it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Part::Any) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(Part::One) => {
                p += 1;
                t += 1;
                continue;
            }
            Some(Part::Char(c)) if *c == text[t] => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, reach)) = star else { return false };
        star = Some((at, reach + 1));
        p = at + 1;
        t = reach + 1;
    }
    pattern[p..].iter().all(|part| *part == Part::Any)
}

/// A pattern with its policy variables put in: `${aws:username}`, and `${*}`, `${?}`, `${$}` for the characters.
///
/// `None` if a variable has no value: such a pattern matches nothing.
pub(crate) fn with_variables(pattern: &str, value: impl Fn(&str) -> Option<String>) -> Option<Vec<Part>> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find("${") {
        parts.extend(rest[..at].chars().map(Part::of));
        let Some(end) = rest[at..].find('}') else {
            parts.extend(rest[at..].chars().map(Part::of));
            return Some(parts);
        };
        let name = &rest[at + 2..at + end];
        match name {
            "*" | "?" | "$" => parts.extend(name.chars().map(Part::Char)),
            _ => {
                // ${key, 'default'}
                let (key, default) = name.split_once(',').map_or((name, None), |(k, d)| (k, Some(d)));
                let default = default.map(|d| d.trim().trim_matches('\'').to_owned());
                parts.extend(value(key.trim()).or(default)?.chars().map(Part::Char));
            }
        }
        rest = &rest[at + end + 1..];
    }
    parts.extend(rest.chars().map(Part::of));
    Some(parts)
}
