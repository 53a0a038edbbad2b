//! The constraints of AWS's model on requests, and AWS's words for what breaks them.
//!
//! Bounds, patterns and values are those of the service's model. They are checked before anything else is looked at.

use serde_json::Value;
use service::Fault;

/// Bounds that the operator may lift.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub payload_bytes_max: usize,
    pub definition_bytes_max: usize,
}

/// One constraint on one member, or on that member of every item of a list (`tags[].key`).
pub(super) struct Rule {
    path: &'static str,
    /// The value is not shown.
    sensitive: bool,
    check: Check,
}

enum Check {
    Required,
    Length(usize, usize),
    Payload,
    Definition,
    Pattern(fn(&str) -> bool, &'static str),
    Number(i64, i64),
    OneOf(&'static [&'static str]),
    /// A list of so many objects of that shape.
    Items(usize, usize, &'static str),
}

use Check::{Definition, Items, Length, Number, OneOf, Pattern, Payload, Required};

const STATUSES: &[&str] = &["SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"];
const NUMBER_MAX: i64 = i64::MAX;

const fn rule(path: &'static str, check: Check) -> Rule {
    Rule { path, sensitive: false, check }
}

const fn secret(path: &'static str, check: Check) -> Rule {
    Rule { path, sensitive: true, check }
}

/// A member that must be there, of that length at most.
fn needed(path: &'static str, length_max: usize) -> Vec<Rule> {
    vec![rule(path, Required), rule(path, Length(1, length_max))]
}

fn paged(token_max: usize) -> Vec<Rule> {
    vec![rule("maxResults", Number(0, super::page::LIMIT_MAX)), rule("nextToken", Length(1, token_max))]
}

fn needed_payload(path: &'static str) -> Vec<Rule> {
    vec![rule(path, Required), secret(path, Payload)]
}

fn definition() -> Vec<Rule> {
    vec![rule("definition", Required), secret("definition", Length(1, usize::MAX)), secret("definition", Definition)]
}

fn failure() -> Vec<Rule> {
    vec![secret("error", Length(0, 256)), secret("cause", Length(0, 32_768))]
}

fn tags() -> Vec<Rule> {
    vec![rule("tags[].key", Length(1, 128)), rule("tags[].value", Length(0, 256))]
}

fn encryption() -> Vec<Rule> {
    let kind = "encryptionConfiguration.type";
    vec![
        rule("encryptionConfiguration.kmsKeyId", Length(1, 2048)),
        rule("encryptionConfiguration.kmsDataKeyReusePeriodSeconds", Number(60, 900)),
        rule(kind, Required),
        rule(kind, OneOf(&["AWS_OWNED_KEY", "CUSTOMER_MANAGED_KMS_KEY"])),
    ]
}

fn logging() -> Vec<Rule> {
    let arn = "loggingConfiguration.destinations[].cloudWatchLogsLogGroup.logGroupArn";
    vec![rule("loggingConfiguration.level", OneOf(&["ALL", "ERROR", "FATAL", "OFF"])), rule(arn, Length(1, 256))]
}

fn included_data() -> Rule {
    rule("includedData", OneOf(&["ALL_DATA", "METADATA_ONLY"]))
}

fn machine_type() -> Rule {
    rule("type", OneOf(&["STANDARD", "EXPRESS"]))
}

fn routes() -> Vec<Rule> {
    vec![
        rule("routingConfiguration", Items(1, 2, "RoutingConfigurationListItem")),
        rule("routingConfiguration[].stateMachineVersionArn", Required),
        rule("routingConfiguration[].stateMachineVersionArn", Length(1, 256)),
        rule("routingConfiguration[].weight", Required),
        rule("routingConfiguration[].weight", Number(0, 100)),
        secret("description", Length(0, 256)),
    ]
}

fn start() -> Vec<Rule> {
    let trace_header = Pattern(str::is_ascii, r"\p{ASCII}*");
    let rules = [needed("stateMachineArn", 256), vec![rule("name", Length(1, 80)), secret("input", Payload)]];
    let trace = vec![rule("traceHeader", Length(0, 256)), rule("traceHeader", trace_header)];
    rules.into_iter().flatten().chain(trace).collect()
}

fn test_state() -> Vec<Rule> {
    vec![
        rule("roleArn", Length(1, 256)),
        secret("input", Payload),
        rule("inspectionLevel", OneOf(&["INFO", "DEBUG", "TRACE"])),
        secret("variables", Payload),
        secret("stateName", Length(1, 80)),
        secret("mock.result", Payload),
        secret("mock.errorOutput.error", Length(0, 256)),
        secret("mock.errorOutput.cause", Length(0, 32_768)),
        rule("mock.fieldValidationMode", OneOf(&["STRICT", "PRESENT", "NONE"])),
        secret("context", Payload),
        rule("stateConfiguration.retrierRetryCount", Number(0, NUMBER_MAX)),
        secret("stateConfiguration.errorCausedByState", Length(1, 80)),
        rule("stateConfiguration.mapIterationFailureCount", Number(0, NUMBER_MAX)),
        secret("stateConfiguration.mapItemReaderData", Payload),
    ]
}

fn alias_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.chars().all(allowed) && name.contains(|c: char| !c.is_ascii_digit())
}

fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (b'!'..=b'~').contains(&b))
}

/// The rules for the requests of an operation.
pub(super) fn rules(operation: &str) -> Vec<Rule> {
    let all = match operation {
        "CreateActivity" => vec![needed("name", 80), tags(), encryption()],
        "DeleteActivity" | "DescribeActivity" => vec![needed("activityArn", 256)],
        "GetActivityTask" => vec![needed("activityArn", 256), vec![rule("workerName", Length(1, 80))]],
        "ListActivities" | "ListStateMachines" => vec![paged(1024)],
        "CreateStateMachine" => vec![
            needed("name", 80),
            definition(),
            needed("roleArn", 256),
            vec![machine_type(), secret("versionDescription", Length(0, 256))],
            logging(),
            tags(),
            encryption(),
        ],
        "UpdateStateMachine" => vec![
            needed("stateMachineArn", 256),
            vec![
                secret("definition", Length(1, usize::MAX)),
                secret("definition", Definition),
                rule("roleArn", Length(1, 256)),
                secret("versionDescription", Length(0, 256)),
            ],
            logging(),
            encryption(),
        ],
        "DeleteStateMachine" => vec![needed("stateMachineArn", 256)],
        "DescribeStateMachine" => vec![needed("stateMachineArn", 256), vec![included_data()]],
        "PublishStateMachineVersion" => {
            vec![needed("stateMachineArn", 256), vec![secret("description", Length(0, 256))]]
        }
        "DeleteStateMachineVersion" => vec![needed("stateMachineVersionArn", 2000)],
        "ListStateMachineVersions" | "ListStateMachineAliases" => vec![needed("stateMachineArn", 256), paged(1024)],
        "CreateStateMachineAlias" => {
            let pattern = r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$";
            let name = vec![rule("name", Pattern(alias_name, pattern)), rule("routingConfiguration", Required)];
            vec![needed("name", 80), name, routes()]
        }
        "UpdateStateMachineAlias" => vec![needed("stateMachineAliasArn", 256), routes()],
        "DescribeStateMachineAlias" | "DeleteStateMachineAlias" => vec![needed("stateMachineAliasArn", 256)],
        "StartExecution" => vec![start()],
        "StartSyncExecution" => vec![start(), vec![included_data()]],
        "StopExecution" => vec![needed("executionArn", 256), failure()],
        "RedriveExecution" => {
            let token = vec![rule("clientToken", Length(1, 64)), rule("clientToken", Pattern(visible, "[!-~]+"))];
            vec![needed("executionArn", 256), token]
        }
        "DescribeExecution" | "DescribeStateMachineForExecution" => {
            vec![needed("executionArn", 256), vec![included_data()]]
        }
        "GetExecutionHistory" | "ListMapRuns" => vec![needed("executionArn", 256), paged(1024)],
        "ListExecutions" => vec![
            vec![rule("stateMachineArn", Length(1, 256)), rule("statusFilter", OneOf(STATUSES))],
            paged(3096),
            vec![rule("mapRunArn", Length(1, 2000)), rule("redriveFilter", OneOf(&["REDRIVEN", "NOT_REDRIVEN"]))],
        ],
        "DescribeMapRun" => vec![needed("mapRunArn", 2000)],
        "UpdateMapRun" => vec![
            needed("mapRunArn", 2000),
            vec![
                rule("maxConcurrency", Number(0, NUMBER_MAX)),
                rule("toleratedFailurePercentage", Number(0, 100)),
                rule("toleratedFailureCount", Number(0, NUMBER_MAX)),
            ],
        ],
        "SendTaskSuccess" => vec![needed("taskToken", 2048), needed_payload("output")],
        "SendTaskFailure" => vec![needed("taskToken", 2048), failure()],
        "SendTaskHeartbeat" => vec![needed("taskToken", 2048)],
        "TagResource" => vec![needed("resourceArn", 256), vec![rule("tags", Required)], tags()],
        "UntagResource" => {
            vec![needed("resourceArn", 256), vec![rule("tagKeys", Required), rule("tagKeys[]", Length(1, 128))]]
        }
        "ListTagsForResource" => vec![needed("resourceArn", 256)],
        "ValidateStateMachineDefinition" => vec![vec![
            rule("definition", Required),
            secret("definition", Definition),
            machine_type(),
            rule("severity", OneOf(&["ERROR", "WARNING"])),
            rule("maxResults", Number(0, 100)),
        ]],
        "TestState" => vec![definition(), test_state()],
        _ => unreachable!("every operation has its rules: {operation}"),
    };
    all.into_iter().flatten().collect()
}

