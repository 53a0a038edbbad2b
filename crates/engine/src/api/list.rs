use std::sync::Arc;

use base::{Scope, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Call, Fault};

use super::executions::add_qualifiers;
use super::target::{Qualifier, find_any};
use super::{map_runs, page};
use crate::engine::Inner;
use crate::execution::{self, Execution, Query, RUNNING};
use crate::record::EndRecord;
use crate::{fault, map_run};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    state_machine_arn: Option<String>,
    map_run_arn: Option<String>,
    status_filter: Option<String>,
    redrive_filter: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    executions: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) async fn list(engine: Arc<Inner>, _: Call, input: Input) -> Result<Output, Fault> {
    let (scope, name) = find_list(&engine, &input)?;
    let status = input.status_filter.as_deref();
    let redrive = input.redrive_filter.as_deref();
    let of = |member: &Option<String>| member.clone().unwrap_or_default();
    let parts =
        [of(&input.state_machine_arn), of(&input.map_run_arn), of(&input.status_filter), of(&input.redrive_filter)];
    let page = page::Query::new("executions", &parts.each_ref().map(String::as_str));
    let after = page.read(input.next_token.as_deref())?;
    let query = Query {
        scope: &scope,
        list: &name,
        status: status.map(status_code),
        after: after.as_deref(),
        limit: page::limit(input.max_results),
    };
    let keep = |e: &Execution| redrive.is_none_or(|wanted| (wanted == "REDRIVEN") == e.redriven.is_some());
    let (found, next) = execution::list(&*engine.store, &query, keep).map_err(fault::from_store)?;
    let executions = found.iter().map(|e| entry(&engine, e)).collect::<Result<_, _>>()?;
    Ok(Output { executions, next_token: next.map(|n| page.write(&n)) })
}

/// The list that is asked for: a machine's, a version's, an alias's or a Map Run's.
fn find_list(engine: &Inner, input: &Input) -> Result<(Scope, String), Fault> {
    match (&input.state_machine_arn, &input.map_run_arn) {
        (Some(arn), None) => {
            let (machine, qualifier) = find_any(engine, arn)?;
            if machine.record.express {
                return Err(fault::type_not_supported());
            }
            if input.redrive_filter.is_some() {
                return Err(Fault::validation("redriveFilter can only be specified with a Map Run ARN"));
            }
            if input.status_filter.as_deref() == Some("PENDING_REDRIVE") {
                return Err(Fault::validation("statusFilter PENDING_REDRIVE can only be specified with a Map Run ARN"));
            }
            let name = &machine.record.name;
            let list = match qualifier {
                None => name.clone(),
                Some(Qualifier::Version(number)) => format!("{name}:{number}"),
                Some(Qualifier::Alias(alias)) => format!("{name}:{alias}"),
            };
            Ok((machine.scope.clone(), list))
        }
        (None, Some(arn)) => {
            let run = map_runs::load(engine, arn)?.record;
            if run.express {
                return Err(fault::type_not_supported());
            }
            Ok((run.scope(), execution::list_of_map_run(arn).to_owned()))
        }
        _ => Err(fault::validation(
            "MISSING_REQUIRED_PARAMETER",
            "Exactly one of stateMachineArn and mapRunArn must be specified",
        )),
    }
}

/// The stored code of a status; what no execution here ever has finds none.
fn status_code(status: &str) -> u8 {
    match status {
        "RUNNING" => RUNNING,
        "SUCCEEDED" => EndRecord::SUCCEEDED,
        "FAILED" => EndRecord::FAILED,
        "TIMED_OUT" => EndRecord::TIMED_OUT,
        "ABORTED" => EndRecord::ABORTED,
        _ => u8::MAX,
    }
}

fn entry(engine: &Inner, execution: &Execution) -> Result<Value, Fault> {
    let head = &execution.head;
    let mut entry = json!({
        "executionArn": execution::execution_arn(head),
        "stateMachineArn": head.machine_arn(),
        "name": head.name,
        "status": execution.status(),
        "startDate": Timestamp::from_millis(head.start_ms).as_seconds_f64(),
        "redriveCount": execution.redriven.as_ref().map_or(0, |r| r.count),
    });
    let members = entry.as_object_mut().expect("made above");
    add_qualifiers(members, head);
    if let Some(redriven) = &execution.redriven {
        members.insert("redriveDate".into(), Timestamp::from_millis(redriven.last_ms).as_seconds_f64().into());
    }
    if let Some(arn) = &head.map_run_arn {
        let child = map_run::child_of(&*engine.store, execution.id).map_err(fault::from_store)?;
        members.insert("mapRunArn".into(), arn.clone().into());
        members.insert("itemCount".into(), child.map_or(1, |child| child.items).into());
    }
    if let Some(end) = &execution.end {
        members.insert("stopDate".into(), Timestamp::from_millis(end.stop_ms).as_seconds_f64().into());
    }
    Ok(entry)
}
