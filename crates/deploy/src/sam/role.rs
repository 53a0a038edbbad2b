use super::policies::{self, Template};
use super::{Sam, Source};
use crate::template::Node;

/// Who assumes a generated role.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Lambda,
    States,
}

/// What a generated role has besides the template's policies.
pub(super) struct Role {
    pub(super) service: Service,
    pub(super) managed: Vec<&'static str>,
}

/// Managed policies that lie below `service-role/`.
const SERVICE_ROLE: [&str; 8] = [
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaDynamoDBExecutionRole",
    "AWSLambdaENIManagementAccess",
    "AWSLambdaKinesisExecutionRole",
    "AWSLambdaMSKExecutionRole",
    "AWSLambdaRole",
    "AWSLambdaSQSQueueExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
];

/// A managed policy's ARN by its name.
fn managed_arn(name: &str) -> String {
    let path = if SERVICE_ROLE.contains(&name) { "service-role/" } else { "" };
    format!("arn:aws:iam::aws:policy/{path}{name}")
}

impl Sam<'_> {
    /// `AWS::IAM::Role` for a function or a state machine without `Role`.
    pub(super) fn role(&mut self, source: &Source<'_>, id: &str, role: Role) {
        let at = source.at;
        let principal = match role.service {
            Service::Lambda => "lambda.amazonaws.com",
            Service::States => "states.amazonaws.com",
        };
        let assume = source.get("AssumeRolePolicyDocument").cloned().unwrap_or_else(|| {
            let statement = Node::map(
                [
                    ("Action", Node::list(vec![Node::text("sts:AssumeRole", at)], at)),
                    ("Effect", Node::text("Allow", at)),
                    ("Principal", Node::map([("Service", Node::list(vec![Node::text(principal, at)], at))], at)),
                ],
                at,
            );
            let version = ("Version", Node::text("2012-10-17", at));
            Node::map([version, ("Statement", Node::list(vec![statement], at))], at)
        });
        let mut managed: Vec<Node> = Vec::new();
        if role.service == Service::Lambda {
            managed.push(Node::text(managed_arn("AWSLambdaBasicExecutionRole"), at));
            if source.get("VpcConfig").is_some() {
                managed.push(Node::text(managed_arn("AWSLambdaVPCAccessExecutionRole"), at));
            }
        }
        let traced = source.get("Tracing").is_some_and(|t| {
            t.as_str() == Some("Active") || t.get("Enabled").and_then(Node::scalar).as_deref() == Some("true")
        });
        if traced {
            managed.push(Node::text(managed_arn("AWSXRayDaemonWriteAccess"), at));
        }
        managed.extend(role.managed.iter().map(|name| Node::text(managed_arn(name), at)));
        let mut inline = Vec::new();
        self.policies(source, id, &mut managed, &mut inline);

        let mut properties = Node::map([("AssumeRolePolicyDocument", assume)], at);
        if !managed.is_empty() {
            properties.set("ManagedPolicyArns", Node::list(managed, at));
        }
        if !inline.is_empty() {
            properties.set("Policies", Node::list(inline, at));
        }
        if let Some(path) = source.get("RolePath") {
            properties.set("Path", path.clone());
        }
        if let Some(boundary) = source.get("PermissionsBoundary") {
            properties.set("PermissionsBoundary", boundary.clone());
        }
        let created_by = match role.service {
            Service::Lambda => "lambda:createdBy",
            Service::States => "stateMachine:createdBy",
        };
        let tag = Node::map([("Key", Node::text(created_by, at)), ("Value", Node::text("SAM", at))], at);
        properties.set("Tags", Node::list(vec![tag], at));
        self.generate(source, id, "AWS::IAM::Role", properties);
    }

    /// `Policies`: names and ARNs of managed policies, documents, and SAM's policy templates.
    fn policies(&mut self, source: &Source<'_>, id: &str, managed: &mut Vec<Node>, inline: &mut Vec<Node>) {
        let Some(policies) = source.get("Policies") else { return };
        let items = policies.items().unwrap_or(std::slice::from_ref(policies));
        for (index, policy) in items.iter().enumerate() {
            let at = policy.at;
            let mut document = |document: Node| {
                let name = Node::text(format!("{id}Policy{index}"), at);
                inline.push(Node::map([("PolicyName", name), ("PolicyDocument", document)], at));
            };
            if let Some(name) = policy.as_str() {
                let arn = if name.starts_with("arn:") { name.to_owned() } else { managed_arn(name) };
                managed.push(Node::text(arn, at));
            } else if policy.function().is_some() {
                managed.push(policy.clone());
            } else if policy.get("Statement").is_some() {
                document(policy.clone());
            } else if let Some([only]) = policy.entries() {
                match policies::find(&only.key) {
                    Template::Found(template) => match policies::expand(template, &only.key, &only.value) {
                        Ok(expanded) => document(expanded),
                        Err(message) => self.error(source.id, message, only.key_at),
                    },
                    Template::Unknown => {
                        let message = format!("the policy template {} is not supported", only.key);
                        self.error(source.id, message, only.key_at);
                    }
                }
            } else {
                self.error(source.id, "a policy must be a name, an ARN, a document or a policy template", at);
            }
        }
    }
}
