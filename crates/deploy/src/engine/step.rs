//! One resource's step: decide, write down, call, write down what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use service::EffectId;
use store::Error;

use super::environment::Live;
use super::keys::StackKey;
use super::names::physical_name;
use super::plan::{settings_changed, stored_policy};
use super::prepare::Prepared;
use super::stored::{Action, Instance, Intent, Operation, Record, Stack, StoredPolicy, Touched};
use super::{Change, Deployer, Told, dynamic};
use crate::provider::{self, Context, Failure, Made, Provider};
use crate::template::{Node, Resource};

/// Longer properties are not told in events.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// An operation on its way forward.
pub(super) struct Job<'a> {
    pub key: &'a StackKey,
    pub stack: &'a Stack,
    pub operation: &'a Operation,
    pub prepared: &'a Prepared,
    pub exports: &'a BTreeMap<String, String>,
}

/// A step that did not succeed.
pub(super) struct Failed {
    /// What failed: `create` or `update`.
    pub verb: &'static str,
}

/// What to do with a resource.
enum Decision {
    Nothing,
    Act(Intent),
    Refuse(Action, String),
}

/// What a call needs to know about whom it is for.
pub(super) struct Caller<'a> {
    pub key: &'a StackKey,
    pub endpoint: &'a str,
    pub principal: &'a str,
    pub token: &'a str,
}

/// One call of a provider.
pub(super) struct Attempt<'a> {
    pub logical_id: &'a str,
    pub name: &'a str,
    pub named: bool,
    pub effect: Option<u64>,
    pub retry: bool,
}

impl<'a> Attempt<'a> {
    /// A change or deletion of what is there: it may have happened before, and makes nothing.
    pub fn on(logical_id: &'a str, physical_id: &'a str) -> Attempt<'a> {
        Attempt { logical_id, name: physical_id, named: false, effect: None, retry: true }
    }
}

impl<'a> Caller<'a> {
    pub fn of(key: &'a StackKey, operation: &'a Operation) -> Caller<'a> {
        Caller { key, endpoint: &operation.endpoint, principal: &operation.principal, token: &operation.token }
    }
}

