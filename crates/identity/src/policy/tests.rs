use proptest::prelude::*;
use serde_json::json;

use super::glob::matches;
use super::*;

fn policy(statement: serde_json::Value) -> Policy {
    let text = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
    Policy::parse(&text, PolicyKind::Identity).unwrap()
}

fn condition(condition: serde_json::Value) -> Policy {
    policy(json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }))
}

#[test]
fn actions_and_resources() {
    let queue = "arn:aws:sqs:eu-west-1:123456789012:orders";
    for (effect, action, resource, asked, on, expected) in [
        ("Allow", "sqs:SendMessage", queue, "sqs:SendMessage", queue, true),
        ("Allow", "SQS:sendmessage", queue, "sqs:SendMessage", queue, true),
        ("Allow", "sqs:Send*", "*", "sqs:SendMessage", queue, true),
        ("Allow", "sqs:?endMessage", "*", "sqs:SendMessage", queue, true),
        ("Allow", "*", "*", "anything:At.All", "*", true),
        ("Allow", "sqs:*", "*", "sns:Publish", queue, false),
        ("Allow", "sqs:*", "arn:aws:sqs:*:*:ord*", "sqs:SendMessage", queue, true),
        ("Allow", "sqs:*", "arn:aws:sqs:*:*:orders:*", "sqs:SendMessage", queue, false),
        ("Allow", "sqs:*", "arn:aws:sqs:eu-west-1:123456789012:Orders", "sqs:SendMessage", queue, false),
        ("Allow", "s3:GetObject", "arn:aws:s3:::b/a/*", "s3:GetObject", "arn:aws:s3:::b/a/b/c:d", true),
        ("Allow", "s3:*", "arn:aws:s3*", "s3:GetObject", "arn:aws:s3:::b/k", true),
        ("Deny", "*", "*", "sqs:SendMessage", queue, false),
    ] {
        let policies = [policy(json!({ "Effect": effect, "Action": action, "Resource": resource }))];
        let decision = allows(&policies, asked, on, &Context::new());
        assert_eq!(decision.is_allowed(), expected, "{effect} {action} {resource} {asked} {on}");
    }
}

#[test]
fn a_deny_wins_and_nothing_is_allowed_by_itself() {
    let all = policy(json!([{ "Effect": "Allow", "Action": ["sqs:*", "s3:*"], "Resource": "*" }]));
    let not = policy(json!([{ "Effect": "Deny", "NotAction": "sqs:Receive*", "Resource": "*" }]));
    let ask = |policies: &[Policy], action: &str| allows(policies, action, "*", &Context::new());
    assert_eq!(ask(&[], "sqs:SendMessage"), Decision::ImplicitDeny);
    assert_eq!(ask(std::slice::from_ref(&all), "sns:Publish"), Decision::ImplicitDeny);
    assert_eq!(ask(&[all.clone(), not.clone()], "sqs:SendMessage"), Decision::ExplicitDeny);
    assert_eq!(ask(&[all, not], "sqs:ReceiveMessage"), Decision::Allowed);
    let other = policy(json!({ "Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::secret/*" }));
    for (resource, expected) in [("arn:aws:s3:::secret/a", false), ("arn:aws:s3:::open/a", true)] {
        let decision = allows(std::slice::from_ref(&other), "s3:GetObject", resource, &Context::new());
        assert_eq!(decision.is_allowed(), expected);
    }
}

