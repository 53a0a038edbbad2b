use std::sync::Arc;

use base::Arn;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::target::{MachineArn, Qualifier, find_any};
use super::versions::seconds;
use super::{Adder, Empty, page};
use crate::catalog::{NewAlias, StateMachine};
use crate::engine::Inner;
use crate::fault;
use crate::record::AliasRecord;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("CreateStateMachineAlias", create);
    to.operation("UpdateStateMachineAlias", update);
    to.operation("DescribeStateMachineAlias", describe);
    to.operation("ListStateMachineAliases", list);
    to.operation("DeleteStateMachineAlias", delete);
}

#[derive(Deserialize, Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Route {
    state_machine_version_arn: String,
    weight: u8,
}

/// The machine that all routes lead to, and the routes; AWS's messages name all that was received.
fn read_routes(routes: &[Route]) -> Result<(Arn, Vec<(u64, u8)>), Fault> {
    let invalid = |message: String| fault::validation("INVALID_ROUTING_CONFIGURATION", message);
    let received = || routes.iter().map(|r| r.state_machine_version_arn.as_str()).collect::<Vec<_>>().join(", ");
    let read: Option<Vec<(Arn, u64)>> =
        routes.iter().map(|r| MachineArn::parse_version(&r.state_machine_version_arn).ok()).collect();
    let Some(read) = read.filter(|r| !r.is_empty()) else {
        let what = "Routing configuration must contain state machine version ARNs.";
        return Err(invalid(format!("{what} Received: [{}]", received())));
    };
    let machine = read[0].0.clone();
    if read.iter().any(|(other, _)| *other != machine) {
        let what = "Routing configuration must contain versions of the same state machine.";
        return Err(invalid(format!("{what} Received: [{}]", received())));
    }
    if read.len() > 1 && read[0] == read[1] {
        let what = "Routing configuration must contain distinct state machine version ARNs.";
        return Err(invalid(format!("{what} Received: [{}]", received())));
    }
    if routes.iter().map(|r| u32::from(r.weight)).sum::<u32>() != 100 {
        let weights = routes.iter().map(|r| r.weight.to_string()).collect::<Vec<_>>().join(", ");
        let what = "Sum of routing configuration weights must equal 100.";
        return Err(invalid(format!("{what} Received: [{weights}]")));
    }
    let routes = read.into_iter().zip(routes).map(|((_, number), route)| (number, route.weight));
    Ok((machine, routes.collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateInput {
    description: Option<String>,
    name: String,
    routing_configuration: Vec<Route>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateOutput {
    state_machine_alias_arn: String,
    creation_date: f64,
}

async fn create(engine: Arc<Inner>, _: Call, input: CreateInput) -> Result<CreateOutput, Fault> {
    let (machine, routes) = read_routes(&input.routing_configuration)?;
    let CreateInput { name, description, .. } = input;
    let state_machine_alias_arn = format!("{machine}:{name}");
    let now_ms = engine.clock.now().as_millis();
    let alias = NewAlias { name, description, routes: Some(routes), now_ms };
    let alias = engine.catalog.create_alias(machine, alias).await?;
    Ok(CreateOutput { state_machine_alias_arn, creation_date: seconds(alias.created_ms) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateInput {
    state_machine_alias_arn: String,
    description: Option<String>,
    routing_configuration: Option<Vec<Route>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateOutput {
    update_date: f64,
}

async fn update(engine: Arc<Inner>, _: Call, input: UpdateInput) -> Result<UpdateOutput, Fault> {
    let (machine, name) = MachineArn::parse_alias(&input.state_machine_alias_arn)?;
    if input.description.is_none() && input.routing_configuration.is_none() {
        let message = "Either the description or the routing configuration must be specified";
        return Err(fault::validation("MISSING_REQUIRED_PARAMETER", message));
    }
    let routes = input.routing_configuration.as_deref().map(read_routes).transpose()?;
    if routes.as_ref().is_some_and(|(other, _)| *other != machine) {
        let message = "Routing configuration must contain versions of the alias's state machine.";
        return Err(fault::validation("INVALID_ROUTING_CONFIGURATION", message));
    }
    let now_ms = engine.clock.now().as_millis();
    let alias = NewAlias { name, description: input.description, routes: routes.map(|(_, r)| r), now_ms };
    let alias = engine.catalog.update_alias(machine, alias).await?;
    Ok(UpdateOutput { update_date: seconds(alias.updated_ms) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArnInput {
    state_machine_alias_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    state_machine_alias_arn: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    routing_configuration: Vec<Route>,
    creation_date: f64,
    update_date: f64,
}

async fn describe(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<Description, Fault> {
    let (machine, name) = MachineArn::parse_alias(&input.state_machine_alias_arn)?;
    let machine = engine.catalog.machine(machine.as_str());
    let found = machine.as_ref().and_then(|m| Some((m, m.aliases.get(&name)?)));
    let (machine, alias) = found.ok_or_else(fault::no_such_reference)?;
    Ok(description(machine, name, alias))
}

fn description(machine: &StateMachine, name: String, alias: &AliasRecord) -> Description {
    let route = |(number, weight): &(u64, u8)| Route {
        state_machine_version_arn: machine.version_arn(*number),
        weight: *weight,
    };
    Description {
        state_machine_alias_arn: machine.alias_arn(&name),
        name,
        description: alias.description.clone(),
        routing_configuration: alias.routes.iter().map(route).collect(),
        creation_date: seconds(alias.created_ms),
        update_date: seconds(alias.updated_ms),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    state_machine_arn: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListOutput {
    state_machine_aliases: Vec<ListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListEntry {
    state_machine_alias_arn: String,
    creation_date: f64,
}

/// By name: that is how AWS lists them, whatever its documentation says. With a version's ARN, those that lead to it.
async fn list(engine: Arc<Inner>, _: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let (machine, qualifier) = find_any(&engine, &input.state_machine_arn)?;
    let version = match qualifier {
        None => None,
        Some(Qualifier::Version(number)) => Some(number),
        Some(Qualifier::Alias(_)) => return Err(fault::no_such_reference()),
    };
    let query = page::Query::new("aliases", &[&input.state_machine_arn]);
    let leads = |alias: &AliasRecord| version.is_none_or(|v| alias.routes.iter().any(|(number, _)| *number == v));
    let all = machine.aliases.iter().filter(|(_, alias)| leads(alias)).collect();
    let limit = page::limit(input.max_results);
    let (found, next_token) =
        page::by_name(&query, all, |(name, _)| name.as_str(), input.next_token.as_deref(), limit)?;
    let entries = found.into_iter().map(|(name, alias)| ListEntry {
        state_machine_alias_arn: machine.alias_arn(name),
        creation_date: seconds(alias.created_ms),
    });
    Ok(ListOutput { state_machine_aliases: entries.collect(), next_token })
}

async fn delete(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<Empty, Fault> {
    let (machine, name) = MachineArn::parse_alias(&input.state_machine_alias_arn)?;
    engine.catalog.delete_alias(machine, name).await?;
    Ok(Empty {})
}
