use std::borrow::Cow;
use std::cmp::Ordering;

use asl::{Choice, Comparison, Condition, DataKind, JsonataField, Operand, Operator, Path, State};
use base::Timestamp;
use serde_json::{Number, Value};

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::run::Run;

/// Goes where the first rule that holds leads.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, choice: &Choice) -> Result<Flow, Failure> {
    let input = data::effective_input(run, id, state)?;
    for (index, rule) in choice.rules.iter().enumerate() {
        let holds = match &rule.condition {
            Condition::Jsonata(expression) => {
                let name = format_args!("Choices[{index}]/Condition");
                data::query(run, id, state, JsonataField::new(&name, expression), JsonataField::boolean)?
            }
            condition => Scene(data::scene(run.position, run.context, id, &input)).holds(condition)?,
        };
        if holds {
            return data::pass_on(
                run,
                id,
                state,
                (rule.assign.as_ref(), rule.output.as_ref()),
                Some(rule.next.clone()),
            );
        }
    }
    let Some(next) = choice.default.clone() else {
        // What AWS does; its documentation names States.NoChoiceMatched.
        return Err(Failure::runtime(
            "Failed to transition out of the state. The state does not point to a next state.",
        ));
    };
    data::pass_on(run, id, state, (state.assign.as_ref(), state.output.as_ref()), Some(next))
}

/// What conditions look at.
struct Scene<'a>(asl::Scene<'a>);

