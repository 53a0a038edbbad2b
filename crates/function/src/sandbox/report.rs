use std::time::Duration;

use base::Timestamp;
use serde::Serialize;

/// What a REPORT line says about one invocation.
pub(crate) struct Report<'a> {
    pub request_id: &'a str,
    pub duration: Duration,
    /// Of the worker's start, in the report of its first invocation.
    pub init: Option<Duration>,
    pub memory_mb: u32,
    pub memory_used_mb: u64,
    pub status: Status<'a>,
}

/// How an invocation ended, as far as the platform is concerned: an error that the handler raised is a success.
#[derive(Clone, Copy)]
pub(crate) enum Status<'a> {
    Success,
    Timeout,
    /// The worker failed; the error's type.
    Error(&'a str),
}

/// Writes the platform's lines of a function's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    pub fn start(self, now: Timestamp, request_id: &str, version: &str) -> String {
        match self {
            LogFormat::Text => format!("START RequestId: {request_id} Version: {version}\n"),
            LogFormat::Json => json_line(
                now,
                "platform.start",
                &serde_json::json!({"requestId": request_id, "version": version, "functionVersion": version}),
            ),
        }
    }

    /// The lines at the end: END and REPORT.
    pub fn end(self, now: Timestamp, report: &Report<'_>) -> Vec<String> {
        match self {
            LogFormat::Text => vec![format!("END RequestId: {}\n", report.request_id), report.text()],
            LogFormat::Json => vec![report.runtime_done(now), report.json(now)],
        }
    }
}

impl Report<'_> {
    /// AWS bills whole milliseconds, the start of the worker included.
    fn billed_ms(&self) -> u64 {
        let total = self.duration + self.init.unwrap_or_default();
        u64::try_from(total.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1)
    }

    fn text(&self) -> String {
        let mut line = format!(
            "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t",
            self.request_id,
            milliseconds(self.duration),
            self.billed_ms(),
            self.memory_mb,
            self.memory_used_mb,
        );
        if let Some(init) = self.init {
            line.push_str(&format!("Init Duration: {} ms\t", milliseconds(init)));
        }
        match self.status {
            Status::Success => {}
            Status::Timeout => line.push_str("Status: timeout"),
            Status::Error(kind) => line.push_str(&format!("Status: error\tError Type: {kind}")),
        }
        line.push('\n');
        line
    }

    fn status(&self) -> &'static str {
        match self.status {
            Status::Success => "success",
            Status::Timeout => "timeout",
            Status::Error(_) => "error",
        }
    }

    fn runtime_done(&self, now: Timestamp) -> String {
        let mut record = serde_json::json!({
            "requestId": self.request_id,
            "status": self.status(),
            "metrics": {"durationMs": rounded_ms(self.duration)},
        });
        if let Status::Error(kind) = self.status {
            record["errorType"] = kind.into();
        }
        json_line(now, "platform.runtimeDone", &record)
    }

    fn json(&self, now: Timestamp) -> String {
        let mut record = serde_json::json!({
            "requestId": self.request_id,
            "metrics": {
                "durationMs": rounded_ms(self.duration),
                "billedDurationMs": self.billed_ms(),
                "memorySizeMB": self.memory_mb,
                "maxMemoryUsedMB": self.memory_used_mb,
            },
            "status": self.status(),
        });
        if let Some(init) = self.init {
            record["metrics"]["initDurationMs"] = rounded_ms(init).into();
        }
        if let Status::Error(kind) = self.status {
            record["errorType"] = kind.into();
        }
        json_line(now, "platform.report", &record)
    }
}

fn json_line(now: Timestamp, kind: &str, record: &serde_json::Value) -> String {
    format!("{}\n", serde_json::json!({"time": now.to_rfc3339(), "type": kind, "record": record}))
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

fn rounded_ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// An error of the platform, in the shape that callers of Invoke get.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlatformError {
    pub error_type: &'static str,
    pub error_message: String,
}

impl PlatformError {
    pub fn payload(&self) -> bytes::Bytes {
        serde_json::to_vec(self).expect("two texts are JSON").into()
    }

    /// `Task timed out after 3.00 seconds`.
    pub fn timeout(request_id: &str, timeout: Duration) -> PlatformError {
        PlatformError {
            error_type: "Sandbox.Timedout",
            error_message: format!(
                "RequestId: {request_id} Error: Task timed out after {:.2} seconds",
                timeout.as_secs_f64()
            ),
        }
    }

