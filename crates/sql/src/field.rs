//! The Data API's values: fields of records, parameters and their hints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use service::Fault;

use crate::fault::bad_request;

/// A field as the API carries it: exactly one member.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Field {
    pub is_null: Option<bool>,
    pub boolean_value: Option<bool>,
    pub long_value: Option<i64>,
    pub double_value: Option<f64>,
    pub string_value: Option<String>,
    pub blob_value: Option<String>,
    pub array_value: Option<Json>,
}

/// A named parameter of a statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SqlParameter {
    pub name: Option<String>,
    pub value: Option<Field>,
    pub type_hint: Option<String>,
}

/// What a text parameter is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Date,
    Time,
    Timestamp,
    Decimal,
    Json,
    Uuid,
}

/// A parameter, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parameter {
    Null,
    Boolean(bool),
    Long(i64),
    Double(f64),
    Text(String, Option<Hint>),
    Blob(Vec<u8>),
}

/// A value of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Long(i64),
    Double(f64),
    Text(String),
    Blob(Vec<u8>),
    Array(Vec<Value>),
}

/// Parameters by name, one set for each run of the statement.
pub(crate) type Parameters = Vec<(String, Parameter)>;

impl Hint {
    fn parse(name: &str) -> Option<Hint> {
        Some(match name {
            "DATE" => Hint::Date,
            "TIME" => Hint::Time,
            "TIMESTAMP" => Hint::Timestamp,
            "DECIMAL" => Hint::Decimal,
            "JSON" => Hint::Json,
            "UUID" => Hint::Uuid,
            _ => return None,
        })
    }

    /// Whether a text is of the form that the hint promises.
    fn fits(self, text: &str) -> bool {
        match self {
            Hint::Date => is_date(text),
            Hint::Time => is_time(text),
            Hint::Timestamp => text.split_once(' ').is_some_and(|(date, time)| is_date(date) && is_time(time)),
            Hint::Decimal => is_decimal(text),
            Hint::Json => serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
            Hint::Uuid => is_uuid(text),
        }
    }
}

/// Whether `text` follows a pattern in which `9` stands for a digit and everything else for itself.
fn follows(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(t, p)| if p == b'9' { t.is_ascii_digit() } else { t == p })
}

fn is_date(text: &str) -> bool {
    follows(text, "9999-99-99")
}

fn is_time(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    follows(whole, "99:99:99") && !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit())
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && whole.len() + fraction.len() > 0
        && !exponent.is_empty()
        && all_digits(exponent)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

impl SqlParameter {
    /// Checks the parameter; its value may be of any type but an array.
    pub fn check(self) -> Result<(String, Parameter), Fault> {
        let name =
            self.name.filter(|n| !n.is_empty()).ok_or_else(|| bad_request("Parameter name must not be empty"))?;
        let value = self.value.ok_or_else(|| bad_request(format!("Parameter {name} has no value")))?;
        let hint = match self.type_hint.as_deref() {
            None => None,
            Some(hint) => Some(
                Hint::parse(hint)
                    .ok_or_else(|| bad_request(format!("Invalid type hint {hint} for parameter {name}")))?,
            ),
        };
        let parameter = value.parameter(&name)?;
        match (parameter, hint) {
            (Parameter::Text(text, _), Some(hint)) if hint.fits(&text) => Ok((name, Parameter::Text(text, Some(hint)))),
            (Parameter::Text(..), Some(hint)) => Err(bad_request(format!(
                "The value of parameter {name} is no valid {}",
                format!("{hint:?}").to_uppercase()
            ))),
            (parameter, _) => Ok((name, parameter)),
        }
    }
}

impl Field {
    fn parameter(self, name: &str) -> Result<Parameter, Fault> {
        let mut found = Vec::with_capacity(1);
        if self.is_null == Some(true) {
            found.push(Parameter::Null);
        }
        found.extend(self.boolean_value.map(Parameter::Boolean));
        found.extend(self.long_value.map(Parameter::Long));
        found.extend(self.double_value.map(Parameter::Double));
        found.extend(self.string_value.map(|t| Parameter::Text(t, None)));
        if let Some(blob) = self.blob_value {
            let bytes = STANDARD.decode(blob.as_bytes());
            found
                .push(Parameter::Blob(bytes.map_err(|_| bad_request(format!("Parameter {name} is no valid base64")))?));
        }
        if self.array_value.is_some() {
            return Err(bad_request("Array parameters are not supported."));
        }
        match (found.pop(), found.is_empty()) {
            (Some(parameter), true) => Ok(parameter),
            _ => Err(bad_request(format!("Parameter {name} must have exactly one value"))),
        }
    }
}

impl Value {
    /// As a record carries it.
    pub fn to_field(&self) -> Json {
        match self {
            Value::Null => json!({"isNull": true}),
            Value::Boolean(value) => json!({"booleanValue": value}),
            Value::Long(value) => json!({"longValue": value}),
            // JSON has no NaN and no infinity; AWS sends them as texts.
            Value::Double(value) if !value.is_finite() => json!({"stringValue": value.to_string()}),
            Value::Double(value) => json!({"doubleValue": value}),
            Value::Text(text) => json!({"stringValue": text}),
            Value::Blob(bytes) => json!({"blobValue": STANDARD.encode(bytes)}),
            Value::Array(values) => json!({"arrayValue": array(values)}),
        }
    }

