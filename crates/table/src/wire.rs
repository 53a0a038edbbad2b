//! Attribute values as AWS's JSON carries them, read and checked in one pass.

use std::cell::Cell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::value::{ATTRIBUTE_NAME_BYTES_MAX, NESTING_MAX};
use crate::{AttributeValue, Item, Kind, Number};

const EMPTY: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const SEVERAL: &str =
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
const INVALID: &str = "One or more parameter values were invalid: ";
const TOO_DEEP: &str = "Nesting Levels have exceeded supported limits: Attributes of type List and Map can be nested \
                        up to 32 levels deep";

/// What was read, and the first rule of DynamoDB's that it breaks: what JSON has the right shape is a
/// `SerializationException` of whoever decodes it; what breaks a rule is a `ValidationException` of ours.
#[derive(Clone, Debug, Default)]
pub struct Checked<T> {
    value: T,
    problem: Option<String>,
}

impl<T> Checked<T> {
    /// The value, or what is wrong with it.
    pub fn get(self) -> Result<T, String> {
        match self.problem {
            None => Ok(self.value),
            Some(problem) => Err(problem),
        }
    }

    /// What was read, right or wrong.
    pub fn peek(&self) -> &T {
        &self.value
    }

    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl<T> From<T> for Checked<T> {
    fn from(value: T) -> Checked<T> {
        Checked { value, problem: None }
    }
}

impl<T: Serialize> Serialize for Checked<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// The first problem met; kept in a cell, for seeds are copied down the tree.
#[derive(Default)]
struct Problems(Cell<Option<String>>);

impl Problems {
    fn add(&self, problem: impl Into<String>) {
        let first = self.0.take();
        self.0.set(Some(first.unwrap_or_else(|| problem.into())));
    }
}

macro_rules! checked {
    ($type:ty, $seed:ident) => {
        impl<'de> Deserialize<'de> for Checked<$type> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checked<$type>, D::Error> {
                let problems = Problems::default();
                let value = $seed { problems: &problems, depth: 0 }.deserialize(deserializer)?;
                Ok(Checked { value, problem: problems.0.into_inner() })
            }
        }
    };
}

checked!(Item, ItemSeed);
checked!(AttributeValue, ValueSeed);
checked!(Vec<AttributeValue>, ListSeed);

#[derive(Clone, Copy)]
struct ItemSeed<'a> {
    problems: &'a Problems,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attribute values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut item = Item::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(ValueSeed { problems: self.problems, depth: self.depth })?;
            if name.len() > ATTRIBUTE_NAME_BYTES_MAX {
                self.problems.add(format!("{INVALID}Attribute name is too large, must be less than 65536 bytes"));
            }
            item.insert(name, value);
        }
        Ok(item)
    }
}

#[derive(Clone, Copy)]
struct ListSeed<'a> {
    problems: &'a Problems,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = Vec<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<AttributeValue>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = Vec<AttributeValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of attribute values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<AttributeValue>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(ValueSeed { problems: self.problems, depth: self.depth })? {
            list.push(value);
        }
        Ok(list)
    }
}

#[derive(Clone, Copy)]
struct ValueSeed<'a> {
    problems: &'a Problems,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = AttributeValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AttributeValue, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(kind) = Kind::parse(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let Some(value) = self.member(kind, &mut map)? else {
                continue;
            };
            if found.replace(value).is_some() {
                self.problems.add(SEVERAL);
            }
        }
        Ok(found.unwrap_or_else(|| {
            self.problems.add(EMPTY);
            AttributeValue::Null
        }))
    }
}