    pub fn response_too_large(bytes_max: usize) -> PlatformError {
        PlatformError {
            error_type: "Function.ResponseSizeTooLarge",
            error_message: format!("Response payload size exceeded maximum allowed payload size ({bytes_max} bytes)."),
        }
    }
}

/// Why a worker is gone or never came to be, before it is known which invocation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The process ended; how, in the words of Go's `os/exec`, which AWS's platform is written with.
    Exited(Option<String>),
    /// The memory limit was reached and the process killed.
    OutOfMemory,
    /// The process could not be started.
    Entrypoint(String),
    /// Starting took too long.
    InitTimeout(Duration),
    /// The runtime itself reported why it cannot start.
    Reported { body: bytes::Bytes, error_type: Option<String> },
}

impl Failure {
    pub fn of_status(status: std::process::ExitStatus) -> Failure {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            let dumped = if status.core_dumped() { " (core dumped)" } else { "" };
            return Failure::Exited(Some(format!("signal: {}{dumped}", signal_name(signal))));
        }
        match status.code() {
            Some(0) | None => Failure::Exited(None),
            Some(code) => Failure::Exited(Some(format!("exit status {code}"))),
        }
    }

    /// The error's type, its text for the log, and the payload of the answer.
    pub fn describe(&self, request_id: &str) -> (String, Option<String>, bytes::Bytes) {
        let error = match self {
            Failure::Reported { body, error_type } => {
                let kind = error_type.clone().unwrap_or_else(|| "Runtime.Unknown".to_owned());
                return (kind, None, body.clone());
            }
            Failure::InitTimeout(limit) => PlatformError::timeout(request_id, *limit),
            Failure::OutOfMemory => PlatformError {
                error_type: "Runtime.OutOfMemory",
                error_message: format!("RequestId: {request_id} Error: Runtime exited with error: signal: killed"),
            },
            Failure::Entrypoint(why) => PlatformError {
                error_type: "Runtime.InvalidEntrypoint",
                error_message: format!("RequestId: {request_id} Error: {why}"),
            },
            Failure::Exited(how) => {
                let how = match how {
                    Some(how) => format!("Runtime exited with error: {how}"),
                    None => "Runtime exited without providing a reason".to_owned(),
                };
                PlatformError {
                    error_type: "Runtime.ExitError",
                    error_message: format!("RequestId: {request_id} Error: {how}"),
                }
            }
        };
        let line = format!("{}\n{}\n", error.error_message, error.error_type);
        (error.error_type.to_owned(), Some(line), error.payload())
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        24 => "CPU time limit exceeded",
        25 => "file size limit exceeded",
        31 => "bad system call",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn lines_as_aws_writes_them() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut report = Report {
            request_id: "8f5e",
            duration: Duration::from_micros(2_644),
            init: Some(Duration::from_micros(101_201)),
            memory_mb: 128,
            memory_used_mb: 36,
            status: Status::Success,
        };
        assert_eq!(LogFormat::Text.start(now, "8f5e", "$LATEST"), "START RequestId: 8f5e Version: $LATEST\n");
        assert_eq!(
            LogFormat::Text.end(now, &report),
            [
                "END RequestId: 8f5e\n",
                "REPORT RequestId: 8f5e\tDuration: 2.64 ms\tBilled Duration: 104 ms\tMemory Size: 128 MB\t\
                 Max Memory Used: 36 MB\tInit Duration: 101.20 ms\t\n"
            ]
        );
        report.init = None;
        report.status = Status::Error("Runtime.ExitError");
        assert!(report.text().ends_with("Max Memory Used: 36 MB\tStatus: error\tError Type: Runtime.ExitError\n"));
        let json = &LogFormat::Json.end(now, &report)[1];
        assert!(json.contains(r#""type":"platform.report""#) && json.contains(r#""billedDurationMs":3"#), "{json}");
    }

    #[test]
    fn ends_of_processes() {
        let text = |raw| {
            let (_, _, payload) = Failure::of_status(std::process::ExitStatus::from_raw(raw)).describe("r");
            String::from_utf8(payload.to_vec()).unwrap()
        };
        let exit = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r Error: "#;
        assert_eq!(text(1 << 8), format!(r#"{exit}Runtime exited with error: exit status 1"}}"#));
        assert_eq!(text(0), format!(r#"{exit}Runtime exited without providing a reason"}}"#));
        assert_eq!(text(11), format!(r#"{exit}Runtime exited with error: signal: segmentation fault"}}"#));
        let timeout = PlatformError::timeout("r", Duration::from_secs(3)).payload();
        let expected = r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r Error: Task timed out after 3.00 seconds"}"#;
        assert_eq!(timeout, expected);
    }
}