/// AWS's answer to a request that breaks some of the rules: it names all of them.
pub(super) fn check(rules: &[Rule], input: &Value, bounds: Bounds) -> Result<(), Fault> {
    let mut broken = Vec::new();
    for rule in rules {
        let segments: Vec<&str> = rule.path.split('.').collect();
        visit(input, &segments, &mut String::new(), &mut |value, at| {
            if let Some(constraint) = rule.check.broken_by(value, bounds) {
                let shown = match value {
                    None => "Value null".to_owned(),
                    Some(_) if rule.sensitive => "Value".to_owned(),
                    Some(value) => format!("Value '{}'", rule.check.show(value)),
                };
                broken.push(format!("{shown} at '{at}' failed to satisfy constraint: {constraint}"));
            }
        });
    }
    match broken.len() {
        0 => Ok(()),
        1 => Err(Fault::validation(format!("1 validation error detected: {}", broken[0]))),
        n => Err(Fault::validation(format!("{n} validation errors detected: {}", broken.join("; ")))),
    }
}

/// Shows each value that a path leads to, `None` where the member is missing, with its place as AWS writes it.
fn visit(value: &Value, path: &[&str], at: &mut String, found: &mut dyn FnMut(Option<&Value>, &str)) {
    let Some((segment, rest)) = path.split_first() else { return found(Some(value), at) };
    let (name, each) = segment.strip_suffix("[]").map_or((*segment, false), |name| (name, true));
    let length = at.len();
    if length > 0 {
        at.push('.');
    }
    at.push_str(name);
    match value.get(name).filter(|v| !v.is_null()) {
        Some(member) if each => {
            for (i, item) in member.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
                let length = at.len();
                at.push_str(&format!(".{}.member", i + 1));
                visit(item, rest, at, found);
                at.truncate(length);
            }
        }
        Some(member) => visit(member, rest, at, found),
        // A member of something that is missing is not missing itself.
        None if rest.is_empty() && !each => found(None, at),
        None => {}
    }
    at.truncate(length);
}

impl Check {
    /// The constraint in AWS's words, if the value breaks it. Values of another type are left to the decoder.
    fn broken_by(&self, value: Option<&Value>, bounds: Bounds) -> Option<String> {
        let Some(value) = value else {
            return matches!(self, Required).then(|| "Member must not be null".to_owned());
        };
        match self {
            Required => None,
            Length(min, max) => length(value.as_str()?.chars().count(), *min, *max),
            Payload => length(value.as_str()?.len(), 0, bounds.payload_bytes_max),
            Definition => length(value.as_str()?.len(), 0, bounds.definition_bytes_max),
            Items(min, max, _) => length(value.as_array()?.len(), *min, *max),
            Pattern(matches, pattern) => (!matches(value.as_str()?))
                .then(|| format!("Member must satisfy regular expression pattern: {pattern}")),
            OneOf(values) => (!values.contains(&value.as_str()?))
                .then(|| format!("Member must satisfy enum value set: [{}]", values.join(", "))),
            Number(min, max) => {
                let number = value.as_f64()?;
                if number < *min as f64 {
                    Some(format!("Member must have value greater than or equal to {min}"))
                } else if number > *max as f64 {
                    Some(format!("Member must have value less than or equal to {max}"))
                } else {
                    None
                }
            }
        }
    }

