use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::{need, nothing};
use crate::Functions;
use crate::catalogue::record::PolicyRecord;
use crate::catalogue::{Editor, Function};
use crate::fault::{conflict, constraint, function_not_found, not_found, precondition_failed};
use crate::name::{Named, is_word};

/// AWS's bound for one resource policy.
const POLICY_BYTES_MAX: usize = 20 * 1024;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PermissionInput {
    function_name: Option<String>,
    qualifier: Option<String>,
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    event_source_token: Option<String>,
    function_url_auth_type: Option<String>,
    revision_id: Option<String>,
}

impl PermissionInput {
    fn parse(&self, call: &Call) -> Result<Named, Fault> {
        Named::parse(&call.scope, need(self.function_name.as_ref(), "functionName")?, self.qualifier.as_deref())
    }

    fn statement(&self, named: &Named) -> Result<Value, Fault> {
        let id = need(self.statement_id.as_ref(), "statementId")?;
        if !is_word(id) || id.len() > 100 {
            return Err(constraint(id, "statementId", "satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"));
        }
        let action = need(self.action.as_ref(), "action")?;
        if action != "*" && !action.starts_with("lambda:") {
            let must = "satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])";
            return Err(constraint(action, "action", must));
        }
        let mut statement = json!({
            "Sid": id,
            "Effect": "Allow",
            "Principal": principal(need(self.principal.as_ref(), "principal")?),
            "Action": action,
            "Resource": named.arn(),
        });
        let conditions = [
            ("ArnLike", "AWS:SourceArn", &self.source_arn),
            ("StringEquals", "AWS:SourceAccount", &self.source_account),
            ("StringEquals", "aws:PrincipalOrgID", &self.principal_org_id),
            ("StringEquals", "lambda:EventSourceToken", &self.event_source_token),
            ("StringEquals", "lambda:FunctionUrlAuthType", &self.function_url_auth_type),
        ];
        for (operator, name, value) in conditions {
            if let Some(value) = value {
                statement["Condition"][operator][name] = value.as_str().into();
            }
        }
        Ok(statement)
    }
}

/// A service by its name, an account by its root, an identity by its ARN, or everybody.
fn principal(given: &str) -> Value {
    match given {
        "*" => "*".into(),
        account if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            json!({"AWS": format!("arn:aws:iam::{account}:root")})
        }
        arn if arn.starts_with("arn:") => json!({"AWS": arn}),
        service => json!({"Service": service}),
    }
}

/// The policy's place in the record; the resource must be there.
fn place(function: &Function, named: &Named) -> Result<String, Fault> {
    match function.target(named.qualifier.as_deref()) {
        Some(_) => Ok(named.qualifier.clone().unwrap_or_default()),
        None => Err(function_not_found(&named.arn())),
    }
}

fn check_revision(policy: Option<&PolicyRecord>, given: Option<&String>) -> Result<(), Fault> {
    match (policy, given) {
        (Some(policy), Some(given)) if policy.revision_id != *given => Err(precondition_failed("GetPolicy")),
        _ => Ok(()),
    }
}

pub(super) async fn add_permission(
    functions: Arc<Functions>,
    call: Call,
    input: PermissionInput,
) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let statement = input.statement(&named)?;
    let revision_id = functions.revision_id();
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
        let place = place(&old, &named)?;
        check_revision(old.record.policies.get(&place), input.revision_id.as_ref())?;
        let mut statements = old.record.policies.get(&place).map(|p| p.statements.clone()).unwrap_or_default();
        if statements.iter().any(|s| s["Sid"] == statement["Sid"]) {
            let id = statement["Sid"].as_str().unwrap_or_default();
            return Err(conflict(format!(
                "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the \
                 existing statement."
            )));
        }
        statements.push(statement.clone());
        if document(&statements).len() > POLICY_BYTES_MAX {
            return Err(Fault::client(
                "PolicyLengthExceededException",
                format!("The final policy size is bigger than the limit ({POLICY_BYTES_MAX})."),
            ));
        }
        let policy = PolicyRecord { revision_id, statements };
        editor.put_function(&named.key, old.edited(|record| drop(record.policies.insert(place, policy))));
        Ok(json!({"Statement": statement.to_string()}))
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn remove_permission(
    functions: Arc<Functions>,
    call: Call,
    input: PermissionInput,
) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let id = need(input.statement_id.as_ref(), "statementId")?.to_owned();
    let revision_id = functions.revision_id();
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
        let place = place(&old, &named)?;
        let policy = old.record.policies.get(&place);
        check_revision(policy, input.revision_id.as_ref())?;
        let Some(policy) = policy.filter(|p| p.statements.iter().any(|s| s["Sid"] == id.as_str())) else {
            return Err(not_found(format!("Statement {id} is not found in resource policy.")));
        };
        let mut policy = PolicyRecord { revision_id, ..policy.clone() };
        policy.statements.retain(|s| s["Sid"] != id.as_str());
        let function = old.edited(|record| {
            if policy.statements.is_empty() {
                record.policies.remove(&place);
            } else {
                record.policies.insert(place, policy);
            }
        });
        editor.put_function(&named.key, function);
        Ok(nothing())
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn get_policy(functions: Arc<Functions>, call: Call, input: PermissionInput) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let function = functions.catalogue.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
    let place = place(&function, &named)?;
    let policy = function.record.policies.get(&place);
    let policy = policy.ok_or_else(|| not_found("The resource you requested does not exist."))?;
    Ok(json!({"Policy": document(&policy.statements), "RevisionId": policy.revision_id}))
}

fn document(statements: &[Value]) -> String {
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string()
}
