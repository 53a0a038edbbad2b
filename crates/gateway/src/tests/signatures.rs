//! Who is let in, and how each protocol says no.

use std::sync::Arc;

use base::{Timestamp, Timestamp as T};
use service::Fault;

use super::harness::{KEY, Recorder, gateway, locked, options, scope, start};
use crate::{Credential, GatewayError, GatewayOptions, Identities};

/// Method, path, headers; status and part of the answer.
type Refused<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, u16, &'a str);

#[tokio::test]
async fn nothing_unsigned_passes_where_credentials_are_configured() {
    let recorder = Recorder::new();
    let registry = recorder.registry([
        ("dynamodb", "ListTables"),
        ("sts", "GetCallerIdentity"),
        ("lambda", "ListFunctions"),
        ("states", "ListStateMachines"),
    ]);
    let server = start(gateway(registry, locked(), T::from_millis(1_705_311_000_000))).await;
    let target = ("X-Amz-Target", "DynamoDB_20120810.ListTables");
    let ours = scope(KEY, "us-east-1", "dynamodb");
    let bad = |header: &'static str| ("Authorization", header);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let sts = scope("AKIDNOBODY", "us-east-1", "sts");
    let date = ("X-Amz-Date", "20240115T093000Z");
    let cases: Vec<Refused<'_>> = vec![
        ("POST", "/", vec![target], 400, "MissingAuthenticationTokenException"),
        ("POST", "/", vec![target, bad("Bearer x")], 400, "IncompleteSignatureException"),
        (
            "POST",
            "/",
            vec![target, bad("AWS4-HMAC-SHA256 Credential=a/b/c/d/e")],
            400,
            "requires 'Signature' parameter",
        ),
        ("POST", "/", vec![target, ("Authorization", &ours)], 400, "existence of either a 'X-Amz-Date' or a 'Date'"),
        ("POST", "/", vec![target, date, ("Authorization", &ours)], 400, "must be a 'SignedHeader'"),
        ("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", vec![form], 403, "MissingAuthenticationToken"),
        ("POST", "/", vec![form, date, ("Authorization", &sts)], 403, "<Code>InvalidClientTokenId</Code>"),
        ("GET", "/2015-03-31/functions", vec![], 403, "Missing Authentication Token"),
    ];
    for (method, path, headers, status, text) in cases {
        let reply = server.send(method, path, &headers, b"").await;
        assert_eq!(reply.status, status, "{headers:?} {}", reply.text());
        assert!(reply.text().contains(text), "{headers:?} {}", reply.text());
    }
    assert_eq!(recorder.count(), 0);
}

#[tokio::test]
async fn account_and_region_come_from_the_scope() {
    let recorder = Recorder::new();
    let server = start(gateway(recorder.registry([("sts", "GetCallerIdentity")]), options(), T::MIN)).await;
    for (authorization, account, region) in [
        (Some(scope("test", "eu-central-1", "sts")), "000000000000", "eu-central-1"),
        (Some(scope("123456789012", "us-west-2", "sts")), "123456789012", "us-west-2"),
        (Some(scope("1234567890123", "us-west-2", "sts")), "000000000000", "us-west-2"),
        (Some(scope("test", "no:region", "sts")), "000000000000", "us-east-1"),
        (Some("AWS4-HMAC-SHA256 nonsense".to_owned()), "000000000000", "us-east-1"),
        (None, "000000000000", "us-east-1"),
    ] {
        let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
        headers.extend(authorization.as_deref().map(|a| ("Authorization", a)));
        let reply = server.send("POST", "/", &headers, b"Action=GetCallerIdentity&Version=2011-06-15").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let scope = recorder.last().call.scope;
        assert_eq!((scope.account(), scope.region()), (account, region), "{authorization:?}");
    }
}

struct Sessions;

impl Identities for Sessions {
    fn find(&self, access_key_id: &str) -> Result<Option<Credential>, Fault> {
        Ok((access_key_id == "ASIAEXAMPLE").then(|| Credential {
            principal: "arn:aws:sts::210987654321:assumed-role/r/s".to_owned(),
            session_token: Some("token".to_owned()),
            expires: Some(Timestamp::from_millis(1_705_311_000_000)),
            ..Credential::root("ASIAEXAMPLE", "secret", "210987654321")
        }))
    }
}

#[tokio::test]
async fn keys_of_assumed_roles_name_their_account_and_expire() {
    let recorder = Recorder::new();
    let registry = recorder.registry([("sqs", "ListQueues")]);
    let open = gateway(registry.clone(), options(), T::MIN).with_identities(Arc::new(Sessions));
    let open = start(open).await;
    let authorization = scope("ASIAEXAMPLE", "us-east-1", "sqs");
    let headers = [
        ("X-Amz-Target", "AmazonSQS.ListQueues"),
        ("Authorization", authorization.as_str()),
        ("X-Amz-Date", "20240115T093000Z"),
    ];
    assert_eq!(open.send("POST", "/", &headers, b"{}").await.status, 200);
    let call = recorder.last().call;
    assert_eq!(
        (call.scope.account(), &*call.principal),
        ("210987654321", "arn:aws:sts::210987654321:assumed-role/r/s")
    );
    for (millis, code) in [(1_705_310_999_000, "UnrecognizedClient"), (1_705_311_000_000, "ExpiredToken")] {
        let locked = gateway(registry.clone(), locked(), T::from_millis(millis)).with_identities(Arc::new(Sessions));
        let reply = start(locked).await.send("POST", "/", &headers, b"{}").await;
        // Without the token the key is none; after its time it is expired.
        assert!(reply.text().contains(code), "{}", reply.text());
    }
}

#[tokio::test]
async fn beyond_loopback_only_with_credentials() {
    let everywhere = |credentials| GatewayOptions { listen: "0.0.0.0:0".parse().unwrap(), credentials, ..options() };
    let registry = || Recorder::new().registry([]);
    let clock = || Arc::new(base::SystemClock::new());
    let entropy = || Arc::new(base::Entropy::from_seed(1));
    let refused = crate::Gateway::new(registry(), clock(), entropy(), everywhere(Vec::new()));
    assert!(matches!(refused, Err(GatewayError::Open(_))));
    let credentials = vec![Credential::root(KEY, "secret", "123456789012")];
    assert!(crate::Gateway::new(registry(), clock(), entropy(), everywhere(credentials)).is_ok());
    for credential in [Credential::root("", "s", "123456789012"), Credential::root("k", "s", "12")] {
        let options = GatewayOptions { credentials: vec![credential], ..options() };
        let refused = crate::Gateway::new(registry(), clock(), entropy(), options);
        assert!(matches!(refused, Err(GatewayError::Credential(..))));
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_while_open() {
    let recorder = Recorder::new();
    let server = start(gateway(recorder.registry([("sqs", "ListQueues")]), options(), T::MIN)).await;
    for (origin, status) in [
        ("https://example.org", 403),
        ("null", 403),
        ("http://localhost.example.org", 403),
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:4567", 200),
        ("http://[::1]:4567", 200),
    ] {
        let headers = [("X-Amz-Target", "AmazonSQS.ListQueues"), ("Origin", origin)];
        assert_eq!(server.send("POST", "/", &headers, b"{}").await.status, status, "{origin}");
    }
}
