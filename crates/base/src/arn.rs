use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Scope;

/// An Amazon Resource Name: `arn:partition:service:region:account:resource`.
///
/// The resource part is kept as written, colons and slashes included.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    /// Offsets of the byte after each of the five colons.
    parts: [u16; 5],
}

/// Why a text is no ARN.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid ARN '{0}': expected arn:partition:service:region:account:resource")]
pub struct ArnError(pub String);

impl Arn {
    pub fn new(partition: &str, service: &str, region: &str, account: &str, resource: &str) -> Arn {
        let text = format!("arn:{partition}:{service}:{region}:{account}:{resource}");
        text.parse().expect("an ARN built of its parts has them")
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn partition(&self) -> &str {
        self.between(0)
    }

    pub fn service(&self) -> &str {
        self.between(1)
    }

    pub fn region(&self) -> &str {
        self.between(2)
    }

    pub fn account(&self) -> &str {
        self.between(3)
    }

    /// All that follows the account, such as `function:name:alias`.
    pub fn resource(&self) -> &str {
        &self.text[usize::from(self.parts[4])..]
    }

    /// The account and region that own the resource.
    pub fn scope(&self) -> Scope {
        Scope::new(self.account(), self.region())
    }

    fn between(&self, i: usize) -> &str {
        &self.text[usize::from(self.parts[i])..usize::from(self.parts[i + 1]) - 1]
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Arn, ArnError> {
        let error = || ArnError(text.chars().take(200).collect());
        if !text.starts_with("arn:") || text.len() > 2048 {
            return Err(error());
        }
        let mut parts = [0u16; 5];
        let mut from = 0;
        for part in &mut parts {
            from += text[from..].find(':').ok_or_else(error)? + 1;
            *part = u16::try_from(from).map_err(|_| error())?;
        }
        let arn = Arn { text: text.to_owned(), parts };
        if arn.partition().is_empty() || arn.service().is_empty() || arn.resource().is_empty() {
            return Err(error());
        }
        Ok(arn)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Arn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Arn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Arn, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_arn() {
        let arn: Arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:live".parse().unwrap();
        assert_eq!(
            (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()),
            ("aws", "lambda", "eu-west-1", "123456789012", "function:f:live")
        );
        let bucket: Arn = "arn:aws:s3:::b/key:with:colons".parse().unwrap();
        assert_eq!((bucket.region(), bucket.account(), bucket.resource()), ("", "", "b/key:with:colons"));
    }

    #[test]
    fn texts_that_are_no_arn() {
        for text in ["", "arn", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::b", "arn::s3:::b", "arn:aws::::b"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
