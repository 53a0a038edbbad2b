use std::sync::{Arc, Mutex};

use base::{Entropy, ManualClock, Scope, Timestamp};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry, Service};
use store::{MemoryStore, Range, Store};

use crate::Events;

/// Secrets Manager, as far as connections need it: what was called, and whether it answers.
#[derive(Default)]
struct Secrets {
    calls: Mutex<Vec<(&'static str, Value, Option<EffectId>)>>,
    value: Mutex<String>,
    fault: Mutex<Option<Fault>>,
}

impl Secrets {
    fn service(self: &Arc<Self>) -> Service {
        let mut service = Service::new("secretsmanager");
        for name in ["CreateSecret", "PutSecretValue", "DeleteSecret", "GetSecretValue"] {
            let secrets = self.clone();
            service.operation(name, move |call: Call, input: Value| {
                assert_eq!(&*call.principal, "events.amazonaws.com");
                if let Some(fault) = secrets.fault.lock().unwrap().clone() {
                    return std::future::ready(Err(fault));
                }
                if let Some(value) = input.get("SecretString").and_then(Value::as_str) {
                    *secrets.value.lock().unwrap() = value.to_owned();
                }
                secrets.calls.lock().unwrap().push((name, input, call.effect));
                let value = secrets.value.lock().unwrap().clone();
                std::future::ready(Ok(json!({"ARN": "arn:secret-Abc123", "SecretString": value})))
            });
        }
        service
    }

    fn called(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().iter().map(|(name, ..)| *name).collect()
    }

    fn value(&self) -> Value {
        serde_json::from_str(&self.value.lock().unwrap()).unwrap()
    }
}

struct World {
    store: Arc<dyn Store>,
    secrets: Arc<Secrets>,
    registry: Registry,
}

async fn world(store: Arc<dyn Store>, secrets: Arc<Secrets>) -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let events = Events::start(store.clone(), clock, Arc::new(Entropy::from_seed(7))).await.unwrap();
    let mut registry = Registry::new();
    registry.add(events.service());
    registry.add(secrets.service());
    events.set_registry(registry.clone());
    World { store, secrets, registry }
}

async fn fresh() -> World {
    world(Arc::new(MemoryStore::new()), Arc::default()).await
}

