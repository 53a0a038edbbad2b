//! Scenarios of `tests/data`, and what a file cannot say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, ManualClock, Scope, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry};
use store::{Batch, MemoryStore, Store};

use crate::Identity;
use crate::policy::{Context, Decision};

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    entropy: Arc<Entropy>,
    identity: Identity,
    registry: Registry,
}

impl World {
    async fn new() -> World {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(Timestamp::parse_rfc3339("2024-01-15T09:30:00Z").unwrap()));
        World::on(store, clock, Arc::new(Entropy::from_seed(7))).await
    }

    async fn on(store: Arc<MemoryStore>, clock: Arc<ManualClock>, entropy: Arc<Entropy>) -> World {
        let identity = Identity::start(store.clone(), clock.clone(), entropy.clone()).await.unwrap();
        let mut registry = Registry::new();
        for service in identity.services() {
            registry.add(service);
        }
        World { store, clock, entropy, identity, registry }
    }

    async fn restarted(self) -> World {
        World::on(self.store, self.clock, self.entropy).await
    }

    async fn call(&self, name: &str, input: Value) -> Result<Value, Fault> {
        self.call_as(name, input, root()).await
    }

    async fn call_as(&self, name: &str, input: Value, call: Call) -> Result<Value, Fault> {
        let (service, operation) = name.split_once(':').unwrap();
        self.registry.call_value(service, operation, call, input).await
    }
}

fn root() -> Call {
    Call::internal(Scope::default(), "request", "arn:aws:iam::000000000000:root")
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    call: Option<String>,
    r#as: Option<String>,
    input: Option<Value>,
    output: Option<Value>,
    fault: Option<Value>,
    advance_seconds: Option<u64>,
    #[serde(default)]
    restart: bool,
}

type Names = BTreeMap<String, Value>;

fn filled(value: &Value, names: &Names) -> Value {
    match value {
        Value::String(text) if text.starts_with('$') => names[text].clone(),
        Value::Array(values) => values.iter().map(|v| filled(v, names)).collect(),
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), filled(v, names))).collect(),
        value => value.clone(),
    }
}

fn matches(expected: &Value, got: &Value, names: &mut Names) -> bool {
    match (expected, got) {
        (Value::String(text), _) if text == "*" => true,
        (Value::String(text), got) if text.starts_with('$') => {
            names.entry(text.clone()).or_insert_with(|| got.clone()) == got
        }
        (Value::Array(e), Value::Array(g)) => e.len() == g.len() && e.iter().zip(g).all(|(e, g)| matches(e, g, names)),
        (Value::Object(e), Value::Object(g)) => {
            e.len() == g.len() && e.iter().all(|(k, e)| g.get(k).is_some_and(|g| matches(e, g, names)))
        }
        (expected, got) => expected == got,
    }
}

async fn run(scenario: &Scenario, file: &str) {
    let mut world = World::new().await;
    let mut names = Names::new();
    for (i, step) in scenario.steps.iter().enumerate() {
        let at = format!("{file}, '{}', step {}", scenario.name, i + 1);
        if let Some(seconds) = step.advance_seconds {
            world.clock.advance(Duration::from_secs(seconds));
            // Any input makes the loop look at the clock.
            world.call("sts:GetSessionToken", json!({})).await.unwrap();
        }
        if step.restart {
            world = world.restarted().await;
        }
        let Some(name) = &step.call else { continue };
        let mut call = root();
        if let Some(principal) = &step.r#as {
            call.principal = principal.as_str().into();
        }
        let input = filled(step.input.as_ref().unwrap_or(&json!({})), &names);
        match (world.call_as(name, input, call).await, &step.output, &step.fault) {
            (Ok(got), Some(expected), None) => assert!(matches(expected, &got, &mut names), "{at}: {got:#}"),
            (Err(fault), None, Some(Value::String(code))) => assert_eq!(&fault.code, code, "{at}: {fault}"),
            (Err(fault), None, Some(expected)) => assert_eq!(&json!([fault.code, fault.message]), expected, "{at}"),
            (got, ..) => panic!("{at}: {got:#?}"),
        }
    }
}

async fn run_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let scenarios: Vec<Scenario> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for scenario in &scenarios {
        run(scenario, name).await;
    }
}

#[tokio::test]
async fn secrets() {
    run_file("secrets.json").await;
}

#[tokio::test]
async fn iam() {
    run_file("iam.json").await;
}

#[tokio::test]
async fn sts() {
    run_file("sts.json").await;
}

#[tokio::test]
async fn ssm() {
    run_file("ssm.json").await;
}

