//! Event patterns as filter criteria of mappings have them.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>

use serde_json::Value;

/// How deep a pattern may nest.
const DEPTH_MAX: usize = 32;

/// A compiled pattern; the default one matches nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pattern(Option<Node>);

#[derive(Debug, PartialEq)]
enum Node {
    /// Every member of the pattern must match.
    All(Vec<(String, Node)>),
    /// `$or`: one of these must match, at this place.
    Any(Vec<Node>),
    /// One of these tests must hold for the value.
    Tests(Vec<Test>),
}

#[derive(Debug, PartialEq)]
enum Test {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    Wildcard(String),
    Exists(bool),
    Numeric(Vec<(Compare, f64)>),
    AnythingBut(Vec<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("the pattern is not JSON: {e}"))?;
        node(&value, 0).map(|n| Pattern(Some(n)))
    }

    pub fn matches(&self, document: &Value) -> bool {
        self.0.as_ref().is_some_and(|n| n.matches(Some(document)))
    }
}

fn node(value: &Value, depth: usize) -> Result<Node, String> {
    if depth > DEPTH_MAX {
        return Err(format!("the pattern is deeper than {DEPTH_MAX} levels"));
    }
    match value {
        Value::Object(members) if members.is_empty() => Err("an empty object is not allowed".to_owned()),
        Value::Object(members) => {
            let mut all = Vec::new();
            for (name, value) in members {
                if name == "$or" {
                    let Value::Array(options) = value else { return Err("$or must be an array".to_owned()) };
                    let options: Result<_, _> = options.iter().map(|o| node(o, depth + 1)).collect();
                    all.push((String::new(), Node::Any(options?)));
                } else {
                    all.push((name.clone(), node(value, depth + 1)?));
                }
            }
            Ok(Node::All(all))
        }
        Value::Array(tests) if tests.is_empty() => Err("empty arrays are not allowed".to_owned()),
        Value::Array(tests) => Ok(Node::Tests(tests.iter().map(test).collect::<Result<_, _>>()?)),
        other => Err(format!("{other} must be an object or an array")),
    }
}

fn test(value: &Value) -> Result<Test, String> {
    let Value::Object(members) = value else {
        return if value.is_array() {
            Err("an array within an array of tests".to_owned())
        } else {
            Ok(Test::Equals(value.clone()))
        };
    };
    let mut members = members.iter();
    let (Some((name, operand)), None) = (members.next(), members.next()) else {
        return Err("a test must have exactly one operator".to_owned());
    };
    let text = || operand.as_str().map(str::to_owned).ok_or_else(|| format!("{name} takes a string"));
    match name.as_str() {
        "prefix" => Ok(Test::Prefix(text()?)),
        "suffix" => Ok(Test::Suffix(text()?)),
        "wildcard" => Ok(Test::Wildcard(text()?)),
        "equals-ignore-case" => Ok(Test::EqualsIgnoreCase(text()?.to_lowercase())),
        "exists" => operand.as_bool().map(Test::Exists).ok_or_else(|| "exists takes true or false".to_owned()),
        "numeric" => numeric(operand).map(Test::Numeric),
        "anything-but" => {
            let tests = match operand {
                Value::Array(tests) => tests.iter().map(test).collect::<Result<_, _>>()?,
                one => vec![test(one)?],
            };
            Ok(Test::AnythingBut(tests))
        }
        other => Err(format!("unrecognized operator {other}")),
    }
}