impl Job<'_> {
    /// Brings one resource to what the template says.
    pub async fn step(
        &self,
        deployer: &Deployer,
        records: &mut BTreeMap<String, Record>,
        resource: &Resource,
        needs: &BTreeSet<String>,
        order: u32,
    ) -> Result<Result<(), Failed>, Error> {
        let id = resource.logical_id.as_str();
        let mut record = records.remove(id).unwrap_or_else(|| new_record(resource));
        let done = record.touched.as_ref().is_some_and(|t| t.token == self.operation.token);
        if done && record.intent.is_none() {
            // Stopped between a failure and what follows from it.
            let failed = match record.status.as_str() {
                "CREATE_FAILED" => Err(Failed { verb: "create" }),
                "UPDATE_FAILED" => Err(Failed { verb: "update" }),
                _ => Ok(()),
            };
            records.insert(id.to_owned(), record);
            return Ok(failed);
        }
        let decision = match record.intent.clone() {
            // Interrupted: the same call once more.
            Some(intent) => {
                let outcome = self.act(deployer, &mut record, resource, intent, true).await?;
                records.insert(id.to_owned(), record);
                return Ok(outcome);
            }
            None => {
                if let Err(failed) = self.remove_half_made(deployer, &mut record, resource).await? {
                    records.insert(id.to_owned(), record);
                    return Ok(Err(failed));
                }
                self.decide(deployer, records, &record, resource, order)
            }
        };
        let outcome = match decision {
            Decision::Nothing => {
                self.keep(deployer, &mut record, resource, needs).await?;
                Ok(())
            }
            Decision::Refuse(action, reason) => {
                self.refuse(deployer, &mut record, resource, action, &reason).await?;
                Err(Failed { verb: verb(action) })
            }
            Decision::Act(intent) => {
                let intent = self.begin(deployer, &mut record, resource, needs, intent).await?;
                self.act(deployer, &mut record, resource, intent, false).await?
            }
        };
        records.insert(id.to_owned(), record);
        Ok(outcome)
    }

    /// What a failed creation left without a rollback goes before the next attempt: their names may be the same.
    async fn remove_half_made(
        &self,
        deployer: &Deployer,
        record: &mut Record,
        resource: &Resource,
    ) -> Result<Result<(), Failed>, Error> {
        let Some(old) = record.instance.clone().filter(|i| i.half_done && record.status == "CREATE_FAILED") else {
            return Ok(Ok(()));
        };
        let removed = deployer.delete_instance(self.key, self.operation, &resource.logical_id, &old).await;
        match removed {
            Ok(()) => {
                record.instance = None;
                record.touched = None;
                let id = resource.logical_id.clone();
                deployer.write(self.key, |change| change.put(change.key.resource(&id), record)).await?;
                Ok(Ok(()))
            }
            Err(message) => {
                self.refuse(deployer, record, resource, Action::Create, &message).await?;
                Ok(Err(Failed { verb: "create" }))
            }
        }
    }

    fn decide(
        &self,
        deployer: &Deployer,
        records: &BTreeMap<String, Record>,
        record: &Record,
        resource: &Resource,
        order: u32,
    ) -> Decision {
        let exists = record.instance.is_some();
        let first = if exists { Action::Update } else { Action::Create };
        let live = Live::new(records, self.exports);
        let wanted = match self.prepared.properties(resource, &live, &self.operation.target.tags) {
            Ok(wanted) => wanted,
            Err(found) => return Decision::Refuse(first, found.message()),
        };
        let Some(provider) = provider::find(&resource.resource_type) else {
            return Decision::Refuse(first, super::prepare::unsupported(resource).to_string());
        };
        let action = match &record.instance {
            None => Action::Create,
            Some(old) if old.properties == wanted && !old.half_done => return Decision::Nothing,
            Some(old) if provider.replaces(&old.properties, &wanted) => {
                if let Some(name) = kept_name(provider, &old.properties, &wanted) {
                    let message = format!(
                        "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename \
                         {name} and update the stack again."
                    );
                    return Decision::Refuse(Action::Update, message);
                }
                Action::Replace
            }
            Some(_) => Action::Update,
        };
        let name = match (&record.instance, action) {
            (Some(old), Action::Update) => old.physical_id.clone(),
            _ => {
                physical_name(provider.name_rule(), &wanted, &self.stack.name, &resource.logical_id, deployer.entropy())
            }
        };
        Decision::Act(Intent { action, name, properties: wanted, order, effect: 0 })
    }

    /// Nothing to call: only what the template says beside the properties is taken over.
    async fn keep(
        &self,
        deployer: &Deployer,
        record: &mut Record,
        resource: &Resource,
        needs: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let needs_changed = !record.needs.iter().eq(needs.iter());
        if settings_changed(record, resource).is_empty() && !needs_changed {
            return Ok(());
        }
        take_over(record, resource, needs);
        let id = resource.logical_id.clone();
        deployer.write(self.key, |change| change.put(change.key.resource(&id), record)).await
    }

    /// The step fails before anything is called.
    async fn refuse(
        &self,
        deployer: &Deployer,
        record: &mut Record,
        resource: &Resource,
        action: Action,
        reason: &str,
    ) -> Result<(), Error> {
        record.intent = None;
        deployer
            .write(self.key, |change| self.tell(change, record, resource, status(action, "FAILED"), Some(reason), None))
            .await
    }

    /// Writes down what is about to be called.
    async fn begin(
        &self,
        deployer: &Deployer,
        record: &mut Record,
        resource: &Resource,
        needs: &BTreeSet<String>,
        mut intent: Intent,
    ) -> Result<Intent, Error> {
        let reason = (intent.action == Action::Replace)
            .then_some("Requested update requires the creation of a new physical resource; hence creating one.");
        let shown = self.shown(&intent.properties);
        deployer
            .write(self.key, |change| {
                intent.effect = change.stack.effect_count;
                change.stack.effect_count += 1;
                take_over(record, resource, needs);
                record.intent = Some(intent.clone());
                // An operation that failed without a rollback may have left what it replaced.
                let older = record.touched.take().and_then(|t| t.before);
                let current = record.instance.as_ref().map(|i| i.physical_id.clone());
                record.garbage.extend(older.filter(|o| current.as_ref() != Some(&o.physical_id)));
                record.touched = Some(Touched { token: self.operation.token.clone(), before: record.instance.clone() });
                let effect = change.key.effect(intent.effect);
                change.put(effect, &resource.logical_id);
                self.tell(change, record, resource, status(intent.action, "IN_PROGRESS"), reason, shown);
            })
            .await?;
        Ok(intent)
    }

    /// Calls, and writes down the outcome.
    async fn act(
        &self,
        deployer: &Deployer,
        record: &mut Record,
        resource: &Resource,
        intent: Intent,
        retry: bool,
    ) -> Result<Result<(), Failed>, Error> {
        let result = self.call(deployer, record, resource, &intent, retry).await;
        let shown = self.shown(&intent.properties);
        let made = |made: Made, half_done| Instance {
            physical_id: made.physical_id,
            resource_type: resource.resource_type.clone(),
            properties: intent.properties.clone(),
            attributes: made.attributes,
            order: intent.order,
            half_done,
        };
        record.intent = None;
        let (failure, instance) = match result {
            Ok(result) => (None, Some(made(result, false))),
            Err(failure) => {
                let part = match (intent.action, &failure.physical_id, &record.instance) {
                    // What a failed creation left is the rollback's to remove.
                    (Action::Create | Action::Replace, Some(physical_id), _) => {
                        Some(made(Made::new(physical_id.clone(), []), true))
                    }
                    // Half of an update may be done: the rollback starts from there.
                    (Action::Update, _, Some(old)) => {
                        Some(Instance { properties: intent.properties.clone(), half_done: true, ..old.clone() })
                    }
                    (_, _, old) => old.clone(),
                };
                (Some(failure), part)
            }
        };
        record.instance = instance;
        deployer
            .write(self.key, |change| {
                let effect = change.key.effect(intent.effect);
                change.batch.delete(effect);
                let (ending, reason) = match &failure {
                    None => ("COMPLETE", None),
                    Some(failure) => ("FAILED", Some(failure.message.as_str())),
                };
                if failure.is_none() && intent.action != Action::Update {
                    let initiated = Some("Resource creation Initiated");
                    self.tell(change, record, resource, status(intent.action, "IN_PROGRESS"), initiated, shown.clone());
                }
                self.tell(change, record, resource, status(intent.action, ending), reason, shown);
            })
            .await?;
        Ok(if failure.is_some() { Err(Failed { verb: verb(intent.action) }) } else { Ok(()) })
    }

    async fn call(
        &self,
        deployer: &Deployer,
        record: &Record,
        resource: &Resource,
        intent: &Intent,
        retry: bool,
    ) -> Result<Made, Failure> {
        let provider = provider::find(&resource.resource_type)
            .ok_or_else(|| Failure::new(super::prepare::unsupported(resource).to_string()))?;
        let rule = provider.name_rule();
        let attempt = Attempt {
            logical_id: &resource.logical_id,
            name: &intent.name,
            named: rule.is_some_and(|r| intent.properties.get(r.property).is_some()),
            effect: Some(intent.effect),
            retry,
        };
        deployer
            .with_context(&Caller::of(self.key, self.operation), attempt, async |ctx| {
                let wanted = dynamic::resolve(ctx, &intent.properties).await?;
                match (&record.instance, intent.action) {
                    (Some(old), Action::Update) => {
                        // Of what is half done nothing is sure: everything is set again.
                        let nothing = Value::Object(serde_json::Map::new());
                        let before = if old.half_done { &nothing } else { &old.properties };
                        provider.update(ctx, &old.physical_id, before, &wanted).await
                    }
                    _ => provider.create(ctx, &wanted).await,
                }
            })
            .await
    }

    /// Writes a record together with its event.
    fn tell(
        &self,
        change: &mut Change<'_>,
        record: &mut Record,
        resource: &Resource,
        status: String,
        reason: Option<&str>,
        properties: Option<String>,
    ) {
        record.status = status;
        record.reason = reason.map(str::to_owned);
        record.changed_ms = change.now.as_millis();
        change.event(Told {
            logical_id: &resource.logical_id,
            physical_id: record.instance.as_ref().map_or("", |i| &i.physical_id),
            resource_type: &resource.resource_type,
            status: &record.status,
            reason,
            properties,
        });
        change.put(change.key.resource(&resource.logical_id), record);
    }

    /// Properties as an event shows them: the values of NoEcho parameters are stars, and what is long is left out.
    fn shown(&self, properties: &Value) -> Option<String> {
        let secrets = self.operation.target.parameters.iter().filter(|p| p.no_echo && !p.value.is_empty());
        let mut shown = properties.clone();
        for secret in secrets {
            mask(&mut shown, &secret.value);
        }
        Some(shown.to_string()).filter(|text| text.len() <= SHOWN_BYTES_MAX)
    }
}

