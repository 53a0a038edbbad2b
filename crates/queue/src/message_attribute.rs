use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use service::Fault;

use crate::fault;

const ATTRIBUTES_MAX: usize = 10;
const NAME_CHARS_MAX: usize = 256;
/// Digits of a Number.
const DIGITS_MAX: usize = 38;

/// One user attribute of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, perhaps with a custom label behind a dot.
    pub data_type: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    String(String),
    Binary(Vec<u8>),
}

/// User attributes by name.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// The wire's form of an attribute.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct AttributeShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
    #[serde(skip_serializing)]
    pub string_list_values: Vec<String>,
    #[serde(skip_serializing)]
    pub binary_list_values: Vec<String>,
    pub data_type: String,
}

impl AttributeValue {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            AttributeValue::String(text) => text.as_bytes(),
            AttributeValue::Binary(bytes) => bytes,
        }
    }
}

impl From<&MessageAttribute> for AttributeShape {
    fn from(attribute: &MessageAttribute) -> AttributeShape {
        let mut shape = AttributeShape { data_type: attribute.data_type.clone(), ..AttributeShape::default() };
        match &attribute.value {
            AttributeValue::String(text) => shape.string_value = Some(text.clone()),
            AttributeValue::Binary(bytes) => shape.binary_value = Some(STANDARD.encode(bytes)),
        }
        shape
    }
}

/// Checks user attributes as they come from the wire.
pub(crate) fn check(shapes: BTreeMap<String, AttributeShape>) -> Result<MessageAttributes, Fault> {
    if shapes.len() > ATTRIBUTES_MAX {
        return Err(fault::invalid_parameter(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
            shapes.len()
        )));
    }
    let mut attributes = MessageAttributes::new();
    for (name, shape) in shapes {
        check_name(&name)?;
        let attribute = check_one(&name, shape)?;
        attributes.insert(name, attribute);
    }
    Ok(attributes)
}

fn check_name(name: &str) -> Result<(), Fault> {
    let refuse = |reason: &str| {
        let shown: String = name.chars().take(NAME_CHARS_MAX + 1).collect();
        fault::invalid_parameter(format!("Message (user) attribute name '{shown}' is invalid: {reason}"))
    };
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(refuse("it must be 1 to 256 characters long."));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        return Err(refuse("it can contain only A-Z, a-z, 0-9, underscore, hyphen and period."));
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(refuse("it must not start or end with a period or contain successive periods."));
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        return Err(refuse("it must not start with AWS-reserved prefixes AWS. or Amazon."));
    }
    Ok(())
}

fn check_one(name: &str, shape: AttributeShape) -> Result<MessageAttribute, Fault> {
    if !shape.string_list_values.is_empty() || !shape.binary_list_values.is_empty() {
        return Err(fault::unsupported("Message attribute list values in SendMessage operation are not supported."));
    }
    if shape.data_type.is_empty() {
        return Err(fault::invalid_parameter(format!(
            "The message (user) attribute '{name}' must contain a non-empty message attribute type."
        )));
    }
    let kind = shape.data_type.split('.').next().unwrap_or_default();
    if shape.data_type.chars().count() > NAME_CHARS_MAX || !matches!(kind, "String" | "Number" | "Binary") {
        return Err(fault::invalid_parameter(format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type \
             prefixes: Binary, Number, String."
        )));
    }
    let empty = || {
        fault::invalid_parameter(format!(
            "Message (user) attribute '{name}' must contain a non-empty value of type '{}'.",
            if kind == "Binary" { "Binary" } else { "String" }
        ))
    };
    let value = if kind == "Binary" {
        let text = shape.binary_value.filter(|v| !v.is_empty()).ok_or_else(empty)?;
        let bytes = STANDARD.decode(text).map_err(|_| {
            fault::invalid_parameter(format!("Message (user) attribute '{name}' has no valid base64 value."))
        })?;
        AttributeValue::Binary(bytes)
    } else {
        let text = shape.string_value.filter(|v| !v.is_empty()).ok_or_else(empty)?;
        if kind == "Number" && !is_number(&text) {
            return Err(fault::invalid_parameter(format!(
                "Can't cast the value of message (user) attribute '{name}' to a number."
            )));
        }
        if text.chars().any(|c| !crate::message::is_allowed_char(c)) {
            return Err(fault::invalid_message_contents(crate::message::INVALID_CHARACTERS));
        }
        AttributeValue::String(text)
    };
    Ok(MessageAttribute { data_type: shape.data_type, value })
}

