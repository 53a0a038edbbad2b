//! Templates of this machine's file system, deployed in process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Scope;
use base64::Engine as _;
use serde_json::{Value, json};
use service::{Call, Fault};
use sha2::{Digest, Sha256};

use crate::Deployer;
use crate::build::{self, BuildRequest};
use crate::engine::keys::StackKey;
use crate::engine::stored::{Artifact, OnFailure, Source, Stack, StackStatus};
use crate::engine::{CreateRequest, DeleteRequest, StackEvent, Template, UpdateRequest, goal_of, read};
use crate::template::{self, Diagnostic, Diagnostics, Given, Node, Position};

/// A definition's or template's file may be so large.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// All definitions of a template together may be so large: they are stored with it.
const DEFINITIONS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events that are read at once.
const EVENTS_PAGE: usize = 200;

/// A template to deploy, and as what.
#[derive(Clone, Debug)]
pub struct LocalRequest {
    pub template: PathBuf,
    pub stack_name: String,
    /// Values of parameters; of an existing stack, those not named keep their value.
    pub parameters: Vec<(String, String)>,
    pub capabilities: Vec<String>,
    pub tags: Vec<(String, String)>,
    pub scope: Scope,
    /// `http://host:port` of the server, for URLs in outputs.
    pub endpoint: String,
    /// ARN of whoever deploys.
    pub principal: String,
    /// Where builds keep what they may use again.
    pub work_dir: PathBuf,
}

/// What happens while a template is deployed.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Something in the template is read and not acted upon.
    Notice(Diagnostic),
    /// A line of the tool that builds a function.
    Build { logical_id: String, line: String },
    /// A function's or layer's package is ready.
    Packaged { logical_id: String, bytes: usize },
    /// A resource or the stack changed its status.
    Event(StackEvent),
}

/// A stack that is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    pub stack_id: String,
    pub outputs: BTreeMap<String, String>,
    /// False where everything was as the template says already.
    pub changed: bool,
}

/// Why a deployment did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The template, with its file, is wrong: the user's to mend.
    #[error("{}:\n{found}", path.display())]
    Template { path: PathBuf, found: Diagnostics },
    /// A file that the template names cannot be read or built: the user's to mend.
    #[error("{0}")]
    Build(String),
    /// The operation was refused before anything changed.
    #[error("{}", .0.message)]
    Refused(Fault),
    /// Resources failed, and the stack is in the state that is named.
    #[error("{}", failure_text(.stack_name, .status, .reasons))]
    Failed { stack_name: String, status: String, reasons: Vec<String> },
    #[error(transparent)]
    Store(#[from] store::Error),
}

fn failure_text(stack_name: &str, status: &str, reasons: &[String]) -> String {
    format!("stack {stack_name} is {status}\n  {}", reasons.join("\n  "))
}

impl From<Fault> for DeployError {
    fn from(fault: Fault) -> DeployError {
        DeployError::Refused(fault)
    }
}

/// What a property of a type names on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Function,
    Layer,
    Definition,
}

/// Type, property, what it is, and the property that takes its place.
const LOCAL: [(&str, &str, What, &str); 6] = [
    ("AWS::Serverless::Function", "CodeUri", What::Function, "CodeUri"),
    ("AWS::Lambda::Function", "Code", What::Function, "Code"),
    ("AWS::Serverless::LayerVersion", "ContentUri", What::Layer, "ContentUri"),
    ("AWS::Lambda::LayerVersion", "Content", What::Layer, "Content"),
    ("AWS::Serverless::StateMachine", "DefinitionUri", What::Definition, "DefinitionString"),
    ("AWS::StepFunctions::StateMachine", "DefinitionS3Location", What::Definition, "DefinitionString"),
];

