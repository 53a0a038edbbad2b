//! The text of `Fn::Sub`, taken apart.

/// A piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Literal(&'a str),
    /// `${!Name}`, which stays `${Name}`.
    Escaped(&'a str),
    Variable(&'a str),
}

/// Splits a text at its `${...}`; the error is AWS's message.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(len) = rest[start + 2..].find('}') else { break };
        if start > 0 {
            parts.push(Part::Literal(&rest[..start]));
        }
        let name = &rest[start + 2..start + 2 + len];
        match name.strip_prefix('!') {
            Some(literal) => parts.push(Part::Escaped(literal)),
            None if is_name(name) => parts.push(Part::Variable(name)),
            None => {
                return Err("Template error: variable names in Fn::Sub syntax must contain only alphanumeric \
                            characters, underscores, periods, and colons");
            }
        }
        rest = &rest[start + 3 + len..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
}
