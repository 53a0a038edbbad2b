//! What the wire protocols need to know of a service: `models/<id>.json`, written by `tools/generate_models.py`.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Deserialize;

use crate::options::GatewayError;

const MODELS: &[(&str, &str)] = &[
    ("cloudformation", include_str!("../models/cloudformation.json")),
    ("dynamodb", include_str!("../models/dynamodb.json")),
    ("dynamodbstreams", include_str!("../models/dynamodbstreams.json")),
    ("events", include_str!("../models/events.json")),
    ("firehose", include_str!("../models/firehose.json")),
    ("glue", include_str!("../models/glue.json")),
    ("iam", include_str!("../models/iam.json")),
    ("kinesis", include_str!("../models/kinesis.json")),
    ("kms", include_str!("../models/kms.json")),
    ("lambda", include_str!("../models/lambda.json")),
    ("logs", include_str!("../models/logs.json")),
    ("monitoring", include_str!("../models/monitoring.json")),
    ("pipes", include_str!("../models/pipes.json")),
    ("rds", include_str!("../models/rds.json")),
    ("rds-data", include_str!("../models/rds-data.json")),
    ("scheduler", include_str!("../models/scheduler.json")),
    ("secretsmanager", include_str!("../models/secretsmanager.json")),
    ("sns", include_str!("../models/sns.json")),
    ("sqs", include_str!("../models/sqs.json")),
    ("ssm", include_str!("../models/ssm.json")),
    ("states", include_str!("../models/states.json")),
    ("stepwell", include_str!("../models/stepwell.json")),
    ("sts", include_str!("../models/sts.json")),
    ("tagging", include_str!("../models/tagging.json")),
];

/// One service on the wire.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// The service's id in the registry.
    pub id: String,
    /// Its names in signatures' scopes.
    pub signing_names: Vec<String>,
    pub json: Option<JsonProtocol>,
    pub query: Option<QueryProtocol>,
    /// Whether it speaks REST-JSON.
    #[serde(default)]
    pub rest: bool,
    /// How most of its errors spell their message member; `other_message` are those that do it the other way.
    pub message: String,
    #[serde(default)]
    pub other_message: BTreeSet<String>,
    /// Whether errors say `Type: User` or `Type: Service`.
    #[serde(default)]
    pub error_type: bool,
    /// Error codes of the Query protocol that differ from the error's shape.
    #[serde(default)]
    pub query_codes: BTreeMap<String, String>,
    pub operations: BTreeMap<String, Operation>,
    #[serde(default)]
    pub shapes: BTreeMap<String, Shape>,
    /// Whether the registry has the service; if not, `operations` and `shapes` are empty.
    #[serde(skip)]
    pub is_served: bool,
}

/// AWS JSON 1.0 or 1.1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonProtocol {
    /// What stands before the operation's name in `X-Amz-Target`.
    pub target: String,
    pub version: String,
    /// What AWS puts before the code in `__type`.
    #[serde(default)]
    pub error_prefix: String,
    /// Whether errors carry their Query code in `x-amzn-query-error`.
    #[serde(default)]
    pub query_errors: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryProtocol {
    pub version: String,
    /// XML namespace of answers.
    pub namespace: String,
}

/// Where an operation's members travel. Query services name shapes, REST services bindings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Operation {
    pub method: String,
    pub path: String,
    pub status: Option<u16>,
    /// No body is sent in the answer.
    pub empty: bool,
    pub input: Members,
    pub output: Members,
    pub wrapper: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(crate) enum Members {
    #[default]
    None,
    /// Name of a structure in [`Model::shapes`].
    Shape(String),
    /// Members outside the JSON body: where, under which name, of what type.
    Bound(BTreeMap<String, (Place, String, Type)>),
}

impl Members {
    pub fn bound(&self) -> impl Iterator<Item = (&str, Place, &str, &Type)> {
        let bound = if let Members::Bound(bound) = self { Some(bound) } else { None };
        bound.into_iter().flatten().map(|(member, (place, name, kind))| (member.as_str(), *place, name.as_str(), kind))
    }

    pub fn shape(&self) -> Option<&str> {
        if let Members::Shape(name) = self { Some(name) } else { None }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Label,
    Query,
    Header,
    Headers,
    Status,
    Payload,
}

/// A scalar, or the name of a shape.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub(crate) enum Type {
    String,
    Integer,
    Double,
    Boolean,
    Timestamp,
    Blob,
    Shape(String),
}

impl From<String> for Type {
    fn from(name: String) -> Type {
        match name.as_str() {
            "string" => Type::String,
            "integer" => Type::Integer,
            "double" => Type::Double,
            "boolean" => Type::Boolean,
            "timestamp" => Type::Timestamp,
            "blob" => Type::Blob,
            _ => Type::Shape(name),
        }
    }
}

/// A shape of the Query protocol.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Shape {
    Structure {
        structure: IndexMap<String, Member>,
    },
    List {
        list: Type,
        /// The element's name, unless flat.
        name: String,
        #[serde(default)]
        flat: bool,
    },
    Map {
        map: Type,
        key: String,
        value: String,
        #[serde(default)]
        flat: bool,
    },
}

/// A member of a structure: its type, and its name on the wire where that differs.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Member {
    Plain(Type),
    Renamed(Type, String),
}

impl Member {
    pub fn kind(&self) -> &Type {
        let (Member::Plain(kind) | Member::Renamed(kind, _)) = self;
        kind
    }

    pub fn wire<'a>(&'a self, name: &'a str) -> &'a str {
        if let Member::Renamed(_, wire) = self { wire } else { name }
    }
}

impl Model {
    pub fn message_member(&self, code: &str) -> &'static str {
        if (self.message == "Message") == self.other_message.contains(code) { "message" } else { "Message" }
    }
}

/// Every service that is known by name, in order of id.
#[derive(Debug)]
pub(crate) struct Models(pub Vec<Model>);

impl Models {
    /// Reads all; operations are kept for the services that `wanted` has.
    pub fn load(wanted: impl Fn(&str) -> bool) -> Result<Models, GatewayError> {
        let mut models = Vec::with_capacity(MODELS.len());
        for (id, text) in MODELS {
            let mut model: Model = serde_json::from_str(text).map_err(|e| GatewayError::Model(id, e))?;
            model.is_served = wanted(id);
            if !model.is_served {
                model.operations.clear();
                model.shapes.clear();
            }
            models.push(model);
        }
        Ok(Models(models))
    }

    pub fn by_id(&self, id: &str) -> Option<&Model> {
        self.0.iter().find(|m| m.id == id)
    }

    /// The service whose `X-Amz-Target` begins with `prefix`.
    pub fn by_target(&self, prefix: &str) -> Option<&Model> {
        self.0.iter().find(|m| m.json.as_ref().is_some_and(|j| j.target == prefix))
    }

    pub fn by_query_version(&self, version: &str) -> Option<&Model> {
        self.0.iter().find(|m| m.query.as_ref().is_some_and(|q| q.version == version))
    }
}
