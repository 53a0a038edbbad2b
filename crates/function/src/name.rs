//! The forms in which callers name a function.

use base::{Arn, Scope};
use service::Fault;

use crate::fault::{constraint, invalid_parameter, not_found};

const NAME_BYTES_MAX: usize = 64;
const PATTERN: &str = "satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-\
                       [a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?";

/// The version that changes.
pub(crate) const LATEST: &str = "$LATEST";

/// A function by account, region and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FunctionKey {
    pub scope: Scope,
    pub name: String,
}

impl FunctionKey {
    pub fn arn(&self) -> Arn {
        self.scope.arn("lambda", format_args!("function:{}", self.name))
    }

    pub fn qualified_arn(&self, qualifier: &str) -> Arn {
        self.scope.arn("lambda", format_args!("function:{}:{qualifier}", self.name))
    }

    /// As the caller named it.
    pub fn arn_as(&self, qualifier: Option<&str>) -> Arn {
        qualifier.map_or_else(|| self.arn(), |q| self.qualified_arn(q))
    }
}

/// What a caller named: a function and perhaps one of its versions or aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub key: FunctionKey,
    pub qualifier: Option<String>,
}

impl Named {
    /// Reads `name`, `name:qualifier`, `account:function:name`, or an ARN, in the caller's scope.
    pub fn parse(scope: &Scope, text: &str, qualifier: Option<&str>) -> Result<Named, Fault> {
        let bad = || constraint(text, "functionName", PATTERN);
        let mut parts: Vec<&str> = text.split(':').collect();
        let mut scope = scope.clone();
        if parts[0] == "arn" {
            if parts.len() < 7 || parts[2] != "lambda" || parts[5] != "function" {
                return Err(bad());
            }
            if parts[3] != scope.region() {
                return Err(not_found(format!(
                    "Functions from '{}' are not reachable in this region ('{}')",
                    parts[3],
                    scope.region()
                )));
            }
            scope = Scope::new(account(parts[4]).ok_or_else(bad)?, parts[3]);
            parts.drain(..6);
        } else if parts.len() >= 3 && parts[1] == "function" {
            scope = Scope::new(account(parts[0]).ok_or_else(bad)?, scope.region());
            parts.drain(..2);
        } else if parts[0] == "function" && parts.len() >= 2 {
            parts.drain(..1);
        }
        let (name, own) = match parts.as_slice() {
            [name] => (*name, None),
            [name, own] => (*name, Some(*own)),
            _ => return Err(bad()),
        };
        if !is_word(name) || name.len() > NAME_BYTES_MAX || own.is_some_and(|q| q != LATEST && !is_word(q)) {
            return Err(bad());
        }
        let qualifier = qualifier.filter(|q| !q.is_empty());
        if let Some(q) = qualifier.filter(|q| *q != LATEST && !is_word(q)) {
            return Err(constraint(q, "qualifier", "satisfy regular expression pattern: (|[a-zA-Z0-9$_-]+)"));
        }
        if let (Some(own), Some(given)) = (own, qualifier)
            && own != given
        {
            return Err(invalid_parameter(
                "The derived qualifier from the function name does not match the specified qualifier.",
            ));
        }
        let key = FunctionKey { scope, name: name.to_owned() };
        Ok(Named { key, qualifier: own.or(qualifier).map(str::to_owned) })
    }

    /// A function where a version or alias makes no sense.
    pub fn parse_unqualified(scope: &Scope, text: &str) -> Result<FunctionKey, Fault> {
        let named = Named::parse(scope, text, None)?;
        match named.qualifier.as_deref() {
            None | Some(LATEST) => Ok(named.key),
            Some(_) => Err(invalid_parameter(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                 operation. Please specify either a function name or an unqualified function ARN.",
            )),
        }
    }

    pub fn arn(&self) -> Arn {
        self.key.arn_as(self.qualifier.as_deref())
    }
}

fn account(text: &str) -> Option<&str> {
    (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// Letters, digits, hyphens and underscores, at least one.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_names() {
        let scope = Scope::default();
        let parse = |text: &str, q: Option<&str>| {
            Named::parse(&scope, text, q).map(|n| format!("{:?} {} {:?}", n.key.scope, n.key.name, n.qualifier))
        };
        for (text, qualifier, expected) in [
            ("f", None, "000000000000/us-east-1 f None"),
            ("f:live", None, "000000000000/us-east-1 f Some(\"live\")"),
            ("f", Some("3"), "000000000000/us-east-1 f Some(\"3\")"),
            ("f:3", Some("3"), "000000000000/us-east-1 f Some(\"3\")"),
            ("function:f", None, "000000000000/us-east-1 f None"),
            ("123456789012:function:f", None, "123456789012/us-east-1 f None"),
            (
                "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST",
                None,
                "123456789012/us-east-1 f Some(\"$LATEST\")",
            ),
        ] {
            assert_eq!(parse(text, qualifier).unwrap(), expected, "{text}");
        }
        for (text, qualifier, code) in [
            ("", None, "ValidationException"),
            ("a b", None, "ValidationException"),
            ("a:b:c:d", None, "ValidationException"),
            ("arn:aws:sqs:us-east-1:123456789012:q", None, "ValidationException"),
            ("arn:aws:lambda:eu-west-1:123456789012:function:f", None, "ResourceNotFoundException"),
            ("f:1", Some("2"), "InvalidParameterValueException"),
            ("f", Some("a b"), "ValidationException"),
        ] {
            assert_eq!(parse(text, qualifier).unwrap_err().code, code, "{text}");
        }
    }
}
