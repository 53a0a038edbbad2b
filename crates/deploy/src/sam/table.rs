use super::{Sam, Source, copy};
use crate::template::Node;

impl Sam<'_> {
    /// `AWS::Serverless::SimpleTable`: a table with one key.
    pub(super) fn simple_table(&mut self, source: &Source<'_>) {
        let at = source.at;
        let key = source.get("PrimaryKey");
        let name = key.and_then(|k| k.get("Name")).cloned().unwrap_or_else(|| Node::text("id", at));
        let key_type = match key.and_then(|k| k.get("Type")).and_then(Node::as_str) {
            None | Some("String") => "S",
            Some("Number") => "N",
            Some("Binary") => "B",
            Some(other) => return self.error(source.id, format!("Invalid 'Type' \"{other}\"."), at),
        };
        let attribute = Node::map([("AttributeName", name.clone()), ("AttributeType", Node::text(key_type, at))], at);
        let schema = Node::map([("AttributeName", name), ("KeyType", Node::text("HASH", at))], at);
        let members =
            [("AttributeDefinitions", Node::list(vec![attribute], at)), ("KeySchema", Node::list(vec![schema], at))];
        let mut properties = Node::map(members, at);
        match source.get("ProvisionedThroughput") {
            Some(throughput) => properties.set("ProvisionedThroughput", throughput.clone()),
            None => properties.set("BillingMode", Node::text("PAY_PER_REQUEST", at)),
        }
        copy(
            &source.properties,
            &mut properties,
            &["TableName", "SSESpecification", "PointInTimeRecoverySpecification"],
        );
        if let Some(tags) = self.tags(source, None) {
            properties.set("Tags", tags);
        }
        self.generate(source, source.id, "AWS::DynamoDB::Table", properties);
    }
}
