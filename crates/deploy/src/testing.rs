//! A small world for tests: services that remember what they were asked, and a store that stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use base::{Entropy, ManualClock, Scope, Timestamp};
use bytes::Bytes;
use serde_json::{Value, json};
use service::{Call, Fault, Registry, Service};
use store::{Batch, Commit, Entry, MemoryStore, Range, Store};
use tokio::sync::Notify;

use crate::{Deployer, Options};

/// What exists, by kind and name, and what was asked.
#[derive(Default)]
pub(crate) struct World {
    pub things: Mutex<BTreeMap<(String, String), Value>>,
    pub calls: Mutex<Vec<String>>,
    /// Operations that fail for inputs that contain a text.
    pub broken: Mutex<BTreeSet<(String, String)>>,
    answers: Mutex<BTreeMap<Vec<u8>, Value>>,
    /// Answered once for each effect, as our services do.
    pub effects: Mutex<usize>,
}

/// Service, operation, what it does, and which members name the thing.
const OPERATIONS: &[(&str, &str, &str, &str)] = &[
    ("sqs", "CreateQueue", "make", "QueueName"),
    ("sqs", "GetQueueUrl", "get", "QueueName"),
    ("sqs", "SetQueueAttributes", "change", "QueueUrl"),
    ("sqs", "TagQueue", "change", "QueueUrl"),
    ("sqs", "UntagQueue", "change", "QueueUrl"),
    ("sqs", "DeleteQueue", "remove", "QueueUrl"),
    ("logs", "CreateLogGroup", "make", "logGroupName"),
    ("logs", "PutRetentionPolicy", "change", "logGroupName"),
    ("logs", "DeleteRetentionPolicy", "change", "logGroupName"),
    ("logs", "DeleteLogGroup", "remove", "logGroupName"),
    ("iam", "CreateRole", "make", "RoleName"),
    ("iam", "GetRole", "get", "RoleName"),
    ("iam", "AttachRolePolicy", "change", "RoleName"),
    ("iam", "DetachRolePolicy", "change", "RoleName"),
    ("iam", "PutRolePolicy", "change", "RoleName"),
    ("iam", "DeleteRolePolicy", "change", "RoleName"),
    ("iam", "DeleteRole", "remove", "RoleName"),
    ("lambda", "CreateFunction", "make", "FunctionName"),
    ("lambda", "GetFunctionConfiguration", "get", "FunctionName"),
    ("lambda", "UpdateFunctionCode", "change", "FunctionName"),
    ("lambda", "UpdateFunctionConfiguration", "change", "FunctionName"),
    ("lambda", "PutFunctionConcurrency", "change", "FunctionName"),
    ("lambda", "DeleteFunction", "remove", "FunctionName"),
    ("lambda", "CreateEventSourceMapping", "make", "FunctionName"),
    ("lambda", "GetEventSourceMapping", "get", "UUID"),
    ("lambda", "DeleteEventSourceMapping", "remove", "UUID"),
    ("states", "CreateStateMachine", "make", "name"),
    ("states", "UpdateStateMachine", "change", "stateMachineArn"),
    ("states", "DeleteStateMachine", "remove", "stateMachineArn"),
    ("s3", "CreateBucket", "make", "Bucket"),
    ("s3", "DeleteBucket", "remove", "Bucket"),
    ("s3", "PutBucketVersioning", "change", "Bucket"),
    ("s3", "PutObject", "object", "Bucket"),
    ("s3", "GetObject", "object", "Bucket"),
    ("secretsmanager", "GetSecretValue", "secret", "SecretId"),
];

impl World {
    fn kind(service: &str, operation: &str) -> String {
        if operation.contains("EventSourceMapping") { "mapping".into() } else { service.to_owned() }
    }

    /// A queue's name is the last part of its URL, a machine's of its ARN.
    fn name(given: &str) -> String {
        given.rsplit(['/', ':']).next().unwrap_or(given).to_owned()
    }

    fn act(&self, operation: &(&str, &str, &str, &str), call: &Call, input: Value) -> Result<Value, Fault> {
        let (service, name, does, member) = *operation;
        let given = input[member].as_str().unwrap_or_default();
        let thing = Self::name(given);
        if does != "get" {
            self.calls.lock().unwrap().push(format!("{name} {thing}"));
        }
        let text = input.to_string();
        let broken = self.broken.lock().unwrap().iter().any(|(o, part)| o == name && text.contains(part.as_str()));
        if broken {
            return Err(Fault::client("InvalidParameterValue", format!("{name} is broken")));
        }
        if let Some(effect) = &call.effect {
            let answers = self.answers.lock().unwrap();
            if let Some(answer) = answers.get(&*effect.0) {
                return Ok(answer.clone());
            }
        }
        let answer = self.apply(service, name, does, &thing, input)?;
        if let Some(effect) = &call.effect {
            *self.effects.lock().unwrap() += 1;
            self.answers.lock().unwrap().insert(effect.0.to_vec(), answer.clone());
        }
        Ok(answer)
    }

