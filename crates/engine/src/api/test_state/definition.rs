//! A state as a machine of its own.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use service::Fault;

use crate::api::validate::parse;
use crate::engine::Inner;

/// What AWS calls a state whose definition comes alone.
const NAME: &str = "StateName";

/// A state, and the machine that runs it alone: all that it may lead to are states that do nothing.
pub(super) struct Tested {
    pub name: String,
    pub machine: Arc<asl::StateMachine>,
}

impl Tested {
    pub fn state(&self) -> &asl::State {
        &self.machine.body.states[self.name.as_str()]
    }
}

/// The state of a definition: the definition itself, or that of a name in a whole machine.
pub(super) fn read(engine: &Inner, definition: &str, name: Option<&str>) -> Result<Tested, Fault> {
    let invalid = |message: String| Fault::client("InvalidDefinition", message);
    let Ok(Value::Object(definition_value)) = serde_json::from_str::<Value>(definition) else {
        return Err(invalid(asl::validate(definition).aws_message()));
    };
    let Some(name) = name else {
        let machine = wrap(NAME, Value::Object(definition_value), None);
        return Ok(Tested { name: NAME.to_owned(), machine: read_alone(engine, NAME, &machine)? });
    };
    parse(engine, definition, false)?;
    let language = definition_value.get("QueryLanguage").cloned();
    let state = find(&definition_value, name)
        .ok_or_else(|| Fault::validation(format!("State '{name}' does not exist in the state machine definition")))?;
    let machine = wrap(name, state.clone(), language);
    Ok(Tested { name: name.to_owned(), machine: read_alone(engine, name, &machine)? })
}

fn read_alone(engine: &Inner, name: &str, machine: &Value) -> Result<Arc<asl::StateMachine>, Fault> {
    let parsed = parse(engine, &machine.to_string(), false);
    parsed.map(Arc::new).map_err(|fault| {
        // What is wrong is in the state, which is all that the caller knows of.
        let message = fault.message.replace(&format!(" at /States/{name}/"), " at /");
        Fault { message: message.replace(&format!(" at /States/{name}'"), " at /'"), ..fault }
    })
}

/// The state of that name in a scope of states or in one below.
fn find<'v>(scope: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let states = scope.get("States")?.as_object()?;
    if let Some(found) = states.get(name) {
        return Some(found);
    }
    states.values().find_map(|state| {
        let branches = state.get("Branches").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let processors = ["ItemProcessor", "Iterator"].into_iter().filter_map(|field| state.get(field));
        branches.iter().chain(processors).filter_map(Value::as_object).find_map(|scope| find(scope, name))
    })
}

fn wrap(name: &str, state: Value, language: Option<Value>) -> Value {
    let mut states = Map::new();
    for target in targets(&state) {
        states.insert(target, json!({"Type": "Pass", "End": true}));
    }
    states.insert(name.to_owned(), state);
    let mut machine = json!({"StartAt": name, "States": states});
    if let Some(language) = language {
        machine["QueryLanguage"] = language;
    }
    machine
}

/// The states that a state may lead to.
fn targets(state: &Value) -> Vec<String> {
    let lists = ["Catch", "Choices"].into_iter().filter_map(|list| state.get(list)?.as_array()).flatten();
    let next = lists.chain([state]).filter_map(|from| from.get("Next"));
    next.chain(state.get("Default")).filter_map(Value::as_str).map(str::to_owned).collect()
}
