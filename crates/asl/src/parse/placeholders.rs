//! Definitions whose `${Name}` a template of CloudFormation, SAM or Terraform replaces before they are created.

use crate::json::{Json, Node};

/// Puts a number where a placeholder stands for a value outside of strings. Every byte keeps its place.
pub(super) fn outside_strings(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let (mut at, mut in_string) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'$' if !in_string => {
                if let Some((_, len)) = placeholder(&text[at..]) {
                    bytes[at..at + len].fill(b' ');
                    bytes[at] = b'1';
                    at += len - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    // Placeholders are ASCII.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Puts an ARN where a `Resource` has a placeholder. Recurses as deep as the JSON, which its parser bounds.
pub(super) fn in_resources(node: &mut Node) {
    match &mut node.json {
        Json::Array(items) => items.iter_mut().for_each(in_resources),
        Json::Object(members) => {
            for member in members {
                match &mut member.value.json {
                    Json::String(text) if member.key == "Resource" => *text = resource(text),
                    _ => in_resources(&mut member.value),
                }
            }
        }
        _ => {}
    }
}

fn resource(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let Some((name, len)) = placeholder(&rest[start..]) else {
            out.push_str(&rest[start..]);
            return out;
        };
        out.push_str(&value(name, out.is_empty()));
        rest = &rest[start + len..];
    }
    out + rest
}

/// What a placeholder may stand for; at the beginning of a resource, for the whole ARN of a function.
fn value(name: &str, is_start: bool) -> String {
    let word: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let means = |what: &str| word.to_ascii_lowercase().contains(what);
    match word.is_empty() {
        true => "X".to_owned(),
        _ if is_start => format!("arn:aws:lambda:us-east-1:123456789012:function:{word}"),
        _ if means("partition") => "aws".to_owned(),
        _ if means("region") => "us-east-1".to_owned(),
        _ if means("account") => "123456789012".to_owned(),
        _ => word,
    }
}

/// The name and the length of the `${Name}` that the text begins with.
fn placeholder(text: &str) -> Option<(&str, usize)> {
    const NAME_BYTES_MAX: usize = 256;
    let name = text.strip_prefix("${")?;
    let end = name.find('}').filter(|end| (1..=NAME_BYTES_MAX).contains(end))?;
    let name = &name[..end];
    (name.is_ascii() && !name.contains(['"', '{', '\n'])).then_some((name, end + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_what_they_may_stand_for() {
        let cases = [
            ("${FunctionArn}", "arn:aws:lambda:us-east-1:123456789012:function:FunctionArn"),
            ("${Fn.Arn}:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:FnArn:$LATEST"),
            (
                "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:a-${stage}",
                "arn:aws:lambda:us-east-1:123456789012:function:a-stage",
            ),
            ("arn:aws:states:::lambda:invoke", "arn:aws:states:::lambda:invoke"),
            ("${", "${"),
            ("${}x", "${}x"),
        ];
        for (text, wanted) in cases {
            assert_eq!(resource(text), wanted);
        }
    }

    #[test]
    fn numbers_keep_the_place_of_what_follows() {
        let text = r#"{"TimeoutSeconds": ${Timeout}, "Comment": "\"${Ä}", "x": ${E} }"#;
        let wanted = r#"{"TimeoutSeconds": 1         , "Comment": "\"${Ä}", "x": 1    }"#;
        assert_eq!(outside_strings(text), wanted);
    }
}