#[test]
fn conditions() {
    let context = Context::new()
        .with("aws:SourceIp", "10.1.2.3")
        .with("aws:username", "ann")
        .with("aws:SecureTransport", "true")
        .with("aws:CurrentTime", "2024-01-15T09:30:00Z")
        .with("s3:max-keys", "10")
        .with("aws:SourceArn", "arn:aws:sns:eu-west-1:123456789012:t")
        .with_all("aws:TagKeys", ["a".to_owned(), "b".to_owned()]);
    for (block, expected) in [
        (json!({ "StringEquals": { "aws:username": "ann" } }), true),
        (json!({ "StringEquals": { "AWS:UserName": ["bob", "ann"] } }), true),
        (json!({ "StringEquals": { "aws:username": "Ann" } }), false),
        (json!({ "StringEqualsIgnoreCase": { "aws:username": "ANN" } }), true),
        (json!({ "StringNotEquals": { "aws:username": ["bob", "ann"] } }), false),
        (json!({ "StringNotEquals": { "aws:missing": "x" } }), true),
        (json!({ "StringEquals": { "aws:missing": "x" } }), false),
        (json!({ "StringEqualsIfExists": { "aws:missing": "x" } }), true),
        (json!({ "StringEqualsIfExists": { "aws:username": "x" } }), false),
        (json!({ "StringLike": { "aws:username": "a?n*" } }), true),
        (json!({ "StringLike": { "aws:username": "${aws:username}" } }), true),
        (json!({ "StringEquals": { "aws:username": "${aws:nobody, 'ann'}" } }), true),
        (json!({ "StringEquals": { "aws:username": "${aws:nobody}" } }), false),
        (json!({ "StringNotLike": { "aws:username": "b*" } }), true),
        (json!({ "NumericLessThan": { "s3:max-keys": "11" } }), true),
        (json!({ "NumericLessThan": { "s3:max-keys": 10 } }), false),
        (json!({ "NumericGreaterThanEquals": { "s3:max-keys": 10.0 } }), true),
        (json!({ "NumericNotEquals": { "s3:max-keys": 10 } }), false),
        (json!({ "DateGreaterThan": { "aws:CurrentTime": "2024-01-15" } }), true),
        (json!({ "DateLessThan": { "aws:CurrentTime": "2024-01-15T00:00:00Z" } }), false),
        (json!({ "DateLessThan": { "aws:CurrentTime": "1705400000" } }), true),
        (json!({ "Bool": { "aws:SecureTransport": true } }), true),
        (json!({ "Bool": { "aws:SecureTransport": "false" } }), false),
        (json!({ "IpAddress": { "aws:SourceIp": ["192.168.0.0/16", "10.1.0.0/16"] } }), true),
        (json!({ "IpAddress": { "aws:SourceIp": "10.1.2.4" } }), false),
        (json!({ "IpAddress": { "aws:SourceIp": "0.0.0.0/0" } }), true),
        (json!({ "IpAddress": { "aws:SourceIp": "::/0" } }), false),
        (json!({ "NotIpAddress": { "aws:SourceIp": "10.0.0.0/8" } }), false),
        (json!({ "ArnLike": { "aws:SourceArn": "arn:aws:sns:*:123456789012:*" } }), true),
        (json!({ "ArnEquals": { "aws:SourceArn": "arn:aws:sns:*:t" } }), false),
        (json!({ "ArnNotLike": { "aws:SourceArn": "arn:aws:sqs:*:*:*" } }), true),
        (json!({ "Null": { "aws:missing": "true" } }), true),
        (json!({ "Null": { "aws:username": true } }), false),
        (json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["a", "b", "c"] } }), true),
        (json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["a"] } }), false),
        (json!({ "ForAnyValue:StringEquals": { "aws:TagKeys": ["b"] } }), true),
        (json!({ "ForAnyValue:StringEquals": { "aws:missing": ["b"] } }), false),
        (json!({ "ForAllValues:StringEquals": { "aws:missing": ["b"] } }), true),
        (json!({ "StringEquals": { "aws:username": "ann" }, "Bool": { "aws:SecureTransport": "false" } }), false),
    ] {
        let decision = allows(&[condition(block.clone())], "a:B", "*", &context);
        assert_eq!(decision.is_allowed(), expected, "{block}");
    }
}