    fn apply(&self, service: &str, name: &str, does: &str, thing: &str, input: Value) -> Result<Value, Fault> {
        let mut things = self.things.lock().unwrap();
        let kind = Self::kind(service, name);
        let key = (kind.clone(), thing.to_owned());
        let gone = || match service {
            "iam" => Fault::client("NoSuchEntity", "gone"),
            "s3" => Fault::client("NoSuchBucket", "gone"),
            "sqs" => Fault::client("QueueDoesNotExist", "gone"),
            "states" => Fault::client("StateMachineDoesNotExist", "gone"),
            _ => Fault::client("ResourceNotFoundException", "gone"),
        };
        match does {
            "make" if kind == "mapping" => {
                let uuid = format!("uuid-{thing}");
                things.insert((kind, uuid.clone()), input);
                Ok(json!({"UUID": uuid, "State": "Enabled"}))
            }
            "make" => {
                if things.contains_key(&key) && service != "sqs" && service != "states" {
                    return Err(match service {
                        "iam" => Fault::client("EntityAlreadyExists", "taken"),
                        "logs" => Fault::client("ResourceAlreadyExistsException", "taken"),
                        "s3" => Fault::client("BucketAlreadyOwnedByYou", "taken"),
                        _ => Fault::client("ResourceConflictException", "taken"),
                    });
                }
                things.insert(key, input);
                Ok(json!({
                    "QueueUrl": format!("http://127.0.0.1:4566/000000000000/{thing}"),
                    "Role": {"Arn": format!("arn:aws:iam::000000000000:role/{thing}"), "RoleId": "AROA"},
                    "stateMachineArn": format!("arn:aws:states:us-east-1:000000000000:stateMachine:{thing}"),
                }))
            }
            "change" | "get" => {
                let entry = things.get_mut(&key).ok_or_else(gone)?;
                if does == "change" {
                    entry[name] = input;
                }
                Ok(json!({
                    "State": "Active",
                    "Role": {"Arn": format!("arn:aws:iam::000000000000:role/{thing}"), "RoleId": "AROA"},
                    "revisionId": "r-2",
                }))
            }
            "remove" => {
                let full =
                    service == "s3" && things.keys().any(|(k, n)| k == "object" && n.starts_with(&format!("{thing}/")));
                if full {
                    let message = "The bucket you tried to delete is not empty";
                    return Err(Fault::with_status(409, "BucketNotEmpty", message));
                }
                things.remove(&key).map(|_| json!({})).ok_or_else(gone)
            }
            "object" => {
                let key = ("object".to_owned(), format!("{thing}/{}", input["Key"].as_str().unwrap_or_default()));
                if name == "PutObject" {
                    let member = if input["Body"].is_string() { "Body" } else { "BodyBase64" };
                    things.insert(key, input[member].clone());
                    return Ok(json!({}));
                }
                let body = things.get(&key).ok_or_else(|| Fault::with_status(404, "NoSuchKey", "gone"))?;
                Ok(json!({"Body": body}))
            }
            _ => Ok(json!({"SecretString": "{\"password\": \"hunter2\"}"})),
        }
    }

    pub fn registry(self: &Arc<World>) -> Registry {
        let mut services: BTreeMap<&'static str, Service> = BTreeMap::new();
        for operation in OPERATIONS {
            let world = self.clone();
            let service = services.entry(operation.0).or_insert_with(|| Service::new(operation.0));
            service.operation(operation.1, move |call: Call, input: Value| {
                let world = world.clone();
                async move { world.act(operation, &call, input) }
            });
        }
        let mut registry = Registry::new();
        services.into_values().for_each(|service| registry.add(service));
        registry
    }

    /// `kind name` of everything that exists, without random parts.
    pub fn list(&self) -> Vec<String> {
        self.things.lock().unwrap().keys().map(|(kind, name)| format!("{kind} {}", plain(name))).collect()
    }

    pub fn break_on(&self, operation: &str, part: &str) {
        self.broken.lock().unwrap().insert((operation.to_owned(), part.to_owned()));
    }

    pub fn mend(&self) {
        self.broken.lock().unwrap().clear();
    }

    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap()).iter().map(|c| plain(c)).collect()
    }
}

/// Takes the random end off generated names.
pub(crate) fn plain(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((start, end)) if end.len() == 12 && end.bytes().all(|b| b.is_ascii_alphanumeric()) => format!("{start}-*"),
        _ => name.to_owned(),
    }
}

/// A deployer over a store and a world.
pub(crate) fn deployer(store: Arc<dyn Store>, world: &Arc<World>, seed: u64) -> Deployer {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let options = Options { linger: std::time::Duration::from_secs(30), ..Options::default() };
    let deployer = Deployer::new(options, store, clock, Arc::new(Entropy::from_seed(seed)));
    deployer.start(world.registry()).unwrap();
    deployer
}

pub(crate) fn call() -> Call {
    Call::internal(Scope::default(), "request-1", "arn:aws:iam::000000000000:user/tester")
}

/// A store that stops: after so many commits nothing is written any more and no commit resolves.
pub(crate) struct StoppingStore {
    inner: Arc<MemoryStore>,
    left: AtomicI64,
    /// Whether the last commit is written before the stop.
    last_written: bool,
    pub stopped: Arc<Notify>,
    unresolved: Mutex<Vec<store::CommitSender>>,
}

impl StoppingStore {
    pub fn new(inner: Arc<MemoryStore>, commits: i64, last_written: bool) -> StoppingStore {
        let stopped = Arc::new(Notify::new());
        StoppingStore { inner, left: AtomicI64::new(commits), last_written, stopped, unresolved: Mutex::default() }
    }
}

impl Store for StoppingStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, store::Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, store::Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return self.inner.commit(batch);
        }
        if left == 0 && self.last_written {
            drop(self.inner.commit(batch).wait());
        }
        let (sender, commit) = store::commit_channel();
        self.unresolved.lock().unwrap().push(sender);
        self.stopped.notify_one();
        commit
    }
}