fn numeric(operand: &Value) -> Result<Vec<(Compare, f64)>, String> {
    let wrong = || "numeric takes an array of operators and numbers".to_owned();
    let items = operand.as_array().filter(|a| !a.is_empty() && a.len() % 2 == 0).ok_or_else(wrong)?;
    let pair = |pair: &[Value]| {
        let compare = match pair[0].as_str()? {
            "=" => Compare::Equal,
            "<" => Compare::Less,
            "<=" => Compare::LessOrEqual,
            ">" => Compare::Greater,
            ">=" => Compare::GreaterOrEqual,
            _ => return None,
        };
        Some((compare, pair[1].as_f64()?))
    };
    items.chunks(2).map(|p| pair(p).ok_or_else(wrong)).collect()
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Node::Any(options) => options.iter().any(|o| o.matches(value)),
            Node::All(members) => members.iter().all(|(name, node)| match (node, value) {
                (Node::Any(_), _) => node.matches(value),
                // An array matches if one of its elements does.
                (_, Some(Value::Array(items))) => items.iter().any(|i| node.matches(i.get(name))),
                _ => node.matches(value.and_then(|v| v.get(name))),
            }),
            Node::Tests(tests) => match value {
                Some(Value::Array(items)) => {
                    tests.iter().any(|t| *t == Test::Exists(true) || items.iter().any(|i| t.holds(Some(i))))
                }
                // Only leaves exist for a test.
                Some(Value::Object(_)) => tests.contains(&Test::Exists(false)),
                value => tests.iter().any(|t| t.holds(value)),
            },
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        if let Test::Exists(wanted) = self {
            return value.is_some() == *wanted;
        }
        let Some(value) = value else { return false };
        let text = value.as_str();
        match self {
            Test::Exists(_) => unreachable!("handled above"),
            Test::Equals(wanted) => equal(wanted, value),
            Test::EqualsIgnoreCase(wanted) => text.is_some_and(|t| t.to_lowercase() == *wanted),
            Test::Prefix(prefix) => text.is_some_and(|t| t.starts_with(prefix.as_str())),
            Test::Suffix(suffix) => text.is_some_and(|t| t.ends_with(suffix.as_str())),
            Test::Wildcard(pattern) => text.is_some_and(|t| wildcard(pattern.as_bytes(), t.as_bytes())),
            Test::Numeric(bounds) => value.as_f64().is_some_and(|n| {
                bounds.iter().all(|(compare, bound)| match compare {
                    Compare::Equal => n == *bound,
                    Compare::Less => n < *bound,
                    Compare::LessOrEqual => n <= *bound,
                    Compare::Greater => n > *bound,
                    Compare::GreaterOrEqual => n >= *bound,
                })
            }),
            Test::AnythingBut(tests) => !tests.iter().any(|t| t.holds(Some(value))),
        }
    }
}

fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => wanted == value,
    }
}

/// `*` is any run of bytes. Linear in the text for each star: the last one is all that is ever tried again.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = star {
            p = after;
            t = from + 1;
            star = Some((after, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let document =
            r#"{"body":{"kind":"score","n":7,"tags":["a","bee"],"gone":null,"file":"dir/a.txt"},"id":"X-1"}"#;
        let document: Value = serde_json::from_str(document).unwrap();
        for (pattern, matches) in [
            (r#"{"body":{"kind":["score","other"]}}"#, true),
            (r#"{"body":{"kind":["other"]}}"#, false),
            (r#"{"body":{"kind":["score"],"n":[8]}}"#, false),
            (r#"{"body":{"n":[7.0]}}"#, true),
            (r#"{"body":{"n":[{"numeric":[">",5,"<=",7]}]}}"#, true),
            (r#"{"body":{"n":[{"numeric":["<",5]}]}}"#, false),
            (r#"{"body":{"tags":[{"prefix":"be"}]}}"#, true),
            (r#"{"body":{"file":[{"suffix":".txt"}]}}"#, true),
            (r#"{"body":{"file":[{"wildcard":"dir/*.txt"}]}}"#, true),
            (r#"{"body":{"file":[{"wildcard":"dir/*.csv"}]}}"#, false),
            (r#"{"id":[{"equals-ignore-case":"x-1"}]}"#, true),
            (r#"{"body":{"kind":[{"anything-but":["score"]}]}}"#, false),
            (r#"{"body":{"kind":[{"anything-but":{"prefix":"x"}}]}}"#, true),
            (r#"{"body":{"gone":[null]}}"#, true),
            (r#"{"body":{"nowhere":[{"exists":false}]}}"#, true),
            (r#"{"body":{"kind":[{"exists":false}]}}"#, false),
            (r#"{"$or":[{"id":["no"]},{"body":{"n":[7]}}]}"#, true),
            (r#"{"$or":[{"id":["no"]},{"body":{"n":[8]}}]}"#, false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(&document), matches, "{pattern}");
        }
        assert!(!Pattern::default().matches(&document));
    }

    #[test]
    fn patterns_that_are_none() {
        let deep = format!("{}[1]{}", r#"{"a":"#.repeat(40), "}".repeat(40));
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"a":1}"#,
            r#"{"a":[]}"#,
            r#"{"a":[{"near":1}]}"#,
            r#"{"a":[{"numeric":[">"]}]}"#,
            &deep,
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
