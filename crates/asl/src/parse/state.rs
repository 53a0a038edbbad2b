//! One state: what all types share, and what is its own.

use std::collections::BTreeSet;

use crate::ast::{Fail, Selection, State, StateKind, Task, Transition, Wait};
use crate::json::{Json, Node};
use crate::{Name, QueryLanguage, ResultPath, Seconds, Template};

use super::fields::{Fields, SECONDS_MAX};
use super::suggest::did_you_mean;
use super::template::Reads;
use super::{Checker, STATIC_RESULT, assign, choice, handlers, map, resource, scope};

const TYPES: &[&str] = &["Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"];

/// The fields of a type: those of both query languages, of JSONPath alone, of JSONata alone.
struct Allowed {
    both: &'static [&'static [&'static str]],
    path: &'static [&'static [&'static str]],
    jsonata: &'static [&'static str],
}

const COMMON: &[&str] = &["Type", "Comment", "QueryLanguage"];
const TRANSITION: &[&str] = &["Next", "End"];
const HANDLED: &[&str] = &["Retry", "Catch"];
const SELECTION: &[&str] = &["InputPath", "OutputPath"];
const RESULT: &[&str] = &["Parameters", "ResultPath"];
const MAP: &[&str] = &[
    "ItemBatcher",
    "ItemProcessor",
    "ItemReader",
    "ItemSelector",
    "Iterator",
    "Label",
    "MaxConcurrency",
    "ResultWriter",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
];
const MAP_PATHS: &[&str] =
    &["ItemsPath", "MaxConcurrencyPath", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath"];

fn allowed(kind: &str) -> Allowed {
    match kind {
        "Task" => Allowed {
            both: &[
                COMMON,
                TRANSITION,
                HANDLED,
                &["Assign", "Credentials", "HeartbeatSeconds", "Resource", "TimeoutSeconds"],
            ],
            path: &[SELECTION, RESULT, &["HeartbeatSecondsPath", "ResultSelector", "TimeoutSecondsPath"]],
            jsonata: &["Arguments", "Output"],
        },
        "Pass" => Allowed {
            both: &[COMMON, TRANSITION, &["Assign"]],
            path: &[SELECTION, RESULT, &["Result"]],
            jsonata: &["Output"],
        },
        "Choice" => {
            Allowed { both: &[COMMON, &["Assign", "Choices", "Default"]], path: &[SELECTION], jsonata: &["Output"] }
        }
        "Wait" => Allowed {
            both: &[COMMON, TRANSITION, &["Assign", "Seconds", "Timestamp"]],
            path: &[SELECTION, &["SecondsPath", "TimestampPath"]],
            jsonata: &["Output"],
        },
        "Succeed" => Allowed { both: &[COMMON], path: &[SELECTION], jsonata: &["Output"] },
        "Fail" => Allowed { both: &[COMMON, &["Cause", "Error"]], path: &[&["CausePath", "ErrorPath"]], jsonata: &[] },
        "Parallel" => Allowed {
            both: &[COMMON, TRANSITION, HANDLED, &["Assign", "Branches"]],
            path: &[SELECTION, RESULT, &["ResultSelector"]],
            jsonata: &["Arguments", "Output"],
        },
        _ => Allowed {
            both: &[COMMON, TRANSITION, HANDLED, MAP, &["Assign"]],
            path: &[SELECTION, RESULT, MAP_PATHS, &["ResultSelector"]],
            jsonata: &["Items", "Output"],
        },
    }
}

pub(super) fn state(c: &mut Checker, name: &str, node: &Node, location: &str) -> Option<State> {
    c.variables_read.push(BTreeSet::new());
    let state = check(c, name, node, location);
    let variables_read = c.variables_read.pop().unwrap_or_default();
    state.map(|state| State { variables_read, ..state })
}

fn check(c: &mut Checker, name: &str, node: &Node, location: &str) -> Option<State> {
    let mut fields = Fields::of(c, node, location)?;
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
    (fields.language, fields.state_len) = (language(c, &fields)?, location.len());
    check_names(c, &fields, kind);
    let reads = if matches!(kind, "Task" | "Parallel" | "Map") { Reads::RESULT } else { Reads::INPUT };
    let comment = fields.string(c, "Comment").map(str::to_owned);
    let transition = if kind_has_transition(kind) { transition(c, &fields) } else { None };
    let common = Common {
        parameters: parameters(c, &fields),
        result_selector: fields.template(c, "ResultSelector", Reads::INPUT),
        input_path: fields.selection(c, "InputPath"),
        output_path: fields.selection(c, "OutputPath"),
        result_path: fields.result_path(c),
        assign: assign::assign(c, &fields, reads),
        output: fields.template(c, "Output", reads),
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
        query_language: fields.language,
        input_path: common.input_path,
        output_path: common.output_path,
        parameters: common.parameters,
        result_selector: common.result_selector,
        result_path: common.result_path,
        assign: common.assign,
        output: common.output,
        retry: common.retry,
        catch: common.catch,
        transition,
        variables_read: BTreeSet::new(),
        kind,
    })
}

/// What is read alike for every type; absent fields are their defaults.
struct Common {
    input_path: Selection,
    output_path: Selection,
    parameters: Option<Template>,
    result_selector: Option<Template>,
    result_path: ResultPath,
    assign: Option<Template>,
    output: Option<Template>,
    retry: Vec<crate::Retrier>,
    catch: Vec<crate::Catcher>,
}

fn kind_has_transition(kind: &str) -> bool {
    !matches!(kind, "Choice" | "Succeed" | "Fail")
}

/// The state's own language, or the machine's. `None`: it may not have the one it asks for, and that says it all.
fn language(c: &mut Checker, fields: &Fields<'_>) -> Option<QueryLanguage> {
    let Some(node) = fields.get("QueryLanguage") else { return Some(c.language) };
    if node.as_str() == Some("JSONPath") && c.language == QueryLanguage::Jsonata {
        let message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine";
        c.error(message, &fields.location, &node.range);
        return None;
    }
    // AWS takes what is neither for JSONata.
    Some(fields.choice(c, "QueryLanguage", scope::LANGUAGES).unwrap_or(QueryLanguage::Jsonata))
}

fn check_names(c: &mut Checker, fields: &Fields<'_>, kind: &str) {
    let Allowed { both, path, jsonata } = allowed(kind);
    fields.only_by_language(c, &both.concat(), &path.concat(), jsonata);
}

/// What the state works on instead of its input, under the name that it has in this type and language.
fn parameters(c: &mut Checker, fields: &Fields<'_>) -> Option<Template> {
    let name = match fields.language {
        _ if fields.has("ItemSelector") => "ItemSelector",
        QueryLanguage::JsonPath => "Parameters",
        QueryLanguage::Jsonata => "Arguments",
    };
    fields.template(c, name, Reads::INPUT)
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

fn credentials(c: &mut Checker, fields: &Fields<'_>) -> Option<Template> {
    let template = fields.template(c, "Credentials", Reads::INPUT);
    if fields.is_jsonata() && fields.get("Credentials")?.as_str().is_some() {
        return template;
    }
    let credentials = fields.object(c, "Credentials")?;
    let names: &[&str] = if fields.is_jsonata() { &["RoleArn"] } else { &["RoleArn", "RoleArn.$"] };
    if !names.iter().any(|name| credentials.has(name)) {
        let message = "The field 'RoleArn' is required but was missing";
        c.error(message, &credentials.location, &credentials.range);
    }
    credentials.only(c, names);
    template
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
    let names: &[&str] = match fields.language {
        QueryLanguage::JsonPath => &["SecondsPath", "Seconds", "TimestampPath", "Timestamp"],
        QueryLanguage::Jsonata => &["Seconds", "Timestamp"],
    };
    fields.exactly_one(c, names);
    if fields.has("Seconds") {
        if let Some(expression) = fields.jsonata(c, "Seconds") {
            return expression.map(|expression| Wait::Seconds(Seconds::Jsonata(expression)));
        }
        let seconds = fields.integer(c, "Seconds", 0, SECONDS_MAX)?;
        return Some(Wait::Seconds(Seconds::Literal(seconds)));
    }
    if fields.has("SecondsPath") {
        return fields.reference_path(c, "SecondsPath", false).map(|path| Wait::Seconds(Seconds::Path(path)));
    }
    if fields.has("TimestampPath") {
        return fields.reference_path(c, "TimestampPath", false).map(Wait::TimestampPath);
    }
    if let Some(expression) = fields.jsonata(c, "Timestamp") {
        return expression.map(Wait::TimestampJsonata);
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
        branches.extend(scope::branch(c, &branch, true));
    }
    Some(branches)
}