impl ValueSeed<'_> {
    fn member<'de, A: MapAccess<'de>>(&self, kind: Kind, map: &mut A) -> Result<Option<AttributeValue>, A::Error> {
        Ok(match kind {
            Kind::S => map.next_value::<Option<String>>()?.map(AttributeValue::S),
            Kind::N => {
                map.next_value::<Option<std::borrow::Cow<'de, str>>>()?.map(|t| AttributeValue::N(self.number(&t)))
            }
            Kind::B => map.next_value::<Option<Blob>>()?.map(|b| AttributeValue::B(b.0)),
            Kind::Bool => map.next_value::<Option<bool>>()?.map(AttributeValue::Bool),
            Kind::Null => map.next_value::<Option<bool>>()?.map(|is| {
                if !is {
                    self.problems.add(format!("{INVALID}Null attribute value types must have the value of true"));
                }
                AttributeValue::Null
            }),
            Kind::L | Kind::M if self.depth >= NESTING_MAX => {
                map.next_value::<IgnoredAny>()?;
                self.problems.add(TOO_DEEP);
                Some(AttributeValue::Null)
            }
            Kind::L => {
                let seed = ListSeed { problems: self.problems, depth: self.depth + 1 };
                map.next_value_seed(Nullable(seed))?.map(AttributeValue::L)
            }
            Kind::M => {
                let seed = ItemSeed { problems: self.problems, depth: self.depth + 1 };
                map.next_value_seed(Nullable(seed))?.map(AttributeValue::M)
            }
            Kind::Ss => map.next_value::<Option<Vec<String>>>()?.map(|set| self.texts(set)),
            Kind::Ns => map.next_value::<Option<Vec<String>>>()?.map(|set| self.numbers(&set)),
            Kind::Bs => map.next_value::<Option<Vec<Blob>>>()?.map(|set| self.blobs(set)),
        })
    }

    fn number(&self, text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|error| {
            self.problems.add(error.to_string());
            Number::ZERO
        })
    }

    fn texts(&self, set: Vec<String>) -> AttributeValue {
        if set.is_empty() {
            self.problems.add(format!("{INVALID}An string set  may not be empty"));
        }
        if set.iter().any(String::is_empty) {
            self.problems.add(format!("{INVALID}An string set may not have a empty string as a member"));
        }
        let (sorted, shown) = sorted(set, |s| s.clone());
        if let Some(shown) = shown {
            self.problems.add(format!("{INVALID}Input collection {shown} contains duplicates."));
        }
        AttributeValue::Ss(sorted)
    }

    fn numbers(&self, set: &[String]) -> AttributeValue {
        if set.is_empty() {
            self.problems.add(format!("{INVALID}An number set  may not be empty"));
        }
        let (sorted, shown) = sorted(set.iter().map(|t| self.number(t)).collect(), Number::to_string);
        if shown.is_some() {
            self.problems.add("Input collection contains duplicates");
        }
        AttributeValue::Ns(sorted)
    }

    fn blobs(&self, set: Vec<Blob>) -> AttributeValue {
        if set.is_empty() {
            self.problems.add(format!("{INVALID}Binary sets should not be empty"));
        }
        if set.iter().any(|b| b.0.is_empty()) {
            self.problems.add(format!("{INVALID}Binary sets may not contain null or empty values"));
        }
        let (sorted, shown) = sorted(set.into_iter().map(|b| b.0).collect(), |b| STANDARD.encode(b));
        if let Some(shown) = shown {
            self.problems.add(format!("{INVALID}Input collection {shown}of type BS contains duplicates."));
        }
        AttributeValue::Bs(sorted)
    }
}

/// The elements in order and, if some were there twice, how a message shows the collection.
fn sorted<T: Ord + Clone>(mut set: Vec<T>, show: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let given = set.clone();
    set.sort_unstable();
    set.dedup();
    let shown =
        (set.len() < given.len()).then(|| format!("[{}]", given.iter().map(show).collect::<Vec<_>>().join(", ")));
    (set, shown)
}

/// A seed for a member that may be `null`, which stands for an absent one.
struct Nullable<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<S::Value>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or map of attribute values")
    }

    fn visit_none<E>(self) -> Result<Option<S::Value>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<S::Value>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<S::Value>, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

/// Bytes as base64 text.
struct Blob(Vec<u8>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Blob).map_err(|e| D::Error::custom(format!("invalid Base64: {e}")))
    }
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let name = self.kind().name();
        match self {
            AttributeValue::S(text) => map.serialize_entry(name, text)?,
            AttributeValue::N(number) => map.serialize_entry(name, &Text(number))?,
            AttributeValue::B(bytes) => map.serialize_entry(name, &Base64(bytes))?,
            AttributeValue::Bool(value) => map.serialize_entry(name, value)?,
            AttributeValue::Null => map.serialize_entry(name, &true)?,
            AttributeValue::L(list) => map.serialize_entry(name, list)?,
            AttributeValue::M(item) => map.serialize_entry(name, item)?,
            AttributeValue::Ss(set) => map.serialize_entry(name, set)?,
            AttributeValue::Ns(set) => map.serialize_entry(name, &Each(set, Text))?,
            AttributeValue::Bs(set) => map.serialize_entry(name, &Each(set, Base64))?,
        }
        map.end()
    }
}

