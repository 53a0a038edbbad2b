use asl::{
    Condition, Count, Expression, Items, Jsonata, Operand, Operator, Part, Path, Percentage, ReferencePath, Root,
};
use asl::{Seconds, Selection, State, StateKind, Template, TextSource, VariableUse, Wait};
use serde_json::{Map, Value};

use crate::ExecutionInfo;
use crate::frame::Frame;
use crate::payload::Payload;
use crate::state::map::ItemList;

/// With an input of up to so many bytes the context is built for each step that needs it, instead of being kept.
const KEPT_INPUT_BYTES_MIN: usize = 8 * 1024;

/// The context object, `$$`: there only for states that look at it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContextObject {
    value: Option<Value>,
    /// What a test gives over it.
    given: Option<Value>,
    /// What `Map` is built from, so that it is not built for every state of one iteration.
    map_item: Option<MapItem>,
}

impl ContextObject {
    /// Makes this the context of the state that `frame` is in, if the state looks at it.
    pub fn enter(&mut self, info: &ExecutionInfo, input: Option<&Payload>, frame: &Frame, state: &State) {
        if !looks_at_context(state) {
            return;
        }
        let mut about = Map::new();
        about.insert("Name".into(), (&*state.name).into());
        about.insert("EnteredTime".into(), frame.entered_time.to_rfc3339().into());
        if matches!(state.kind, StateKind::Task(_) | StateKind::Parallel { .. } | StateKind::Map(_)) {
            about.insert("RetryCount".into(), frame.retry_count.into());
        }
        let object = self.object_or_insert(info, input);
        object.insert("State".into(), Value::Object(about));
        object.shift_remove("Task");
        self.set_map_item(frame.map_item.as_ref());
        if let (Some(value), Some(given)) = (&mut self.value, &self.given) {
            put_over(value, given);
        }
    }

    /// Sets members over those that it has anyway.
    pub fn give(&mut self, given: Option<Value>) {
        self.given = given;
    }

    /// Sets `Map.Item`, to what the iteration around the state works on.
    pub fn set_map_item(&mut self, item: Option<&MapItem>) {
        let Some(Value::Object(context)) = self.value.as_mut().filter(|_| self.map_item.as_ref() != item) else {
            return;
        };
        match item {
            Some(item) => context.insert("Map".into(), object([("Item", item.about())])),
            None => context.shift_remove("Map"),
        };
        self.map_item = item.cloned();
    }

    /// Sets `Task.Token`.
    pub fn set_token(&mut self, token: &str) {
        if let Some(Value::Object(context)) = &mut self.value {
            context.insert("Task".into(), object([("Token", token.into())]));
        }
    }

    pub fn value(&self) -> &Value {
        self.value.as_ref().unwrap_or(&Value::Null)
    }

    /// The step is over.
    pub fn leave(&mut self, info: &ExecutionInfo) {
        if info.input.len() < KEPT_INPUT_BYTES_MIN {
            *self = ContextObject { given: self.given.take(), ..ContextObject::default() };
        }
    }

    fn object_or_insert(&mut self, info: &ExecutionInfo, input: Option<&Payload>) -> &mut Map<String, Value> {
        let value = self.value.get_or_insert_with(|| {
            let execution = object([
                ("Id", (&*info.id).into()),
                ("Input", input.map_or(Value::Null, |input| input.value().clone())),
                ("StartTime", info.start_time.to_rfc3339().into()),
                ("Name", (&*info.name).into()),
                ("RoleArn", (&*info.role_arn).into()),
                ("RedriveCount", info.redrive_count.into()),
            ]);
            let machine =
                object([("Id", (&*info.state_machine_id).into()), ("Name", (&*info.state_machine_name).into())]);
            object([("Execution", execution), ("StateMachine", machine)])
        });
        match value {
            Value::Object(object) => object,
            _ => unreachable!("the context is built as an object"),
        }
    }
}

fn put_over(value: &mut Value, given: &Value) {
    match (value, given) {
        (Value::Object(members), Value::Object(given)) => {
            for (name, given) in given {
                put_over(members.entry(name.as_str()).or_insert(Value::Null), given);
            }
        }
        (value, given) => *value = given.clone(),
    }
}

/// What an iteration works on; `Map.Item` is built from it when a state looks at it.
#[derive(Debug, Clone)]
pub(crate) struct MapItem {
    pub items: ItemList,
    pub index: usize,
}

impl MapItem {
    pub fn value(&self) -> &Value {
        &self.items.list()[self.index]
    }

    fn about(&self) -> Value {
        object([("Index", self.index.into()), ("Value", self.value().clone())])
    }
}

