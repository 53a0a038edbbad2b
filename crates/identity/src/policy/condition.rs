use std::cmp::Ordering;
use std::net::IpAddr;

use base::Timestamp;
use serde_json::{Map, Value};

use super::Context;
use super::decide::arn_matches;
use super::glob::{Part, matches_parts, parts, with_variables};
use super::parse::{PolicyError, texts};

/// One key of one operator of a Condition block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    operator: Operator,
    negated: bool,
    /// Holds where the request does not have the key.
    if_exists: bool,
    set: Set,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// A key of one value.
    No,
    ForAll,
    ForAny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Compare),
    Date(Compare),
    Bool,
    BinaryEquals,
    IpAddress,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

impl Condition {
    pub fn parse_all(operators: &Map<String, Value>) -> Result<Vec<Condition>, PolicyError> {
        let mut conditions = Vec::new();
        for (name, keys) in operators {
            let Value::Object(keys) = keys else {
                return Err(PolicyError("Syntax errors in policy. Condition must be an object of objects".to_owned()));
            };
            for (key, value) in keys {
                conditions.push(Condition::parse(name, key, value)?);
            }
        }
        Ok(conditions)
    }

    fn parse(name: &str, key: &str, value: &Value) -> Result<Condition, PolicyError> {
        let (set, plain) = match name.split_once(':') {
            Some(("ForAllValues", plain)) => (Set::ForAll, plain),
            Some(("ForAnyValue", plain)) => (Set::ForAny, plain),
            _ => (Set::No, name),
        };
        let (plain, if_exists) = plain.strip_suffix("IfExists").map_or((plain, false), |plain| (plain, true));
        let (operator, negated) =
            operator(plain).ok_or_else(|| PolicyError(format!("Invalid Condition type : {name}.")))?;
        // Numbers and booleans may stand without quotes.
        let plain_text = |value: &Value| match value {
            Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
            value => value.clone(),
        };
        let value = match value {
            Value::Array(values) => Value::Array(values.iter().map(plain_text).collect()),
            value => plain_text(value),
        };
        let condition =
            Condition { operator, negated, if_exists, set, key: key.to_owned(), values: texts(&value, key)? };
        condition.check()?;
        Ok(condition)
    }

    fn check(&self) -> Result<(), PolicyError> {
        for value in &self.values {
            let is_good = value.contains("${")
                || match self.operator {
                    Operator::Numeric(_) => value.parse::<f64>().is_ok(),
                    Operator::Date(_) => date(value).is_some(),
                    Operator::Bool | Operator::Null => ["true", "false"].contains(&&*value.to_ascii_lowercase()),
                    Operator::IpAddress => network(value).is_some(),
                    _ => true,
                };
            if !is_good {
                return Err(PolicyError(format!("Invalid value '{value}' of condition key {}", self.key)));
            }
        }
        Ok(())
    }

    pub fn holds(&self, context: &Context, has_variables: bool) -> bool {
        let sent = context.get(&self.key);
        if self.operator == Operator::Null {
            let is_absent = sent.is_none_or(<[String]>::is_empty);
            return self.values.iter().any(|v| v.eq_ignore_ascii_case("true") == is_absent);
        }
        let Some(sent) = sent.filter(|s| !s.is_empty()) else {
            return match self.set {
                Set::ForAll => true,
                Set::ForAny => false,
                Set::No => self.if_exists || self.negated,
            };
        };
        let one = |sent: &String| {
            let matches = self.values.iter().any(|wanted| self.matches(wanted, sent, context, has_variables));
            matches != self.negated
        };
        match self.set {
            Set::ForAll => sent.iter().all(one),
            Set::ForAny => sent.iter().any(one),
            // A key of several values without a set operator matches if any does; negated, if none does.
            Set::No if self.negated => sent.iter().all(one),
            Set::No => sent.iter().any(one),
        }
    }

