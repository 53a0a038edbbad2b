//! `Events` of functions and state machines.

use super::{Sam, Source, copy};
use crate::template::{Entry, Node, Position};

/// What a mapping's properties are called on both sides.
const MAPPING: [&str; 17] = [
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "Enabled",
    "FilterCriteria",
    "FunctionResponseTypes",
    "KmsKeyArn",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "MetricsConfig",
    "ParallelizationFactor",
    "ProvisionedPollerConfig",
    "ScalingConfig",
    "StartingPosition",
    "StartingPositionTimestamp",
    "TumblingWindowInSeconds",
];

/// One event of one resource.
struct Event<'a> {
    /// The logical id of what is generated.
    id: String,
    kind: &'a str,
    at: Position,
    properties: &'a Node,
}

impl Sam<'_> {
    /// The managed policies that a function's event sources need.
    pub(super) fn event_policies(&self, source: &Source<'_>) -> Vec<&'static str> {
        let mut policies = Vec::new();
        for entry in source.get("Events").and_then(Node::entries).unwrap_or_default() {
            let policy = match entry.value.get("Type").and_then(Node::as_str) {
                Some("SQS") => "AWSLambdaSQSQueueExecutionRole",
                Some("Kinesis") => "AWSLambdaKinesisExecutionRole",
                Some("DynamoDB") => "AWSLambdaDynamoDBExecutionRole",
                _ => continue,
            };
            if !policies.contains(&policy) {
                policies.push(policy);
            }
        }
        policies
    }

    pub(super) fn function_events(&mut self, source: &Source<'_>, alias: Option<&str>) {
        let target = Node::reference(alias.unwrap_or(source.id), source.at);
        let arn = match alias {
            // An alias's Ref is its ARN already.
            Some(alias) => Node::reference(alias, source.at),
            None => Node::get_att(source.id, "Arn", source.at),
        };
        self.each_event(source, |sam, event| match event.kind {
            "SQS" => sam.mapping(source, event, "Queue", &target),
            "Kinesis" | "DynamoDB" => sam.mapping(source, event, "Stream", &target),
            "Schedule" => {
                sam.rule(source, event, &arn, None);
                sam.permission(
                    source,
                    event,
                    &target,
                    "events.amazonaws.com",
                    Node::get_att(&event.id, "Arn", event.at),
                );
            }
            "EventBridgeRule" | "CloudWatchEvent" => {
                sam.rule(source, event, &arn, None);
                sam.permission(
                    source,
                    event,
                    &target,
                    "events.amazonaws.com",
                    Node::get_att(&event.id, "Arn", event.at),
                );
            }
            "ScheduleV2" => sam.schedule(source, event, &arn, "lambda:InvokeFunction"),
            "SNS" => sam.subscription(source, event, &target, &arn),
            other => sam.unsupported(source, other, event.at),
        });
    }

    pub(super) fn state_machine_events(&mut self, source: &Source<'_>) {
        let arn = Node::reference(source.id, source.at);
        self.each_event(source, |sam, event| match event.kind {
            "Schedule" | "EventBridgeRule" | "CloudWatchEvent" => {
                let role_id = format!("{}Role", event.id);
                sam.start_role(source, &role_id, "events.amazonaws.com", &arn, "states:StartExecution");
                sam.rule(source, event, &arn, Some(&role_id));
            }
            "ScheduleV2" => sam.schedule(source, event, &arn, "states:StartExecution"),
            other => sam.unsupported(source, other, event.at),
        });
    }

    fn each_event(&mut self, source: &Source<'_>, mut each: impl FnMut(&mut Self, &Event<'_>)) {
        let Some(events) = source.get("Events") else { return };
        let Some(entries) = events.entries() else {
            return self.error(source.id, "Type of property 'Events' is invalid.", events.at);
        };
        for Entry { key, key_at, value } in entries {
            let Some(kind) = value.get("Type").and_then(Node::as_str) else {
                let message = format!("Event with id [{key}] is invalid. Event dictionary must contain a Type.");
                self.error(source.id, message, *key_at);
                continue;
            };
            let empty = Node::empty_map(*key_at);
            let properties = value.get("Properties").filter(|p| p.is_map()).unwrap_or(&empty);
            each(self, &Event { id: format!("{}{key}", source.id), kind, at: *key_at, properties });
        }
    }

    fn unsupported(&mut self, source: &Source<'_>, kind: &str, at: Position) {
        self.error(source.id, format!("the event type {kind} is not supported"), at);
    }

    fn mapping(&mut self, source: &Source<'_>, event: &Event<'_>, arn_property: &str, target: &Node) {
        let Some(arn) = event.properties.get(arn_property) else {
            let message = format!(
                "Event with id [{}] is invalid. No {arn_property} (for SQS) or Stream (for Kinesis or DynamoDB) provided.",
                event.id
            );
            return self.error(source.id, message, event.at);
        };
        if arn_property == "Stream" && event.properties.get("StartingPosition").is_none() {
            let message = format!("Event with id [{}] is invalid. StartingPosition is required.", event.id);
            return self.error(source.id, message, event.at);
        }
        let mut properties = Node::map([("EventSourceArn", arn.clone()), ("FunctionName", target.clone())], event.at);
        copy(event.properties, &mut properties, &MAPPING);
        // SAM writes {Type, Destination}; the service knows the destination alone.
        if let Some(failure) = properties.get_mut("DestinationConfig").and_then(|d| d.get_mut("OnFailure")) {
            failure.remove("Type");
        }
        self.generate(source, &event.id, "AWS::Lambda::EventSourceMapping", properties);
    }

    fn rule(&mut self, source: &Source<'_>, event: &Event<'_>, arn: &Node, role: Option<&str>) {
        let at = event.at;
        let mut properties = Node::empty_map(at);
        copy(event.properties, &mut properties, &["Description", "EventBusName", "State"]);
        if event.kind == "Schedule" {
            match event.properties.get("Schedule") {
                Some(expression) => properties.set("ScheduleExpression", expression.clone()),
                None => return self.error(source.id, "Missing required property 'Schedule'.", at),
            }
            if let Some(name) = event.properties.get("Name") {
                properties.set("Name", name.clone());
            }
        } else {
            match event.properties.get("Pattern") {
                Some(pattern) => properties.set("EventPattern", pattern.clone()),
                None => return self.error(source.id, "Missing required property 'Pattern'.", at),
            }
            if let Some(name) = event.properties.get("RuleName") {
                properties.set("Name", name.clone());
            }
        }
        if let Some(enabled) = event.properties.get("Enabled").and_then(|n| self.resolved_text(n)) {
            let state = if enabled.eq_ignore_ascii_case("true") { "ENABLED" } else { "DISABLED" };
            properties.set("State", Node::text(state, at));
        }
        let id = event.properties.get("Target").and_then(|t| t.get("Id")).cloned();
        let default_id = if role.is_some() { "StepFunctionsTarget" } else { "LambdaTarget" };
        let id = id.unwrap_or_else(|| Node::text(format!("{}{default_id}", event.id), at));
        let mut target = Node::map([("Arn", arn.clone()), ("Id", id)], at);
        if let Some(role) = role {
            target.set("RoleArn", Node::get_att(role, "Arn", at));
        }
        copy(event.properties, &mut target, &["Input", "InputPath", "InputTransformer", "RetryPolicy"]);
        if let Some(queue) = event.properties.get("DeadLetterConfig").and_then(|d| d.get("Arn")) {
            target.set("DeadLetterConfig", Node::map([("Arn", queue.clone())], at));
        }
        properties.set("Targets", Node::list(vec![target], at));
        self.generate(source, &event.id, "AWS::Events::Rule", properties);
    }

    fn permission(&mut self, source: &Source<'_>, event: &Event<'_>, target: &Node, principal: &str, arn: Node) {
        let at = event.at;
        let members = [
            ("Action", Node::text("lambda:InvokeFunction", at)),
            ("FunctionName", target.clone()),
            ("Principal", Node::text(principal, at)),
            ("SourceArn", arn),
        ];
        self.generate(source, &format!("{}Permission", event.id), "AWS::Lambda::Permission", Node::map(members, at));
    }

    fn schedule(&mut self, source: &Source<'_>, event: &Event<'_>, arn: &Node, action: &str) {
        let at = event.at;
        let mut properties = Node::empty_map(at);
        copy(
            event.properties,
            &mut properties,
            &[
                "ScheduleExpression",
                "ScheduleExpressionTimezone",
                "Description",
                "EndDate",
                "StartDate",
                "GroupName",
                "KmsKeyArn",
                "State",
            ],
        );
        let name = event.properties.get("Name").cloned().unwrap_or_else(|| Node::text(&event.id, at));
        properties.set("Name", name);
        let window = event.properties.get("FlexibleTimeWindow").cloned();
        properties
            .set("FlexibleTimeWindow", window.unwrap_or_else(|| Node::map([("Mode", Node::text("OFF", at))], at)));
        let role = match event.properties.get("RoleArn") {
            Some(role) => role.clone(),
            None => {
                let role_id = format!("{}Role", event.id);
                self.start_role(source, &role_id, "scheduler.amazonaws.com", arn, action);
                Node::get_att(&role_id, "Arn", at)
            }
        };
        let mut target = Node::map([("Arn", arn.clone()), ("RoleArn", role)], at);
        copy(event.properties, &mut target, &["Input", "RetryPolicy", "DeadLetterConfig"]);
        properties.set("Target", target);
        self.generate(source, &event.id, "AWS::Scheduler::Schedule", properties);
    }

    fn subscription(&mut self, source: &Source<'_>, event: &Event<'_>, target: &Node, arn: &Node) {
        let at = event.at;
        let Some(topic) = event.properties.get("Topic") else {
            return self.error(source.id, "Missing required property 'Topic'.", at);
        };
        let members = [("Endpoint", arn.clone()), ("Protocol", Node::text("lambda", at)), ("TopicArn", topic.clone())];
        let mut properties = Node::map(members, at);
        copy(event.properties, &mut properties, &["FilterPolicy", "FilterPolicyScope", "Region", "RedrivePolicy"]);
        self.generate(source, &event.id, "AWS::SNS::Subscription", properties);
        self.permission(source, event, target, "sns.amazonaws.com", topic.clone());
    }

    /// A role that may start `target`, for rules and schedules.
    fn start_role(&mut self, source: &Source<'_>, id: &str, principal: &str, target: &Node, action: &str) {
        let at = source.at;
        let version = || ("Version", Node::text("2012-10-17", at));
        let assume = Node::map(
            [
                ("Effect", Node::text("Allow", at)),
                ("Principal", Node::map([("Service", Node::list(vec![Node::text(principal, at)], at))], at)),
                ("Action", Node::list(vec![Node::text("sts:AssumeRole", at)], at)),
            ],
            at,
        );
        let allow = Node::map(
            [("Effect", Node::text("Allow", at)), ("Action", Node::text(action, at)), ("Resource", target.clone())],
            at,
        );
        let document = |statement| Node::map([version(), ("Statement", Node::list(vec![statement], at))], at);
        let policy = Node::map(
            [("PolicyName", Node::text(format!("{id}StartExecutionPolicy"), at)), ("PolicyDocument", document(allow))],
            at,
        );
        let members = [("AssumeRolePolicyDocument", document(assume)), ("Policies", Node::list(vec![policy], at))];
        self.generate(source, id, "AWS::IAM::Role", Node::map(members, at));
    }
}
