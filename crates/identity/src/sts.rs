//! Security Token Service: who the caller is, and temporary credentials.

use std::time::Duration;

use base::{Arn, Entropy, Scope, Timestamp};
use base64::Engine;
use serde::{Deserialize, Serialize};
use service::{Call, Fault, Service};
use store::{Error, Key, Store};

use crate::iam::{self, Role};
use crate::identity::{Identity, Operations, Session};
use crate::machine::due_key;
use crate::policy::{Context, Decision, Policy, PolicyKind, Request, decide};
use crate::tx::{Outcome, Tx, View};
use crate::{check, record};

const DURATION_SECONDS_MIN: i64 = 900;
/// AssumeRole without a duration.
const ROLE_SECONDS: i64 = 3600;
/// GetSessionToken without a duration, and at most.
const TOKEN_SECONDS: i64 = 43_200;
const TOKEN_SECONDS_MAX: i64 = 129_600;
/// A root user's session.
const ROOT_TOKEN_SECONDS_MAX: i64 = 3600;

pub(crate) fn service(identity: &Identity) -> Service {
    let mut operations = Operations::new("sts", identity);
    operations.read("GetCallerIdentity", get_caller_identity);
    operations.read("GetAccessKeyInfo", get_access_key_info);
    operations.write("AssumeRole", assume_role);
    operations.write("GetSessionToken", get_session_token);
    operations.done()
}

/// Stored under its access key until it has expired.
#[derive(Serialize, Deserialize)]
struct SessionRecord {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    account: String,
    principal: String,
    expires_millis: i64,
}

pub(crate) fn session_key(access_key_id: &str) -> Key {
    Key::new("sts-session").str(access_key_id)
}

pub(crate) fn find_session(store: &dyn Store, access_key_id: &str) -> Result<Option<Session>, Error> {
    let Some(bytes) = store.get(session_key(access_key_id).as_bytes())? else { return Ok(None) };
    let record: SessionRecord = record::read(&bytes)?;
    Ok(Some(Session {
        access_key_id: record.access_key_id,
        secret_access_key: record.secret_access_key,
        session_token: record.session_token,
        account: record.account,
        principal: record.principal,
        expires: Timestamp::from_millis(record.expires_millis),
    }))
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    user_id: String,
    account: String,
    arn: String,
}