/// A decimal number of at most 38 digits, perhaps with an exponent.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = whole.len() + fraction.len();
    digits > 0
        && digits <= DIGITS_MAX
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        && exponent.parse::<i32>().is_ok_and(|e| (-128..=126).contains(&e))
}

/// What the attributes count towards a message's size.
pub(crate) fn size_bytes(attributes: &MessageAttributes) -> usize {
    attributes.iter().map(|(name, a)| name.len() + a.data_type.len() + a.value.as_bytes().len()).sum()
}

/// AWS's MD5 over attributes in the order of their names; none for none.
pub(crate) fn md5<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a MessageAttribute)>) -> Option<String> {
    let mut hash = Md5::new();
    let mut any = false;
    let part = |hash: &mut Md5, bytes: &[u8]| {
        hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(bytes);
    };
    for (name, attribute) in attributes {
        any = true;
        part(&mut hash, name.as_bytes());
        part(&mut hash, attribute.data_type.as_bytes());
        hash.update(match attribute.value {
            AttributeValue::String(_) => [1],
            AttributeValue::Binary(_) => [2],
        });
        part(&mut hash, attribute.value.as_bytes());
    }
    any.then(|| hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(value: &str) -> AttributeShape {
        AttributeShape {
            string_value: Some(value.to_owned()),
            data_type: "String".to_owned(),
            ..AttributeShape::default()
        }
    }

    fn digest(shapes: &[(&str, AttributeShape)]) -> String {
        let attributes = check(shapes.iter().map(|(n, s)| ((*n).to_owned(), s.clone())).collect()).unwrap();
        md5(attributes.iter().map(|(n, a)| (n.as_str(), a))).unwrap()
    }

    /// The digests that AWS itself answered for these attributes.
    #[test]
    fn digests_as_recorded_from_aws() {
        let all = [("General", string("Kenobi")), ("Hello", string("There")), ("Help.Me", string("Me"))];
        assert_eq!(digest(&all), "4c360f3fdafd970e05fae2f149d997f5");
        assert_eq!(digest(&all[..2]), "fca026605781cb4126a1e9044df24232");
        assert_eq!(digest(&all[1..2]), "a311262e065454b75da111d535b8dacd");
        assert_eq!(digest(&all[1..]), "83fee93c1bcd8b9a5a923ffacdc636c7");
        assert_eq!(digest(&[("Foo", string("Bar"))]), "ae7155c6026991b6d54b11589678bf9c");
        let binary = AttributeShape {
            binary_value: Some(
                STANDARD.encode("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"),
            ),
            data_type: "Binary".to_owned(),
            ..AttributeShape::default()
        };
        assert_eq!(digest(&[("attr1", binary)]), "8cbe4db156db8a94db8b801b7addb984");
        assert_eq!(md5(None), None);
    }

    #[test]
    fn attributes_that_are_refused() {
        let one = |name: &str, shape: AttributeShape| check([(name.to_owned(), shape)].into()).unwrap_err();
        let typed = |data_type: &str, value: &str| AttributeShape { data_type: data_type.to_owned(), ..string(value) };
        for name in ["", "a b", ".a", "a.", "a..b", "AWS.x", "amazon.y", &"n".repeat(257)] {
            assert_eq!(one(name, string("v")).code, "InvalidParameterValueException", "{name}");
        }
        assert_eq!(
            one("ErrorDetails", string("")).message,
            "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."
        );
        for bad in [typed("", "v"), typed("Text", "v"), typed("Number", "1a"), typed("Number", &"1".repeat(39))] {
            assert_eq!(one("a", bad).query_code, Some("InvalidParameterValue"));
        }
        let list = AttributeShape { string_list_values: vec!["x".to_owned()], ..string("v") };
        assert_eq!(one("a", list).code, "UnsupportedOperation");
        let many = (0..11).map(|n| (format!("a{n}"), string("v"))).collect();
        assert!(check(many).unwrap_err().message.contains("[11]"));
        for (number, valid) in [("1", true), ("-1.5e10", true), ("+.5", true), ("1e127", false), (".", false)] {
            assert_eq!(is_number(number), valid, "{number}");
        }
        assert!(check([("a".to_owned(), typed("Number.int", "7"))].into()).is_ok());
    }
}
