use serde_json::{Map, Value};

/// An error as an AWS service answers it: its code, message and whose fault it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The error's shape name in the service model, such as `QueueDoesNotExist`.
    pub code: String,
    /// The code in the old Query protocol where it differs, such as `AWS.SimpleQueueService.NonExistentQueue`.
    pub query_code: Option<&'static str>,
    pub message: String,
    /// 4xx: the sender's fault. 5xx: ours.
    pub status: u16,
    /// Further members of the error's shape (`CancellationReasons`, `Item`).
    pub members: Box<Map<String, Value>>,
}

impl Fault {
    /// The caller's fault, HTTP 400.
    pub fn client(code: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault::with_status(400, code, message)
    }

    pub fn with_status(status: u16, code: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { code: code.into(), query_code: None, message: message.into(), status, members: Box::default() }
    }

    /// AWS's name for input that breaks the model: a missing, unknown or malformed member.
    pub fn validation(message: impl Into<String>) -> Fault {
        Fault::client("ValidationException", message)
    }

    /// A bound is reached; the caller may try again.
    pub fn throttling(message: impl Into<String>) -> Fault {
        Fault::client("ThrottlingException", message)
    }

    /// Our fault, HTTP 500: the message says what failed, without secrets.
    pub fn internal(message: impl Into<String>) -> Fault {
        Fault::with_status(500, "InternalFailure", message)
    }

    pub fn query_code(mut self, code: &'static str) -> Fault {
        self.query_code = Some(code);
        self
    }

    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Fault {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn is_sender(&self) -> bool {
        self.status < 500
    }

    /// Whether the same call may succeed later without a change: throttling and our own faults.
    pub fn is_retryable(&self) -> bool {
        self.status >= 500
            || self.status == 429
            || self.code.contains("Throttl")
            || self.code.contains("TooManyRequests")
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}
