//! A state machine's logging configuration, as requests bring it and answers give it.

use serde::{Deserialize, Serialize};
use service::{Call, Fault, Registry};

/// What is logged of executions, and where.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggingConfiguration {
    #[serde(default = "off")]
    pub level: String,
    #[serde(default)]
    pub include_execution_data: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<Destination>>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Destination {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logs_log_group: Option<LogGroup>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group_arn: Option<String>,
}

fn off() -> String {
    "OFF".to_owned()
}

impl Default for LoggingConfiguration {
    fn default() -> LoggingConfiguration {
        LoggingConfiguration { level: off(), include_execution_data: false, destinations: None }
    }
}

impl LoggingConfiguration {
    /// The configuration that is stored; what cannot be read logs nothing.
    pub fn read(json: Option<&str>) -> LoggingConfiguration {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// What is stored of it: nothing of the default.
    pub fn to_json(&self) -> Option<String> {
        let json = (*self != LoggingConfiguration::default()).then(|| serde_json::to_string(self));
        json.transpose().expect("a struct of texts can be written")
    }

    /// The one destination's account and region, and group.
    pub fn group(&self) -> Option<(base::Scope, String)> {
        let group = self.destinations.as_ref()?.first()?.cloud_watch_logs_log_group.as_ref()?;
        let arn: base::Arn =
            group.log_group_arn.as_ref()?.parse().ok().filter(|a: &base::Arn| a.service() == "logs")?;
        let name = arn.resource().strip_prefix("log-group:")?.trim_end_matches(":*");
        (!name.is_empty()).then(|| (arn.scope(), name.to_owned()))
    }

    /// Refuses what AWS refuses: a level without a destination, and one that is not there.
    pub async fn check(&self, call: &Call, registry: Option<&Registry>) -> Result<(), Fault> {
        let invalid =
            |why: &str| Fault::client("InvalidLoggingConfiguration", format!("Invalid Logging Configuration: {why}"));
        let destinations = self.destinations.as_ref().map_or(0, Vec::len);
        if destinations > 1 || (self.level != "OFF" && destinations != 1) {
            return Err(invalid("Must specify exactly one Log Destination."));
        }
        if self.level == "OFF" {
            return Ok(());
        }
        let not_found = || invalid("Log Destination not found.");
        let (scope, name) = self.group().ok_or_else(not_found)?;
        let Some(registry) = registry.filter(|r| r.has_operation("logs", "DescribeLogGroups")) else { return Ok(()) };
        let call = Call { scope, effect: None, ..call.clone() };
        let mut input = serde_json::json!({"logGroupNamePrefix": name});
        loop {
            let answer = registry.call_value("logs", "DescribeLogGroups", call.clone(), input.clone()).await?;
            let groups = answer["logGroups"].as_array().map_or(&[][..], Vec::as_slice);
            if groups.iter().any(|g| g["logGroupName"] == name.as_str()) {
                return Ok(());
            }
            // Groups come by name, so the one of just this name is on the first page if it is there.
            match answer.get("nextToken") {
                Some(token) if groups.is_empty() => input["nextToken"] = token.clone(),
                _ => return Err(not_found()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_not_stored_and_members_that_were_left_out_are() {
        let read = |json: &str| serde_json::from_str::<LoggingConfiguration>(json).unwrap();
        assert_eq!(read("{}").to_json(), None);
        assert_eq!(read(r#"{"level":"OFF"}"#).to_json(), None);
        let stored = read(r#"{"destinations":[]}"#).to_json().unwrap();
        assert_eq!(stored, r#"{"level":"OFF","includeExecutionData":false,"destinations":[]}"#);
        assert_eq!(LoggingConfiguration::read(Some(&stored)).destinations, Some(vec![]));
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/a/b:*";
        let one = format!(r#"{{"destinations":[{{"cloudWatchLogsLogGroup":{{"logGroupArn":"{arn}"}}}}]}}"#);
        assert_eq!(read(&one).group().unwrap().1, "/a/b");
        assert_eq!(read(&one.replace(arn, "arn:aws:s3:::b")).group(), None);
    }
}
