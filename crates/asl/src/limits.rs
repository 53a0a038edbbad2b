//! Bounds of what one definition or one evaluation may cost.

use serde_json::Value;

/// AWS's limit of a definition.
pub const DEFINITION_BYTES_MAX: usize = 1024 * 1024;

/// How deep the JSON of a definition may nest; the parsers and validators recurse along it.
pub const DEFINITION_DEPTH_MAX: usize = 128;

/// How deep a value may nest that is copied, compared or printed.
pub const VALUE_DEPTH_MAX: usize = 512;

/// How much one evaluation may copy together. Far above every payload limit: it only stops amplification.
pub const EVALUATION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many nodes one path may visit.
pub const PATH_VISITS_MAX: usize = 10_000_000;

/// How deep a filter expression may nest.
pub const FILTER_DEPTH_MAX: usize = 16;

/// AWS's limit of nested intrinsic function calls.
pub const INTRINSIC_DEPTH_MAX: usize = 10;

/// How large a compiled regular expression of a filter may be.
pub const REGEX_BYTES_MAX: usize = 256 * 1024;

/// How many findings are kept of one definition.
pub const DIAGNOSTICS_MAX: usize = 1000;

/// What is left of one evaluation's allowance.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
}

/// An evaluation that would copy too much, or too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded;

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget { bytes: EVALUATION_BYTES_MAX }
    }

    /// Takes what a copy of `value` costs; refuses a value too deep to be copied by recursion.
    pub(crate) fn charge(&mut self, value: &Value) -> Result<(), Exceeded> {
        if !value.is_array() && !value.is_object() {
            return self.charge_bytes(value.as_str().map_or(8, |text| text.len() + 8));
        }
        let mut stack = vec![(value, 0)];
        while let Some((value, depth)) = stack.pop() {
            self.charge_bytes(match value {
                Value::String(text) => text.len() + 8,
                _ => 8,
            })?;
            if depth > VALUE_DEPTH_MAX {
                return Err(Exceeded);
            }
            match value {
                Value::Array(items) => stack.extend(items.iter().map(|item| (item, depth + 1))),
                Value::Object(members) => {
                    for (key, member) in members {
                        self.charge_bytes(key.len())?;
                        stack.push((member, depth + 1));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Exceeded)?;
        Ok(())
    }

    /// A copy of `value`, paid for.
    pub(crate) fn copy(&mut self, value: &Value) -> Result<Value, Exceeded> {
        self.charge(value)?;
        Ok(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_value_is_refused_without_recursion() {
        let mut value = Value::Null;
        for _ in 0..VALUE_DEPTH_MAX + 2 {
            value = Value::Array(vec![value]);
        }
        assert_eq!(Budget::new().charge(&value), Err(Exceeded));
        let Value::Array(mut inner) = value else { unreachable!() };
        assert_eq!(Budget::new().charge(&inner.pop().expect("one")), Err(Exceeded));
        assert_eq!(Budget::new().charge(&Value::from("x")), Ok(()));
    }
}
