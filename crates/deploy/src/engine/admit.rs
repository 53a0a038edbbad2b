//! Requests for operations: checked, planned, written down; then a job begins.

use std::collections::BTreeMap;

use serde_json::json;
use service::{Call, Fault};
use tracing::warn;

use super::keys::{self, StackKey};
use super::plan::Before;
use super::prepare::{Prepared, prepare, read};
use super::stored::{
    Goal, OnFailure, Operation, OperationKind, Phase, Source, Stack, StackStatus, StoredParameter, encode,
};
use super::{Change, Deployer, Plan, STACKS_MAX, capabilities, scope_of};
use crate::template::{self, Diagnostics, Given, ParameterKind, Pseudo};

/// Where a request's template comes from.
pub(crate) enum Template {
    Given(Source),
    Previous,
}

pub(crate) struct CreateRequest {
    pub name: String,
    pub source: Source,
    pub given: Vec<Given>,
    pub goal: Goal,
    pub on_failure: OnFailure,
    pub timeout_minutes: Option<u64>,
    pub termination_protection: bool,
    pub retain_except_on_create: bool,
    pub token: Option<String>,
}

pub(crate) struct UpdateRequest {
    pub stack: String,
    pub template: Template,
    pub given: Vec<Given>,
    pub goal: Goal,
    /// `None` keeps the stack's tags.
    pub tags: Option<Vec<(String, String)>>,
    pub disable_rollback: bool,
    pub retain_except_on_create: bool,
    pub token: Option<String>,
}

pub(crate) struct DeleteRequest {
    pub stack: String,
    pub retain: Vec<String>,
    pub token: Option<String>,
}

/// AWS's code for everything that is wrong with a request to CloudFormation.
pub(crate) fn refused(message: impl Into<String>) -> Fault {
    Fault::client("ValidationError", message)
}

pub(crate) fn faulty(found: &Diagnostics) -> Fault {
    refused(found.message())
}

pub(crate) fn broken(error: &store::Error) -> Fault {
    match error {
        store::Error::Retryable(_) => Fault::with_status(503, "ServiceUnavailable", error.to_string()),
        _ => Fault::internal(error.to_string()),
    }
}

