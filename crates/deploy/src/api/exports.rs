//! ListExports, ListImports.

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::pages::page;
use super::{Adder, compact};
use crate::Deployer;
use crate::engine::{broken, refused};

pub(super) fn add(add: &mut Adder<'_>) {
    add.operation("ListExports", exports);
    add.operation("ListImports", imports);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    export_name: Option<String>,
    next_token: Option<String>,
}

async fn exports(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    let all = deployer.repository().exports(&call.scope).map_err(|e| broken(&e))?;
    let all = all
        .into_iter()
        .map(|(name, (value, stack))| json!({"ExportingStackId": stack.id(), "Name": name, "Value": value}));
    let (exports, next) = page(all.collect(), input.next_token.as_deref())?;
    Ok(compact(json!({"Exports": exports, "NextToken": next})))
}

async fn imports(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    let name = input.export_name.unwrap_or_default();
    let importers = deployer.repository().importers(&call.scope, &name).map_err(|e| broken(&e))?;
    if importers.is_empty() {
        return Err(refused(format!("Export '{name}' is not imported by any stack.")));
    }
    let (imports, next) = page(importers, input.next_token.as_deref())?;
    Ok(compact(json!({"Imports": imports, "NextToken": next})))
}
