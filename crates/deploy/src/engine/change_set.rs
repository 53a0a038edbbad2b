//! Change sets: a plan that is kept, and carried out when asked.

use service::{Call, Fault};

use super::admit::{Begin, Template, broken, check_updatable, refused};
use super::keys::StackKey;
use super::stored::{ChangeSet, Goal, OnFailure, OperationKind, Stack, StackStatus, encode};
use super::{Deployer, Plan, scope_of};
use crate::template::Given;

/// Change sets that one stack may have.
const CHANGE_SETS_MAX: usize = 100;

const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

pub(crate) struct ChangeSetRequest {
    pub stack: String,
    pub name: String,
    pub kind: OperationKind,
    pub template: Template,
    pub given: Vec<Given>,
    pub goal: Goal,
    pub tags: Option<Vec<(String, String)>>,
    pub description: Option<String>,
    pub on_failure: Option<OnFailure>,
}

/// A change set with its stack.
pub(crate) struct Found {
    pub stack: Stack,
    pub change_set: ChangeSet,
}

impl Found {
    pub fn id(&self) -> String {
        change_set_id(&self.stack, &self.change_set)
    }

    /// The execution status as it is now.
    pub fn execution(&self) -> &str {
        let ours = self.stack.change_set_id.as_deref() == Some(&self.id());
        match self.change_set.execution.as_str() {
            "AVAILABLE" if self.change_set.base != self.stack.current.source => "OBSOLETE",
            "EXECUTE_IN_PROGRESS" if ours && self.stack.operation.is_some() => "EXECUTE_IN_PROGRESS",
            "EXECUTE_IN_PROGRESS" => match self.stack.status {
                StackStatus::CreateComplete | StackStatus::UpdateComplete => "EXECUTE_COMPLETE",
                _ => "EXECUTE_FAILED",
            },
            other => other,
        }
    }
}

pub(crate) fn change_set_id(stack: &Stack, change_set: &ChangeSet) -> String {
    let Stack { account, region, .. } = stack;
    format!("arn:aws:cloudformation:{region}:{account}:changeSet/{}/{}", change_set.name, change_set.uuid)
}

fn not_found(name: &str) -> Fault {
    Fault::with_status(404, "ChangeSetNotFoundException", format!("ChangeSet [{name}] does not exist"))
        .query_code("ChangeSetNotFound")
}

fn wrong_status(found: &Found, what: &str, status: &str) -> Fault {
    let message = format!("ChangeSet [{}] cannot be {what} in its current status of [{status}]", found.id());
    Fault::client("InvalidChangeSetStatusException", message).query_code("InvalidChangeSetStatus")
}

