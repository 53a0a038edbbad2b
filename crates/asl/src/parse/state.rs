//! One state: what all types share, and what is its own.

use crate::ast::{Fail, Selection, State, StateKind, Task, Transition, Wait};
use crate::json::{Json, Node};
use crate::{Name, QueryLanguage, ResultPath, Seconds};

use super::fields::Fields;
use super::suggest::did_you_mean;
use super::{Checker, STATIC_RESULT, choice, handlers, map, resource, scope};

const TYPES: &[&str] = &["Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"];

const COMMON: &[&str] = &["Type", "Comment", "QueryLanguage"];
const SELECTION: &[&str] = &["InputPath", "OutputPath"];
const TRANSITION: &[&str] = &["Next", "End"];
const RESULT: &[&str] = &["Parameters", "ResultPath"];
const HANDLED: &[&str] = &["ResultSelector", "Retry", "Catch"];
const TASK: &[&str] =
    &["Credentials", "HeartbeatSeconds", "HeartbeatSecondsPath", "Resource", "TimeoutSeconds", "TimeoutSecondsPath"];
const MAP: &[&str] = &[
    "ItemProcessor",
    "ItemSelector",
    "ItemsPath",
    "Iterator",
    "MaxConcurrency",
    "MaxConcurrencyPath",
    "ToleratedFailureCount",
    "ToleratedFailureCountPath",
    "ToleratedFailurePercentage",
    "ToleratedFailurePercentagePath",
];

/// Fields of Distributed Map alone.
const DISTRIBUTED: &[&str] = &["ItemReader", "ItemBatcher", "ResultWriter", "Label"];