#[test]
fn variables_in_resources() {
    let own = policy(json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::home/${aws:username}/*" }));
    let star = policy(json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::home/${*}" }));
    let ann = Context::new().with("aws:username", "ann");
    let wild = Context::new().with("aws:username", "*");
    for (policy, resource, context, expected) in [
        (&own, "arn:aws:s3:::home/ann/x", &ann, true),
        (&own, "arn:aws:s3:::home/bob/x", &ann, false),
        (&own, "arn:aws:s3:::home/bob/x", &wild, false),
        (&own, "arn:aws:s3:::home/ann/x", &Context::new(), false),
        (&star, "arn:aws:s3:::home/*", &ann, true),
        (&star, "arn:aws:s3:::home/x", &ann, false),
    ] {
        let decision = allows(std::slice::from_ref(policy), "s3:GetObject", resource, context);
        assert_eq!(decision.is_allowed(), expected, "{resource}");
    }
}

#[test]
fn principals() {
    let session = "arn:aws:sts::123456789012:assumed-role/worker/s1";
    for (principal, caller, expected) in [
        (json!("*"), session, true),
        (json!({ "AWS": "*" }), session, true),
        (json!({ "AWS": "123456789012" }), session, true),
        (json!({ "AWS": "arn:aws:iam::123456789012:root" }), session, true),
        (json!({ "AWS": "arn:aws:iam::123456789012:role/path/worker" }), session, true),
        (json!({ "AWS": "arn:aws:iam::123456789012:role/other" }), session, false),
        (json!({ "AWS": ["arn:aws:iam::210987654321:root", session] }), session, true),
        (json!({ "AWS": "arn:aws:iam::210987654321:root" }), session, false),
        (json!({ "Service": "lambda.amazonaws.com" }), "lambda.amazonaws.com", true),
        (json!({ "Service": ["a.amazonaws.com", "lambda.amazonaws.com"] }), "lambda.amazonaws.com", true),
        (json!({ "Service": "lambda.amazonaws.com" }), session, false),
    ] {
        let text = json!({ "Statement": { "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" } });
        let policy = Policy::parse(&text.to_string(), PolicyKind::Trust).unwrap();
        let context = Context::new();
        let request = Request { action: "sts:AssumeRole", resource: "*", principal: caller, context: &context };
        assert_eq!(decide(&[policy], &request).is_allowed(), expected, "{principal}");
    }
}

#[test]
fn documents_that_are_no_policies() {
    let good = json!({ "Effect": "Allow", "Action": "sqs:*", "Resource": "*" });
    let with = |name: &str, value: serde_json::Value| {
        let mut statement = good.clone();
        if value.is_null() {
            drop(statement.as_object_mut().unwrap().remove(name))
        } else {
            statement[name] = value
        }
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    };
    for document in [
        json!([]),
        json!({}),
        json!({ "Version": "2012-10-17" }),
        json!({ "Version": "2012-10-17", "Statement": [] }),
        json!({ "Version": "2012-10-18", "Statement": [good] }),
        json!({ "Version": "2012-10-17", "Statement": [good], "Other": 1 }),
        json!({ "Version": "2012-10-17", "Statement": [1] }),
        with("Effect", json!("allow")),
        with("Effect", json!(null)),
        with("Action", json!(null)),
        with("Action", json!([])),
        with("Action", json!("sqs")),
        with("Action", json!(1)),
        with("NotAction", json!("s3:*")),
        with("Resource", json!(null)),
        with("Resource", json!("orders")),
        with("Resource", json!("arn:aws:sqs:*:orders")),
        with("Principal", json!("*")),
        with("Surprise", json!("*")),
        with("Condition", json!({ "StringIs": { "a": "b" } })),
        with("Condition", json!({ "Bool": { "a": "perhaps" } })),
        with("Condition", json!({ "IpAddress": { "a": "10.0.0.0/33" } })),
        with("Condition", json!({ "StringEquals": "a" })),
        with("Condition", json!([])),
        with("Sid", json!(1)),
    ] {
        assert!(Policy::parse(&document.to_string(), PolicyKind::Identity).is_err(), "{document}");
    }
    assert_eq!(Policy::parse("{", PolicyKind::Identity).unwrap_err().0, "This policy contains invalid Json");
    let trust = json!({ "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole" } }).to_string();
    assert_eq!(Policy::parse(&trust, PolicyKind::Trust).unwrap_err().0, "Missing required field Principal");
    let twice = json!({ "Statement": [
        { "Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Sid": "a", "Effect": "Deny", "Action": "*", "Resource": "*" },
    ] });
    assert!(Policy::parse(&twice.to_string(), PolicyKind::Identity).is_err());
}

/// The obvious matcher, exponential.
fn slow(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), None) => slow(rest, text),
        (Some(('*', rest)), Some((_, more))) => slow(rest, text) || slow(pattern, more),
        (Some((p, rest)), Some((t, more))) => (*p == '?' || p == t) && slow(rest, more),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn globs(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(matches(&pattern, &text), slow(&p, &t));
    }

    #[test]
    fn no_document_panics(text in "[{}\\[\\]\":,a-zA-Z$*?]{0,60}", resource in any::<String>()) {
        let _ = Policy::parse(&text, PolicyKind::Resource);
        let statement = json!({ "Effect": "Allow", "Action": "a:*", "Resource": ["*", format!("arn:a:b:c:d:{resource}")] });
        if let Ok(policy) = Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statement }).to_string(), PolicyKind::Identity) {
            let _ = allows(&[policy], "a:b", &resource, &Context::new().with("k", resource.clone()));
        }
    }
}
