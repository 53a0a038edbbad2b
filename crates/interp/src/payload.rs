use std::sync::{Arc, OnceLock};

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// How deep data may nest: what can be read back from its text.
const DEPTH_MAX: usize = 127;

/// A JSON value with its text, both shared: states hand them on without copying.
///
/// Either is made when it is first asked for; what came from outside keeps the text it came with, to the letter.
/// It nests no deeper than [`DEPTH_MAX`], so that its text can always be read again.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    /// This or the value is there from the start.
    text: OnceLock<Arc<str>>,
    value: OnceLock<Arc<Value>>,
}

impl Payload {
    /// What a state has made; fails if it is too deep.
    pub fn new(value: Value) -> Result<Payload, Failure> {
        if value_exceeds(&value, DEPTH_MAX) {
            return Err(Failure::runtime(format_args!("The data nests deeper than {DEPTH_MAX} levels.")));
        }
        Ok(Payload { text: OnceLock::new(), value: OnceLock::from(Arc::new(value)) })
    }

    /// What came from outside.
    pub fn parse(text: Arc<str>) -> Result<Payload, serde_json::Error> {
        let value = Arc::new(serde_json::from_str(&text)?);
        Ok(Payload { text: OnceLock::from(text), value: OnceLock::from(value) })
    }

    /// What was stored: checked, but read only when it is needed.
    pub fn stored(text: Arc<str>) -> Option<Payload> {
        let valid = serde_json::from_str::<IgnoredAny>(&text).is_ok() && !text_exceeds(&text, DEPTH_MAX);
        valid.then(|| Payload { text: OnceLock::from(text), value: OnceLock::new() })
    }

    pub fn empty_object() -> Payload {
        Payload { text: OnceLock::new(), value: OnceLock::from(Arc::new(Value::Object(Map::new()))) }
    }

    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| Arc::new(self.read()))
    }

    pub fn shared(&self) -> Arc<Value> {
        self.value.get_or_init(|| Arc::new(self.read())).clone()
    }

    pub fn text(&self) -> &Arc<str> {
        self.text.get_or_init(|| serde_json::to_string(self.value()).expect("a value has text keys only").into())
    }

    /// The value, copied only if another state still holds it.
    pub fn into_value(mut self) -> Value {
        match self.value.take() {
            Some(value) => Arc::try_unwrap(value).unwrap_or_else(|shared| (*shared).clone()),
            None => self.read(),
        }
    }

    fn read(&self) -> Value {
        let text = self.text.get().expect("a payload has its text or its value");
        serde_json::from_str(text).expect("a payload's text was checked")
    }
}

fn value_exceeds(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| value_exceeds(item, levels - 1)),
        Value::Object(members) => levels == 0 || members.values().any(|member| value_exceeds(member, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The same of valid JSON text.
fn text_exceeds(text: &str, levels: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    text.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > levels
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_read_again() {
        let nested = |levels: usize| (0..levels).fold(Value::Null, |value, _| Value::Array(vec![value]));
        let deepest = Payload::new(nested(DEPTH_MAX)).unwrap();
        let text = deepest.text().clone();
        assert_eq!(Payload::parse(text.clone()).unwrap().value(), deepest.value());
        assert_eq!(Payload::stored(text).unwrap().into_value(), nested(DEPTH_MAX));
        for too_deep in [DEPTH_MAX + 1, 3_000] {
            assert!(Payload::new(nested(too_deep)).is_err());
            let text: Arc<str> = ("[".repeat(too_deep) + &"]".repeat(too_deep)).into();
            assert!(Payload::parse(text.clone()).is_err());
            assert!(Payload::stored(text).is_none());
        }
        let brackets: Arc<str> = format!("\"\\\"{}\"", "[".repeat(500)).into();
        assert!(Payload::stored(brackets).is_some());
        assert!(Payload::stored("{oops".into()).is_none());
    }
}
