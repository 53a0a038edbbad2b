//! The shapes of a service's operations, read from the generated files.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::names::{exception_class, java_member};

macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../data/", $name, ".json")))),*] };
}

const FILES: &[(&str, &str)] = files!(
    "athena" "batch" "cloudformation" "cloudwatch" "cloudwatchlogs" "dynamodb" "dynamodbstreams" "ecs" "eventbridge"
    "firehose" "glue" "iam" "kinesis" "kms" "lambda" "pipes" "rds" "rdsdata" "resourcegroupstaggingapi" "s3"
    "scheduler" "secretsmanager" "sfn" "sns" "sqs" "ssm" "sts"
);

/// The shapes of a service, by its name in `aws-sdk:` resources; `None` if they are not kept here.
pub fn shapes(service: &str) -> Option<&'static Shapes> {
    static READ: [OnceLock<Shapes>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];
    let at = FILES.iter().position(|(name, _)| *name == service)?;
    let read = || {
        let shapes = serde_json::from_str(FILES[at].1).expect("the generated models are JSON of this form");
        Shapes { name: FILES[at].0, ..shapes }
    };
    Some(READ[at].get_or_init(read))
}

/// How members are called where operations are called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As AWS's second Java SDK does: `aws-sdk:` integrations.
    Sdk,
    /// The model's name with a capital: optimised integrations.
    Capital,
}

/// The operations, structures and errors of one service.
#[derive(Debug, Deserialize)]
pub struct Shapes {
    /// The service's name in resources.
    #[serde(skip)]
    name: &'static str,
    operations: HashMap<String, (Option<String>, Option<String>)>,
    shapes: HashMap<String, Shape>,
    errors: HashMap<String, String>,
}

impl Shapes {
    /// An operation by its name, `SendMessage`.
    pub fn operation(&self, name: &str) -> Option<Operation<'_>> {
        let (input, output) = self.operations.get(name)?;
        let structure = |shape: &Option<String>| match self.shapes.get(shape.as_ref()?)? {
            Shape::Structure(structure) => Some(structure),
            _ => None,
        };
        Some(Operation { shapes: self, input: structure(input), output: structure(output) })
    }

    /// The class of an error that the service's model declares, by its code or its shape's name.
    pub fn exception(&self, code: &str) -> Option<String> {
        self.errors.get(code).map(|shape| exception_class(shape))
    }

    /// The Java class that AWS's messages name for a structure.
    pub(crate) fn class(&self, naming: Naming, structure: &str) -> String {
        match naming {
            Naming::Sdk => format!("software.amazon.awssdk.services.{}.model.{structure}$BuilderImpl", self.name),
            Naming::Capital => format!("com.amazonaws.services.{}.model.{structure}", self.name),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

/// One operation of a service.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'s> {
    pub(crate) shapes: &'s Shapes,
    /// Operations without members may have none.
    pub(crate) input: Option<&'s Structure>,
    pub(crate) output: Option<&'s Structure>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Shape {
    Structure(Structure),
    List { list: Type },
    Map { map: Type },
}

#[derive(Debug, Deserialize)]
#[serde(from = "StructureFile")]
pub(crate) struct Structure {
    pub members: Vec<Member>,
    /// By both namings, and by the model's own name.
    by_name: [HashMap<String, usize>; 2],
}

/// A structure as it is written.
#[derive(Deserialize)]
struct StructureFile {
    members: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    required: Vec<String>,
    /// The blob that is the whole body.
    payload: Option<String>,
    #[serde(default)]
    streams: bool,
}

#[derive(Debug)]
pub(crate) struct Member {
    /// In the service's model.
    pub name: String,
    /// As AWS's Java SDK calls it, and with a capital.
    names: [String; 2],
    pub kind: Type,
    pub required: bool,
    pub payload: Payload,
}

/// Whether a blob is the body of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    No,
    /// A body that is sent at once.
    Whole,
    /// A stream, as an object's content is.
    Stream,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub(crate) enum Type {
    String,
    Integer,
    Long,
    Double,
    Boolean,
    Timestamp,
    Blob,
    /// Any JSON.
    Document,
    Shape(String),
}

impl From<String> for Type {
    fn from(name: String) -> Type {
        match name.as_str() {
            "string" => Type::String,
            "integer" => Type::Integer,
            "long" => Type::Long,
            "double" => Type::Double,
            "boolean" => Type::Boolean,
            "timestamp" => Type::Timestamp,
            "blob" => Type::Blob,
            "document" => Type::Document,
            _ => Type::Shape(name),
        }
    }
}

impl Member {
    pub fn called(&self, naming: Naming) -> &str {
        &self.names[naming as usize]
    }
}

impl Structure {
    /// A member as a caller names it. The model's own spelling is taken too.
    pub fn member(&self, naming: Naming, name: &str) -> Option<&Member> {
        self.by_name[naming as usize].get(name).map(|at| &self.members[*at])
    }

    /// A member by its name in the service's model.
    pub fn own(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl From<StructureFile> for Structure {
    fn from(file: StructureFile) -> Structure {
        let members: Vec<Member> = file
            .members
            .into_iter()
            .map(|(name, kind)| {
                let payload = match &file.payload {
                    Some(payload) if *payload == name => {
                        if file.streams {
                            Payload::Stream
                        } else {
                            Payload::Whole
                        }
                    }
                    _ => Payload::No,
                };
                Member {
                    names: [java_member(&name), capital(&name)],
                    kind: Type::from(kind.as_str().unwrap_or_default().to_owned()),
                    required: file.required.contains(&name),
                    payload,
                    name,
                }
            })
            .collect();
        let by = |naming: Naming| {
            let own = members.iter().enumerate().map(|(at, member)| (capital(&member.name), at));
            // Examples in AWS's documentation have members of optimised integrations as in the model.
            let plain = members.iter().enumerate().filter(|_| naming == Naming::Capital);
            let plain = plain.map(|(at, member)| (member.name.clone(), at));
            // The naming's own spelling wins where several exist.
            let called = members.iter().enumerate().map(|(at, member)| (member.called(naming).to_owned(), at));
            own.chain(plain).chain(called).collect()
        };
        let by_name = [by(Naming::Sdk), by(Naming::Capital)];
        Structure { members, by_name }
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}