fn get_caller_identity(view: &View<'_>, _: Nothing) -> Outcome<CallerIdentity> {
    let principal = view.call.principal.to_string();
    let account = view.scope().account().to_owned();
    let session = principal.split(":assumed-role/").nth(1).and_then(|r| r.split_once('/'));
    let user_id = match session {
        Some((role, name)) => match iam::find_role(view, &account, role)? {
            Some(role) => format!("{}:{name}", role.role_id),
            None => format!("{role}:{name}"),
        },
        None => account.clone(),
    };
    Ok(CallerIdentity { user_id, account, arn: principal })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKey {
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountOfKey {
    account: String,
}

fn get_access_key_info(_: &View<'_>, input: AccessKey) -> Outcome<AccountOfKey> {
    let key = input.access_key_id;
    check::length(&key, "accessKeyId", 16, 128)?;
    match account_of(&key) {
        Some(account) => Ok(AccountOfKey { account }),
        None => Err(Fault::validation("Invalid Access Key ID format.").into()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<i64>,
    external_id: Option<String>,
    source_identity: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRole {
    credentials: Credentials,
    assumed_role_user: AssumedRoleUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

fn assume_role(tx: &mut Tx<'_>, input: AssumeRole) -> Outcome<AssumedRole> {
    check::length(&input.role_session_name, "roleSessionName", 2, 64)?;
    check::name(&input.role_session_name, "roleSessionName", 64)?;
    check::length(&input.role_arn, "roleArn", 20, 2048)?;
    let seconds = input.duration_seconds.unwrap_or(ROLE_SECONDS);
    check::range(seconds, "durationSeconds", DURATION_SECONDS_MIN, 43_200)?;
    let arn: Arn = input.role_arn.parse().map_err(|_| Fault::validation(format!("{} is invalid", input.role_arn)))?;
    let name = role_name(&arn).ok_or_else(|| Fault::validation(format!("{} is invalid", input.role_arn)))?;
    let denied = || {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            tx.call.principal, input.role_arn
        );
        Fault::with_status(403, "AccessDenied", message)
    };
    let role = iam::find_role(tx, arn.account(), name)?.filter(|r| r.arn == input.role_arn).ok_or_else(denied)?;
    if !trusts(&role, tx, input.external_id.as_deref()) {
        return Err(denied().into());
    }
    if seconds > role.max_session_duration {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Fault::validation(message).into());
    }
    let user = AssumedRoleUser {
        assumed_role_id: format!("{}:{}", role.role_id, input.role_session_name),
        arn: format!("arn:aws:sts::{}:assumed-role/{name}/{}", arn.account(), input.role_session_name),
    };
    let credentials = open_session(tx, arn.account(), &user.arn, seconds)?;
    Ok(AssumedRole { credentials, assumed_role_user: user, source_identity: input.source_identity })
}

/// `role/path/name`
fn role_name(arn: &Arn) -> Option<&str> {
    if arn.service() != "iam" {
        return None;
    }
    arn.resource().strip_prefix("role/").and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty())
}

/// Whether the role's trust policy lets the caller in. An account's root may take any role of its account.
fn trusts(role: &Role, view: &View<'_>, external_id: Option<&str>) -> bool {
    let principal = &*view.call.principal;
    let root = role.arn.split(':').nth(4).map(|account| format!("arn:aws:iam::{account}:root"));
    if root.as_deref() == Some(principal) {
        return true;
    }
    let Ok(policy) = Policy::parse(&role.assume_role_policy_document, PolicyKind::Trust) else { return false };
    let mut context = Context::new().with("aws:PrincipalArn", principal);
    if let Some(external_id) = external_id {
        context = context.with("sts:ExternalId", external_id);
    }
    let request = Request { action: "sts:AssumeRole", resource: &role.arn, principal, context: &context };
    decide(&[policy], &request) == Decision::Allowed
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSessionToken {
    duration_seconds: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SessionToken {
    credentials: Credentials,
}

fn get_session_token(tx: &mut Tx<'_>, input: GetSessionToken) -> Outcome<SessionToken> {
    let principal = tx.call.principal.clone();
    let (absent, max) = if principal.ends_with(":root") {
        (ROOT_TOKEN_SECONDS_MAX, TOKEN_SECONDS_MAX)
    } else {
        (TOKEN_SECONDS, TOKEN_SECONDS_MAX)
    };
    let seconds = input.duration_seconds.unwrap_or(absent);
    check::range(seconds, "durationSeconds", DURATION_SECONDS_MIN, max)?;
    if principal.contains(":assumed-role/") {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(Fault::with_status(403, "AccessDenied", message).into());
    }
    let seconds = if principal.ends_with(":root") { seconds.min(ROOT_TOKEN_SECONDS_MAX) } else { seconds };
    let account = tx.scope().account().to_owned();
    Ok(SessionToken { credentials: open_session(tx, &account, &principal, seconds)? })
}

fn open_session(tx: &mut Tx<'_>, account: &str, principal: &str, seconds: i64) -> Outcome<Credentials> {
    let expires = tx.now + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let base64 = base64::engine::general_purpose::STANDARD;
    let record = SessionRecord {
        access_key_id: access_key_id(tx.entropy, account),
        secret_access_key: base64.encode(tx.entropy.secret_bytes::<30>()),
        session_token: base64.encode(tx.entropy.secret_bytes::<96>()),
        account: account.to_owned(),
        principal: principal.to_owned(),
        expires_millis: expires.as_millis(),
    };
    tx.put(session_key(&record.access_key_id), &record)?;
    // An empty record: the key says it all.
    tx.put(due_key(expires, "session", &[&record.access_key_id]), &())?;
    Ok(Credentials {
        access_key_id: record.access_key_id,
        secret_access_key: record.secret_access_key,
        session_token: record.session_token,
        expiration: Timestamp::from_millis(expires.as_seconds() * 1000).as_seconds_f64(),
    })
}

struct Internal {
    account: String,
    principal: String,
    seconds: i64,
}

pub(crate) async fn session_for_role(
    identity: &Identity,
    role_arn: &str,
    session_name: &str,
    duration_seconds: u64,
) -> Result<Session, Fault> {
    let arn: Arn = role_arn.parse().map_err(|_| Fault::validation(format!("{role_arn} is invalid")))?;
    let name = role_name(&arn).ok_or_else(|| Fault::validation(format!("{role_arn} is invalid")))?;
    let account = arn.account().to_owned();
    let principal = format!("arn:aws:sts::{account}:assumed-role/{name}/{session_name}");
    let call = Call::internal(Scope::new(&account, base::DEFAULT_REGION), "", principal.clone());
    let seconds = i64::try_from(duration_seconds).unwrap_or(i64::MAX).min(TOKEN_SECONDS_MAX);
    let input = Internal { account, principal, seconds };
    let answer = identity
        .change(call, input, |tx, input: Internal| open_session(tx, &input.account, &input.principal, input.seconds))
        .await?;
    let key = answer["AccessKeyId"].as_str().unwrap_or_default();
    let found = identity.session(key).map_err(|e| Fault::internal(e.to_string()))?;
    found.ok_or_else(|| Fault::internal("a session vanished"))
}

const KEY_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `count` letters and digits as AWS's ids have them.
pub(crate) fn letters(entropy: &Entropy, count: usize) -> String {
    (0..count).map(|_| char::from(KEY_LETTERS[(entropy.next_u64() >> 59) as usize])).collect()
}

/// A temporary access key that carries its account, as AWS's do: base32 of one bit, 40 bits of account, noise.
fn access_key_id(entropy: &Entropy, account: &str) -> String {
    let account: u64 = account.parse().unwrap_or(0);
    let noise = u128::from_le_bytes(entropy.secret_bytes::<16>());
    let head = u128::from((1 << 47) | (account & 0xff_ffff_ffff) << 7);
    let bits = head << 32 | (noise & 0x7f_ffff_ffff);
    let letter = |i: u32| char::from(KEY_LETTERS[(bits >> (75 - 5 * i)) as usize & 31]);
    format!("ASIA{}", (0..16).map(letter).collect::<String>())
}

/// The account that an access key carries; a 12-digit key is its account.
fn account_of(key: &str) -> Option<String> {
    let encoded = key.get(4..20)?;
    let mut bits = 0u128;
    for letter in encoded.bytes() {
        bits = bits << 5 | KEY_LETTERS.iter().position(|l| *l == letter)? as u128;
    }
    let account = ((bits >> 32) as u64 & 0x7fff_ffff_ff80) >> 7;
    (account < 1_000_000_000_000).then(|| format!("{account:012}"))
}
