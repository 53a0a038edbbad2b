use std::fmt;
use std::sync::Arc;

use base::{Arn, Scope};
use service::{Call, Fault};

use crate::fault;

/// The longest name of a queue, with `.fifo`.
const NAME_CHARS_MAX: usize = 80;
const FIFO_SUFFIX: &str = ".fifo";

/// Account, region and name of a queue.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName {
    scope: Scope,
    name: Arc<str>,
}

impl QueueName {
    pub fn new(scope: &Scope, name: &str) -> QueueName {
        QueueName { scope: scope.clone(), name: name.into() }
    }

    /// Reads `arn:aws:sqs:region:account:name`.
    pub fn from_arn(arn: &str) -> Option<QueueName> {
        let arn: Arn = arn.parse().ok().filter(|arn: &Arn| arn.service() == "sqs")?;
        let resource = arn.resource();
        let named = !arn.account().is_empty() && !arn.region().is_empty() && is_valid(resource);
        named.then(|| QueueName::new(&arn.scope(), resource))
    }

    /// Reads a queue URL of any host, its path alone, or a bare name.
    ///
    /// The region is the call's, for a queue URL need not carry one.
    pub(crate) fn from_url(url: &str, call: &Call) -> Result<QueueName, Fault> {
        if url.is_empty() {
            return Err(fault::missing_parameter("QueueUrl"));
        }
        let error = || fault::invalid_address(url);
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.split_once('/').ok_or_else(error)?.1,
            None => url,
        };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (account, region, name) = match parts[..] {
            [name] if !url.contains("://") => (call.scope.account(), call.scope.region(), name),
            [account, name] => (account, call.scope.region(), name),
            ["queue", region, account, name] => (account, region, name),
            _ => return Err(error()),
        };
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) || name.is_empty() {
            return Err(error());
        }
        // A name that no queue can have names none.
        if !is_valid(name) {
            return Err(fault::queue_does_not_exist());
        }
        Ok(QueueName::new(&Scope::new(account, region), name))
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

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Only FIFO queues have, and must have, a name that ends with `.fifo`.
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO_SUFFIX)
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:sqs:{}:{}:{}", self.region(), self.account(), self.name)
    }

    /// The URL under which the queue is reached through `endpoint`.
    pub fn url(&self, endpoint: &str) -> String {
        format!("{}/{}/{}", endpoint.trim_end_matches('/'), self.account(), self.name)
    }

    /// Checks the name of a queue that is to be made.
    pub(crate) fn check(name: &str, fifo: bool) -> Result<(), Fault> {
        let valid = is_valid(name);
        if fifo && !(valid && name.ends_with(FIFO_SUFFIX)) {
            return Err(fault::invalid_parameter(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end \
                 with .fifo suffix and be 1 to 80 in length.",
            ));
        }
        if !valid || !fifo && name.ends_with(FIFO_SUFFIX) {
            return Err(fault::invalid_parameter(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        Ok(())
    }
}

fn is_valid(name: &str) -> bool {
    let stem = name.strip_suffix(FIFO_SUFFIX).unwrap_or(name);
    !stem.is_empty()
        && name.len() <= NAME_CHARS_MAX
        && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_all_forms() {
        let call = Call::internal(Scope::new("111122223333", "eu-west-1"), "r", "p");
        for (url, arn) in [
            ("http://127.0.0.1:4566/000000000000/q", "arn:aws:sqs:eu-west-1:000000000000:q"),
            ("https://sqs.us-east-1.amazonaws.com/000000000000/q", "arn:aws:sqs:eu-west-1:000000000000:q"),
            ("http://h/queue/us-west-2/000000000000/q.fifo", "arn:aws:sqs:us-west-2:000000000000:q.fifo"),
            ("/000000000000/q", "arn:aws:sqs:eu-west-1:000000000000:q"),
            ("000000000000/q", "arn:aws:sqs:eu-west-1:000000000000:q"),
            ("q", "arn:aws:sqs:eu-west-1:111122223333:q"),
        ] {
            let name = QueueName::from_url(url, &call).unwrap();
            assert_eq!(name.arn(), arn);
            assert_eq!(QueueName::from_arn(arn).unwrap(), name);
        }
        for url in ["http://host", "http://host/q", "http://host/a/b/c/d/e", "http://host/12/q", "/x/q"] {
            assert_eq!(QueueName::from_url(url, &call).unwrap_err().code, "InvalidAddress", "{url}");
        }
        assert_eq!(QueueName::from_url("a b", &call).unwrap_err().code, "QueueDoesNotExist");
        assert_eq!(QueueName::from_url("", &call).unwrap_err().code, "MissingRequiredParameterException");
    }

    #[test]
    fn names_that_queues_may_have() {
        for (name, fifo, valid) in [
            ("a", false, true),
            ("a-b_C9", false, true),
            ("", false, false),
            ("a.b", false, false),
            ("a.fifo", false, false),
            ("a.fifo", true, true),
            (".fifo", true, false),
            ("a", true, false),
        ] {
            assert_eq!(QueueName::check(name, fifo).is_ok(), valid, "{name} {fifo}");
        }
        assert!(QueueName::check(&"x".repeat(81), false).is_err());
    }
}