impl Deployer {
    /// Plans and keeps a change set; one for a new stack makes the stack too, for review.
    ///
    /// The answer is the change set's id and the stack's.
    pub(crate) async fn create_change_set(
        &self,
        call: &Call,
        request: ChangeSetRequest,
    ) -> Result<(String, String), Fault> {
        check_change_set_name(&request.name)?;
        let existing = self.repository().find(&call.scope, &request.stack).map_err(|e| broken(&e))?;
        let existing = existing.filter(|s| s.status != StackStatus::DeleteComplete);
        let reviewed = existing.as_ref().is_some_and(|s| s.status == StackStatus::ReviewInProgress);
        let create = request.kind == OperationKind::Create;
        match (&existing, create) {
            (Some(_), true) if !reviewed => {
                return Err(refused(format!(
                    "Stack [{}] already exists and cannot be created again with the changeSet [{}].",
                    request.stack, request.name
                )));
            }
            (Some(_), false) if reviewed => return Err(refused(format!("Stack [{}] does not exist", request.stack))),
            (Some(stack), false) => check_updatable(stack)?,
            (None, false) => return Err(refused(format!("Stack [{}] does not exist", request.stack))),
            _ => {}
        }
        let is_new = existing.is_none();
        let stack = match existing {
            Some(stack) => stack,
            None => {
                super::admit::checked_name(&request.stack)?;
                self.new_stack(call, &request.stack, StackStatus::ReviewInProgress)
            }
        };
        let source = self.source_of(&stack, request.template)?;
        let mut goal = request.goal;
        goal.tags = request.tags.unwrap_or_else(|| stack.current.tags.clone());
        let admitted = self.admit(call, &stack, &source, &request.given, goal, false).await?;
        let nothing = admitted.plan.is_empty() && admitted.goal.tags == stack.current.tags;
        let (status, execution) = if nothing { ("FAILED", "UNAVAILABLE") } else { ("CREATE_COMPLETE", "AVAILABLE") };
        let change_set = ChangeSet {
            name: request.name.clone(),
            uuid: self.entropy().uuid(),
            created_ms: self.now().as_millis(),
            description: request.description,
            kind: request.kind,
            status: status.to_owned(),
            reason: nothing.then(|| NO_CHANGES.to_owned()),
            execution: execution.to_owned(),
            goal: admitted.goal,
            source,
            changes: admitted.plan.to_json(),
            on_failure: request.on_failure,
            base: stack.current.source,
        };
        let ids = (change_set_id(&stack, &change_set), stack.id());
        if is_new {
            self.insert(call, stack, |change| {
                change.stack.current.description = change_set.goal.description.clone();
                change.status(StackStatus::ReviewInProgress, Some("User Initiated"));
                let key = change.key.change_set(&change_set.name);
                change.put(key, &change_set);
            })
            .await?;
            return Ok(ids);
        }
        self.keep_change_set(&stack, &change_set).await?;
        Ok(ids)
    }

    async fn keep_change_set(&self, stack: &Stack, change_set: &ChangeSet) -> Result<(), Fault> {
        let key = StackKey::new(&scope_of(stack), &stack.uuid);
        let _guard = self.lock().await;
        let kept = self.repository().change_sets(&key).map_err(|e| broken(&e))?;
        if kept.iter().any(|c| c.name == change_set.name) {
            let message = format!("ChangeSet {} already exists", change_set.name);
            return Err(Fault::client("AlreadyExistsException", message));
        }
        if kept.len() >= CHANGE_SETS_MAX {
            let message = format!("ChangeSet limit exceeded for stack {} ({CHANGE_SETS_MAX})", stack.name);
            return Err(Fault::client("LimitExceededException", message));
        }
        let mut batch = store::Batch::new();
        batch.put(key.change_set(&change_set.name), encode(change_set));
        self.commit(batch).await.map_err(|e| broken(&e))
    }

    /// A change set by its name and stack, or by its id alone.
    pub(crate) fn change_set(&self, call: &Call, name_or_id: &str, stack: Option<&str>) -> Result<Found, Fault> {
        let repository = self.repository();
        let (name, uuid) = match name_or_id.split_once(":changeSet/").and_then(|(_, rest)| rest.split_once('/')) {
            Some((name, uuid)) => (name, Some(uuid)),
            None => (name_or_id, None),
        };
        let stacks = match stack {
            Some(stack) => {
                let found = repository.find(&call.scope, stack).map_err(|e| broken(&e))?;
                vec![found.ok_or_else(|| refused(format!("Stack [{stack}] does not exist")))?]
            }
            None if uuid.is_some() => repository.stacks(&call.scope).map_err(|e| broken(&e))?,
            None => return Err(refused("StackName must be specified if ChangeSetName is not specified as an ARN.")),
        };
        for stack in stacks {
            let key = StackKey::new(&call.scope, &stack.uuid);
            let found = repository.change_set(&key, name).map_err(|e| broken(&e))?;
            if let Some(change_set) = found.filter(|c| uuid.is_none_or(|u| u == c.uuid)) {
                return Ok(Found { stack, change_set });
            }
        }
        Err(not_found(name_or_id))
    }

