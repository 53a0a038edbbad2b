use super::role::{Role, Service};
use super::{Sam, Source, copy, short_hash};
use crate::template::Node;

/// Properties that SAM hands on under the same name.
const SAME: [&str; 17] = [
    "FunctionName",
    "Description",
    "Handler",
    "Runtime",
    "MemorySize",
    "Timeout",
    "Environment",
    "VpcConfig",
    "Layers",
    "Architectures",
    "EphemeralStorage",
    "ReservedConcurrentExecutions",
    "KmsKeyArn",
    "LoggingConfig",
    "FileSystemConfigs",
    "SnapStart",
    "PackageType",
];

/// Properties that this file acts upon.
const OURS: [&str; 20] = [
    "CodeUri",
    "InlineCode",
    "Role",
    "RolePath",
    "Policies",
    "PermissionsBoundary",
    "AssumeRolePolicyDocument",
    "Events",
    "Tags",
    "Tracing",
    "DeadLetterQueue",
    "AutoPublishAlias",
    "AutoPublishCodeSha256",
    "AutoPublishAliasAllProperties",
    "VersionDescription",
    "VersionDeletionPolicy",
    "EventInvokeConfig",
    "ProvisionedConcurrencyConfig",
    "PropagateTags",
    "SourceKMSKeyArn",
];

/// What `AutoPublishAlias` made.
struct Alias {
    id: String,
    name: String,
}

impl Sam<'_> {
    /// `AWS::Serverless::Function`: a function, its role, its event sources, a version and an alias.
    pub(super) fn function(&mut self, source: &Source<'_>) {
        for entry in source.properties.entries().unwrap_or_default() {
            if !SAME.contains(&entry.key.as_str()) && !OURS.contains(&entry.key.as_str()) {
                self.error(source.id, format!("property {} is not supported", entry.key), entry.key_at);
            }
        }
        let mut properties = Node::empty_map(source.at);
        copy(&source.properties, &mut properties, &SAME);
        if let Some(code) = self.code(source) {
            properties.set("Code", code);
        }
        if let Some(tracing) = source.get("Tracing") {
            properties.set("TracingConfig", Node::map([("Mode", tracing.clone())], tracing.at));
        }
        if let Some(target) = source.get("DeadLetterQueue").and_then(|d| d.get("TargetArn")) {
            properties.set("DeadLetterConfig", Node::map([("TargetArn", target.clone())], target.at));
        }
        if let Some(tags) = self.tags(source, Some("lambda:createdBy")) {
            properties.set("Tags", tags);
        }
        let event_policies = self.event_policies(source);
        match source.get("Role") {
            Some(role) => properties.set("Role", role.clone()),
            None => {
                let role_id = format!("{}Role", source.id);
                properties.set("Role", Node::get_att(&role_id, "Arn", source.at));
                self.role(source, &role_id, Role { service: Service::Lambda, managed: event_policies });
            }
        }
        let hash = self.code_hash(source, &properties);
        self.generate(source, source.id, "AWS::Lambda::Function", properties);
        let alias = self.alias(source, &hash);
        self.invoke_config(source, alias.as_ref());
        self.function_events(source, alias.as_ref().map(|a| a.id.as_str()));
    }

    fn code(&mut self, source: &Source<'_>) -> Option<Node> {
        if let Some(inline) = source.get("InlineCode") {
            return Some(Node::map([("ZipFile", inline.clone())], inline.at));
        }
        if source.text("PackageType") == Some("Image") {
            self.error(source.id, "PackageType Image is not supported", source.at);
            return None;
        }
        if source.get("CodeUri").is_none() {
            self.error(source.id, "Missing required property 'CodeUri'.", source.at);
            return None;
        }
        self.location(source, "CodeUri", ["S3Bucket", "S3Key", "S3ObjectVersion"])
    }

    /// What a new version hangs on: the code, or the hash the template gives.
    fn code_hash(&self, source: &Source<'_>, properties: &Node) -> String {
        if let Some(given) = source.get("AutoPublishCodeSha256") {
            return short_hash(given);
        }
        let all = source.get("AutoPublishAliasAllProperties").and_then(Node::scalar).as_deref() == Some("true");
        if all {
            return short_hash(properties);
        }
        properties.get("Code").map(short_hash).unwrap_or_default()
    }

    /// `AutoPublishAlias`: a version that stays, and an alias that points to it.
    fn alias(&mut self, source: &Source<'_>, hash: &str) -> Option<Alias> {
        let node = source.get("AutoPublishAlias")?;
        let at = node.at;
        let Some(name) = self.resolved_text(node) else {
            let message = "'AutoPublishAlias' must be a string or a Ref to a template parameter";
            self.error(source.id, message, at);
            return None;
        };
        let version_id = format!("{}Version{hash}", source.id);
        let mut version = Node::map([("FunctionName", Node::reference(source.id, at))], at);
        if let Some(description) = source.get("VersionDescription") {
            version.set("Description", description.clone());
        }
        self.generate(source, &version_id, "AWS::Lambda::Version", version);
        let policy = source.get("VersionDeletionPolicy").cloned().unwrap_or_else(|| Node::text("Retain", at));
        self.last_attribute("DeletionPolicy", policy);

        let suffix: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let alias_id = format!("{}Alias{suffix}", source.id);
        let members = [
            ("Name", Node::text(&name, at)),
            ("FunctionName", Node::reference(source.id, at)),
            ("FunctionVersion", Node::get_att(&version_id, "Version", at)),
        ];
        let mut alias = Node::map(members, at);
        copy(&source.properties, &mut alias, &["ProvisionedConcurrencyConfig"]);
        self.generate(source, &alias_id, "AWS::Lambda::Alias", alias);
        self.renamed.insert(format!("{}.Version", source.id), version_id);
        self.renamed.insert(format!("{}.Alias", source.id), alias_id.clone());
        Some(Alias { id: alias_id, name })
    }

    fn invoke_config(&mut self, source: &Source<'_>, alias: Option<&Alias>) {
        let Some(config) = source.get("EventInvokeConfig") else { return };
        let at = config.at;
        let qualifier = alias.map_or("$LATEST", |alias| alias.name.as_str());
        let members = [("FunctionName", Node::reference(source.id, at)), ("Qualifier", Node::text(qualifier, at))];
        let mut properties = Node::map(members, at);
        copy(config, &mut properties, &["MaximumEventAgeInSeconds", "MaximumRetryAttempts"]);
        if let Some(destinations) = config.get("DestinationConfig") {
            let mut target = Node::empty_map(destinations.at);
            for name in ["OnSuccess", "OnFailure"] {
                let Some(destination) = destinations.get(name) else { continue };
                match destination.get("Destination") {
                    Some(arn) => target.set(name, Node::map([("Destination", arn.clone())], arn.at)),
                    None => self.error(source.id, format!("{name} needs a Destination"), destination.at),
                }
            }
            properties.set("DestinationConfig", target);
        }
        self.generate(source, &format!("{}EventInvokeConfig", source.id), "AWS::Lambda::EventInvokeConfig", properties);
        if let Some(alias) = alias {
            self.last_attribute("DependsOn", Node::text(&alias.id, at));
        }
    }
}
