//! Which variables a text reads.

use super::VariableUse;

/// `$name` outside strings and comments that is neither called, nor bound by `:=` or as a parameter.
pub(super) fn variables(text: &str) -> Vec<VariableUse> {
    let bytes = text.as_bytes();
    let mut uses: Vec<VariableUse> = Vec::new();
    let mut bound: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = text[at..].find("*/").map_or(bytes.len(), |end| at + end + 2);
            }
            b'$' => {
                let name = identifier(text, at + 1);
                let offset = at;
                at += 1 + name.len();
                let rest = text[at..].trim_start();
                if rest.starts_with(":=") {
                    bound.push(name);
                } else if !name.is_empty() && !rest.starts_with('(') {
                    let follows = rest.strip_prefix('.').map(str::trim_start).filter(|_| name == "states");
                    let member = follows.map(|rest| identifier(rest, 0)).filter(|member| !member.is_empty());
                    uses.push(VariableUse { name: name.into(), member: member.map(Into::into), offset });
                }
            }
            _ => at += 1,
        }
    }
    uses.retain(|variable| !bound.contains(&&*variable.name));
    uses
}

fn identifier(text: &str, start: usize) -> &str {
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}
