//! Clusters as they are stored: a version byte, then JSON of the struct here. Members may be added, never renamed.

use std::collections::BTreeMap;

use base::{Arn, Scope, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Error, Key};

const VERSION: u8 = 1;

/// A DB cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub account: String,
    pub region: String,
    /// In lower case.
    pub identifier: String,
    /// Never used twice; names the folder of its databases.
    pub resource_id: String,
    pub engine: String,
    pub engine_version: String,
    #[serde(default)]
    pub engine_mode: Option<String>,
    #[serde(default)]
    pub database_name: Option<String>,
    pub master_username: String,
    /// The secret that we made for its master user.
    #[serde(default)]
    pub master_secret_arn: Option<String>,
    pub http_endpoint: bool,
    #[serde(default)]
    pub port: Option<u16>,
    pub created_at_ms: i64,
    #[serde(default)]
    pub deletion_protection: bool,
    #[serde(default)]
    pub storage_encrypted: bool,
    #[serde(default)]
    pub backup_retention_days: Option<i64>,
    #[serde(default)]
    pub iam_authentication: bool,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// What begins the keys of all clusters.
pub(crate) fn clusters() -> Vec<u8> {
    Key::new("rds").str("cluster").build()
}

/// What begins the keys of an account's clusters in a region.
pub(crate) fn clusters_of(scope: &Scope) -> Vec<u8> {
    Key::new("rds").str("cluster").str(scope.account()).str(scope.region()).build()
}

/// The key of one cluster.
pub(crate) fn key(scope: &Scope, identifier: &str) -> Vec<u8> {
    Key::new("rds").str("cluster").str(scope.account()).str(scope.region()).str(identifier).build()
}

impl Cluster {
    pub fn arn(&self) -> Arn {
        Scope::new(&self.account, &self.region).arn("rds", format_args!("cluster:{}", self.identifier))
    }

    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_millis(self.created_at_ms)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        serde_json::to_writer(&mut out, self).expect("plain data has a JSON form");
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Cluster, Error> {
        let corrupt = || Error::Corrupt("cluster record".to_owned());
        match bytes.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|_| corrupt()),
            _ => Err(corrupt()),
        }
    }
}

/// The cluster that `arn:aws:rds:region:account:cluster:identifier` names.
pub(crate) fn of_arn(text: &str) -> Option<(Scope, String)> {
    let arn: Arn = text.parse().ok()?;
    let identifier = arn.resource().strip_prefix("cluster:")?;
    (arn.service() == "rds" && !identifier.is_empty()).then(|| (arn.scope(), identifier.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_version_1_stay_readable() {
        let text = r#"{"account":"000000000000","region":"us-east-1","identifier":"db","resource_id":"cluster-A",
            "engine":"aurora-postgresql","engine_version":"16.4","master_username":"admin","http_endpoint":true,
            "created_at_ms":5}"#;
        let cluster = Cluster::decode(&[&[VERSION], text.as_bytes()].concat()).unwrap();
        assert_eq!(cluster.arn().as_str(), "arn:aws:rds:us-east-1:000000000000:cluster:db");
        assert_eq!(Cluster::decode(&cluster.encode()), Ok(cluster));
        assert!(Cluster::decode(b"\x02{}").is_err());
    }

    #[test]
    fn arns_of_clusters() {
        let (scope, identifier) = of_arn("arn:aws:rds:eu-west-1:111111111111:cluster:Db").unwrap();
        assert_eq!((scope.region(), identifier.as_str()), ("eu-west-1", "db"));
        for text in ["arn:aws:rds:r:a:db:x", "arn:aws:s3:::cluster:x", "arn:aws:rds:r:a:cluster:", "x"] {
            assert!(of_arn(text).is_none(), "{text}");
        }
    }
}
