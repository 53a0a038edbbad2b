use super::role::{Role, Service};
use super::{Sam, Source, copy, short_hash};
use crate::template::Node;

const KNOWN: [&str; 17] = [
    "AutoPublishAlias",
    "Definition",
    "DefinitionString",
    "DefinitionSubstitutions",
    "DefinitionUri",
    "Events",
    "Logging",
    "Name",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "Role",
    "RolePath",
    "Tags",
    "Tracing",
    "Type",
    "AssumeRolePolicyDocument",
];

impl Sam<'_> {
    /// `AWS::Serverless::StateMachine`: a state machine, its role and what starts it.
    ///
    /// `DefinitionString` is no property of SAM's: it is what a local `DefinitionUri` has become.
    pub(super) fn state_machine(&mut self, source: &Source<'_>) {
        for entry in source.properties.entries().unwrap_or_default() {
            if !KNOWN.contains(&entry.key.as_str()) {
                self.error(source.id, format!("property {} is not supported", entry.key), entry.key_at);
            }
        }
        let at = source.at;
        let mut properties = Node::empty_map(at);
        let forms = ["Definition", "DefinitionUri", "DefinitionString"];
        match forms.iter().filter(|name| source.get(name).is_some()).count() {
            1 => {}
            0 => {
                return self.error(source.id, "Either 'Definition' or 'DefinitionUri' property must be specified.", at);
            }
            _ => {
                return self.error(
                    source.id,
                    "Specify either 'Definition' or 'DefinitionUri' property and not both.",
                    at,
                );
            }
        }
        copy(&source.properties, &mut properties, &["Definition", "DefinitionString", "DefinitionSubstitutions"]);
        if let Some(location) = self.location(source, "DefinitionUri", ["Bucket", "Key", "Version"]) {
            properties.set("DefinitionS3Location", location);
        }
        let renamed = [
            ("Name", "StateMachineName"),
            ("Type", "StateMachineType"),
            ("Logging", "LoggingConfiguration"),
            ("Tracing", "TracingConfiguration"),
        ];
        for (from, to) in renamed {
            if let Some(value) = source.get(from) {
                properties.set(to, value.clone());
            }
        }
        if let Some(tags) = self.tags(source, Some("stateMachine:createdBy")) {
            properties.set("Tags", tags);
        }
        match (source.get("Role"), source.get("Policies")) {
            (Some(_), Some(_)) => {
                return self.error(source.id, "Specify either 'Role' or 'Policies' properties and not both.", at);
            }
            (Some(role), None) => properties.set("RoleArn", role.clone()),
            (None, _) => {
                let role_id = format!("{}Role", source.id);
                properties.set("RoleArn", Node::get_att(&role_id, "Arn", at));
                self.role(source, &role_id, Role { service: Service::States, managed: Vec::new() });
            }
        }
        let hash = short_hash(&properties);
        self.generate(source, source.id, "AWS::StepFunctions::StateMachine", properties);
        self.state_machine_alias(source, &hash);
        self.state_machine_events(source);
    }

    fn state_machine_alias(&mut self, source: &Source<'_>, hash: &str) {
        let Some(node) = source.get("AutoPublishAlias") else { return };
        let at = node.at;
        let Some(name) = self.resolved_text(node) else {
            return self.error(source.id, "'AutoPublishAlias' must be a string or a Ref to a template parameter", at);
        };
        let version_id = format!("{}Version{hash}", source.id);
        let members = [
            ("StateMachineArn", Node::reference(source.id, at)),
            ("StateMachineRevisionId", Node::get_att(source.id, "StateMachineRevisionId", at)),
        ];
        self.generate(source, &version_id, "AWS::StepFunctions::StateMachineVersion", Node::map(members, at));
        self.last_attribute("DeletionPolicy", Node::text("Retain", at));
        let suffix: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let route = Node::map(
            [("StateMachineVersionArn", Node::reference(&version_id, at)), ("Weight", Node::text("100", at))],
            at,
        );
        let members = [("Name", Node::text(name, at)), ("RoutingConfiguration", Node::list(vec![route], at))];
        let alias_id = format!("{}Alias{suffix}", source.id);
        self.generate(source, &alias_id, "AWS::StepFunctions::StateMachineAlias", Node::map(members, at));
        self.renamed.insert(format!("{}.Version", source.id), version_id);
        self.renamed.insert(format!("{}.Alias", source.id), alias_id);
    }
}