impl<'a> Scene<'a> {
    fn holds(&self, condition: &Condition) -> Result<bool, Failure> {
        match condition {
            Condition::And(all) => {
                for condition in all {
                    if !self.holds(condition)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Or(any) => {
                for condition in any {
                    if self.holds(condition)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::Not(condition) => Ok(!self.holds(condition)?),
            Condition::Jsonata(_) => Err(Failure::runtime("A JSONata condition stands among tests of JSONPath.")),
            Condition::Test { variable, operator: Operator::IsPresent(expected) } => {
                Ok(self.is_present(variable) == *expected)
            }
            Condition::Test { variable, operator } => {
                let value = self.find(variable)?;
                self.test(&value, operator)
            }
        }
    }

    fn test(&self, value: &Value, operator: &Operator) -> Result<bool, Failure> {
        Ok(match operator {
            Operator::IsPresent(expected) => *expected,
            Operator::IsNull(expected) => value.is_null() == *expected,
            Operator::IsNumeric(expected) => value.is_number() == *expected,
            Operator::IsString(expected) => value.is_string() == *expected,
            Operator::IsBoolean(expected) => value.is_boolean() == *expected,
            Operator::IsTimestamp(expected) => value.as_str().is_some_and(|t| instant(t).is_some()) == *expected,
            Operator::StringMatches(pattern) => value.as_str().is_some_and(|text| matches(pattern, text)),
            Operator::Compare { kind, comparison, operand } => {
                let other = match operand {
                    Operand::Literal(value) => Cow::Borrowed(value),
                    Operand::Path(path) => self.find(path)?,
                };
                compare(*kind, value, &other).is_some_and(|ordering| agrees(*comparison, ordering))
            }
        })
    }

    fn is_present(&self, path: &Path) -> bool {
        match path.evaluate(self.0) {
            Ok(found) => path.is_definite() || found.as_array().is_none_or(|all| !all.is_empty()),
            Err(_) => false,
        }
    }

    fn find(&self, path: &Path) -> Result<Cow<'a, Value>, Failure> {
        path.evaluate(self.0).map_err(|_| {
            Failure::runtime(format_args!(
                "Invalid path '{}': The choice state's condition path references an invalid value.",
                path.as_str()
            ))
        })
    }
}

/// How two values of a kind are ordered; `None` if one is of another kind.
fn compare(kind: DataKind, a: &Value, b: &Value) -> Option<Ordering> {
    match kind {
        // By UTF-16 units, as Java compares.
        DataKind::String => Some(a.as_str()?.encode_utf16().cmp(b.as_str()?.encode_utf16())),
        DataKind::Boolean => Some(a.as_bool()?.cmp(&b.as_bool()?)),
        DataKind::Timestamp => Some(instant(a.as_str()?)?.cmp(&instant(b.as_str()?)?)),
        DataKind::Numeric => match (a, b) {
            (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
            _ => None,
        },
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn agrees(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Equals => ordering.is_eq(),
        Comparison::LessThan => ordering.is_lt(),
        Comparison::LessThanEquals => ordering.is_le(),
        Comparison::GreaterThan => ordering.is_gt(),
        Comparison::GreaterThanEquals => ordering.is_ge(),
    }
}

/// A point in time in full precision: what our timestamps cut off comes second.
fn instant(text: &str) -> Option<(Timestamp, String)> {
    let time = Timestamp::parse_rfc3339(text).ok()?;
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.chars().take_while(char::is_ascii_digit).skip(3).collect::<String>();
    Some((time, digits.trim_end_matches('0').to_owned()))
}

/// `*` stands for any run of characters, `\` takes the next character as it is.
fn matches(pattern: &str, text: &str) -> bool {
    /// `None` is `*`.
    fn units(pattern: &str) -> Vec<Option<char>> {
        let mut chars = pattern.chars();
        let mut units = Vec::new();
        while let Some(c) = chars.next() {
            units.push(match c {
                '*' => None,
                '\\' => Some(chars.next().unwrap_or('\\')),
                c => Some(c),
            });
        }
        units
    }
    let (pattern, text) = (units(pattern), text.chars().collect::<Vec<_>>());
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one character further.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(None) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(Some(c)) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((behind_star, from)) => {
                    p = behind_star;
                    t = from + 1;
                    retry = Some((behind_star, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(Option::is_none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("log-*.txt", "log-1.txt", true),
            ("log-*.txt", "log-.txt", true),
            ("log-*.txt", "log-1.txt.gz", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xaxxb", true),
            ("*a*b*", "xbxxa", false),
            ("a*a", "a", false),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            (r"a\\*", r"a\b", true),
            ("ä*ö", "ä猫ö", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        let (pattern, text) = ("*a".repeat(200) + "b", "a".repeat(5_000));
        assert!(!matches(&pattern, &text));
    }

    #[test]
    fn orders() {
        let order = |kind, a: &str, b: &str| {
            compare(kind, &serde_json::from_str(a).unwrap(), &serde_json::from_str(b).unwrap())
        };
        for (kind, a, b, expected) in [
            (DataKind::Numeric, "1", "1.0", Some(Ordering::Equal)),
            (DataKind::Numeric, "9007199254740993", "9007199254740992", Some(Ordering::Greater)),
            (DataKind::Numeric, "-1", "18446744073709551615", Some(Ordering::Less)),
            (DataKind::Numeric, "1", "\"1\"", None),
            (DataKind::String, "\"a\"", "\"B\"", Some(Ordering::Greater)),
            (DataKind::String, "\"\u{ffff}\"", "\"\u{10000}\"", Some(Ordering::Greater)),
            (DataKind::Boolean, "true", "true", Some(Ordering::Equal)),
            (DataKind::Boolean, "true", "null", None),
            (
                DataKind::Timestamp,
                "\"2024-01-01T00:00:00Z\"",
                "\"2024-01-01T01:00:00.000+01:00\"",
                Some(Ordering::Equal),
            ),
            (DataKind::Timestamp, "\"2024-01-01T00:00:00.0001Z\"", "\"2024-01-01T00:00:00Z\"", Some(Ordering::Greater)),
            (DataKind::Timestamp, "\"2024-01-01\"", "\"2024-01-01T00:00:00Z\"", None),
        ] {
            assert_eq!(order(kind, a, b), expected, "{a} {b}");
        }
    }
}