    fn show(&self, value: &Value) -> String {
        match (self, value) {
            (_, Value::String(text)) => text.clone(),
            (Items(_, _, shape), Value::Array(items)) => {
                let items: Vec<_> = items.iter().map(|item| show_object(shape, item)).collect();
                format!("[{}]", items.join(", "))
            }
            (_, other) => other.to_string(),
        }
    }
}

fn length(found: usize, min: usize, max: usize) -> Option<String> {
    if found < min {
        Some(format!("Member must have length greater than or equal to {min}"))
    } else if found > max {
        Some(format!("Member must have length less than or equal to {max}"))
    } else {
        None
    }
}

/// `Shape(a=1, b=x)`
fn show_object(shape: &str, value: &Value) -> String {
    let Some(members) = value.as_object() else { return value.to_string() };
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    format!("{shape}({})", members.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(operation: &str, input: &Value) -> String {
        let bounds = Bounds { payload_bytes_max: 10, definition_bytes_max: 20 };
        check(&rules(operation), input, bounds).map_or_else(|fault| fault.message, |()| "ok".to_owned())
    }

    #[test]
    fn what_is_broken_is_named_in_full() {
        let one = |what: &str| format!("1 validation error detected: {what}");
        let constraint = "failed to satisfy constraint: Member must";
        let cases = [
            ("ListActivities", json!({"maxResults": 1000, "nextToken": null}), "ok".to_owned()),
            (
                "ListActivities",
                json!({"maxResults": 1001}),
                one(&format!("Value '1001' at 'maxResults' {constraint} have value less than or equal to 1000")),
            ),
            (
                "ListExecutions",
                json!({"statusFilter": "succeeded"}),
                one(&format!(
                    "Value 'succeeded' at 'statusFilter' {constraint} satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]"
                )),
            ),
            ("StartExecution", json!({}), one(&format!("Value null at 'stateMachineArn' {constraint} not be null"))),
            (
                "StartExecution",
                json!({"stateMachineArn": "", "input": "12345678901"}),
                format!(
                    "2 validation errors detected: Value '' at 'stateMachineArn' {constraint} have length greater than or equal to 1; Value at 'input' {constraint} have length less than or equal to 10"
                ),
            ),
            (
                "CreateStateMachineAlias",
                json!({"name": "12", "routingConfiguration": [{"stateMachineVersionArn": "a", "weight": 101}]}),
                format!(
                    "2 validation errors detected: Value '12' at 'name' {constraint} satisfy regular expression pattern: ^(?=.*[a-zA-Z_\\-\\.])[a-zA-Z0-9_\\-\\.]+$; Value '101' at 'routingConfiguration.1.member.weight' {constraint} have value less than or equal to 100"
                ),
            ),
            (
                "TagResource",
                json!({"resourceArn": "a", "tags": [{"key": "k"}, {"key": ""}]}),
                one(&format!("Value '' at 'tags.2.member.key' {constraint} have length greater than or equal to 1")),
            ),
            (
                "CreateActivity",
                json!({"name": "n", "encryptionConfiguration": {}}),
                one(&format!("Value null at 'encryptionConfiguration.type' {constraint} not be null")),
            ),
        ];
        for (operation, input, expected) in cases {
            assert_eq!(message(operation, &input), expected, "{operation} {input}");
        }
        let three = json!({"stateMachineAliasArn": "a", "routingConfiguration": [
            {"stateMachineVersionArn": "v", "weight": 1}, {"stateMachineVersionArn": "v", "weight": 1}, {"stateMachineVersionArn": "w", "weight": 2}]});
        assert!(message("UpdateStateMachineAlias", &three).contains(
            "Value '[RoutingConfigurationListItem(stateMachineVersionArn=v, weight=1), RoutingConfigurationListItem(stateMachineVersionArn=v, weight=1), RoutingConfigurationListItem(stateMachineVersionArn=w, weight=2)]' at 'routingConfiguration'"
        ));
    }
}