struct Text<'a>(&'a Number);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

struct Base64<'a>(&'a Vec<u8>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

struct Each<'a, T, W: Fn(&'a T) -> V, V: Serialize>(&'a [T], W);

impl<'a, T, W: Fn(&'a T) -> V, V: Serialize> Serialize for Each<'a, T, W, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for element in self.0 {
            seq.serialize_element(&(self.1)(element))?;
        }
        seq.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value) -> Result<AttributeValue, String> {
        serde_json::from_str::<Checked<AttributeValue>>(&value.to_string()).unwrap().get()
    }

    #[test]
    fn values_come_back_normalised() {
        for (given, back) in [
            (json!({"S": ""}), json!({"S": ""})),
            (json!({"N": "1.50"}), json!({"N": "1.5"})),
            (json!({"B": "YWI="}), json!({"B": "YWI="})),
            (json!({"BOOL": false}), json!({"BOOL": false})),
            (json!({"NULL": true}), json!({"NULL": true})),
            (json!({"S": null, "N": "2"}), json!({"N": "2"})),
            (json!({"L": [{"M": {"a": {"L": []}}}]}), json!({"L": [{"M": {"a": {"L": []}}}]})),
            (json!({"SS": ["b", "a"]}), json!({"SS": ["a", "b"]})),
            (json!({"NS": ["10", "9.0"]}), json!({"NS": ["9", "10"]})),
            (json!({"BS": ["Yg==", "YQ=="]}), json!({"BS": ["YQ==", "Yg=="]})),
        ] {
            assert_eq!(serde_json::to_value(read(&given).unwrap()).unwrap(), back, "{given}");
            let direct = serde_json::from_value::<Checked<AttributeValue>>(given.clone()).unwrap().get();
            assert_eq!(direct, read(&given), "{given}");
        }
    }

    #[test]
    fn rules_have_their_messages() {
        for (given, message) in [
            (json!({}), EMPTY.to_owned()),
            (json!({"X": "a"}), EMPTY.to_owned()),
            (json!({"M": {"a": {}}}), EMPTY.to_owned()),
            (json!({"S": "a", "N": "1"}), SEVERAL.to_owned()),
            (json!({"N": "b"}), "The parameter cannot be converted to a numeric value: b".to_owned()),
            (json!({"NS": ["1", ""]}), "The parameter cannot be converted to a numeric value".to_owned()),
            (json!({"NS": ["1", "1.0"]}), "Input collection contains duplicates".to_owned()),
            (json!({"SS": []}), format!("{INVALID}An string set  may not be empty")),
            (json!({"SS": ["a", ""]}), format!("{INVALID}An string set may not have a empty string as a member")),
            (json!({"SS": ["a", "a"]}), format!("{INVALID}Input collection [a, a] contains duplicates.")),
            (
                json!({"BS": ["Yg==", "Yg=="]}),
                format!("{INVALID}Input collection [Yg==, Yg==]of type BS contains duplicates."),
            ),
            (json!({"NULL": false}), format!("{INVALID}Null attribute value types must have the value of true")),
        ] {
            assert_eq!(read(&given), Err(message), "{given}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| (0..levels).fold(json!({"S": "a"}), |inner, _| json!({"L": [inner]}));
        assert!(read(&nested(32)).is_ok());
        assert_eq!(read(&nested(33)), Err(TOO_DEEP.to_owned()));
    }

    #[test]
    fn wrong_json_is_no_value() {
        for text in [r#"{"N": 5}"#, r#"{"S": 5}"#, r#"{"B": "%"}"#, r#"{"L": {}}"#, r#"{"M": []}"#, r#""a""#, "[]"] {
            assert!(serde_json::from_str::<Checked<AttributeValue>>(text).is_err(), "{text}");
        }
    }
}
