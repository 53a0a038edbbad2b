//! Template parameters: their declarations, and the values a caller gives.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::limits::PARAMETER_VALUE_BYTES_MAX;
use super::node::{Entry, Node, Position};

/// A member of `Parameters`.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub at: Position,
    /// As written: `String`, `List<Number>`, `AWS::SSM::Parameter::Value<String>`.
    pub type_name: String,
    pub kind: ParameterKind,
    pub default: Option<String>,
    pub no_echo: bool,
    pub description: Option<String>,
    pub constraint_description: Option<String>,
    pub allowed_values: Vec<String>,
    pub allowed_pattern: Option<String>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_value: Option<f64>,
    pub max_value: Option<f64>,
}

/// How a parameter's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    Text,
    Number,
    Texts,
    Numbers,
    /// The name of a stored parameter whose value is meant.
    SsmText,
    SsmTexts,
}

/// A parameter's value as `Ref` sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    Text(String),
    List(Vec<String>),
}

/// A caller's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub key: String,
    pub value: Option<String>,
    pub use_previous: bool,
}

const MEMBERS: [&str; 11] = [
    "Type",
    "Default",
    "NoEcho",
    "AllowedValues",
    "AllowedPattern",
    "MaxLength",
    "MinLength",
    "MaxValue",
    "MinValue",
    "Description",
    "ConstraintDescription",
];

impl Parameter {
    pub(super) fn read(entry: &Entry) -> Result<Parameter, Diagnostic> {
        let at = entry.key_at;
        let node = &entry.value;
        let Some(members) = node.entries() else {
            return Err(Diagnostic::new(
                "Template format error: Every Parameters object must contain a Type member.",
                at,
            ));
        };
        if let Some(unknown) = members.iter().find(|m| !MEMBERS.contains(&m.key.as_str())) {
            let message = format!("Invalid template parameter property '{}'", unknown.key);
            return Err(Diagnostic::new(message, unknown.key_at));
        }
        let Some(type_node) = node.get("Type") else {
            return Err(Diagnostic::new(
                "Template format error: Every Parameters object must contain a Type member.",
                at,
            ));
        };
        let type_name = type_node.scalar().unwrap_or_default().into_owned();
        let kind = kind_of(&type_name).ok_or_else(|| {
            Diagnostic::new(format!("Template format error: Unrecognized parameter type: {type_name}"), type_node.at)
        })?;
        let text = |name: &str| -> Result<Option<String>, Diagnostic> {
            match node.get(name) {
                None => Ok(None),
                Some(value) => value.scalar().map(|s| Some(s.into_owned())).ok_or_else(|| {
                    let message = format!("Template format error: Every {name} member must be a string.");
                    Diagnostic::new(message, value.at)
                }),
            }
        };
        let allowed_values = match node.get("AllowedValues") {
            None => Vec::new(),
            Some(values) => {
                let malformed =
                    || Diagnostic::new("Template format error: AllowedValues must be a list of strings.", values.at);
                let items = values.items().ok_or_else(malformed)?;
                items
                    .iter()
                    .map(|v| v.scalar().map(|s| s.into_owned()).ok_or_else(malformed))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(Parameter {
            name: entry.key.clone(),
            at,
            kind,
            default: text("Default")?,
            no_echo: text("NoEcho")?.is_some_and(|t| t.eq_ignore_ascii_case("true")),
            description: text("Description")?,
            constraint_description: text("ConstraintDescription")?,
            allowed_values,
            allowed_pattern: text("AllowedPattern")?,
            min_length: bound(node, "MinLength")?,
            max_length: bound(node, "MaxLength")?,
            min_value: bound(node, "MinValue")?,
            max_value: bound(node, "MaxValue")?,
            type_name,
        })
    }

    /// Reads and checks one value.
    fn value(&self, text: &str) -> Result<ParameterValue, String> {
        if text.len() > PARAMETER_VALUE_BYTES_MAX {
            return Err(format!(
                "Parameter '{}' length is greater than the {PARAMETER_VALUE_BYTES_MAX} byte limit",
                self.name
            ));
        }
        let list = || text.split(',').map(|t| t.trim().to_owned()).collect::<Vec<_>>();
        let value = match self.kind {
            ParameterKind::Texts | ParameterKind::Numbers if text.is_empty() => ParameterValue::List(Vec::new()),
            ParameterKind::Texts | ParameterKind::Numbers => ParameterValue::List(list()),
            _ => ParameterValue::Text(text.to_owned()),
        };
        let parts: Vec<&str> = match &value {
            ParameterValue::Text(text) => vec![text],
            ParameterValue::List(items) => items.iter().map(String::as_str).collect(),
        };
        for part in parts {
            self.check(part)?;
        }
        Ok(value)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let name = &self.name;
        let refuse = |what: String| match &self.constraint_description {
            Some(description) => Err(format!("Parameter {name} failed to satisfy constraint: {description}")),
            None => Err(format!("Parameter '{name}' {what}")),
        };
        if matches!(self.kind, ParameterKind::Number | ParameterKind::Numbers) {
            let Some(number) = text.trim().parse::<f64>().ok().filter(|n| n.is_finite()) else {
                return Err(format!("Parameter '{name}' must be a number."));
            };
            if let Some(min) = self.min_value.filter(|min| number < *min) {
                return refuse(format!("must be a number not less than {min}"));
            }
            if let Some(max) = self.max_value.filter(|max| number > *max) {
                return refuse(format!("must be a number not greater than {max}"));
            }
        }
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|a| a == text) {
            return refuse("must be one of AllowedValues".to_owned());
        }
        let length = text.chars().count() as u64;
        if let Some(min) = self.min_length.filter(|min| length < *min) {
            return refuse(format!("must contain at least {min} characters"));
        }
        if let Some(max) = self.max_length.filter(|max| length > *max) {
            return refuse(format!("must contain at most {max} characters"));
        }
        if let Some(pattern) = &self.allowed_pattern {
            let Ok(regex) = regex_lite::Regex::new(&format!("^(?:{pattern})$")) else {
                return Err(format!("Parameter '{name}': the AllowedPattern {pattern} is not supported"));
            };
            if !regex.is_match(text) {
                return refuse(format!("must match pattern {pattern}"));
            }
        }
        Ok(())
    }
}

fn kind_of(name: &str) -> Option<ParameterKind> {
    // Types that AWS checks against what exists in the account are texts to us.
    let aws = |name: &str| name.starts_with("AWS::EC2::") || name == "AWS::Route53::HostedZone::Id";
    if let Some(inner) = name.strip_prefix("AWS::SSM::Parameter::Value<").and_then(|n| n.strip_suffix('>')) {
        let list = inner == "CommaDelimitedList" || inner.starts_with("List<");
        return Some(if list { ParameterKind::SsmTexts } else { ParameterKind::SsmText });
    }
    match name {
        "String" | "AWS::SSM::Parameter::Name" => Some(ParameterKind::Text),
        "Number" => Some(ParameterKind::Number),
        "CommaDelimitedList" | "List<String>" => Some(ParameterKind::Texts),
        "List<Number>" => Some(ParameterKind::Numbers),
        _ if aws(name) => Some(ParameterKind::Text),
        _ => {
            let inner = name.strip_prefix("List<")?.strip_suffix('>')?;
            aws(inner).then_some(ParameterKind::Texts)
        }
    }
}

fn bound<T: std::str::FromStr>(node: &Node, name: &str) -> Result<Option<T>, Diagnostic> {
    let Some(value) = node.get(name) else { return Ok(None) };
    let parsed = value.scalar().and_then(|text| text.parse::<T>().ok());
    parsed
        .map(Some)
        .ok_or_else(|| Diagnostic::new(format!("Template format error: {name} must be a number."), value.at))
}

/// A bound parameter: its text as given or by default, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub text: String,
    pub value: ParameterValue,
}

