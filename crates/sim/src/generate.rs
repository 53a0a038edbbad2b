//! Random state machines, all of them valid, and inputs for them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::outcome::HANGING;

/// How deep Parallel and Map states nest.
const DEPTH_MAX: u32 = 2;
/// Parallel and Map states of one machine.
const FORKS_MAX: u32 = 3;

/// A machine, and what can be expected of its runs.
pub struct Machine {
    pub definition: String,
    /// Its runs end the same way whatever the timing.
    pub is_pure: bool,
}

pub fn input(chance: &Chance) -> String {
    let list: Vec<u64> = (0..chance.below(5)).map(|_| chance.below(6)).collect();
    json!({"n": chance.below(8), "s": "x".repeat(chance.index(40)), "list": list}).to_string()
}

pub fn machine(chance: &Chance) -> Machine {
    let mut builder = Builder { chance, states: 0, forks: 0, is_pure: true };
    let count = 1 + chance.index(6);
    let mut machine = builder.scope(0, count);
    if chance.one_in(12) {
        builder.is_pure = false;
        machine.insert("TimeoutSeconds".into(), (20 + chance.below(200)).into());
    }
    Machine { definition: Value::Object(machine).to_string(), is_pure: builder.is_pure }
}

/// The Wait states of a definition with their literal seconds; names are unique in a machine.
pub fn waits(definition: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    collect_waits(&serde_json::from_str(definition).unwrap_or_default(), &mut found);
    found
}

fn collect_waits(value: &Value, found: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if member["Type"] == "Wait" {
                    found.extend(member["Seconds"].as_u64().map(|seconds| (name.clone(), seconds)));
                }
                collect_waits(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_waits(item, found)),
        _ => {}
    }
}

struct Builder<'a> {
    chance: &'a Chance,
    states: u32,
    forks: u32,
    is_pure: bool,
}

/// The place of a state in its scope: the states behind it.
struct Place<'a> {
    later: &'a [String],
    depth: u32,
}

impl Place<'_> {
    fn go_on(&self, state: &mut Map<String, Value>) {
        match self.later.first() {
            Some(next) => state.insert("Next".into(), next.clone().into()),
            None => state.insert("End".into(), true.into()),
        };
    }
}