impl World {
    async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r", "tester");
        self.registry.call_value("events", operation, call, input).await
    }

    async fn basic(&self, name: &str) -> Result<Value, Fault> {
        let basic = json!({"Username": "u", "Password": "p"});
        let parameters = json!({"BasicAuthParameters": basic});
        let input = json!({"Name": name, "AuthorizationType": "BASIC", "AuthParameters": parameters});
        self.call("CreateConnection", input).await
    }

    /// Describes until the state is as wanted: what is deleted goes after the answer.
    async fn settled(&self, name: &str, state: &str) -> Result<Value, Fault> {
        loop {
            let described = self.call("DescribeConnection", json!({"Name": name})).await?;
            if described["ConnectionState"] == state {
                return Ok(described);
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_is_secret_is_in_the_secret_alone() {
    let w = fresh().await;
    let input = json!({"Name": "c", "Description": "d", "AuthorizationType": "BASIC", "AuthParameters": {
        "BasicAuthParameters": {"Username": "owned-user", "Password": "owned-password"},
        "InvocationHttpParameters": {
            "HeaderParameters": [
                {"Key": "x-shared", "Value": "h"},
                {"Key": "x-secret", "Value": "hidden", "IsValueSecret": true}],
            "BodyParameters": [{"Key": "b", "Value": "v"}]}}});
    let created = w.call("CreateConnection", input).await.unwrap();
    let arn = created["ConnectionArn"].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:events:us-east-1:000000000000:connection/c/"), "{arn}");
    assert_eq!(
        created,
        json!({"ConnectionArn": arn, "ConnectionState": "AUTHORIZED", "CreationTime": 1_700_000_000,
            "LastModifiedTime": 1_700_000_000})
    );
    let described = w.call("DescribeConnection", json!({"Name": "c"})).await.unwrap();
    assert_eq!(
        described,
        json!({"ConnectionArn": arn, "ConnectionState": "AUTHORIZED", "CreationTime": 1_700_000_000,
            "LastModifiedTime": 1_700_000_000, "LastAuthorizedTime": 1_700_000_000, "Name": "c", "Description": "d",
            "AuthorizationType": "BASIC", "SecretArn": "arn:secret-Abc123", "AuthParameters": {
                "BasicAuthParameters": {"Username": "owned-user"},
                "InvocationHttpParameters": {
                    "HeaderParameters": [
                        {"Key": "x-shared", "Value": "h", "IsValueSecret": false},
                        {"Key": "x-secret", "IsValueSecret": true}],
                    "BodyParameters": [{"Key": "b", "Value": "v", "IsValueSecret": false}]}}})
    );
    assert_eq!(
        w.secrets.value(),
        json!({"username": "owned-user", "password": "owned-password", "invocation_http_parameters": {
            "header_parameters": [
                {"key": "x-shared", "value": "h", "is_value_secret": false},
                {"key": "x-secret", "value": "hidden", "is_value_secret": true}],
            "body_parameters": [{"key": "b", "value": "v", "is_value_secret": false}]}})
    );
    let (_, input, effect) = w.secrets.calls.lock().unwrap()[0].clone();
    assert!(input["Name"].as_str().unwrap().starts_with("events!connection/c/"));
    assert!(effect.is_some());
    for (_, value) in w.store.scan(&Range::prefix(b"")).unwrap() {
        let text = String::from_utf8_lossy(&value).into_owned();
        assert!(!text.contains("owned-password") && !text.contains("hidden"), "{text}");
    }
}

#[tokio::test]
async fn other_authorizations() {
    let w = fresh().await;
    let key = json!({"ApiKeyAuthParameters": {"ApiKeyName": "ApiKey", "ApiKeyValue": "secret"}});
    let input = json!({"Name": "k", "AuthorizationType": "API_KEY", "AuthParameters": key});
    w.call("CreateConnection", input).await.unwrap();
    assert_eq!(w.secrets.value(), json!({"api_key_name": "ApiKey", "api_key_value": "secret"}));
    let oauth = json!({"OAuthParameters": {
        "ClientParameters": {"ClientID": "i", "ClientSecret": "s"},
        "AuthorizationEndpoint": "https://example.com/oauth", "HttpMethod": "POST",
        "OAuthHttpParameters": {"BodyParameters": [{"Key": "grant_type", "Value": "client_credentials"}]}}});
    let input = json!({"Name": "o", "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS", "AuthParameters": oauth});
    assert_eq!(w.call("CreateConnection", input).await.unwrap()["ConnectionState"], "AUTHORIZING");
    assert_eq!(
        w.secrets.value(),
        json!({"client_id": "i", "client_secret": "s", "authorization_endpoint": "https://example.com/oauth",
            "http_method": "POST", "oauth_http_parameters": {"body_parameters": [
                {"key": "grant_type", "value": "client_credentials", "is_value_secret": false}]}})
    );
    let shown = w.call("DescribeConnection", json!({"Name": "o"})).await.unwrap()["AuthParameters"].clone();
    assert_eq!(
        shown,
        json!({"OAuthParameters": {"ClientParameters": {"ClientID": "i"},
            "AuthorizationEndpoint": "https://example.com/oauth", "HttpMethod": "POST",
            "OAuthHttpParameters": {"BodyParameters": [
                {"Key": "grant_type", "Value": "client_credentials", "IsValueSecret": false}]}}})
    );
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_say() {
    let w = fresh().await;
    w.basic("c").await.unwrap();
    let basic = json!({"BasicAuthParameters": {"Username": "new"}, "InvocationHttpParameters": {}});
    let updated = w.call("UpdateConnection", json!({"Name": "c", "AuthParameters": basic})).await.unwrap();
    assert_eq!(
        (&updated["ConnectionState"], updated.get("LastAuthorizedTime").is_some()),
        (&json!("AUTHORIZED"), true)
    );
    assert_eq!(w.secrets.value(), json!({"username": "new", "password": "p", "invocation_http_parameters": {}}));
    let key = json!({"ApiKeyAuthParameters": {"ApiKeyName": "n", "ApiKeyValue": "v"}});
    let input = json!({"Name": "c", "AuthorizationType": "API_KEY", "AuthParameters": key});
    w.call("UpdateConnection", input).await.unwrap();
    assert_eq!(w.secrets.value(), json!({"api_key_name": "n", "api_key_value": "v"}));
    let shown = w.call("DescribeConnection", json!({"Name": "c"})).await.unwrap();
    assert_eq!(shown["AuthParameters"], json!({"ApiKeyAuthParameters": {"ApiKeyName": "n"}}));
    // Another kind of authorization needs all of its own.
    let input = json!({"Name": "c", "AuthorizationType": "BASIC"});
    assert_eq!(w.call("UpdateConnection", input).await.unwrap_err().code, "ValidationException");
    assert_eq!(w.secrets.value(), json!({"api_key_name": "n", "api_key_value": "v"}));
}

#[tokio::test]
async fn deauthorized_and_deleted() {
    let w = fresh().await;
    w.basic("c").await.unwrap();
    let answer = w.call("DeauthorizeConnection", json!({"Name": "c"})).await.unwrap();
    assert_eq!(answer["ConnectionState"], "DEAUTHORIZING");
    let described = w.settled("c", "DEAUTHORIZED").await.unwrap();
    assert!(described.get("SecretArn").is_none());
    // It is authorized again by an update that says all.
    let basic = json!({"BasicAuthParameters": {"Username": "u", "Password": "p2"}});
    w.call("UpdateConnection", json!({"Name": "c", "AuthParameters": basic})).await.unwrap();
    assert_eq!(w.secrets.called(), ["CreateSecret", "DeleteSecret", "CreateSecret"]);
    let answer = w.call("DeleteConnection", json!({"Name": "c"})).await.unwrap();
    assert_eq!(answer["ConnectionState"], "DELETING");
    let gone = w.settled("c", "never").await.unwrap_err();
    let message = "Failed to describe the connection(s). Connection 'c' does not exist.";
    assert_eq!((gone.code.as_str(), gone.message.as_str()), ("ResourceNotFoundException", message));
    assert!(w.store.scan(&Range::prefix(&cell::outbox_prefix("events/0"))).unwrap().is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_told_as_aws_tells_it() {
    let w = fresh().await;
    w.basic("c").await.unwrap();
    let again = w.basic("c").await.unwrap_err();
    assert_eq!(
        (again.code.as_str(), again.message.as_str()),
        ("ResourceAlreadyExistsException", "Connection c already exists.")
    );
    let spaces = w.basic("Invalid Name With Spaces!").await.unwrap_err();
    let message = "1 validation error detected: Value 'Invalid Name With Spaces!' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+";
    assert_eq!((spaces.code.as_str(), spaces.message.as_str()), ("ValidationException", message));
    let input = json!({"Name": "x", "AuthorizationType": "INVALID_AUTH_TYPE", "AuthParameters": {}});
    let message = "1 validation error detected: Value 'INVALID_AUTH_TYPE' at 'authorizationType' failed to satisfy constraint: Member must satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]";
    assert_eq!(w.call("CreateConnection", input).await.unwrap_err().message, message);
    let input = json!({"Name": "x", "AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "u"}}});
    let message = "1 validation error detected: Value null at 'authParameters.basicAuthParameters.password' failed to satisfy constraint: Member must not be null";
    assert_eq!(w.call("CreateConnection", input).await.unwrap_err().message, message);
    let nothing = w.call("CreateConnection", json!({})).await.unwrap_err();
    assert!(nothing.message.starts_with("3 validation errors detected: Value null at 'name'"), "{}", nothing.message);
    let secret = json!({"ApiKeyAuthParameters": {"ApiKeyName": "n", "ApiKeyValue": "a:b"}});
    let input = json!({"Name": "x", "AuthorizationType": "API_KEY", "AuthParameters": secret});
    let hidden = w.call("CreateConnection", input).await.unwrap_err();
    assert!(!hidden.message.contains("a:b"), "{}", hidden.message);
    for operation in ["UpdateConnection", "DeleteConnection", "DeauthorizeConnection"] {
        let missing = w.call(operation, json!({"Name": "missing"})).await.unwrap_err();
        assert_eq!(missing.code, "ResourceNotFoundException");
    }
    assert_eq!(w.secrets.called(), ["CreateSecret"]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_made_leaves_no_connection() {
    let w = fresh().await;
    *w.secrets.fault.lock().unwrap() = Some(Fault::client("LimitExceededException", "too many secrets"));
    assert_eq!(w.basic("c").await.unwrap_err().code, "LimitExceededException");
    assert_eq!(w.call("ListConnections", json!({})).await.unwrap(), json!({"Connections": []}));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let w = fresh().await;
    for name in ["b", "a", "ab"] {
        w.basic(name).await.unwrap();
    }
    let names = |page: &Value| {
        let names = page["Connections"].as_array().unwrap().iter().map(|c| c["Name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let first = w.call("ListConnections", json!({"Limit": 2})).await.unwrap();
    assert_eq!(names(&first), ["a", "ab"]);
    let second = w.call("ListConnections", json!({"Limit": 2, "NextToken": first["NextToken"]})).await.unwrap();
    assert_eq!((names(&second), second.get("NextToken")), (vec!["b".to_owned()], None));
    let prefixed =
        w.call("ListConnections", json!({"NamePrefix": "a", "ConnectionState": "AUTHORIZED"})).await.unwrap();
    assert_eq!(names(&prefixed), ["a", "ab"]);
    assert_eq!(w.call("ListConnections", json!({"Limit": 0})).await.unwrap_err().code, "ValidationException");
}

#[tokio::test]
async fn what_a_crash_cut_off_is_done_after_it() {
    let w = fresh().await;
    w.basic("c").await.unwrap();
    // Secrets Manager is away when the connection is deleted, and the server dies.
    *w.secrets.fault.lock().unwrap() = Some(Fault::internal("away"));
    w.call("DeleteConnection", json!({"Name": "c"})).await.unwrap();
    let World { store, registry, .. } = w;
    drop(registry);
    let w = world(store, Arc::default()).await;
    w.settled("c", "never").await.unwrap_err();
    assert_eq!(w.secrets.called(), ["DeleteSecret"]);
}
