use std::fmt;
use std::sync::Arc;

use base::{Arn, Scope};
use service::{Call, Fault};

use crate::fault;

const NAME_CHARS_MAX: usize = 512;

/// Account, region and name of a log group.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName {
    scope: Scope,
    name: Arc<str>,
}

impl GroupName {
    pub fn new(scope: &Scope, name: &str) -> GroupName {
        GroupName { scope: scope.clone(), name: name.into() }
    }

    /// Checks a name as it comes from the wire.
    pub(crate) fn checked(scope: &Scope, name: &str) -> Result<GroupName, Fault> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/#".contains(&b);
        check_length(name, "logGroupName")?;
        if !name.bytes().all(allowed) {
            let pattern = "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+";
            return Err(fault::constraint(name, "logGroupName", pattern));
        }
        Ok(GroupName::new(scope, name))
    }

    /// Reads a log group's name or ARN, of which exactly one must be given.
    pub(crate) fn of(call: &Call, name: Option<&str>, identifier: Option<&str>) -> Result<GroupName, Fault> {
        match (name, identifier) {
            (Some(_), Some(_)) => {
                Err(Fault::validation("LogGroup name and LogGroup ARN are mutually exclusive parameters."))
            }
            (Some(name), None) => GroupName::checked(&call.scope, name),
            (None, Some(arn)) if arn.starts_with("arn:") => {
                GroupName::from_arn(arn).ok_or_else(|| fault::invalid("Invalid LogGroup ARN."))
            }
            (None, Some(name)) => GroupName::checked(&call.scope, name),
            (None, None) => Err(fault::missing("logGroupName")),
        }
    }

    /// Reads `arn:aws:logs:region:account:log-group:name`, with or without `:*` behind.
    pub fn from_arn(arn: &str) -> Option<GroupName> {
        let arn: Arn = arn.parse().ok().filter(|arn: &Arn| arn.service() == "logs")?;
        let name = arn.resource().strip_prefix("log-group:")?;
        let name = name.strip_suffix(":*").unwrap_or(name);
        GroupName::checked(&arn.scope(), name).ok()
    }

    pub fn account(&self) -> &str {
        self.scope.account()
    }

    pub fn region(&self) -> &str {
        self.scope.region()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{}", self.region(), self.account(), self.name)
    }
}

/// Checks a log stream's name.
pub(crate) fn check_stream(name: &str) -> Result<(), Fault> {
    check_length(name, "logStreamName")?;
    if name.contains([':', '*']) {
        let pattern = "Member must satisfy regular expression pattern: [^:*]*";
        return Err(fault::constraint(name, "logStreamName", pattern));
    }
    Ok(())
}

fn check_length(name: &str, member: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(fault::constraint(name, member, "Member must have length greater than or equal to 1"));
    }
    if name.len() > NAME_CHARS_MAX {
        return Err(fault::invalid("Invalid LogGroup or LogStream, both must have length less than or equal to 512."));
    }
    Ok(())
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns() {
        let name = GroupName::new(&Scope::new("000000000000", "eu-west-1"), "/aws/lambda/f-1_2.3#4");
        assert_eq!(GroupName::from_arn(&name.arn()), Some(name.clone()));
        assert_eq!(GroupName::from_arn(&format!("{}:*", name.arn())), Some(name));
        for arn in ["", "arn:aws:logs:r:a:x", "arn:aws:sqs:r:a:log-group:x", "arn:aws:logs:r:a:log-group:a b"] {
            assert_eq!(GroupName::from_arn(arn), None, "{arn}");
        }
        assert!(check_stream("2024/01/01/[$LATEST]abc").is_ok());
        assert!(check_stream("a:b").is_err() && check_stream("").is_err() && check_stream(&"x".repeat(513)).is_err());
    }
}
