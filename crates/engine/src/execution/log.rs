//! Execution logs, as a state machine's logging configuration asks for them.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html>

use base::{Scope, Timestamp};
use interp::{EventType, HistoryEvent};
use serde_json::{Value, json};

use crate::logging::LoggingConfiguration;
use crate::record::HeadRecord;

/// Where the events of an execution are logged, and which.
pub(super) struct LogTarget {
    scope: Scope,
    group: String,
    level: Level,
    data: bool,
}

#[derive(PartialEq)]
enum Level {
    All,
    Error,
    Fatal,
}

/// Log events for one stream.
pub(crate) struct LogLines {
    pub scope: Scope,
    pub group: String,
    pub stream: String,
    pub lines: Vec<(Timestamp, String)>,
}

impl LogTarget {
    /// What a logging configuration says; `None` if nothing is logged.
    pub fn read(logging_json: Option<&str>) -> Option<LogTarget> {
        let configuration = LoggingConfiguration::read(Some(logging_json?));
        let level = match configuration.level.as_str() {
            "ALL" => Level::All,
            "ERROR" => Level::Error,
            "FATAL" => Level::Fatal,
            _ => return None,
        };
        let (scope, group) = configuration.group()?;
        Some(LogTarget { scope, group, level, data: configuration.include_execution_data })
    }

    /// Those of `events` that are logged.
    pub fn lines(&self, head: &HeadRecord, arn: &str, redrives: u32, events: &[HistoryEvent]) -> Option<LogLines> {
        let lines = events.iter().filter(|e| self.wants(e.event_type));
        let lines: Vec<_> = lines.map(|e| (e.timestamp, self.line(arn, redrives, e))).collect();
        if lines.is_empty() {
            return None;
        }
        let start = Timestamp::from_millis(head.start_ms).to_rfc3339();
        let minute = start.get(..16).unwrap_or(&start).replace(['T', ':'], "-");
        // What stands before a slash is the machine of a Map Run's child.
        let machine = head.machine.split('/').next().unwrap_or_default();
        let stream = format!("states/{machine}/{minute}/{:08x}", cell::shard_of(arn.as_bytes(), 1 << 32));
        Some(LogLines { scope: self.scope.clone(), group: self.group.clone(), stream, lines })
    }

    /// <https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-log-level>
    fn wants(&self, kind: EventType) -> bool {
        let name = kind.as_str();
        let bad = name.ends_with("Failed") || name.ends_with("TimedOut") || name.ends_with("Aborted");
        match self.level {
            Level::All => true,
            Level::Error => bad || kind == EventType::FailStateEntered,
            Level::Fatal => bad && kind.is_terminal(),
        }
    }

    fn line(&self, arn: &str, redrives: u32, event: &HistoryEvent) -> String {
        let mut shown = event.to_json(self.data);
        let details = shown.get_mut(event.event_type.details_member()).map(Value::take).unwrap_or_else(|| json!({}));
        json!({
            "id": event.id.to_string(),
            "type": event.event_type.as_str(),
            "details": details,
            "previous_event_id": event.previous_event_id.to_string(),
            "event_timestamp": event.timestamp.as_millis().to_string(),
            "execution_arn": arn,
            "redrive_count": redrives.to_string(),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations() {
        let read = |level: &str| {
            let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/stepfunctions/m:*";
            let destinations = json!([{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]);
            LogTarget::read(Some(&json!({"level": level, "destinations": destinations}).to_string()))
        };
        assert!(read("OFF").is_none() && LogTarget::read(None).is_none());
        assert_eq!(read("ALL").unwrap().group, "/aws/stepfunctions/m");
        let (error, fatal) = (read("ERROR").unwrap(), read("FATAL").unwrap());
        assert!(error.wants(EventType::TaskFailed) && !error.wants(EventType::TaskSucceeded));
        assert!(error.wants(EventType::FailStateEntered) && !fatal.wants(EventType::FailStateEntered));
        assert!(fatal.wants(EventType::ExecutionFailed) && !fatal.wants(EventType::TaskFailed));
    }
}