fn mask(value: &mut Value, secret: &str) {
    match value {
        Value::String(text) if text.contains(secret) => *text = text.replace(secret, "****"),
        Value::Array(items) => items.iter_mut().for_each(|v| mask(v, secret)),
        Value::Object(members) => members.values_mut().for_each(|v| mask(v, secret)),
        _ => {}
    }
}

impl Deployer {
    /// Runs a provider's call under the time limit of resources.
    pub(super) async fn with_context<T>(
        &self,
        caller: &Caller<'_>,
        attempt: Attempt<'_>,
        run: impl AsyncFnOnce(&Context<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let registry = self.registry();
        let ctx = Context {
            registry: &registry,
            scope: caller.key.scope.clone(),
            principal: Arc::from(caller.principal),
            endpoint: Arc::from(caller.endpoint),
            request_id: Arc::from(caller.token),
            logical_id: attempt.logical_id,
            name: attempt.name,
            named: attempt.named,
            retry: attempt.retry,
            entropy: self.entropy(),
            effect: attempt.effect.map(|number| EffectId::new(&caller.key.effect(number))),
            effect_used: AtomicBool::new(false),
        };
        let limit = self.options().resource_timeout;
        match tokio::time::timeout(limit, run(&ctx)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(format!("Resource timed out after {} s", limit.as_secs()))),
        }
    }
}