/// Gives each parameter its value: from the caller, from the stack's last operation, or its default.
pub fn bind(
    parameters: &[Parameter],
    given: &[Given],
    previous: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Bound>, Diagnostics> {
    let mut found = Vec::new();
    let unknown: Vec<&str> =
        given.iter().map(|g| g.key.as_str()).filter(|key| !parameters.iter().any(|p| p.name == *key)).collect();
    if !unknown.is_empty() {
        let message = format!("Parameters: [{}] do not exist in the template", unknown.join(", "));
        return Err(Diagnostic::new(message, Position::default()).into());
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = given.iter().find(|g| !seen.insert(&g.key)) {
        let message = format!("Duplicate value for parameter '{}'", twice.key);
        return Err(Diagnostic::new(message, Position::default()).into());
    }
    let mut missing = Vec::new();
    let mut bound = BTreeMap::new();
    for parameter in parameters {
        let mine = given.iter().find(|g| g.key == parameter.name);
        let text = match mine {
            Some(Given { use_previous: true, .. }) => previous.get(&parameter.name).cloned(),
            Some(Given { value: Some(value), .. }) => Some(value.clone()),
            _ => parameter.default.clone(),
        };
        let Some(text) = text else {
            missing.push((parameter.name.as_str(), parameter.at));
            continue;
        };
        match parameter.value(&text) {
            Ok(value) => {
                bound.insert(parameter.name.clone(), Bound { text, value });
            }
            Err(message) => found.push(Diagnostic::new(message, parameter.at).of(&parameter.name)),
        }
    }
    if let Some((_, at)) = missing.first() {
        let names = missing.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.push(Diagnostic::new(format!("Parameters: [{names}] must have values"), *at));
    }
    Diagnostics::unless_empty(found)?;
    Ok(bound)
}