#[tokio::test]
async fn an_effect_is_done_once_and_a_refusal_stays_one() {
    let world = World::new().await;
    let outbox = |n: u64| cell::outbox_key("engine/0", n);
    let mut batch = Batch::new();
    batch.put(outbox(1), vec![1]).put(outbox(2), vec![1]);
    world.store.commit(batch).await.unwrap();
    let call = |n: u64| root().with_effect(EffectId::new(&outbox(n)));
    let input = json!({ "Name": "s", "SecretString": "one" });
    let first = world.call_as("secretsmanager:CreateSecret", input.clone(), call(1)).await.unwrap();
    let refused = world.call_as("secretsmanager:CreateSecret", input.clone(), call(2)).await.unwrap_err();
    assert_eq!(refused.code, "ResourceExistsException");
    world
        .call("secretsmanager:DeleteSecret", json!({ "SecretId": "s", "ForceDeleteWithoutRecovery": true }))
        .await
        .unwrap();
    let world = world.restarted().await;
    assert_eq!(world.call_as("secretsmanager:CreateSecret", input.clone(), call(1)).await.unwrap(), first);
    assert_eq!(world.call_as("secretsmanager:CreateSecret", input, call(2)).await.unwrap_err(), refused);
    assert_eq!(world.call("secretsmanager:ListSecrets", json!({})).await.unwrap()["SecretList"], json!([]));
}

#[tokio::test]
async fn sessions_are_found_until_they_expire() {
    let world = World::new().await;
    let role = "arn:aws:iam::123456789012:role/app/worker";
    let session = world.identity.session_for_role(role, "f", 900).await.unwrap();
    assert_eq!(session.account, "123456789012");
    assert_eq!(session.principal, "arn:aws:sts::123456789012:assumed-role/worker/f");
    assert!(session.access_key_id.starts_with("ASIA") && session.access_key_id.len() == 20);
    assert_eq!(world.identity.session(&session.access_key_id).unwrap(), Some(session.clone()));
    let info = world.call("sts:GetAccessKeyInfo", json!({ "AccessKeyId": session.access_key_id })).await.unwrap();
    assert_eq!(info["Account"], "123456789012");
    let world = world.restarted().await;
    assert!(world.identity.session(&session.access_key_id).unwrap().is_some());
    world.clock.advance(Duration::from_secs(901));
    world.call("sts:GetSessionToken", json!({})).await.unwrap();
    assert_eq!(world.identity.session(&session.access_key_id).unwrap(), None);
    assert_eq!(world.identity.session("ASIANOBODY").unwrap(), None);
    assert!(!format!("{session:?}").contains(&session.secret_access_key));
}

#[tokio::test]
async fn decisions_follow_the_roles_policies() {
    let world = World::new().await;
    let trust = json!({ "Statement": { "Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole" } }).to_string();
    let policy = |action: &str| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    let calls = [
        ("iam:CreateRole", json!({ "RoleName": "r", "AssumeRolePolicyDocument": trust })),
        ("iam:CreatePolicy", json!({ "PolicyName": "p", "PolicyDocument": policy("sqs:*").to_string() })),
        ("iam:CreatePolicy", json!({ "PolicyName": "b", "PolicyDocument": policy("sqs:Send*").to_string() })),
        (
            "iam:PutRolePolicy",
            json!({ "RoleName": "r", "PolicyName": "i", "PolicyDocument": policy("s3:Get*").to_string() }),
        ),
        ("iam:AttachRolePolicy", json!({ "RoleName": "r", "PolicyArn": "arn:aws:iam::000000000000:policy/p" })),
        (
            "iam:AttachRolePolicy",
            json!({ "RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole" }),
        ),
        (
            "iam:AttachRolePolicy",
            json!({ "RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/SomethingWeDoNotKnow" }),
        ),
    ];
    for (name, input) in calls {
        world.call(name, input).await.unwrap();
    }
    let session = "arn:aws:sts::000000000000:assumed-role/r/s";
    let decide = |who: &str, action: &str| world.identity.decide(who, action, "*", &Context::new()).unwrap();
    for (who, action, expected) in [
        (session, "sqs:SendMessage", Decision::Allowed),
        ("arn:aws:iam::000000000000:role/r", "s3:GetObject", Decision::Allowed),
        (session, "logs:PutLogEvents", Decision::Allowed),
        (session, "s3:PutObject", Decision::ImplicitDeny),
        ("arn:aws:sts::000000000000:assumed-role/other/s", "sqs:SendMessage", Decision::ImplicitDeny),
        ("arn:aws:sts::123456789012:assumed-role/r/s", "sqs:SendMessage", Decision::ImplicitDeny),
        ("lambda.amazonaws.com", "sqs:SendMessage", Decision::ImplicitDeny),
        ("arn:aws:iam::000000000000:root", "anything:Else", Decision::Allowed),
    ] {
        assert_eq!(decide(who, action), expected, "{who} {action}");
    }
    let boundary = json!({ "RoleName": "r", "PermissionsBoundary": "arn:aws:iam::000000000000:policy/b" });
    world.call("iam:PutRolePermissionsBoundary", boundary).await.unwrap();
    assert_eq!(decide(session, "sqs:SendMessage"), Decision::Allowed);
    assert_eq!(decide(session, "sqs:ReceiveMessage"), Decision::ImplicitDeny);
    assert_eq!(world.identity.policies_of_role("arn:aws:iam::000000000000:role/r").unwrap().len(), 3);
}

