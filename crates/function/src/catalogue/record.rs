//! What is stored of functions and layers. Changing a field's meaning needs a new version byte; new fields have
//! defaults, unknown ones are ignored.

use std::collections::BTreeMap;

use base::{Scope, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Error, Key, KeyReader};

use crate::name::FunctionKey;
use crate::package::PackageId;

const FORMAT: u8 = 1;
const SPACE: &str = "lambda";

/// One version of a function: code and configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    pub version: String,
    pub description: String,
    pub runtime: String,
    pub handler: String,
    pub role: String,
    pub memory_mb: u32,
    pub timeout_s: u32,
    #[serde(default)]
    pub environment: Option<BTreeMap<String, String>>,
    /// SHA-256 of the package, in hex.
    pub package: String,
    pub zipped_bytes: u64,
    pub unzipped_bytes: u64,
    pub modified_ms: i64,
    pub revision_id: String,
    #[serde(default)]
    pub layers: Vec<LayerUse>,
    pub architecture: String,
    pub ephemeral_storage_mb: u32,
    pub tracing_mode: String,
    #[serde(default)]
    pub dead_letter_arn: Option<String>,
    pub logging: LoggingRecord,
    #[serde(default)]
    pub kms_key_arn: Option<String>,
    /// Kept and shown, without an effect.
    #[serde(default)]
    pub vpc: Option<VpcRecord>,
}

/// Where a function's log goes and how it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoggingRecord {
    pub format: String,
    #[serde(default)]
    pub application_level: Option<String>,
    #[serde(default)]
    pub system_level: Option<String>,
    pub group: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct VpcRecord {
    pub subnet_ids: Vec<String>,
    pub security_group_ids: Vec<String>,
}

/// A layer that a version uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerUse {
    pub arn: String,
    pub package: String,
    pub zipped_bytes: u64,
    pub unzipped_bytes: u64,
}

/// A function, but for its published versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FunctionRecord {
    pub latest: VersionRecord,
    /// The number that the next published version gets; numbers are not used again.
    pub next_version: u64,
    #[serde(default)]
    pub aliases: BTreeMap<String, AliasRecord>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub reserved_concurrency: Option<u32>,
    /// By qualifier; the function's own is the empty one.
    #[serde(default)]
    pub policies: BTreeMap<String, PolicyRecord>,
    #[serde(default)]
    pub event_invoke: BTreeMap<String, EventInvokeRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    pub version: String,
    pub description: String,
    /// Shares of the invocations that go to other versions.
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
    pub revision_id: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PolicyRecord {
    pub revision_id: String,
    pub statements: Vec<Value>,
}

/// What happens to asynchronous invocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventInvokeRecord {
    #[serde(default)]
    pub retries_max: Option<u32>,
    #[serde(default)]
    pub age_s_max: Option<u32>,
    #[serde(default)]
    pub on_success: Option<String>,
    #[serde(default)]
    pub on_failure: Option<String>,
    pub modified_ms: i64,
}

/// One version of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub version: u64,
    pub description: String,
    pub created_ms: i64,
    pub package: String,
    pub zipped_bytes: u64,
    pub unzipped_bytes: u64,
    #[serde(default)]
    pub runtimes: Vec<String>,
    #[serde(default)]
    pub architectures: Vec<String>,
    #[serde(default)]
    pub license: Option<String>,
}

impl VersionRecord {
    pub fn modified(&self) -> Timestamp {
        Timestamp::from_millis(self.modified_ms)
    }

    /// Whether publishing this after `other` would add nothing.
    pub fn is_same_as(&self, other: &VersionRecord) -> bool {
        let bare = |v: &VersionRecord| VersionRecord {
            version: String::new(),
            description: String::new(),
            modified_ms: 0,
            revision_id: String::new(),
            ..v.clone()
        };
        bare(self) == bare(other)
    }

    pub fn package_id(&self) -> Option<PackageId> {
        PackageId::from_hex(&self.package)
    }
}

/// A stored value: the format's version, then JSON.
pub(crate) fn encode(record: &impl Serialize) -> Vec<u8> {
    let mut value = vec![FORMAT];
    serde_json::to_writer(&mut value, record).expect("records are JSON");
    value
}

pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    let corrupt = |why: &dyn std::fmt::Display| {
        let key: String = key.iter().map(|b| b.escape_ascii().to_string()).collect();
        Error::Corrupt(format!("function record {key}: {why}"))
    };
    match value.split_first() {
        Some((&FORMAT, json)) => serde_json::from_slice(json).map_err(|e| corrupt(&e)),
        Some((version, _)) => Err(corrupt(&format_args!("format {version}, this server reads {FORMAT}"))),
        None => Err(corrupt(&"empty")),
    }
}

fn key(kind: &str, scope: &Scope, name: &str) -> Key {
    Key::new(SPACE).str(kind).str(scope.account()).str(scope.region()).str(name)
}

pub(crate) fn all(kind: &str) -> Vec<u8> {
    Key::new(SPACE).str(kind).build()
}

pub(crate) const FUNCTION: &str = "function";
pub(crate) const VERSION: &str = "version";
pub(crate) const LAYER: &str = "layer";
pub(crate) const LAYER_NEXT: &str = "layer-next";

pub(crate) fn function_key(function: &FunctionKey) -> Vec<u8> {
    key(FUNCTION, &function.scope, &function.name).build()
}

pub(crate) fn version_key(function: &FunctionKey, version: u64) -> Vec<u8> {
    key(VERSION, &function.scope, &function.name).u64(version).build()
}

pub(crate) fn layer_key(layer: &FunctionKey, version: u64) -> Vec<u8> {
    key(LAYER, &layer.scope, &layer.name).u64(version).build()
}

pub(crate) fn layer_next_key(layer: &FunctionKey) -> Vec<u8> {
    key(LAYER_NEXT, &layer.scope, &layer.name).build()
}

/// The owner of a key of one of the kinds above, and the version if it names one.
pub(crate) fn read_key(stored: &[u8]) -> Result<(FunctionKey, Option<u64>), Error> {
    let mut parts = KeyReader::new(stored);
    let (_space, _kind) = (parts.str()?, parts.str()?);
    let (account, region, name) = (parts.str()?, parts.str()?, parts.str()?);
    let version = if parts.rest().is_empty() { None } else { Some(parts.u64()?) };
    Ok((FunctionKey { scope: Scope::new(&account, &region), name }, version))
}