/// What AWS accepts on a type in a JSONPath state, and what only in a JSONata state.
fn allowed(kind: &str) -> (Vec<&'static str>, &'static [&'static str]) {
    let (groups, jsonata): (&[&[&str]], &[&str]) = match kind {
        "Task" => (&[SELECTION, TRANSITION, RESULT, HANDLED, TASK, &["Assign"]], &["Arguments", "Output"]),
        "Pass" => (&[SELECTION, TRANSITION, RESULT, &["Result", "Assign"]], &["Output"]),
        "Choice" => (&[SELECTION, &["Choices", "Default", "Assign"]], &["Output"]),
        "Wait" => {
            (&[SELECTION, TRANSITION, &["Seconds", "SecondsPath", "Timestamp", "TimestampPath", "Assign"]], &["Output"])
        }
        "Succeed" => (&[SELECTION], &["Output"]),
        "Fail" => (&[&["Cause", "CausePath", "Error", "ErrorPath"]], &[]),
        "Parallel" => (&[SELECTION, TRANSITION, RESULT, HANDLED, &["Branches", "Assign"]], &["Arguments", "Output"]),
        _ => (&[SELECTION, TRANSITION, RESULT, HANDLED, MAP, DISTRIBUTED, &["Assign"]], &["Items", "Output"]),
    };
    (groups.iter().flat_map(|group| group.iter().copied()).chain(COMMON.iter().copied()).collect(), jsonata)
}

pub(super) fn state(c: &mut Checker, name: &str, node: &Node, location: &str) -> Option<State> {
    let fields = Fields::of(c, node, location)?;
    if !fields.has("Type") {
        fields.required(c, &["Type"]);
        return None;
    }
    let kind = fields.string(c, "Type")?;
    if !TYPES.contains(&kind) {
        let message = format!("Value should be one of the following: [{}]", TYPES.join(", "));
        let help = did_you_mean(kind, TYPES.iter().copied());
        c.error_with_help(message, &fields.at("Type"), &fields.get("Type")?.range, help);
        return None;
    }
    let language = language(c, &fields);
    if language == QueryLanguage::Jsonata {
        // One finding says it; the fields of a JSONata state mean nothing to the rest.
        return None;
    }
    check_names(c, &fields, kind);
    let comment = fields.string(c, "Comment").map(str::to_owned);
    let transition = if kind_has_transition(kind) { transition(c, &fields) } else { None };
    let common = Common {
        parameters: payload(c, &fields, if fields.has("ItemSelector") { "ItemSelector" } else { "Parameters" }),
        result_selector: payload(c, &fields, "ResultSelector"),
        input_path: fields.selection(c, "InputPath"),
        output_path: fields.selection(c, "OutputPath"),
        result_path: fields.result_path(c),
        retry: handlers::retriers(c, &fields),
        catch: handlers::catchers(c, &fields),
    };
    let kind = match kind {
        "Task" => StateKind::Task(Box::new(task(c, &fields)?)),
        "Pass" => StateKind::Pass { result: result(c, &fields) },
        "Choice" => StateKind::Choice(choice::choice(c, &fields)?),
        "Wait" => StateKind::Wait(wait(c, &fields)?),
        "Succeed" => StateKind::Succeed,
        "Fail" => {
            StateKind::Fail(Fail { error: fields.text_source(c, "Error"), cause: fields.text_source(c, "Cause") })
        }
        "Parallel" => StateKind::Parallel { branches: branches(c, &fields)? },
        _ => StateKind::Map(Box::new(map::map(c, &fields)?)),
    };
    Some(State {
        name: Name::from(name),
        comment,
        query_language: language,
        input_path: common.input_path,
        output_path: common.output_path,
        parameters: common.parameters,
        result_selector: common.result_selector,
        result_path: common.result_path,
        assign: None,
        output: None,
        retry: common.retry,
        catch: common.catch,
        transition,
        kind,
    })
}

/// What is read alike for every type; absent fields are their defaults.
struct Common {
    input_path: Selection,
    output_path: Selection,
    parameters: Option<crate::Template>,
    result_selector: Option<crate::Template>,
    result_path: ResultPath,
    retry: Vec<crate::Retrier>,
    catch: Vec<crate::Catcher>,
}

fn kind_has_transition(kind: &str) -> bool {
    !matches!(kind, "Choice" | "Succeed" | "Fail")
}

fn language(c: &mut Checker, fields: &Fields<'_>) -> QueryLanguage {
    let Some(node) = fields.get("QueryLanguage") else { return c.language };
    match fields.choice(c, "QueryLanguage", scope::LANGUAGES) {
        Some(QueryLanguage::JsonPath) if c.language == QueryLanguage::Jsonata => {
            let message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine";
            c.error(message, &fields.location, &node.range);
            QueryLanguage::JsonPath
        }
        Some(QueryLanguage::Jsonata) if c.language == QueryLanguage::JsonPath => {
            c.error(scope::NO_JSONATA, &fields.at("QueryLanguage"), &node.range);
            QueryLanguage::Jsonata
        }
        Some(language) => language,
        None => QueryLanguage::JsonPath,
    }
}

fn check_names(c: &mut Checker, fields: &Fields<'_>, kind: &str) {
    let (mut allowed, jsonata) = allowed(kind);
    for name in jsonata {
        if let Some(node) = fields.get(name) {
            let message = format!(
                "The QueryLanguage is set to 'JSONPath', but field '{name}' is only supported for the 'JSONata' QueryLanguage"
            );
            c.error(message, &fields.location, &node.range);
            allowed.push(name);
        }
    }
    fields.only(c, &allowed);
    refuse_variables(c, fields);
    if kind == "Map" {
        for name in DISTRIBUTED {
            if let Some(node) = fields.get(name) {
                let message = format!("Distributed Map is not supported yet: field '{name}'");
                c.error(message, &fields.at(name), &node.range);
            }
        }
    }
}

fn refuse_variables(c: &mut Checker, fields: &Fields<'_>) {
    if let Some(node) = fields.get("Assign") {
        c.error("Variables are not supported yet: field 'Assign'", &fields.at("Assign"), &node.range);
    }
}

/// `Assign` and `Output` of catchers and choice rules.
pub(super) fn refuse_later(c: &mut Checker, fields: &Fields<'_>) {
    refuse_variables(c, fields);
    if let Some(node) = fields.get("Output") {
        let message = "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata' QueryLanguage";
        c.error(message, &fields.location, &node.range);
    }
}

fn payload(c: &mut Checker, fields: &Fields<'_>, name: &str) -> Option<crate::Template> {
    fields.get(name).map(|node| super::template::compile(c, node, &fields.at(name)))
}

fn transition(c: &mut Checker, fields: &Fields<'_>) -> Option<Transition> {
    let end = fields.boolean(c, "End").unwrap_or(false);
    let next = fields.string(c, "Next");
    match (next, end) {
        (Some(next), false) => Some(Transition::Next(next.into())),
        (None, true) if !fields.has("Next") => Some(Transition::End),
        (Some(_), true) => {
            c.error("There should only be one of the following fields: [Next, End]", &fields.location, &fields.range);
            None
        }
        (None, _) => {
            if !fields.has("Next") {
                let message = "This object should have only one of the following fields: [Next, End]";
                c.error(message, &fields.location, &fields.range);
            }
            None
        }
    }
}

fn task(c: &mut Checker, fields: &Fields<'_>) -> Option<Task> {
    fields.required(c, &["Resource"]);
    let timeout = fields.seconds(c, "TimeoutSeconds", 1);
    let heartbeat = fields.seconds(c, "HeartbeatSeconds", 1);
    if let (Some(Seconds::Literal(timeout)), Some(Seconds::Literal(heartbeat))) = (&timeout, &heartbeat)
        && heartbeat >= timeout
    {
        let range = fields.get("HeartbeatSeconds").map_or(fields.range.clone(), |node| node.range.clone());
        c.error("HeartbeatSeconds must be smaller than TimeoutSeconds", &fields.at("HeartbeatSeconds"), &range);
    }
    let credentials = credentials(c, fields);
    let resource = resource::resource(c, fields)?;
    if fields.has("Credentials") && resource.kind.is_activity() {
        let message = "The field 'Credentials' is not supported for activities";
        c.error(message, &fields.at("Credentials"), &fields.get("Credentials")?.range);
    }
    Some(Task { resource, timeout, heartbeat, credentials })
}

fn credentials(c: &mut Checker, fields: &Fields<'_>) -> Option<crate::Template> {
    let credentials = fields.object(c, "Credentials")?;
    if !credentials.has("RoleArn") && !credentials.has("RoleArn.$") {
        let message = "The field 'RoleArn' is required but was missing";
        c.error(message, &credentials.location, &credentials.range);
    }
    credentials.only(c, &["RoleArn", "RoleArn.$"]);
    payload(c, fields, "Credentials")
}

fn result(c: &mut Checker, fields: &Fields<'_>) -> Option<serde_json::Value> {
    let node = fields.get("Result")?;
    if let Some(range) = dynamic_key(node) {
        let message = "Attempt to use a path in the result of a pass state.";
        c.warn(STATIC_RESULT, message, &fields.at("Result"), &range);
    }
    Some(node.to_value())
}

/// The first key that ends with `.$`.
fn dynamic_key(node: &Node) -> Option<crate::json::Range> {
    match &node.json {
        Json::Array(items) => items.iter().find_map(dynamic_key),
        Json::Object(members) => members.iter().find_map(|member| {
            if member.key.ends_with(".$") { Some(member.key_range.clone()) } else { dynamic_key(&member.value) }
        }),
        _ => None,
    }
}

fn wait(c: &mut Checker, fields: &Fields<'_>) -> Option<Wait> {
    fields.exactly_one(c, &["SecondsPath", "Seconds", "TimestampPath", "Timestamp"]);
    if fields.has("Seconds") {
        let seconds = fields.integer(c, "Seconds", 0, super::fields::SECONDS_MAX)?;
        return Some(Wait::Seconds(Seconds::Literal(seconds)));
    }
    if fields.has("SecondsPath") {
        return fields.reference_path(c, "SecondsPath", false).map(|path| Wait::Seconds(Seconds::Path(path)));
    }
    if fields.has("TimestampPath") {
        return fields.reference_path(c, "TimestampPath", false).map(Wait::TimestampPath);
    }
    let text = fields.string(c, "Timestamp")?;
    if base::Timestamp::parse_rfc3339(text).is_err() {
        c.error("String does not match RFC3339 timestamp", &fields.at("Timestamp"), &fields.get("Timestamp")?.range);
        return None;
    }
    Some(Wait::Timestamp(text.to_owned()))
}

fn branches(c: &mut Checker, fields: &Fields<'_>) -> Option<Vec<crate::Branch>> {
    fields.required(c, &["Branches"]);
    let mut branches = Vec::new();
    for (node, location) in fields.list(c, "Branches")? {
        let Some(branch) = Fields::of(c, node, &location) else { continue };
        branch.only(c, &["Comment", "StartAt", "States"]);
        branch.string(c, "Comment");
        branches.extend(scope::branch(c, &branch));
    }
    Some(branches)
}