impl Deployer {
    /// Builds, packages and deploys a template of the file system; creates or updates, and waits for the end.
    pub async fn deploy_local(
        &self,
        request: &LocalRequest,
        on_progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Deployed, DeployError> {
        let call = self.local_call(request);
        let wrong = |found: Diagnostics| DeployError::Template { path: request.template.clone(), found };
        let text = read_text(&request.template).await?;
        let source = Source { text, artifacts: Vec::new() };
        let (root, parsed) = read(&source).map_err(wrong)?;
        for notice in &parsed.notices {
            on_progress(Progress::Notice(notice.clone()));
        }
        let artifacts = self.artifacts(&call, request, &root, &on_progress).await?;
        let source = Source { artifacts, ..source };
        let existing = self.ready(&call, &request.stack_name, &on_progress).await?;
        let begun = match existing {
            Some(stack) => self.update_local(&call, request, &parsed, &stack, source).await?,
            None => self.create_local(&call, request, source).await?,
        };
        match begun {
            Begun::Nothing(stack) => Ok(deployed(&stack, false)),
            Begun::Job(key, from) => {
                let (stack, reasons) = self.follow(&key, from, &on_progress).await?;
                match stack.status {
                    StackStatus::CreateComplete | StackStatus::UpdateComplete => Ok(deployed(&stack, true)),
                    status => Err(failed(&stack, status, reasons)),
                }
            }
        }
    }

    /// Deletes a stack and waits for the end; one that is not there is deleted.
    pub async fn delete(
        &self,
        scope: &Scope,
        stack_name: &str,
        on_event: impl Fn(StackEvent) + Send + Sync,
    ) -> Result<(), DeployError> {
        let call = Call::internal(scope.clone(), self.entropy().uuid(), "arn:aws:iam::stepwell:deploy");
        self.delete_and_wait(&call, stack_name, &|progress| {
            if let Progress::Event(event) = progress {
                on_event(event);
            }
        })
        .await
    }

    fn local_call(&self, request: &LocalRequest) -> Call {
        let id = self.entropy().uuid();
        let mut call = Call::internal(request.scope.clone(), id, request.principal.as_str());
        call.endpoint = Arc::from(request.endpoint.as_str());
        call
    }

    async fn delete_and_wait(
        &self,
        call: &Call,
        stack_name: &str,
        on_progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(), DeployError> {
        let before = self.repository().find(&call.scope, stack_name)?;
        let request = DeleteRequest { stack: stack_name.to_owned(), retain: Vec::new(), token: None };
        let Some(key) = self.delete_stack(call, request).await? else { return Ok(()) };
        let from = before.map_or(0, |s| s.event_count);
        let (stack, reasons) = self.follow(&key, from, on_progress).await?;
        match stack.status {
            StackStatus::DeleteComplete => Ok(()),
            status => Err(failed(&stack, status, reasons)),
        }
    }

    /// The stack to update, once nothing runs on it; one that never came to be is deleted first.
    async fn ready(
        &self,
        call: &Call,
        stack_name: &str,
        on_progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Option<Stack>, DeployError> {
        let Some(mut stack) = self.repository().find(&call.scope, stack_name)? else { return Ok(None) };
        if stack.operation.is_some() {
            let key = StackKey::new(&call.scope, &stack.uuid);
            stack = self.follow(&key, stack.event_count, on_progress).await?.0;
        }
        match stack.status {
            StackStatus::DeleteComplete => Ok(None),
            StackStatus::RollbackComplete
            | StackStatus::RollbackFailed
            | StackStatus::DeleteFailed
            | StackStatus::ReviewInProgress => {
                self.delete_and_wait(call, stack_name, on_progress).await?;
                Ok(None)
            }
            _ => Ok(Some(stack)),
        }
    }

    async fn create_local(&self, call: &Call, request: &LocalRequest, source: Source) -> Result<Begun, DeployError> {
        let given = request.parameters.iter().map(|(key, value)| given(key, value)).collect();
        let mut goal = goal_of(&request.capabilities);
        goal.tags = request.tags.clone();
        let create = CreateRequest {
            name: request.stack_name.clone(),
            source,
            given,
            goal,
            on_failure: OnFailure::Rollback,
            timeout_minutes: None,
            termination_protection: false,
            retain_except_on_create: false,
            token: None,
        };
        let id = self.create_stack(call, create).await?;
        let uuid = id.rsplit('/').next().unwrap_or_default();
        Ok(Begun::Job(StackKey::new(&call.scope, uuid), 0))
    }

    async fn update_local(
        &self,
        call: &Call,
        request: &LocalRequest,
        parsed: &template::Template,
        stack: &Stack,
        source: Source,
    ) -> Result<Begun, DeployError> {
        let mut values: Vec<Given> = request.parameters.iter().map(|(key, value)| given(key, value)).collect();
        // As 'aws cloudformation deploy' does: what is not named keeps its value.
        for kept in &stack.current.parameters {
            let named = values.iter().any(|g| g.key == kept.key);
            if !named && parsed.parameter(&kept.key).is_some() {
                values.push(Given { key: kept.key.clone(), value: None, use_previous: true });
            }
        }
        let update = UpdateRequest {
            stack: request.stack_name.clone(),
            template: Template::Given(source),
            given: values,
            goal: goal_of(&request.capabilities),
            tags: Some(request.tags.clone()),
            disable_rollback: false,
            retain_except_on_create: false,
            token: None,
        };
        let key = StackKey::new(&call.scope, &stack.uuid);
        match self.update_stack(call, update).await {
            Ok(_) => Ok(Begun::Job(key, stack.event_count)),
            Err(fault) if fault.message == "No updates are to be performed." => {
                Ok(Begun::Nothing(Box::new(stack.clone())))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Tells of a stack's events until its operation has ended; returns the reasons of what failed.
    async fn follow(
        &self,
        key: &StackKey,
        from: u64,
        on_progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(Stack, Vec<String>), DeployError> {
        let mut changes = self.watch();
        let mut next = from;
        let mut reasons = Vec::new();
        loop {
            changes.borrow_and_update();
            let stack =
                self.repository().stack(key)?.ok_or_else(|| store::Error::Corrupt("a stack is gone".to_owned()))?;
            loop {
                let events = self.repository().events_from(key, next, EVENTS_PAGE)?;
                let last = events.len() < EVENTS_PAGE;
                for (number, event) in events {
                    next = number + 1;
                    let event = StackEvent::of(&stack, event);
                    if event.resource_status.ends_with("_FAILED")
                        && let Some(reason) = &event.resource_status_reason
                    {
                        reasons.push(format!("{} ({}): {reason}", event.logical_resource_id, event.resource_type));
                    }
                    on_progress(Progress::Event(event));
                }
                if last {
                    break;
                }
            }
            if stack.operation.is_none() {
                if reasons.is_empty() {
                    reasons.extend(stack.reason.clone());
                }
                return Ok((stack, reasons));
            }
            if changes.changed().await.is_err() {
                return Ok((stack, reasons));
            }
        }
    }

    /// What takes the place of the local paths of a template.
    async fn artifacts(
        &self,
        call: &Call,
        request: &LocalRequest,
        root: &Node,
        on_progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Vec<Artifact>, DeployError> {
        let folder = request.template.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut artifacts = Vec::new();
        let mut definition_bytes = 0;
        // Functions of one folder and build share one package.
        let mut packed: BTreeMap<String, Value> = BTreeMap::new();
        for entry in root.get("Resources").and_then(Node::entries).unwrap_or_default() {
            let resource_type = entry.value.get("Type").and_then(Node::as_str).unwrap_or_default();
            let Some((_, property, what, target)) = LOCAL.iter().find(|l| l.0 == resource_type).copied() else {
                continue;
            };
            let Some((path, at)) = local_path(root, resource_type, &entry.value, property) else { continue };
            let path = folder.join(path);
            if !path.exists() {
                let message = format!("{property} names {}, which does not exist", path.display());
                let found = Diagnostic::new(message, at).of(&entry.key).into();
                return Err(DeployError::Template { path: request.template.clone(), found });
            }
            let value = if what == What::Definition {
                let text = definition(&path).await?;
                definition_bytes += text.len();
                if definition_bytes > DEFINITIONS_BYTES_MAX {
                    let message = format!("the template's definitions have more than {DEFINITIONS_BYTES_MAX} bytes");
                    return Err(DeployError::Build(message));
                }
                Value::String(text)
            } else {
                let build = build_request(root, request, &entry.key, &entry.value, &path, what);
                let name = format!(
                    "{:?} {} {:?} {} {}",
                    build.code_dir, build.runtime, build.method, build.properties, build.is_layer
                );
                if let Some(known) = packed.get(&name) {
                    renamed_location(known, resource_type)
                } else {
                    let package = package(&build, on_progress).await?;
                    let bytes = package.len();
                    let location = self.upload(call, package).await?;
                    on_progress(Progress::Packaged { logical_id: entry.key.clone(), bytes });
                    let value = renamed_location(&location, resource_type);
                    packed.insert(name, location);
                    value
                }
            };
            artifacts.push(Artifact {
                logical_id: entry.key.clone(),
                property: property.to_owned(),
                target: target.to_owned(),
                value,
            });
        }
        Ok(artifacts)
    }

    /// Puts a package into the deployer's bucket, under its hash.
    async fn upload(&self, call: &Call, package: Vec<u8>) -> Result<Value, DeployError> {
        let registry = self.registry();
        if !registry.has_operation("s3", "PutObject") {
            return Err(DeployError::Build("packages need s3:PutObject, which is not supported here".to_owned()));
        }
        let bucket = format!("stepwell-deploy-{}-{}", call.scope.account(), call.scope.region());
        let key = format!("{}.zip", hex::encode(Sha256::digest(&package)));
        let mut create = json!({"Bucket": bucket});
        if call.scope.region() != "us-east-1" {
            create["CreateBucketConfiguration"] = json!({"LocationConstraint": call.scope.region()});
        }
        match registry.call_value("s3", "CreateBucket", call.clone(), create).await {
            Err(fault) if fault.code != "BucketAlreadyOwnedByYou" => return Err(fault.into()),
            _ => {}
        }
        let location = json!({"Bucket": bucket, "Key": key});
        let known = registry.has_operation("s3", "HeadObject")
            && registry.call_value("s3", "HeadObject", call.clone(), location.clone()).await.is_ok();
        if !known {
            let body = base64::engine::general_purpose::STANDARD.encode(&package);
            let input = json!({"Bucket": bucket, "Key": key, "BodyBase64": body});
            registry.call_value("s3", "PutObject", call.clone(), input).await?;
        }
        Ok(location)
    }
}

enum Begun {
    Nothing(Box<Stack>),
    /// The job's stack, and the number of its first event.
    Job(StackKey, u64),
}

fn given(key: &str, value: &str) -> Given {
    Given { key: key.to_owned(), value: Some(value.to_owned()), use_previous: false }
}

fn deployed(stack: &Stack, changed: bool) -> Deployed {
    let outputs = stack.outputs.iter().map(|o| (o.key.clone(), o.value.clone())).collect();
    Deployed { stack_id: stack.id(), outputs, changed }
}

fn failed(stack: &Stack, status: StackStatus, reasons: Vec<String>) -> DeployError {
    DeployError::Failed { stack_name: stack.name.clone(), status: status.name().to_owned(), reasons }
}

/// The local path that a resource's property, or its type's globals, name.
fn local_path(root: &Node, resource_type: &str, resource: &Node, property: &str) -> Option<(String, Position)> {
    let properties = resource.get("Properties");
    let own = properties.and_then(|p| p.get(property));
    let inline = properties.is_some_and(|p| p.get("InlineCode").is_some() || p.get("ImageUri").is_some());
    let global = globals(root, resource_type).and_then(|g| g.get(property)).filter(|_| !inline);
    let node = own.or(global)?;
    let path = node.as_str()?;
    let remote = ["s3://", "http://", "https://"].iter().any(|scheme| path.starts_with(scheme));
    (!remote).then(|| (path.to_owned(), node.at))
}

fn globals<'a>(root: &'a Node, resource_type: &str) -> Option<&'a Node> {
    root.get("Globals")?.get(resource_type.strip_prefix("AWS::Serverless::")?)
}

fn build_request(
    root: &Node,
    request: &LocalRequest,
    id: &str,
    resource: &Node,
    path: &Path,
    what: What,
) -> BuildRequest {
    let resource_type = resource.get("Type").and_then(Node::as_str).unwrap_or_default();
    let own = resource.get("Properties").and_then(|p| p.get("Runtime"));
    let runtime = own.or_else(|| globals(root, resource_type)?.get("Runtime")).and_then(Node::as_str);
    let metadata = resource.get("Metadata");
    let skipped = metadata.and_then(|m| m.get("SkipBuild")).and_then(Node::scalar).as_deref() == Some("true");
    let method = metadata.and_then(|m| m.get("BuildMethod")).and_then(Node::as_str);
    BuildRequest {
        logical_id: id.to_owned(),
        code_dir: path.to_owned(),
        runtime: runtime.unwrap_or_default().to_owned(),
        method: method.filter(|_| !skipped).map(str::to_owned),
        properties: metadata.and_then(|m| m.get("BuildProperties")).map_or(Value::Null, Node::to_json),
        work_dir: request.work_dir.clone(),
        is_layer: what == What::Layer,
    }
}

/// Builds and packs one function or layer; a file is a package already.
async fn package(
    request: &BuildRequest,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<u8>, DeployError> {
    let failed = |what: &dyn std::fmt::Display| DeployError::Build(what.to_string());
    let path = request.code_dir.clone();
    if path.is_file() {
        let read = tokio::fs::read(&path).await;
        return read.map_err(|e| failed(&format!("read {}: {e}", path.display())));
    }
    let builder = build::builder(request).map_err(|e| failed(&e))?;
    let lines = |line: &str| {
        on_progress(Progress::Build { logical_id: request.logical_id.clone(), line: line.to_owned() });
    };
    let built = builder.build(request, &lines).await.map_err(|e| failed(&e))?;
    let packed = tokio::task::spawn_blocking(move || build::archive(&built)).await;
    packed.map_err(|e| failed(&e))?.map_err(|e| failed(&format!("{}: {e}", request.logical_id)))
}

/// A location under the member names of its type.
fn renamed_location(location: &Value, resource_type: &str) -> Value {
    if resource_type.starts_with("AWS::Serverless::") {
        return location.clone();
    }
    json!({"S3Bucket": location["Bucket"], "S3Key": location["Key"]})
}

/// A definition's text; one in YAML becomes JSON.
async fn definition(path: &Path) -> Result<String, DeployError> {
    let text = read_text(path).await?;
    let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    if !is_yaml {
        return Ok(text);
    }
    let wrong = |found: Diagnostic| DeployError::Template { path: path.to_owned(), found: found.into() };
    let node = template::parse(&text).map_err(wrong)?;
    Ok(format!("{:#}", node.to_json()))
}

async fn read_text(path: &Path) -> Result<String, DeployError> {
    let failed = |what: &dyn std::fmt::Display| DeployError::Build(format!("read {}: {what}", path.display()));
    let size = tokio::fs::metadata(path).await.map_err(|e| failed(&e))?.len();
    if size > TEXT_BYTES_MAX {
        return Err(failed(&format!("{size} bytes; at most {TEXT_BYTES_MAX} are allowed")));
    }
    tokio::fs::read_to_string(path).await.map_err(|e| failed(&e))
}