/// Of the same list in memory: two that are alike may count as different.
impl PartialEq for MapItem {
    fn eq(&self, other: &MapItem) -> bool {
        self.index == other.index && std::ptr::eq(self.items.list(), other.items.list())
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Whether any expression of the state may read the context.
fn looks_at_context(state: &State) -> bool {
    let handlers = state.catch.iter().any(|c| template(&c.assign) || template(&c.output));
    let templates = [&state.parameters, &state.result_selector, &state.assign, &state.output];
    handlers || templates.into_iter().any(template) || selects_context(state) || kind_looks(&state.kind)
}

fn selects_context(state: &State) -> bool {
    select(&state.input_path) || select(&state.output_path)
}

fn kind_looks(kind: &StateKind) -> bool {
    match kind {
        StateKind::Pass { .. } | StateKind::Succeed | StateKind::Parallel { .. } => false,
        StateKind::Task(task) => {
            template(&task.credentials) || seconds(task.timeout.as_ref()) || seconds(task.heartbeat.as_ref())
        }
        StateKind::Choice(choice) => choice
            .rules
            .iter()
            .any(|rule| condition(&rule.condition) || template(&rule.assign) || template(&rule.output)),
        StateKind::Wait(Wait::Seconds(s)) => seconds(Some(s)),
        StateKind::Wait(Wait::TimestampPath(path)) => reference(path),
        StateKind::Wait(Wait::Timestamp(_)) => false,
        StateKind::Wait(Wait::TimestampJsonata(expression)) => jsonata(expression),
        StateKind::Fail(fail) => [&fail.error, &fail.cause].into_iter().flatten().any(text),
        StateKind::Map(map) => {
            let items = match &map.items {
                Items::Path(p) => path(p),
                Items::Template(items) => items.any(&mut part),
            };
            let reads = map.reader.as_ref().is_some_and(|reader| {
                template(&reader.parameters) || reader.config.max_items.as_ref().is_some_and(count)
            });
            let batches = map.batcher.as_ref().is_some_and(|batcher| {
                let counts = [&batcher.max_items_per_batch, &batcher.max_input_bytes_per_batch];
                template(&batcher.batch_input) || counts.into_iter().flatten().any(count)
            });
            let tolerates = match &map.tolerated_failure_percentage {
                Some(Percentage::Path(path)) => reference(path),
                Some(Percentage::Jsonata(expression)) => jsonata(expression),
                Some(Percentage::Literal(_)) | None => false,
            };
            items
                || reads
                || batches
                || tolerates
                || map.writer.as_ref().is_some_and(|writer| template(&writer.parameters))
                || count(&map.max_concurrency)
                || map.tolerated_failure_count.as_ref().is_some_and(count)
        }
    }
}

fn template(template: &Option<Template>) -> bool {
    template.as_ref().is_some_and(|template| template.any(&mut part))
}

fn part(part: Part<'_>) -> bool {
    match part {
        Part::Expression(e) => expression(e),
        Part::Jsonata(expression) => jsonata(expression),
    }
}

fn expression(expression: &Expression) -> bool {
    match expression {
        Expression::Path(p) => path(p),
        Expression::Intrinsic(intrinsic) => intrinsic.as_str().contains("$$"),
    }
}

/// `$states.context`, or `$states` as a whole.
fn jsonata(expression: &Jsonata) -> bool {
    let reads = |variable: &VariableUse| variable.member.as_deref().is_none_or(|member| member == "context");
    expression.variables().iter().any(|variable| &*variable.name == "states" && reads(variable))
}

fn path(path: &Path) -> bool {
    *path.root() == Root::Context || path.as_str().contains("$$")
}

fn reference(path: &ReferencePath) -> bool {
    *path.root() == Root::Context
}

fn select(selection: &Selection) -> bool {
    matches!(selection, Selection::Path(p) if path(p))
}

fn seconds(seconds: Option<&Seconds>) -> bool {
    match seconds {
        Some(Seconds::Path(path)) => reference(path),
        Some(Seconds::Jsonata(expression)) => jsonata(expression),
        Some(Seconds::Literal(_)) | None => false,
    }
}

fn count(count: &Count) -> bool {
    match count {
        Count::Path(path) => reference(path),
        Count::Jsonata(expression) => jsonata(expression),
        Count::Literal(_) => false,
    }
}

fn text(source: &TextSource) -> bool {
    match source {
        TextSource::Literal(_) => false,
        TextSource::Expression(e) => expression(e),
        TextSource::Jsonata(expression) => jsonata(expression),
    }
}

fn condition(test: &Condition) -> bool {
    match test {
        Condition::And(all) | Condition::Or(all) => all.iter().any(condition),
        Condition::Not(one) => condition(one),
        Condition::Jsonata(expression) => jsonata(expression),
        Condition::Test { variable, operator } => {
            path(variable) || matches!(operator, Operator::Compare { operand: Operand::Path(other), .. } if path(other))
        }
    }
}
