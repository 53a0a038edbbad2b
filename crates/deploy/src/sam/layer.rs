use super::{Sam, Source, copy};
use crate::template::Node;

impl Sam<'_> {
    /// `AWS::Serverless::LayerVersion`: a layer version that stays when a newer one replaces it.
    ///
    /// SAM puts a hash of the properties into the logical id; here the id stays as written, and the provider replaces
    /// the version on any change, which keeps the old one in the same way.
    pub(super) fn layer_version(&mut self, source: &Source<'_>) {
        let at = source.at;
        let mut properties = Node::empty_map(at);
        let name = source.get("LayerName").cloned().unwrap_or_else(|| Node::text(source.id, at));
        properties.set("LayerName", name);
        copy(
            &source.properties,
            &mut properties,
            &["Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"],
        );
        if source.get("ContentUri").is_none() {
            return self.error(source.id, "Missing required property 'ContentUri'.", at);
        }
        if let Some(content) = self.location(source, "ContentUri", ["S3Bucket", "S3Key", "S3ObjectVersion"]) {
            properties.set("Content", content);
        }
        let policy = match source.text("RetentionPolicy") {
            None | Some("Retain") => "Retain",
            Some("Delete") => "Delete",
            Some(_) => {
                return self.error(
                    source.id,
                    "'RetentionPolicy' must be one of the following options: Retain, Delete.",
                    at,
                );
            }
        };
        self.generate(source, source.id, "AWS::Lambda::LayerVersion", properties);
        self.last_attribute("DeletionPolicy", Node::text(policy, at));
        self.last_attribute("UpdateReplacePolicy", Node::text(policy, at));
    }
}