#[tokio::test]
async fn passwords_have_each_kind_and_no_excluded_character() {
    let world = World::new().await;
    for length in [4, 32, 4096] {
        let input = json!({ "PasswordLength": length, "ExcludeCharacters": "aA0!" });
        let answer = world.call("secretsmanager:GetRandomPassword", input).await.unwrap();
        let password = answer["RandomPassword"].as_str().unwrap();
        assert_eq!(password.len(), length);
        assert!(!password.contains(['a', 'A', '0', '!', ' ']));
        for kind in
            [char::is_lowercase, char::is_uppercase, |c: char| c.is_ascii_digit(), |c: char| c.is_ascii_punctuation()]
        {
            assert!(password.contains(kind), "{password}");
        }
    }
    let input = json!({ "ExcludePunctuation": true, "ExcludeNumbers": true, "ExcludeLowercase": true });
    let answer = world.call("secretsmanager:GetRandomPassword", input).await.unwrap();
    assert!(answer["RandomPassword"].as_str().unwrap().bytes().all(|b| b.is_ascii_uppercase()));
}

#[tokio::test]
async fn accounts_and_regions_do_not_see_each_other() {
    let world = World::new().await;
    world.call("secretsmanager:CreateSecret", json!({ "Name": "s", "SecretString": "one" })).await.unwrap();
    for scope in [Scope::new("000000000000", "eu-west-1"), Scope::new("123456789012", "us-east-1")] {
        let call = Call::internal(scope, "request", "arn:aws:iam::123456789012:root");
        let missing = world.call_as("secretsmanager:GetSecretValue", json!({ "SecretId": "s" }), call).await;
        assert_eq!(missing.unwrap_err().code, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn old_versions_make_room() {
    let world = World::new().await;
    world.call("secretsmanager:CreateSecret", json!({ "Name": "s", "SecretString": "0" })).await.unwrap();
    world.call("ssm:PutParameter", json!({ "Name": "p", "Value": "0", "Type": "String" })).await.unwrap();
    for n in 1..=120 {
        world.clock.advance(Duration::from_secs(1));
        let value = n.to_string();
        world.call("secretsmanager:PutSecretValue", json!({ "SecretId": "s", "SecretString": value })).await.unwrap();
        world.call("ssm:PutParameter", json!({ "Name": "p", "Value": value, "Overwrite": true })).await.unwrap();
    }
    let input = json!({ "SecretId": "s", "IncludeDeprecated": true });
    let versions = world.call("secretsmanager:ListSecretVersionIds", input).await.unwrap();
    assert_eq!(versions["Versions"].as_array().unwrap().len(), 100);
    let previous = json!({ "SecretId": "s", "VersionStage": "AWSPREVIOUS" });
    assert_eq!(world.call("secretsmanager:GetSecretValue", previous).await.unwrap()["SecretString"], "119");
    assert_eq!(world.call("ssm:GetParameter", json!({ "Name": "p:22" })).await.unwrap()["Parameter"]["Value"], "21");
    assert!(world.call("ssm:GetParameter", json!({ "Name": "p:21" })).await.is_err());
    let records = world.store.scan(&store::Range::prefix(store::Key::new("secret-value").as_bytes())).unwrap();
    assert_eq!(records.len(), 100);
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_shows_nothing() {
    let world = World::new().await;
    world.call("secretsmanager:CreateSecret", json!({ "Name": "s", "SecretString": "tell-nobody" })).await.unwrap();
    let records = world.store.scan(&store::Range::prefix(store::Key::new("secret-value").as_bytes())).unwrap();
    for damage in [&b""[..], b"\x02{}", b"\x01{\"Text\":\"tell-nobody\""] {
        let mut batch = Batch::new();
        batch.put(records[0].0.clone(), damage.to_vec());
        world.store.commit(batch).await.unwrap();
        let fault = world.call("secretsmanager:GetSecretValue", json!({ "SecretId": "s" })).await.unwrap_err();
        assert_eq!(fault.code, "InternalFailure");
        assert!(!fault.message.contains("tell-nobody"), "{}", fault.message);
    }
    assert_eq!(world.clock.now().as_seconds(), 1_705_311_000);
}