    /// As `formattedRecords` carries it.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Long(value) => (*value).into(),
            Value::Double(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Blob(bytes) => STANDARD.encode(bytes).into(),
            Value::Array(values) => values.iter().map(Value::to_json).collect(),
        }
    }

    /// What it adds to the size of a result.
    pub fn size_bytes(&self) -> usize {
        match self {
            Value::Null | Value::Boolean(_) => 1,
            Value::Long(_) | Value::Double(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Array(values) => values.iter().map(Value::size_bytes).sum(),
        }
    }
}

/// An array of values of one kind; absent elements are `null`.
fn array(values: &[Value]) -> Json {
    let of = |member: &str| json!({member: values.iter().map(Value::to_json).collect::<Vec<_>>()});
    match values.iter().find(|v| **v != Value::Null) {
        Some(Value::Boolean(_)) => of("booleanValues"),
        Some(Value::Long(_)) => of("longValues"),
        Some(Value::Double(_)) => of("doubleValues"),
        Some(Value::Array(_)) => {
            let inner: Vec<_> =
                values.iter().map(|v| if let Value::Array(a) = v { array(a) } else { json!({}) }).collect();
            json!({"arrayValues": inner})
        }
        _ => of("stringValues"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameter: Json) -> Result<Parameter, String> {
        let parsed: SqlParameter = serde_json::from_value(parameter).unwrap();
        parsed.check().map(|(_, p)| p).map_err(|f| f.message)
    }

    #[test]
    fn parameters_are_typed() {
        let text = |t: &str, hint| Parameter::Text(t.to_owned(), hint);
        for (value, hint, wanted) in [
            (json!({"isNull": true}), None, Parameter::Null),
            (json!({"booleanValue": true}), None, Parameter::Boolean(true)),
            (json!({"longValue": 5}), None, Parameter::Long(5)),
            (json!({"doubleValue": 1}), None, Parameter::Double(1.0)),
            (json!({"stringValue": "x", "isNull": false}), None, text("x", None)),
            (json!({"blobValue": "YWI="}), None, Parameter::Blob(b"ab".to_vec())),
            (json!({"stringValue": "2024-01-15"}), Some("DATE"), text("2024-01-15", Some(Hint::Date))),
            (json!({"stringValue": "09:30:00.5"}), Some("TIME"), text("09:30:00.5", Some(Hint::Time))),
            (
                json!({"stringValue": "2024-01-15 09:30:00"}),
                Some("TIMESTAMP"),
                text("2024-01-15 09:30:00", Some(Hint::Timestamp)),
            ),
            (json!({"stringValue": "-1.5e3"}), Some("DECIMAL"), text("-1.5e3", Some(Hint::Decimal))),
            (json!({"stringValue": "{\"a\":1}"}), Some("JSON"), text("{\"a\":1}", Some(Hint::Json))),
        ] {
            assert_eq!(check(json!({"name": "p", "value": value, "typeHint": hint})), Ok(wanted), "{value}");
        }
    }

    #[test]
    fn parameters_that_are_refused() {
        for (parameter, message) in [
            (json!({"value": {"longValue": 1}}), "Parameter name must not be empty"),
            (json!({"name": "p"}), "Parameter p has no value"),
            (json!({"name": "p", "value": {}}), "Parameter p must have exactly one value"),
            (
                json!({"name": "p", "value": {"longValue": 1, "stringValue": "a"}}),
                "Parameter p must have exactly one value",
            ),
            (json!({"name": "p", "value": {"arrayValue": {"longValues": [1]}}}), "Array parameters are not supported."),
            (json!({"name": "p", "value": {"blobValue": "%"}}), "Parameter p is no valid base64"),
            (
                json!({"name": "p", "value": {"stringValue": "2024-1-5"}, "typeHint": "DATE"}),
                "The value of parameter p is no valid DATE",
            ),
            (
                json!({"name": "p", "value": {"stringValue": "x"}, "typeHint": "XML"}),
                "Invalid type hint XML for parameter p",
            ),
        ] {
            assert_eq!(check(parameter), Err(message.to_owned()));
        }
        for (hint, text) in [("UUID", "x"), ("DECIMAL", "1.e"), ("DECIMAL", "."), ("JSON", "{"), ("TIME", "9:00")] {
            assert!(check(json!({"name": "p", "value": {"stringValue": text}, "typeHint": hint})).is_err(), "{text}");
        }
    }

    #[test]
    fn values_as_fields() {
        let array = Value::Array(vec![Value::Long(1), Value::Null]);
        assert_eq!(array.to_field(), json!({"arrayValue": {"longValues": [1, null]}}));
        let nested = Value::Array(vec![Value::Array(vec![Value::Text("a".to_owned())])]);
        assert_eq!(nested.to_field(), json!({"arrayValue": {"arrayValues": [{"stringValues": ["a"]}]}}));
        assert_eq!(Value::Blob(b"ab".to_vec()).to_field(), json!({"blobValue": "YWI="}));
        assert_eq!(Value::Double(f64::NAN).to_field(), json!({"stringValue": "NaN"}));
    }
}