/// A name that the template gave, and gives again although the resource must be replaced.
fn kept_name<'a>(provider: &dyn Provider, old: &'a Value, wanted: &Value) -> Option<&'a str> {
    let property = provider.name_rule()?.property;
    let name = old.get(property)?.as_str()?;
    (wanted.get(property)?.as_str()? == name).then_some(name)
}

fn new_record(resource: &Resource) -> Record {
    Record {
        logical_id: resource.logical_id.clone(),
        resource_type: resource.resource_type.clone(),
        status: String::new(),
        reason: None,
        changed_ms: 0,
        needs: Vec::new(),
        deletion_policy: StoredPolicy::Delete,
        update_replace_policy: StoredPolicy::Delete,
        metadata: None,
        instance: None,
        touched: None,
        intent: None,
        garbage: Vec::new(),
    }
}

fn take_over(record: &mut Record, resource: &Resource, needs: &BTreeSet<String>) {
    record.resource_type = resource.resource_type.clone();
    record.needs = needs.iter().cloned().collect();
    record.deletion_policy = stored_policy(resource.deletion_policy);
    record.update_replace_policy = stored_policy(resource.update_replace_policy);
    record.metadata = resource.metadata.as_ref().map(Node::to_json);
}

fn status(action: Action, ending: &str) -> String {
    match action {
        Action::Create => format!("CREATE_{ending}"),
        Action::Replace | Action::Update => format!("UPDATE_{ending}"),
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Replace | Action::Update => "update",
    }
}
