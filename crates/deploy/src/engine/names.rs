//! Physical names, as CloudFormation makes them: `stack-LogicalId-RANDOM`.

use base::Entropy;
use serde_json::Value;

use crate::provider::NameRule;

const RANDOM_LENGTH: usize = 12;
const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const NAME_BYTES_MAX: usize = 255;

/// The name of a new instance: the template's, or a generated one.
pub(super) fn physical_name(
    rule: Option<NameRule>,
    properties: &Value,
    stack: &str,
    logical_id: &str,
    entropy: &Entropy,
) -> String {
    if let Some(given) = rule.and_then(|r| properties.get(r.property)).and_then(Value::as_str) {
        return given.to_owned();
    }
    let bytes_max = rule.map_or(NAME_BYTES_MAX, |r| r.bytes_max);
    let random: String =
        (0..RANDOM_LENGTH).map(|_| char::from(LETTERS[entropy.below(LETTERS.len() as u64) as usize])).collect();
    let name = join(stack, logical_id, &random, bytes_max);
    if rule.is_some_and(|r| r.lower_case) { name.to_ascii_lowercase() } else { name }
}

/// Shortens the longer of the two names until all fits; both are ASCII.
fn join(stack: &str, logical_id: &str, random: &str, bytes_max: usize) -> String {
    let room = bytes_max.saturating_sub(random.len() + 2);
    let (mut a, mut b) = (stack.len(), logical_id.len());
    while a + b > room {
        if a >= b { a -= 1 } else { b -= 1 }
    }
    let part = |text: &str, len: usize| text.get(..len).unwrap_or(text).trim_end_matches('-').to_owned();
    format!("{}-{}-{random}", part(stack, a), part(logical_id, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_fit_their_service() {
        let entropy = Entropy::from_seed(1);
        let rule = |bytes_max, lower_case| Some(NameRule { property: "Name", bytes_max, lower_case });
        let make = |rule, id: &str| physical_name(rule, &json!({}), "my-stack-dev", id, &entropy);
        let name = make(rule(80, false), "ScoringQueue");
        assert!(name.starts_with("my-stack-dev-ScoringQueue-") && name.len() == 38, "{name}");
        let long = make(rule(64, true), &"VeryLongLogicalId".repeat(10));
        assert!(long.len() <= 64 && long.starts_with("my-stack-dev-verylong") && long == long.to_lowercase(), "{long}");
        let given = physical_name(rule(80, true), &json!({"Name": "Mine"}), "s", "L", &entropy);
        assert_eq!(given, "Mine");
        assert_ne!(make(None, "A"), make(None, "A"));
    }
}
