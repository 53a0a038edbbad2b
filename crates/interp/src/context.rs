use std::sync::Arc;

use serde_json::{Map, Value};

use crate::ExecutionInfo;
use crate::frame::Frame;

/// The context object, `$$`.
///
/// `Execution` and `StateMachine` are built once; before a state is evaluated the rest is set to what it sees.
#[derive(Debug, Clone)]
pub(crate) struct ContextObject {
    value: Value,
    /// What `Map` is built from: compared by address, so that it is not copied for every state of one iteration.
    map_item: Option<Arc<Value>>,
}

impl ContextObject {
    pub fn new(info: &ExecutionInfo, input: &Value) -> ContextObject {
        let execution = object([
            ("Id", (&*info.id).into()),
            ("Input", input.clone()),
            ("StartTime", info.start_time.to_rfc3339().into()),
            ("Name", (&*info.name).into()),
            ("RoleArn", (&*info.role_arn).into()),
            ("RedriveCount", info.redrive_count.into()),
        ]);
        let machine = object([("Id", (&*info.state_machine_id).into()), ("Name", (&*info.state_machine_name).into())]);
        ContextObject { value: object([("Execution", execution), ("StateMachine", machine)]), map_item: None }
    }

    /// Makes this the context of the state that `frame` is in.
    pub fn enter(&mut self, frame: &Frame, state: &asl::State) {
        let mut about = Map::new();
        about.insert("Name".into(), (&*state.name).into());
        about.insert("EnteredTime".into(), frame.entered_time.to_rfc3339().into());
        if matches!(state.kind, asl::StateKind::Task(_) | asl::StateKind::Parallel { .. } | asl::StateKind::Map(_)) {
            about.insert("RetryCount".into(), frame.retry_count.into());
        }
        self.object().insert("State".into(), Value::Object(about));
        self.object().shift_remove("Task");
        self.set_map_item(frame.map_item.as_ref());
    }

    /// Sets `Map.Item`, to what the iteration around the state works on.
    pub fn set_map_item(&mut self, item: Option<&Arc<Value>>) {
        let same = match (&self.map_item, item) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        self.map_item = item.cloned();
        match item {
            Some(item) => self.object().insert("Map".into(), object([("Item", Value::clone(item))])),
            None => self.object().shift_remove("Map"),
        };
    }

    /// Sets `Task.Token`.
    pub fn set_token(&mut self, token: &str) {
        self.object().insert("Task".into(), object([("Token", token.into())]));
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    fn object(&mut self) -> &mut Map<String, Value> {
        match &mut self.value {
            Value::Object(object) => object,
            _ => unreachable!("the context is built as an object"),
        }
    }
}

/// What `Map.Item` is in the iteration of `index` over `value`.
pub(crate) fn map_item(index: usize, value: &Value) -> Arc<Value> {
    Arc::new(object([("Index", index.into()), ("Value", value.clone())]))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
