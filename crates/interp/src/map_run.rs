//! What the engine needs of a Map state in DISTRIBUTED mode besides [`crate::RunMapRun`]: the input of each child
//! execution, and the state machine that it runs.

use std::sync::Arc;

use asl::{Branch, Map, State, StateKind, StateMachine, Template, Variables};
use base::Timestamp;
use serde_json::{Map as Object, Value};

use crate::failure::Failure;
use crate::payload::Payload;
use crate::{RestoreError, SelectorScene};

/// One item of a Map Run, as the context object tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    pub index: u64,
    /// JSON text.
    pub value: &'a str,
    /// The member's name, where the items are the members of an object.
    pub key: Option<&'a str>,
    /// Where the item was read from, as `$$.Map.Item.Source` tells it.
    pub source: Option<&'a str>,
}

/// Why an item has no input for its child execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {cause}")]
pub struct SelectError {
    pub error: Arc<str>,
    pub cause: Arc<str>,
}

/// The `ItemSelector` of a Map state with what it reads besides the item, parsed once for all items.
#[derive(Debug, Clone)]
pub struct ItemSelector {
    state_name: asl::Name,
    entered_event_id: u64,
    template: Template,
    input: Value,
    /// An object; `Map.Item` changes from item to item.
    context: Value,
    variables: Variables,
}

impl ItemSelector {
    /// The selector of the Map state called `state_name`; `None` if it has none, for then the item itself is the input.
    pub fn new(
        machine: &StateMachine,
        state_name: &str,
        scene: &SelectorScene,
    ) -> Result<Option<ItemSelector>, RestoreError> {
        let (state, _) = find(&machine.body, state_name).ok_or(RestoreError::Mismatch("no such Map state"))?;
        let Some(template) = &state.parameters else { return Ok(None) };
        let read = |text: &str| serde_json::from_str(text).map_err(|_| RestoreError::Damaged("selector scene"));
        let mut context: Value = read(&scene.context)?;
        if !context.is_object() {
            context = Value::Object(Object::new());
        }
        let mut variables = Variables::default();
        if let Value::Object(own) = read(&scene.variables)? {
            own.into_iter().for_each(|(name, value)| variables.assign(name.into(), Arc::new(value)));
        }
        Ok(Some(ItemSelector {
            state_name: state.name.clone(),
            entered_event_id: scene.entered_event_id,
            template: template.clone(),
            input: read(&scene.input)?,
            context,
            variables,
        }))
    }

    /// The input of the child execution for `item`, as JSON text.
    pub fn select(
        &mut self,
        item: &Item<'_>,
        now: Timestamp,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Arc<str>, SelectError> {
        let about = about_item(item).ok_or_else(|| SelectError {
            error: crate::failure::names::RUNTIME.into(),
            cause: format!("The item at index {} is not valid JSON.", item.index).into(),
        })?;
        self.context["Map"] = Value::Object(Object::from_iter([("Item".to_owned(), about)]));
        let scene = asl::Scene { input: &self.input, context: &self.context, variables: &self.variables };
        let mut env = asl::Env { scene, result: None, error_output: None, now, random };
        let value = self.template.evaluate(&mut env);
        let payload = value.map_err(|e| Failure::evaluation(&e, &self.input, &self.state_name)).and_then(Payload::new);
        payload.map(|payload| payload.text().clone()).map_err(|failure| self.error(failure))
    }

    fn error(&self, failure: Failure) -> SelectError {
        let cause = match failure.names_state {
            true => failure.naming(&self.state_name, self.entered_event_id),
            false => failure.cause,
        };
        SelectError { error: failure.error.unwrap_or_default(), cause: cause.unwrap_or_default() }
    }
}

/// The state machine that the child executions of a Distributed Map run; `None` if no such Map state is there.
pub fn processor_of(machine: &StateMachine, state_name: &str) -> Option<StateMachine> {
    let (_, map) = find(&machine.body, state_name)?;
    Some(StateMachine {
        comment: map.processor.comment.clone(),
        version: None,
        query_language: machine.query_language,
        timeout_seconds: None,
        body: map.processor.clone(),
    })
}

/// `Map.Item` of the context object; `None` if the value is not JSON.
fn about_item(item: &Item<'_>) -> Option<Value> {
    let mut about = Object::new();
    about.insert("Index".into(), item.index.into());
    if let Some(key) = item.key {
        about.insert("Key".into(), key.into());
    }
    about.insert("Value".into(), serde_json::from_str(item.value).ok()?);
    if let Some(source) = item.source {
        about.insert("Source".into(), source.into());
    }
    Some(Value::Object(about))
}

/// The Map state of that name, in this scope or in nested ones. The parser bounds how deep they nest.
fn find<'m>(branch: &'m Branch, name: &str) -> Option<(&'m State, &'m Map)> {
    branch.states.values().find_map(|state| match &state.kind {
        StateKind::Map(map) if *state.name == *name => Some((state, &**map)),
        StateKind::Map(map) => find(&map.processor, name),
        StateKind::Parallel { branches } => branches.iter().find_map(|branch| find(branch, name)),
        _ => None,
    })
}
