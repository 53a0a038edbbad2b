use std::fmt;
use std::sync::Arc;

use crate::Arn;

/// The account of callers whose access key is not a 12-digit account id.
pub const DEFAULT_ACCOUNT: &str = "000000000000";
/// The region of callers whose signature names none.
pub const DEFAULT_REGION: &str = "us-east-1";

/// Whose resources, and where: the account and region that a call's signature names.
///
/// Cheap to clone; every stored key and every ARN starts from one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    account: Arc<str>,
    region: Arc<str>,
}

impl Scope {
    pub fn new(account: &str, region: &str) -> Scope {
        Scope { account: account.into(), region: region.into() }
    }

    /// The 12-digit account id.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region's name, such as `us-east-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The ARN of `resource` of `service` in this account and region.
    pub fn arn(&self, service: &str, resource: impl fmt::Display) -> Arn {
        Arn::new("aws", service, &self.region, &self.account, &resource.to_string())
    }
}

impl Default for Scope {
    fn default() -> Scope {
        Scope::new(DEFAULT_ACCOUNT, DEFAULT_REGION)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}