    /// Carries a change set out; the stack's others are deleted with it.
    pub(crate) async fn execute_change_set(
        &self,
        call: &Call,
        found: Found,
        disable_rollback: bool,
        retain_except_on_create: bool,
        token: Option<String>,
    ) -> Result<StackKey, Fault> {
        if found.change_set.status != "CREATE_COMPLETE" {
            return Err(wrong_status(&found, "executed", &found.change_set.status));
        }
        if found.execution() != "AVAILABLE" {
            return Err(wrong_status(&found, "executed", found.execution()));
        }
        let key = StackKey::new(&call.scope, &found.stack.uuid);
        let id = found.id();
        let Found { change_set, stack } = found;
        if change_set.kind == OperationKind::Update {
            check_updatable(&stack)?;
        }
        let chosen = change_set.on_failure.unwrap_or(OnFailure::Rollback);
        let others = self.repository().change_sets(&key).map_err(|e| broken(&e))?;
        let begin = Begin {
            kind: change_set.kind,
            goal: change_set.goal.clone(),
            on_failure: if disable_rollback { OnFailure::Nothing } else { chosen },
            token,
            retain_except_on_create,
        };
        let written = self
            .write(&key, |change| {
                if change.stack.operation.is_some() {
                    return Err(refused(format!(
                        "Stack:{} is in {} state and can not be updated.",
                        change.stack.id(),
                        change.stack.status.name()
                    )));
                }
                if change_set.kind == OperationKind::Create {
                    change.stack.disable_rollback = begin.on_failure == OnFailure::Nothing;
                    change.stack.current.parameters = change_set.goal.parameters.clone();
                    change.stack.current.tags = change_set.goal.tags.clone();
                    change.stack.current.capabilities = change_set.goal.capabilities.clone();
                }
                for other in others.iter().filter(|o| o.name != change_set.name) {
                    let key = change.key.change_set(&other.name);
                    change.batch.delete(key);
                }
                change.stack.change_set_id = Some(id);
                let executed = ChangeSet { execution: "EXECUTE_IN_PROGRESS".to_owned(), ..change_set.clone() };
                let key = change.key.change_set(&change_set.name);
                change.put(key, &executed);
                begin.apply(change, call, change_set.source.clone());
                Ok(())
            })
            .await
            .map_err(|e| broken(&e))?;
        written?;
        self.spawn(key.clone());
        Ok(key)
    }

    /// Deletes a change set that is not being carried out.
    pub(crate) async fn delete_change_set(&self, found: &Found) -> Result<(), Fault> {
        if found.execution() == "EXECUTE_IN_PROGRESS" {
            return Err(wrong_status(found, "deleted", found.execution()));
        }
        let key = StackKey::new(&scope_of(&found.stack), &found.stack.uuid);
        let _guard = self.lock().await;
        let mut batch = store::Batch::new();
        batch.delete(key.change_set(&found.change_set.name));
        self.commit(batch).await.map_err(|e| broken(&e))
    }
}

fn check_change_set_name(name: &str) -> Result<(), Fault> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits {
        return Ok(());
    }
    Err(refused(format!(
        "1 validation error detected: Value '{name}' at 'changeSetName' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

impl Plan {
    /// The changes as DescribeChangeSet tells them.
    pub fn to_json(&self) -> Vec<serde_json::Value> {
        let change = |c: &super::plan::PlannedChange| {
            let mut resource = serde_json::json!({
                "Action": c.action,
                "LogicalResourceId": c.logical_id,
                "ResourceType": c.resource_type,
                "Scope": c.scope,
                "Details": c.details,
            });
            if let Some(id) = &c.physical_id {
                resource["PhysicalResourceId"] = id.clone().into();
            }
            if let Some(replacement) = c.replacement {
                resource["Replacement"] = replacement.into();
            }
            serde_json::json!({"Type": "Resource", "ResourceChange": resource})
        };
        self.changes.iter().map(change).collect()
    }
}
