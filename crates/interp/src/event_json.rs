//! History events in the shape of GetExecutionHistory.

use serde_json::{Map, Value, json};

use crate::{Details, HistoryEvent};

impl HistoryEvent {
    /// The event as GetExecutionHistory gives it; without execution data inputs, outputs and parameters are left out.
    pub fn to_json(&self, include_execution_data: bool) -> Value {
        let mut event = Map::new();
        event.insert("timestamp".into(), self.timestamp.as_seconds_f64().into());
        event.insert("type".into(), self.event_type.as_str().into());
        event.insert("id".into(), self.id.into());
        event.insert("previousEventId".into(), self.previous_event_id.into());
        let member = self.event_type.details_member();
        if !member.is_empty() {
            let mut details = DetailsMap { map: Map::new(), include_execution_data };
            details.fill(&self.details);
            event.insert(member.into(), Value::Object(details.map));
        }
        Value::Object(event)
    }
}

struct DetailsMap {
    map: Map<String, Value>,
    include_execution_data: bool,
}

impl DetailsMap {
    fn fill(&mut self, details: &Details) {
        match details {
            Details::None => {}
            Details::ExecutionStarted { input, role_arn, state_machine_alias_arn, state_machine_version_arn } => {
                self.data("input", input);
                self.text("roleArn", role_arn);
                self.optional("stateMachineAliasArn", state_machine_alias_arn.as_deref());
                self.optional("stateMachineVersionArn", state_machine_version_arn.as_deref());
            }
            Details::StateEntered { name, input } => {
                self.text("name", name);
                self.data("input", input);
            }
            Details::StateExited { name, output, assigned_variables } => {
                self.text("name", name);
                self.data("output", output);
                if !assigned_variables.is_empty() && self.include_execution_data {
                    let variables: Map<_, _> =
                        assigned_variables.iter().map(|(name, value)| (name.to_string(), json!(&**value))).collect();
                    self.map.insert("assignedVariables".into(), Value::Object(variables));
                    self.map.insert("assignedVariablesDetails".into(), json!({"truncated": false}));
                }
            }
            Details::Output { output } => self.data("output", output),
            Details::Failure { error, cause } => self.failure(error.as_deref(), cause.as_deref()),
            Details::FunctionScheduled { resource, input, timeout_seconds, credentials_role_arn } => {
                self.text("resource", resource);
                self.data("input", input);
                self.number("timeoutInSeconds", *timeout_seconds);
                self.credentials(credentials_role_arn.as_deref());
            }
            Details::ActivityScheduled { resource, input, timeout_seconds, heartbeat_seconds } => {
                self.text("resource", resource);
                self.data("input", input);
                self.number("timeoutInSeconds", *timeout_seconds);
                self.number("heartbeatInSeconds", *heartbeat_seconds);
            }
            Details::ActivityStarted { worker_name } => self.optional("workerName", worker_name.as_deref()),
            Details::MapStarted { length } => self.number("length", Some(*length)),
            Details::MapIteration { name, index } => {
                self.text("name", name);
                self.number("index", Some(*index));
            }
            Details::MapRun { map_run_arn, redrive_count } => {
                self.text("mapRunArn", map_run_arn);
                self.number("redriveCount", redrive_count.map(u64::from));
            }
            Details::Redriven { redrive_count } => self.number("redriveCount", Some(u64::from(*redrive_count))),
            Details::EvaluationFailed { state, error, cause, location } => {
                self.failure(error.as_deref(), cause.as_deref());
                self.optional("location", location.as_deref());
                self.text("state", state);
            }
            _ => self.fill_task(details),
        }
    }

    /// The details of service integrations.
    fn fill_task(&mut self, details: &Details) {
        match details {
            Details::TaskScheduled {
                resource_type,
                resource,
                region,
                parameters,
                timeout_seconds,
                heartbeat_seconds,
                credentials_role_arn,
            } => {
                self.resource(resource_type, resource);
                self.text("region", region);
                if self.include_execution_data {
                    self.text("parameters", parameters);
                }
                self.number("timeoutInSeconds", *timeout_seconds);
                self.number("heartbeatInSeconds", *heartbeat_seconds);
                self.credentials(credentials_role_arn.as_deref());
            }
            Details::TaskStarted { resource_type, resource } => self.resource(resource_type, resource),
            Details::TaskOutput { resource_type, resource, output } => {
                self.resource(resource_type, resource);
                self.data("output", output);
            }
            Details::TaskFailure { resource_type, resource, error, cause } => {
                self.resource(resource_type, resource);
                self.failure(error.as_deref(), cause.as_deref());
            }
            _ => {}
        }
    }

    fn text(&mut self, member: &str, text: &str) {
        self.map.insert(member.into(), text.into());
    }

    fn optional(&mut self, member: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(member, text);
        }
    }

    fn number(&mut self, member: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.map.insert(member.into(), number.into());
        }
    }

    /// `input` or `output` with its `inputDetails` or `outputDetails`.
    fn data(&mut self, member: &str, text: &str) {
        if self.include_execution_data {
            self.text(member, text);
            self.map.insert(format!("{member}Details"), json!({"truncated": false}));
        }
    }

    fn resource(&mut self, resource_type: &str, resource: &str) {
        self.text("resourceType", resource_type);
        self.text("resource", resource);
    }

    fn failure(&mut self, error: Option<&str>, cause: Option<&str>) {
        self.optional("error", error);
        self.optional("cause", cause);
    }

    fn credentials(&mut self, role_arn: Option<&str>) {
        if let Some(role_arn) = role_arn {
            self.map.insert("taskCredentials".into(), json!({"roleArn": role_arn}));
        }
    }
}