pub(super) fn checked_name(name: &str) -> Result<(), Fault> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !fits {
        return Err(refused(format!(
            "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )));
    }
    if name.len() > 128 {
        return Err(refused(format!(
            "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must have \
             length less than or equal to 128"
        )));
    }
    Ok(())
}

/// What was planned, and with what.
pub(crate) struct Admitted {
    pub plan: Plan,
    pub goal: Goal,
}

impl Deployer {
    /// Makes a stack and begins to create its resources. Returns its id.
    pub(crate) async fn create_stack(&self, call: &Call, request: CreateRequest) -> Result<String, Fault> {
        checked_name(&request.name)?;
        if let Some(old) = self.repository().find(&call.scope, &request.name).map_err(|e| broken(&e))? {
            let same = request.token.is_some() && old.operation.as_ref().map(|o| &o.token) == request.token.as_ref();
            if same {
                return Ok(old.id());
            }
            return Err(already_exists(&request.name));
        }
        let mut stack = self.new_stack(call, &request.name, StackStatus::CreateInProgress);
        let admitted = self.admit(call, &stack, &request.source, &request.given, request.goal, true).await?;
        stack.disable_rollback = request.on_failure == OnFailure::Nothing;
        stack.timeout_minutes = request.timeout_minutes;
        stack.termination_protection = request.termination_protection;
        stack.current.description = admitted.goal.description.clone();
        stack.current.parameters = admitted.goal.parameters.clone();
        stack.current.tags = admitted.goal.tags.clone();
        stack.current.capabilities = admitted.goal.capabilities.clone();
        let begin = Begin {
            kind: OperationKind::Create,
            goal: admitted.goal,
            on_failure: request.on_failure,
            token: request.token,
            retain_except_on_create: request.retain_except_on_create,
        };
        let id = stack.id();
        self.insert(call, stack, |change| begin.apply(change, call, request.source)).await?;
        self.spawn(StackKey::new(&call.scope, uuid_of(&id)));
        Ok(id)
    }

    /// Begins an update; one that changes nothing is refused as AWS does.
    pub(crate) async fn update_stack(&self, call: &Call, request: UpdateRequest) -> Result<String, Fault> {
        let stack = self.existing(call, &request.stack)?;
        check_updatable(&stack)?;
        let key = StackKey::new(&call.scope, &stack.uuid);
        let source = self.source_of(&stack, request.template)?;
        let mut goal = request.goal;
        goal.tags = request.tags.unwrap_or_else(|| stack.current.tags.clone());
        let admitted = self.admit(call, &stack, &source, &request.given, goal, true).await?;
        if admitted.plan.is_empty() && admitted.goal.tags == stack.current.tags {
            return Err(refused("No updates are to be performed."));
        }
        let begin = Begin {
            kind: OperationKind::Update,
            goal: admitted.goal,
            on_failure: if request.disable_rollback { OnFailure::Nothing } else { OnFailure::Rollback },
            token: request.token,
            retain_except_on_create: request.retain_except_on_create,
        };
        self.begin(call, &key, begin, source).await?;
        Ok(stack.id())
    }

    /// Writes an operation into a stack that has none, and starts its job.
    pub(crate) async fn begin(&self, call: &Call, key: &StackKey, begin: Begin, source: Source) -> Result<(), Fault> {
        let written = self
            .write(key, |change| {
                if change.stack.operation.is_some() {
                    return Err(not_now(change.stack));
                }
                begin.apply(change, call, source);
                Ok(())
            })
            .await
            .map_err(|e| broken(&e))?;
        written?;
        self.spawn(key.clone());
        Ok(())
    }

    /// Begins a deletion. Of what is gone, it is done.
    pub(crate) async fn delete_stack(&self, call: &Call, request: DeleteRequest) -> Result<Option<StackKey>, Fault> {
        let Some(stack) = self.repository().find(&call.scope, &request.stack).map_err(|e| broken(&e))? else {
            return Ok(None);
        };
        if stack.status == StackStatus::DeleteComplete {
            return Ok(None);
        }
        let key = StackKey::new(&call.scope, &stack.uuid);
        for output in &stack.outputs {
            let Some(export) = &output.export else { continue };
            let importers = self.repository().importers(&call.scope, export).map_err(|e| broken(&e))?;
            if let Some(importer) = importers.iter().find(|i| **i != stack.name) {
                return Err(refused(format!("Export {export} cannot be deleted as it is in use by {importer}")));
            }
        }
        let token = request.token.unwrap_or_else(|| self.entropy().uuid());
        let started = self
            .write(&key, |change| {
                if change.stack.termination_protection {
                    return Err(refused(format!(
                        "Stack [{}] cannot be deleted while TerminationProtection is enabled",
                        change.stack.name
                    )));
                }
                if !request.retain.is_empty() && change.stack.status != StackStatus::DeleteFailed {
                    return Err(refused(format!(
                        "Invalid operation on stack [{}]. When you delete a stack, specify which resources to retain only \
                         when the stack is in the DELETE_FAILED state.",
                        change.stack.id()
                    )));
                }
                match &mut change.stack.operation {
                    Some(running) if running.kind == OperationKind::Delete => return Ok(false),
                    Some(running) if running.kind == OperationKind::Create => {
                        running.delete_next = true;
                        return Ok(false);
                    }
                    Some(_) => return Err(not_now(change.stack)),
                    None => {}
                }
                let operation = Operation {
                    token,
                    kind: OperationKind::Delete,
                    phase: Phase::Delete,
                    target: change.stack.current.clone(),
                    on_failure: OnFailure::Nothing,
                    started_ms: change.now.as_millis(),
                    endpoint: call.endpoint.to_string(),
                    principal: call.principal.to_string(),
                    retain: request.retain,
                    delete_next: false,
                    retain_except_on_create: false,
                };
                change.stack.operation = Some(operation);
                change.status(StackStatus::DeleteInProgress, Some("User Initiated"));
                change.batch.put(change.key.running(), encode(&()));
                Ok(true)
            })
            .await
            .map_err(|e| broken(&e))??;
        if started {
            self.spawn(key.clone());
        }
        Ok(Some(key))
    }

    /// Binds, prepares, checks capabilities and plans.
    pub(crate) async fn admit(
        &self,
        call: &Call,
        stack: &Stack,
        source: &Source,
        given: &[Given],
        mut goal: Goal,
        auto_expand: bool,
    ) -> Result<Admitted, Fault> {
        let (_, first) = read(source).map_err(|d| faulty(&d))?;
        goal.description = first.description.clone();
        goal.parameters = self.parameters(call, &first, given, stack).await?;
        let pseudo = pseudo(stack, &goal);
        let prepared = prepare(source, &goal.parameters, pseudo).map_err(|d| faulty(&d))?;
        capabilities::check(&prepared, &goal.capabilities, auto_expand)
            .map_err(|message| Fault::client("InsufficientCapabilitiesException", message))?;
        let plan = self.plan(stack, &prepared, &goal)?;
        for notice in &prepared.template.notices {
            warn!(stack = stack.name, %notice, "template asks for what is not done");
        }
        Ok(Admitted { plan, goal })
    }

    /// What would change if `prepared` became the stack.
    pub(crate) fn plan(&self, stack: &Stack, prepared: &Prepared, goal: &Goal) -> Result<Plan, Fault> {
        let key = StackKey::new(&scope_of(stack), &stack.uuid);
        let records = self.repository().records(&key).map_err(|e| broken(&e))?;
        let exports = self.repository().exports(&key.scope).map_err(|e| broken(&e))?;
        let exports: BTreeMap<String, String> = exports.into_iter().map(|(name, (value, _))| (name, value)).collect();
        let parameters = stack.current.parameters.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
        let before = Before { records: &records, exports: &exports, outputs: &stack.outputs, parameters: &parameters };
        Plan::make(prepared, &before, &goal.tags, &self.registry()).map_err(|d| faulty(&d))
    }

    /// The values of a template's parameters, parameter-store names resolved.
    async fn parameters(
        &self,
        call: &Call,
        template: &template::Template,
        given: &[Given],
        stack: &Stack,
    ) -> Result<Vec<StoredParameter>, Fault> {
        let previous = stack.current.parameters.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
        let bound = template::bind(&template.parameters, given, &previous).map_err(|d| faulty(&d))?;
        let mut stored = Vec::with_capacity(bound.len());
        for parameter in &template.parameters {
            let Some(value) = bound.get(&parameter.name) else { continue };
            let from_store = matches!(parameter.kind, ParameterKind::SsmText | ParameterKind::SsmTexts);
            let resolved = match from_store {
                false => None,
                true => Some(self.parameter_store(call, &parameter.name, &parameter.type_name, &value.text).await?),
            };
            stored.push(StoredParameter {
                key: parameter.name.clone(),
                value: value.text.clone(),
                resolved,
                no_echo: parameter.no_echo,
            });
        }
        Ok(stored)
    }

    async fn parameter_store(&self, call: &Call, parameter: &str, kind: &str, name: &str) -> Result<String, Fault> {
        let registry = self.registry();
        if !registry.has_operation("ssm", "GetParameter") {
            return Err(refused(format!(
                "Parameter {parameter}: the type {kind} is not supported: it needs ssm:GetParameter"
            )));
        }
        let answer = registry.call_value("ssm", "GetParameter", call.clone(), json!({"Name": name})).await;
        let value = answer.map_err(|fault| {
            refused(format!(
                "Unable to fetch parameters [{name}] from parameter store for this account. ({}: {})",
                fault.code, fault.message
            ))
        })?;
        Ok(value["Parameter"]["Value"].as_str().unwrap_or_default().to_owned())
    }

    /// A live stack, or AWS's refusal.
    pub(crate) fn existing(&self, call: &Call, name_or_id: &str) -> Result<Stack, Fault> {
        let found = self.repository().find(&call.scope, name_or_id).map_err(|e| broken(&e))?;
        found
            .filter(|s| s.status != StackStatus::DeleteComplete)
            .ok_or_else(|| refused(format!("Stack [{name_or_id}] does not exist")))
    }

    pub(crate) fn source_of(&self, stack: &Stack, template: Template) -> Result<Source, Fault> {
        match template {
            Template::Given(source) => Ok(source),
            Template::Previous => {
                let key = StackKey::new(&scope_of(stack), &stack.uuid);
                let number =
                    stack.current.source.ok_or_else(|| refused(format!("Stack [{}] has no template", stack.name)))?;
                let source = self.repository().source(&key, number).map_err(|e| broken(&e))?;
                source.ok_or_else(|| Fault::internal("the stack's template is gone"))
            }
        }
    }

    /// A stack that is not stored yet.
    pub(crate) fn new_stack(&self, call: &Call, name: &str, status: StackStatus) -> Stack {
        Stack {
            account: call.scope.account().to_owned(),
            region: call.scope.region().to_owned(),
            name: name.to_owned(),
            uuid: self.entropy().uuid(),
            status,
            reason: None,
            created_ms: self.now().as_millis(),
            updated_ms: None,
            deleted_ms: None,
            disable_rollback: false,
            timeout_minutes: None,
            termination_protection: false,
            change_set_id: None,
            current: Goal::default(),
            outputs: Vec::new(),
            imports: Vec::new(),
            operation: None,
            event_count: 0,
            source_count: 0,
            effect_count: 0,
        }
    }

    /// Stores a new stack under its name, unless the name was taken meanwhile.
    pub(crate) async fn insert(
        &self,
        call: &Call,
        mut stack: Stack,
        fill: impl FnOnce(&mut Change<'_>),
    ) -> Result<(), Fault> {
        let _guard = self.lock().await;
        let repository = self.repository();
        if repository.find(&call.scope, &stack.name).map_err(|e| broken(&e))?.is_some() {
            return Err(already_exists(&stack.name));
        }
        let stacks = repository.stacks(&call.scope).map_err(|e| broken(&e))?;
        if stacks.iter().filter(|s| s.status != StackStatus::DeleteComplete).count() >= STACKS_MAX {
            return Err(Fault::client(
                "LimitExceededException",
                format!("Limit for stack has been exceeded ({STACKS_MAX})"),
            ));
        }
        let key = StackKey::new(&call.scope, &stack.uuid);
        let mut change = Change {
            key: key.clone(),
            stack: &mut stack,
            batch: store::Batch::new(),
            now: self.now(),
            entropy: self.entropy(),
        };
        fill(&mut change);
        let mut batch = change.batch;
        batch.put(key.stack(), encode(&stack));
        batch.put(keys::name(&call.scope, &stack.name), encode(&stack.uuid));
        self.commit(batch).await.map_err(|e| broken(&e))
    }
}

/// An operation that begins.
pub(crate) struct Begin {
    pub kind: OperationKind,
    pub goal: Goal,
    pub on_failure: OnFailure,
    pub token: Option<String>,
    pub retain_except_on_create: bool,
}

impl Begin {
    pub fn apply(self, change: &mut Change<'_>, call: &Call, source: Source) {
        let number = change.stack.source_count;
        change.stack.source_count += 1;
        let source_key = change.key.source(number);
        change.put(source_key, &source);
        let mut target = self.goal;
        target.source = Some(number);
        let (status, updated) = match self.kind {
            OperationKind::Update => (StackStatus::UpdateInProgress, Some(change.now.as_millis())),
            _ => (StackStatus::CreateInProgress, change.stack.updated_ms),
        };
        change.stack.updated_ms = updated;
        change.stack.operation = Some(Operation {
            token: self.token.unwrap_or_else(|| change.entropy.uuid()),
            kind: self.kind,
            phase: Phase::Forward,
            target,
            on_failure: self.on_failure,
            started_ms: change.now.as_millis(),
            endpoint: call.endpoint.to_string(),
            principal: call.principal.to_string(),
            retain: Vec::new(),
            delete_next: false,
            retain_except_on_create: self.retain_except_on_create,
        });
        change.status(status, Some("User Initiated"));
        change.batch.put(change.key.running(), encode(&()));
    }
}

pub(crate) fn check_updatable(stack: &Stack) -> Result<(), Fault> {
    if stack.operation.is_some() || !stack.status.is_updatable() {
        return Err(not_now(stack));
    }
    Ok(())
}

fn not_now(stack: &Stack) -> Fault {
    refused(format!("Stack:{} is in {} state and can not be updated.", stack.id(), stack.status.name()))
}

pub(crate) fn already_exists(name: &str) -> Fault {
    Fault::client("AlreadyExistsException", format!("Stack [{name}] already exists"))
}

pub(crate) fn uuid_of(stack_id: &str) -> &str {
    stack_id.rsplit('/').next().unwrap_or(stack_id)
}

pub(crate) fn pseudo(stack: &Stack, goal: &Goal) -> Pseudo {
    Pseudo {
        account: stack.account.clone(),
        region: stack.region.clone(),
        stack_name: stack.name.clone(),
        stack_id: stack.id(),
        notification_arns: goal.notification_arns.clone(),
    }
}
