//! Errors by the names under which the state machine knows them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a failed execution's cause is shortened to: a table row holds it.
pub const CAUSE_CHARS_MAX: usize = 2_000;

/// Why a step cannot be done; the name of the variant is the error name in the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The execution's input is not a job.
    InvalidInput,
    /// The raw bucket has no such object.
    MissingTranscript,
    /// The transcript cannot be read; the message names file and line.
    InvalidTranscript,
    /// Something that an earlier step wrote is gone or is not what it was.
    InvalidArtifact,
    /// The function lacks a variable or a permission.
    Misconfigured,
    /// A service did not answer; trying again may help.
    Unavailable,
    /// Others wrote the same report again and again; trying again will help.
    Contended,
}

impl Kind {
    /// The error name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::InvalidInput => "InvalidInput",
            Kind::MissingTranscript => "MissingTranscript",
            Kind::InvalidTranscript => "InvalidTranscript",
            Kind::InvalidArtifact => "InvalidArtifact",
            Kind::Misconfigured => "Misconfigured",
            Kind::Unavailable => "Unavailable",
            Kind::Contended => "Contended",
        }
    }

    /// Whether another attempt with the same input may end otherwise.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Unavailable | Kind::Contended)
    }
}

/// A step that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Failure {}

/// What a job's row says about a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub error: String,
    pub cause: String,
}

/// Turns what a catcher got (`{"Error", "Cause"}`) into words for people.
///
/// The cause of a failed function is a JSON text around the message; other causes are the message itself.
pub fn explain(caught: &Value) -> Explained {
    let text = |name: &str| caught.get(name).and_then(Value::as_str).unwrap_or_default();
    let error = match text("Error") {
        "" => "Unknown",
        error => error,
    };
    let cause = match serde_json::from_str::<Value>(text("Cause")) {
        Ok(Value::Object(members)) => match members.get("errorMessage").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => text("Cause").to_owned(),
        },
        _ => text("Cause").to_owned(),
    };
    let cause = if cause.is_empty() { "no cause was given".to_owned() } else { cause };
    Explained { error: error.to_owned(), cause: cause.chars().take(CAUSE_CHARS_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_functions_message_is_taken_out_of_its_json() {
        let cause = r#"{"errorType":"InvalidTranscript","errorMessage":"raw/c/d/t.vtt line 17: no","stackTrace":[]}"#;
        let explained = explain(&json!({"Error": "InvalidTranscript", "Cause": cause}));
        assert_eq!(explained.error, "InvalidTranscript");
        assert_eq!(explained.cause, "raw/c/d/t.vtt line 17: no");
    }

    #[test]
    fn other_causes_stay_as_they_are() {
        let explained = explain(&json!({"Error": "States.Timeout", "Cause": "took too long"}));
        assert_eq!(explained, Explained { error: "States.Timeout".into(), cause: "took too long".into() });
        assert_eq!(explain(&json!({"Error": "X", "Cause": "[1]"})).cause, "[1]");
        assert_eq!(explain(&json!({"Error": "X"})).cause, "no cause was given");
        assert_eq!(explain(&json!("?")).error, "Unknown");
    }

    #[test]
    fn a_long_cause_is_cut() {
        let explained = explain(&json!({"Error": "X", "Cause": "é".repeat(5_000)}));
        assert_eq!(explained.cause.chars().count(), CAUSE_CHARS_MAX);
    }
}
