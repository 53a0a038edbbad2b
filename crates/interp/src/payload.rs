use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::failure::Failure;

/// How deep data may nest: what can be read back from its text.
const DEPTH_MAX: usize = 127;

/// A JSON value with its text, both shared: states hand them on without copying.
///
/// The text is made when it is first asked for; what came from outside keeps the text it came with, to the letter.
/// It nests no deeper than [`DEPTH_MAX`], so that its text can always be read again.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    value: Arc<Value>,
    text: OnceLock<Arc<str>>,
}

impl Payload {
    /// What a state has made; fails if it is too deep.
    pub fn new(value: Value) -> Result<Payload, Failure> {
        if depth_exceeds(&value, DEPTH_MAX) {
            return Err(Failure::runtime(format_args!("The data nests deeper than {DEPTH_MAX} levels.")));
        }
        Ok(Payload { value: Arc::new(value), text: OnceLock::new() })
    }

    pub fn parse(text: Arc<str>) -> Result<Payload, serde_json::Error> {
        let value = Arc::new(serde_json::from_str(&text)?);
        Ok(Payload { value, text: OnceLock::from(text) })
    }

    pub fn empty_object() -> Payload {
        Payload { value: Arc::new(Value::Object(Map::new())), text: OnceLock::new() }
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn text(&self) -> &Arc<str> {
        self.text.get_or_init(|| self.value.to_string().into())
    }

    /// The value, copied only if another state still holds it.
    pub fn into_value(self) -> Value {
        Arc::try_unwrap(self.value).unwrap_or_else(|shared| (*shared).clone())
    }
}

fn depth_exceeds(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| depth_exceeds(item, levels - 1)),
        Value::Object(members) => levels == 0 || members.values().any(|member| depth_exceeds(member, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_read_again() {
        let nested = |levels: usize| (0..levels).fold(Value::Null, |value, _| Value::Array(vec![value]));
        let deepest = Payload::new(nested(DEPTH_MAX)).unwrap();
        assert!(Payload::parse(deepest.text().clone()).is_ok());
        assert!(Payload::new(nested(DEPTH_MAX + 1)).is_err());
        assert!(Payload::new(nested(3_000)).is_err());
    }
}