    fn matches(&self, wanted: &str, sent: &str, context: &Context, has_variables: bool) -> bool {
        let filled = |pattern: &str| {
            let value = |key: &str| context.get(key).and_then(|v| if v.len() == 1 { Some(v[0].clone()) } else { None });
            if has_variables { with_variables(pattern, value) } else { Some(parts(pattern)) }
        };
        let plain = || {
            let value = |key: &str| context.get(key).and_then(|v| v.first().cloned());
            if has_variables { fill(wanted, value) } else { Some(wanted.to_owned()) }
        };
        match self.operator {
            Operator::StringEquals | Operator::BinaryEquals => plain().is_some_and(|w| w == sent),
            Operator::StringEqualsIgnoreCase => plain().is_some_and(|w| w.to_lowercase() == sent.to_lowercase()),
            Operator::StringLike => filled(wanted).is_some_and(|w| matches_parts(&w, sent)),
            Operator::Bool => wanted.eq_ignore_ascii_case(sent),
            Operator::Numeric(compare) => match (wanted.parse::<f64>(), sent.parse::<f64>()) {
                (Ok(wanted), Ok(sent)) => sent.partial_cmp(&wanted).is_some_and(|order| compare.holds(order)),
                _ => false,
            },
            Operator::Date(compare) => match (date(wanted), date(sent)) {
                (Some(wanted), Some(sent)) => compare.holds(sent.cmp(&wanted)),
                _ => false,
            },
            Operator::IpAddress => match (network(wanted), sent.parse::<IpAddr>()) {
                (Some((address, bits)), Ok(sent)) => is_in_network(sent, address, bits),
                _ => false,
            },
            Operator::Arn => plain().is_some_and(|w| arn_matches(&w, sent)),
            Operator::Null => false,
        }
    }
}

/// A text with its policy variables put in.
fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let parts = with_variables(text, value)?;
    Some(
        parts
            .into_iter()
            .map(|p| {
                if let Part::Char(c) = p {
                    c
                } else if p == Part::Any {
                    '*'
                } else {
                    '?'
                }
            })
            .collect(),
    )
}

impl Compare {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Compare::Equals => order.is_eq(),
            Compare::LessThan => order.is_lt(),
            Compare::LessThanEquals => order.is_le(),
            Compare::GreaterThan => order.is_gt(),
            Compare::GreaterThanEquals => order.is_ge(),
        }
    }
}

/// The operator, and whether it is negated.
fn operator(name: &str) -> Option<(Operator, bool)> {
    let compare = |name: &str| {
        Some(match name {
            "Equals" => (Compare::Equals, false),
            "NotEquals" => (Compare::Equals, true),
            "LessThan" => (Compare::LessThan, false),
            "LessThanEquals" => (Compare::LessThanEquals, false),
            "GreaterThan" => (Compare::GreaterThan, false),
            "GreaterThanEquals" => (Compare::GreaterThanEquals, false),
            _ => return None,
        })
    };
    if let Some(rest) = name.strip_prefix("Numeric") {
        return compare(rest).map(|(c, negated)| (Operator::Numeric(c), negated));
    }
    if let Some(rest) = name.strip_prefix("Date") {
        return compare(rest).map(|(c, negated)| (Operator::Date(c), negated));
    }
    Some(match name {
        "StringEquals" => (Operator::StringEquals, false),
        "StringNotEquals" => (Operator::StringEquals, true),
        "StringEqualsIgnoreCase" => (Operator::StringEqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Operator::StringEqualsIgnoreCase, true),
        "StringLike" => (Operator::StringLike, false),
        "StringNotLike" => (Operator::StringLike, true),
        "Bool" => (Operator::Bool, false),
        "BinaryEquals" => (Operator::BinaryEquals, false),
        "IpAddress" => (Operator::IpAddress, false),
        "NotIpAddress" => (Operator::IpAddress, true),
        "ArnEquals" | "ArnLike" => (Operator::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Operator::Arn, true),
        "Null" => (Operator::Null, false),
        _ => return None,
    })
}

/// ISO 8601, a bare date, or seconds since the epoch.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Timestamp::from_millis(seconds.checked_mul(1000)?));
    }
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&text).ok()
}

/// An address or a CIDR range.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(bits_max), |b| b.parse().ok()).filter(|b| *b <= bits_max)?;
    Some((address, bits))
}

fn is_in_network(sent: IpAddr, address: IpAddr, bits: u32) -> bool {
    match (sent, address) {
        (IpAddr::V4(sent), IpAddr::V4(address)) => {
            let shift = 32 - bits;
            sent.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        (IpAddr::V6(sent), IpAddr::V6(address)) => {
            let shift = 128 - bits;
            sent.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}
