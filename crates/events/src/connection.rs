//! The operations on connections.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateConnection.html>

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use service::{Call, Fault};
use store::Range;

use crate::check::Checks;
use crate::events::{Inner, Operations, internal};
use crate::input::{AUTHORIZATION_TYPES, AuthParameters, Halves};
use crate::owner::{Answer, CONNECTIONS_MAX, earlier, remember};
use crate::record::{self, Change, Connection, State};

const LIST_MAX: usize = 100;

pub(crate) fn register(operations: &mut Operations) {
    operations.add("CreateConnection", create);
    operations.add("UpdateConnection", update);
    operations.add("DescribeConnection", describe);
    operations.add("ListConnections", list);
    operations.add("DeleteConnection", delete);
    operations.add("DeauthorizeConnection", deauthorize);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    name: Option<String>,
    description: Option<String>,
    authorization_type: Option<String>,
    auth_parameters: Option<AuthParameters>,
    kms_key_identifier: Option<String>,
    invocation_connectivity_parameters: Option<Value>,
}

async fn create(inner: Arc<Inner>, call: Call, input: CreateInput) -> Answer {
    let mut checks = Checks::default();
    checks.required(input.name.as_ref(), "name");
    checks.required(input.authorization_type.as_ref(), "authorizationType");
    checks.required(input.auth_parameters.as_ref(), "authParameters");
    let (name, kind) = (input.name.unwrap_or_default(), input.authorization_type.unwrap_or_default());
    if !name.is_empty() {
        checks.name(&name);
    }
    if !kind.is_empty() {
        checks.one_of(&kind, "authorizationType", AUTHORIZATION_TYPES);
    }
    check_description(&mut checks, input.description.as_deref());
    checks.done()?;
    refuse_private(input.invocation_connectivity_parameters.as_ref())?;
    let halves = input.auth_parameters.unwrap_or_default().read(&kind, None)?;
    let now_ms = inner.clock.now().as_millis();
    let connection = Connection {
        arn: call.scope.arn("events", format_args!("connection/{name}/{}", inner.entropy.uuid())).to_string(),
        secret_name: format!("events!connection/{name}/{}", inner.entropy.uuid()),
        name,
        description: input.description,
        // The secret is there when this is answered; a token of OAuth's is asked for with the first call.
        state: State::Creating,
        authorization_type: kind,
        auth_parameters: halves.shown,
        secret_arn: None,
        kms_key: input.kms_key_identifier,
        created_ms: now_ms,
        modified_ms: now_ms,
        authorized_ms: None,
        pending: None,
    };
    let state = if connection.authorization_type == "OAUTH_CLIENT_CREDENTIALS" { "AUTHORIZING" } else { "AUTHORIZED" };
    let answer = json!({
        "ConnectionArn": connection.arn,
        "ConnectionState": state,
        "CreationTime": seconds(connection.created_ms),
        "LastModifiedTime": seconds(connection.modified_ms),
    });
    let value = Value::Object(halves.secret).to_string();
    inner
        .change(move |owner, turn, reply| {
            if let Some(answer) = earlier(turn, call.effect.as_ref())? {
                turn.reply(reply, Ok(answer));
                return Ok(());
            }
            if owner.find(&call.scope, &connection.name, turn)?.is_some() {
                let message = format!("Connection {} already exists.", connection.name);
                turn.reply(reply, Err(Fault::client("ResourceAlreadyExistsException", message)));
                return Ok(());
            }
            if turn.scan(&Range::prefix(record::space(&call.scope).as_bytes()))?.len() >= CONNECTIONS_MAX {
                let message = "The requested resource exceeds the maximum number allowed.";
                turn.reply(reply, Err(Fault::client("LimitExceededException", message)));
                return Ok(());
            }
            remember(turn, call.effect.as_ref(), &answer);
            let seq = owner.begin(&call.scope, connection, Change::Create { value }, turn)?;
            owner.wait(seq, reply, answer);
            Ok(())
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateInput {
    name: Option<String>,
    description: Option<String>,
    authorization_type: Option<String>,
    auth_parameters: Option<AuthParameters>,
    kms_key_identifier: Option<String>,
    invocation_connectivity_parameters: Option<Value>,
}

async fn update(inner: Arc<Inner>, call: Call, input: UpdateInput) -> Answer {
    let mut checks = Checks::default();
    if let Some(kind) = &input.authorization_type {
        checks.one_of(kind, "authorizationType", AUTHORIZATION_TYPES);
    }
    check_description(&mut checks, input.description.as_deref());
    let name = checked_name(checks, input.name)?;
    refuse_private(input.invocation_connectivity_parameters.as_ref())?;
    let old = find(&inner, &call, &name, "update")?;
    let kind = input.authorization_type.unwrap_or_else(|| old.authorization_type.clone());
    // What is not said stays as it was, as long as it is the same kind of authorization.
    let secret = match (&old.secret_arn, kind == old.authorization_type) {
        (Some(arn), true) => match inner.secret(&call, arn).await? {
            Value::Object(secret) => Some(secret),
            _ => None,
        },
        _ => None,
    };
    let before = secret.map(|secret| Halves { shown: old.auth_parameters.clone(), secret });
    let halves = input.auth_parameters.unwrap_or_default().read(&kind, before)?;
    let value = Value::Object(halves.secret).to_string();
    let now_ms = inner.clock.now().as_millis();
    inner
        .change(move |owner, turn, reply| {
            let mut connection = match owner.find(&call.scope, &name, turn)? {
                Some(now) if now.arn == old.arn && now.modified_ms == old.modified_ms && now.pending.is_none() => now,
                Some(_) => {
                    turn.reply(reply, Err(concurrent(&name)));
                    return Ok(());
                }
                None => {
                    turn.reply(reply, Err(not_found(&name, "update")));
                    return Ok(());
                }
            };
            connection.description = input.description.or(connection.description);
            connection.kms_key = input.kms_key_identifier.or(connection.kms_key);
            connection.authorization_type = kind;
            connection.auth_parameters = halves.shown;
            connection.state = State::Updating;
            // Later than before, so that a change in between is noticed.
            connection.modified_ms = now_ms.max(connection.modified_ms + 1);
            let change = match connection.secret_arn {
                Some(_) => Change::Put { value },
                None => Change::Create { value },
            };
            let mut answer = brief(&connection);
            answer.insert("ConnectionState".to_owned(), json!(State::Authorized));
            answer.insert("LastAuthorizedTime".to_owned(), seconds(now_ms).into());
            let seq = owner.begin(&call.scope, connection, change, turn)?;
            owner.wait(seq, reply, answer.into());
            Ok(())
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameInput {
    name: Option<String>,
}

async fn describe(inner: Arc<Inner>, call: Call, input: NameInput) -> Answer {
    let name = checked_name(Checks::default(), input.name)?;
    let connection = find(&inner, &call, &name, "describe")?;
    let mut answer = brief(&connection);
    answer.insert("Name".to_owned(), connection.name.into());
    answer.insert("AuthorizationType".to_owned(), connection.authorization_type.into());
    answer.insert("AuthParameters".to_owned(), connection.auth_parameters);
    let optional = [
        ("Description", connection.description),
        ("SecretArn", connection.secret_arn),
        ("KmsKeyIdentifier", connection.kms_key),
    ];
    answer.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    Ok(answer.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    name_prefix: Option<String>,
    connection_state: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

async fn list(inner: Arc<Inner>, call: Call, input: ListInput) -> Answer {
    let limit = match input.limit {
        None => LIST_MAX,
        Some(limit @ 1..=100) => usize::try_from(limit).unwrap_or(LIST_MAX),
        Some(limit) => {
            let bound = if limit < 1 { "greater than or equal to 1" } else { "less than or equal to 100" };
            return Err(Fault::validation(format!(
                "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value {bound}"
            )));
        }
    };
    let after = match input.next_token {
        None => None,
        Some(token) => {
            let decoded = URL_SAFE_NO_PAD.decode(&token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(decoded.ok_or_else(|| Fault::validation("NextToken is not valid"))?)
        }
    };
    let space = record::space(&call.scope);
    let entries = inner.store.scan(&Range::prefix(space.as_bytes())).map_err(|e| internal(&e.to_string()))?;
    let mut found = Vec::new();
    for (_, value) in entries {
        let connection = Connection::decode(&value).map_err(|e| internal(&e.to_string()))?;
        let wanted = input.name_prefix.as_ref().is_none_or(|prefix| connection.name.starts_with(prefix))
            && input.connection_state.as_ref().is_none_or(|state| json!(connection.state) == *state)
            && after.as_ref().is_none_or(|after| connection.name > *after);
        if wanted {
            found.push(connection);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let next = (found.len() > limit).then(|| URL_SAFE_NO_PAD.encode(&found[limit - 1].name));
    let shown = found.iter().take(limit).map(|connection| {
        let mut shown = brief(connection);
        shown.insert("Name".to_owned(), connection.name.as_str().into());
        shown.insert("AuthorizationType".to_owned(), connection.authorization_type.as_str().into());
        Value::Object(shown)
    });
    let mut answer = json!({"Connections": shown.collect::<Value>()});
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

async fn delete(inner: Arc<Inner>, call: Call, input: NameInput) -> Answer {
    remove_secret(inner, call, input, "delete", State::Deleting).await
}

async fn deauthorize(inner: Arc<Inner>, call: Call, input: NameInput) -> Answer {
    remove_secret(inner, call, input, "deauthorize", State::Deauthorizing).await
}

/// Answers at once, as AWS does: the secret goes afterwards.
async fn remove_secret(inner: Arc<Inner>, call: Call, input: NameInput, what: &'static str, state: State) -> Answer {
    let name = checked_name(Checks::default(), input.name)?;
    let now_ms = inner.clock.now().as_millis();
    inner
        .change(move |owner, turn, reply| {
            if let Some(answer) = earlier(turn, call.effect.as_ref())? {
                turn.reply(reply, Ok(answer));
                return Ok(());
            }
            let answer = match owner.find(&call.scope, &name, turn)? {
                None => Err(not_found(&name, what)),
                Some(connection) if connection.pending.is_some() => Err(concurrent(&name)),
                Some(mut connection) => {
                    connection.state = state;
                    connection.modified_ms = now_ms.max(connection.modified_ms + 1);
                    let answer = Value::Object(brief(&connection));
                    remember(turn, call.effect.as_ref(), &answer);
                    let connection_too = state == State::Deleting;
                    owner.begin(&call.scope, connection, Change::Delete { connection_too }, turn)?;
                    Ok(answer)
                }
            };
            turn.reply(reply, answer);
            Ok(())
        })
        .await
}

/// What every answer about a connection holds.
fn brief(connection: &Connection) -> Map<String, Value> {
    let mut brief = Map::new();
    brief.insert("ConnectionArn".to_owned(), connection.arn.as_str().into());
    brief.insert("ConnectionState".to_owned(), json!(connection.state));
    brief.insert("CreationTime".to_owned(), seconds(connection.created_ms).into());
    brief.insert("LastModifiedTime".to_owned(), seconds(connection.modified_ms).into());
    if let Some(ms) = connection.authorized_ms {
        brief.insert("LastAuthorizedTime".to_owned(), seconds(ms).into());
    }
    brief
}

/// Whole seconds, as the service tells time.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

fn find(inner: &Inner, call: &Call, name: &str, what: &str) -> Result<Connection, Fault> {
    let read = inner.store.get(record::key(&call.scope, name).as_bytes());
    let bytes = read.map_err(|e| internal(&e.to_string()))?.ok_or_else(|| not_found(name, what))?;
    Connection::decode(&bytes).map_err(|e| internal(&e.to_string()))
}

fn checked_name(mut checks: Checks, name: Option<String>) -> Result<String, Fault> {
    checks.required(name.as_ref(), "name");
    if let Some(name) = &name {
        checks.name(name);
    }
    checks.done()?;
    Ok(name.unwrap_or_default())
}

fn check_description(checks: &mut Checks, description: Option<&str>) {
    if let Some(description) = description {
        checks.length(description, "description", 0, 512, false);
    }
}

fn refuse_private(parameters: Option<&Value>) -> Result<(), Fault> {
    match parameters {
        None => Ok(()),
        Some(_) => {
            Err(Fault::validation("connections to private APIs (InvocationConnectivityParameters) are not supported"))
        }
    }
}

fn not_found(name: &str, what: &str) -> Fault {
    let message = format!("Failed to {what} the connection(s). Connection '{name}' does not exist.");
    Fault::client("ResourceNotFoundException", message)
}

fn concurrent(name: &str) -> Fault {
    let message = format!("Connection '{name}' is being changed by another request.");
    Fault::client("ConcurrentModificationException", message)
}
