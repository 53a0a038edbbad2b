use base::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Error, Key};

/// Format 1: JSON. Members may be added if they have a default.
const VERSION: u8 = 1;

/// A connection, as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub name: String,
    pub arn: String,
    #[serde(default)]
    pub description: Option<String>,
    pub authorization_type: String,
    /// The parameters as DescribeConnection shows them: without what is secret.
    pub auth_parameters: Value,
    pub state: State,
    /// Name of the secret.
    pub secret_name: String,
    /// Known when the secret is there.
    #[serde(default)]
    pub secret_arn: Option<String>,
    #[serde(default)]
    pub kms_key: Option<String>,
    pub created_ms: i64,
    pub modified_ms: i64,
    #[serde(default)]
    pub authorized_ms: Option<i64>,
    #[serde(default)]
    pub pending: Option<Pending>,
}

/// What Secrets Manager is still to be told.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// Of the outbox entry.
    pub seq: u64,
    pub change: Change,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Change {
    Create {
        value: String,
    },
    Put {
        value: String,
    },
    /// Then the connection goes too, or stays without authorization.
    Delete {
        connection_too: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum State {
    Creating,
    Updating,
    Deleting,
    Authorized,
    Deauthorized,
    Authorizing,
    Deauthorizing,
}

pub(crate) fn space(scope: &Scope) -> Key {
    Key::new("events-connection").str(scope.account()).str(scope.region())
}

pub(crate) fn key(scope: &Scope, name: &str) -> Key {
    space(scope).str(name)
}

pub(crate) fn all() -> Key {
    Key::new("events-connection")
}

/// The number of the next outbox entry.
pub(crate) fn next_key() -> Key {
    Key::new("events-next")
}

impl Connection {
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![VERSION];
        // Records are structs of texts, numbers and JSON: they always have a JSON form.
        serde_json::to_writer(&mut bytes, self).map_err(|e| Error::Corrupt(format!("write record: {e}")))?;
        Ok(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<Connection, Error> {
        match bytes.split_first() {
            // Without quoting it: it may hold a secret.
            Some((&VERSION, json)) => serde_json::from_slice(json)
                .map_err(|e| Error::Corrupt(format!("connection record: {:?} error", e.classify()))),
            _ => Err(Error::Corrupt("connection record of unknown format".to_owned())),
        }
    }

    pub fn scope(&self) -> Result<Scope, Error> {
        let arn: base::Arn = self.arn.parse().map_err(|_| Error::Corrupt("connection ARN".to_owned()))?;
        Ok(arn.scope())
    }
}
