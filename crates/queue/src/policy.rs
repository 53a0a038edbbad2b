//! AddPermission and RemovePermission: statements of a queue's policy by label.

use serde_json::{Map, Value, json};
use service::Fault;

use crate::fault;

const ACTIONS_MAX: usize = 7;
const LABEL_CHARS_MAX: usize = 80;

/// Adds a statement to `policy`, making one if there is none.
pub(crate) fn add(
    policy: Option<&str>,
    queue_arn: &str,
    label: &str,
    accounts: &[String],
    actions: &[String],
) -> Result<String, Fault> {
    check(label, accounts, actions)?;
    let mut policy = read(policy).unwrap_or_else(|| {
        let mut fresh = Map::new();
        fresh.insert("Version".to_owned(), json!("2008-10-17"));
        fresh.insert("Id".to_owned(), json!(format!("{queue_arn}/SQSDefaultPolicy")));
        fresh
    });
    let statements = statements(&mut policy);
    if statements.iter().any(|s| s["Sid"] == *label) {
        return Err(fault::invalid_value(label, "Label", "Already exists."));
    }
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": one_or_many(accounts.iter().map(|a| format!("arn:aws:iam::{a}:root")))},
        "Action": one_or_many(actions.iter().map(|a| format!("SQS:{a}"))),
        "Resource": queue_arn,
    }));
    Ok(Value::Object(policy).to_string())
}

/// Takes the labelled statement away; `None` when nothing is left.
pub(crate) fn remove(policy: Option<&str>, label: &str) -> Result<Option<String>, Fault> {
    let missing = || fault::invalid_value(label, "Label", "can't find label.");
    let mut policy = read(policy).ok_or_else(missing)?;
    let statements = statements(&mut policy);
    let before = statements.len();
    statements.retain(|s| s["Sid"] != *label);
    if statements.len() == before {
        return Err(missing());
    }
    Ok((!statements.is_empty()).then(|| Value::Object(policy).to_string()))
}

fn check(label: &str, accounts: &[String], actions: &[String]) -> Result<(), Fault> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if label.is_empty() || label.len() > LABEL_CHARS_MAX || !label.chars().all(valid) {
        return Err(fault::invalid_value(
            label,
            "Label",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
        ));
    }
    if accounts.is_empty() {
        return Err(fault::missing_parameter("AWSAccountIds"));
    }
    if actions.is_empty() {
        return Err(fault::missing_parameter("Actions"));
    }
    if actions.len() > ACTIONS_MAX {
        return Err(fault::over_limit(format!(
            "{} Actions were found, maximum allowed is {ACTIONS_MAX}.",
            actions.len()
        )));
    }
    if let Some(bad) = accounts.iter().find(|a| a.len() != 12 || !a.bytes().all(|b| b.is_ascii_digit())) {
        return Err(fault::invalid_value(bad, "PrincipalId", "Unable to verify."));
    }
    if let Some(bad) = actions.iter().find(|a| !a.bytes().all(|b| b.is_ascii_alphabetic()) && a.as_str() != "*") {
        return Err(fault::invalid_value(format!("SQS:{bad}"), "ActionName", "Please refer to the appropriate WSDL."));
    }
    Ok(())
}

fn read(policy: Option<&str>) -> Option<Map<String, Value>> {
    match serde_json::from_str(policy?) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// The policy's statements as a list, which a single one need not have been.
fn statements(policy: &mut Map<String, Value>) -> &mut Vec<Value> {
    let entry = policy.entry("Statement").or_insert_with(|| json!([]));
    if !entry.is_array() {
        let single = entry.take();
        *entry = Value::Array(vec![single]);
    }
    entry.as_array_mut().expect("made a list above")
}

fn one_or_many(values: impl Iterator<Item = String>) -> Value {
    let mut values: Vec<Value> = values.map(Value::String).collect();
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_and_go_by_label() {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let arn = "arn:aws:sqs:us-east-1:000000000000:q";
        let (account, receive) = (list(&["111111111111"]), list(&["ReceiveMessage"]));
        let one = add(None, arn, "a", &account, &receive).unwrap();
        let expected = json!({
            "Version": "2008-10-17", "Id": format!("{arn}/SQSDefaultPolicy"),
            "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                "Action": "SQS:ReceiveMessage", "Resource": arn}],
        });
        assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), expected);
        let error = add(Some(&one), arn, "a", &account, &receive).unwrap_err();
        assert_eq!(error.message, "Value a for parameter Label is invalid. Reason: Already exists.");
        let two = add(Some(&one), arn, "b", &account, &list(&["*", "SendMessage"])).unwrap();
        let left = remove(Some(&two), "a").unwrap().unwrap();
        assert!(remove(Some(&left), "a").is_err());
        assert_eq!(remove(Some(&left), "b").unwrap(), None);
        assert!(add(None, arn, "a b", &account, &receive).is_err());
        assert!(add(None, arn, "a", &list(&["12"]), &receive).is_err());
        assert!(add(None, arn, "a", &account, &list(&["x"; 8])).is_err());
    }
}