impl Builder<'_> {
    /// States in a row, with choices and catchers that jump ahead.
    fn scope(&mut self, depth: u32, count: usize) -> Map<String, Value> {
        let kinds: Vec<&str> = (0..count).map(|at| self.kind(depth, at + 1 == count)).collect();
        let names: Vec<String> = kinds.iter().map(|kind| self.name(kind)).collect();
        let mut states = Map::new();
        for (at, kind) in kinds.iter().enumerate() {
            let place = Place { later: &names[at + 1..], depth };
            let state = self.state(kind, &names[at], &place, &mut states);
            states.insert(names[at].clone(), Value::Object(state));
        }
        Map::from_iter([("StartAt".to_owned(), names[0].clone().into()), ("States".to_owned(), states.into())])
    }

    fn name(&mut self, kind: &str) -> String {
        self.states += 1;
        format!("{kind}{}", self.states)
    }

    fn kind(&mut self, depth: u32, last: bool) -> &'static str {
        if last {
            match self.chance.below(8) {
                0 => return "Succeed",
                1 => return "Fail",
                _ => {}
            }
        }
        let forks = depth < DEPTH_MAX && self.forks < FORKS_MAX;
        match self.chance.below(16) {
            0 | 1 => "Pass",
            2 | 3 if !last => "Choice",
            2 | 3 => "Pass",
            4 | 5 => "Wait",
            6 if !last => "Loop",
            7 => HANGING,
            8 | 9 => "Send",
            10 => "Token",
            11 | 12 if forks => {
                self.forks += 1;
                "Parallel"
            }
            13 if forks => {
                self.forks += 1;
                "Map"
            }
            _ => "Task",
        }
    }

    fn state(
        &mut self,
        kind: &str,
        name: &str,
        place: &Place<'_>,
        states: &mut Map<String, Value>,
    ) -> Map<String, Value> {
        let jsonata = self.chance.one_in(3);
        let state = match kind {
            "Pass" => self.pass(name, jsonata),
            "Choice" => return self.choice(jsonata, place),
            "Wait" => self.wait(jsonata),
            "Loop" => return self.count_up(name, place, states),
            "Succeed" => return object(json!({"Type": "Succeed"})),
            "Fail" => return object(json!({"Type": "Fail", "Error": "Custom.Fail", "Cause": "as written"})),
            "Parallel" => self.parallel(jsonata, place),
            "Map" => self.map(jsonata, place),
            task => self.task(task, jsonata),
        };
        let mut state = object(state);
        if matches!(kind, "Parallel" | "Map" | "Task" | "Send" | "Token" | HANGING) {
            self.handlers(jsonata, place, &mut state);
        }
        if jsonata {
            state.insert("QueryLanguage".into(), "JSONata".into());
        }
        place.go_on(&mut state);
        state
    }

    fn pass(&self, name: &str, jsonata: bool) -> Value {
        let k = self.chance.below(9);
        // No inner scope may set a variable of an outer one.
        let seen = format!("seen{}", name.trim_start_matches("Pass"));
        if jsonata {
            return json!({"Type": "Pass", "Assign": {seen: "{% $states.input.n %}"},
                "Output": format!("{{% $merge([$states.input, {{'n': $states.input.n + {k}}}]) %}}")});
        }
        match self.chance.below(3) {
            0 => json!({"Type": "Pass", "Result": {"k": k}, "ResultPath": "$.p"}),
            1 => json!({"Type": "Pass", "Assign": {format!("{seen}.$"): "$.n"}, "Result": k, "ResultPath": "$.n"}),
            _ => {
                json!({"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "s.$": "$.s", "list.$": "$.list"}})
            }
        }
    }

    fn choice(&self, jsonata: bool, place: &Place<'_>) -> Map<String, Value> {
        let target = |chance: &Chance| place.later[chance.index(place.later.len())].clone();
        let k = self.chance.below(9);
        let (to, default) = (target(self.chance), place.later[0].clone());
        if jsonata {
            let condition = format!("{{% $states.input.n > {k} %}}");
            return object(json!({"Type": "Choice", "QueryLanguage": "JSONata",
                "Choices": [{"Condition": condition, "Next": to}], "Default": default}));
        }
        let rule = match self.chance.below(3) {
            0 => json!({"Variable": "$.n", "NumericLessThan": k, "Next": to}),
            1 => json!({"Not": {"Variable": "$.n", "NumericEquals": k}, "Next": to}),
            _ => json!({"And": [{"Variable": "$.n", "NumericGreaterThan": k}, {"Variable": "$.r", "IsPresent": true}],
                "Next": to}),
        };
        object(json!({"Type": "Choice", "Choices": [rule], "Default": default}))
    }

    fn wait(&self, jsonata: bool) -> Value {
        let seconds = if self.chance.one_in(4) { 0 } else { self.chance.below(90) };
        match (jsonata, self.chance.below(3)) {
            (true, 0) => json!({"Type": "Wait", "Seconds": "{% $states.input.n %}"}),
            (false, 0) => json!({"Type": "Wait", "SecondsPath": "$.n"}),
            (false, 1) => json!({"Type": "Wait", "Timestamp": "2023-11-14T22:14:00Z"}),
            _ => json!({"Type": "Wait", "Seconds": seconds}),
        }
    }

    /// Three states: sets a counter, counts, and looks whether to count again.
    fn count_up(&mut self, name: &str, place: &Place<'_>, states: &mut Map<String, Value>) -> Map<String, Value> {
        let (count, again) = (format!("{name}Count"), format!("{name}Again"));
        let counts = json!({"Type": "Pass", "Parameters": {"v.$": "States.MathAdd($.i.v, 1)"}, "ResultPath": "$.i", "Next": again});
        let below = 1 + self.chance.below(6);
        let looks = json!({"Type": "Choice", "Default": place.later[0],
            "Choices": [{"Variable": "$.i.v", "NumericLessThan": below, "Next": count}]});
        states.insert(count.clone(), counts);
        states.insert(again, looks);
        object(json!({"Type": "Pass", "Result": {"v": 0}, "ResultPath": "$.i", "Next": count}))
    }

    fn task(&mut self, kind: &str, jsonata: bool) -> Value {
        let function = format!("arn:aws:lambda:us-east-1:000000000000:function:f{}", self.chance.below(4));
        let token = if jsonata { json!("{% $states.context.Task.Token %}") } else { json!("$$.Task.Token") };
        let key = |name: &str| if jsonata { name.to_owned() } else { format!("{name}.$") };
        let of = |field: &str| if jsonata { format!("{{% $states.input.{field} %}}") } else { format!("$.{field}") };
        let (resource, parameters) = match kind {
            "Send" => (
                "arn:aws:states:::sqs:sendMessage".to_owned(),
                json!({"QueueUrl": "http://h/0/effects", "MessageBody": {key("n"): of("n")}}),
            ),
            "Token" => (
                "arn:aws:states:::sqs:sendMessage.waitForTaskToken".to_owned(),
                json!({"QueueUrl": "http://h/0/effects", "MessageBody": {key("token"): token}}),
            ),
            _ => (function, json!({key("n"): of("n"), "fixed": self.chance.below(3)})),
        };
        let mut state = object(json!({"Type": "Task", "Resource": resource}));
        if jsonata {
            state.insert("Arguments".into(), parameters);
            state.insert("Output".into(), "{% $merge([$states.input, {'r': $states.result}]) %}".into());
        } else {
            state.insert("Parameters".into(), parameters);
            state.insert("ResultPath".into(), "$.r".into());
        }
        if kind == HANGING {
            let timeout = 2 + self.chance.below(40);
            state.insert("TimeoutSeconds".into(), timeout.into());
            if self.chance.one_in(3) && timeout > 3 {
                state.insert("HeartbeatSeconds".into(), (timeout / 2).into());
            }
        } else if self.chance.one_in(12) {
            // The answer and the timeout race.
            self.is_pure = false;
            state.insert("TimeoutSeconds".into(), (1 + self.chance.below(20)).into());
        }
        Value::Object(state)
    }

    fn handlers(&self, jsonata: bool, place: &Place<'_>, state: &mut Map<String, Value>) {
        if self.chance.one_in(2) {
            let mut retriers = Vec::new();
            if self.chance.one_in(3) {
                retriers.push(json!({"ErrorEquals": ["Custom.One"], "MaxAttempts": self.chance.below(3),
                    "IntervalSeconds": 1 + self.chance.below(5)}));
            }
            let mut retrier = json!({"ErrorEquals": ["States.ALL"], "MaxAttempts": 1 + self.chance.below(3),
                "IntervalSeconds": 1 + self.chance.below(10), "BackoffRate": 1.5});
            if self.chance.one_in(3) {
                retrier["JitterStrategy"] = "FULL".into();
            }
            retriers.push(retrier);
            state.insert("Retry".into(), retriers.into());
        }
        if !place.later.is_empty() && self.chance.below(3) > 0 {
            let next = place.later[self.chance.index(place.later.len())].clone();
            let errors = if self.chance.one_in(3) { "States.Timeout" } else { "States.ALL" };
            let mut catcher = json!({"ErrorEquals": [errors], "Next": next});
            match jsonata {
                true => catcher["Output"] = "{% $merge([$states.input, {'e': $states.errorOutput.Error}]) %}".into(),
                false => catcher["ResultPath"] = "$.e".into(),
            }
            state.insert("Catch".into(), json!([catcher]));
        }
    }

    fn parallel(&mut self, jsonata: bool, place: &Place<'_>) -> Value {
        let branches: Vec<Value> = (0..1 + self.chance.below(3))
            .map(|_| {
                let count = 1 + self.chance.index(3);
                Value::Object(self.scope(place.depth + 1, count))
            })
            .collect();
        if jsonata {
            let output = "{% $merge([$states.input, {'par': $states.result}]) %}";
            return json!({"Type": "Parallel", "Branches": branches, "Output": output});
        }
        json!({"Type": "Parallel", "Branches": branches, "ResultPath": "$.par",
            "Parameters": {"n.$": "$.n", "s.$": "$.s", "list.$": "$.list"}})
    }

    fn map(&mut self, jsonata: bool, place: &Place<'_>) -> Value {
        let count = 1 + self.chance.index(3);
        let mut processor = self.scope(place.depth + 1, count);
        processor.insert("ProcessorConfig".into(), json!({"Mode": "INLINE"}));
        let most = self.chance.below(4);
        if jsonata {
            let item = json!({"n": "{% $states.context.Map.Item.Value %}", "s": "i", "list": [1]});
            return json!({"Type": "Map", "Items": "{% $states.input.list %}", "ItemSelector": item,
                "ItemProcessor": processor, "MaxConcurrency": most,
                "Output": "{% $merge([$states.input, {'m': $states.result}]) %}"});
        }
        json!({"Type": "Map", "ItemsPath": "$.list", "ItemProcessor": processor, "MaxConcurrency": most,
            "ItemSelector": {"n.$": "$$.Map.Item.Value", "s": "i", "list": [1, 2]}, "ResultPath": "$.m"})
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
