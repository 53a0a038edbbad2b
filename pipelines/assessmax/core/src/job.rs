//! An execution's input.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Failure, Kind};
use crate::time;

/// How long an execution's name may be, and with it a job's id.
pub const JOB_ID_BYTES_MAX: usize = 80;
pub const CLASS_ID_BYTES_MAX: usize = 64;
pub const KEY_BYTES_MAX: usize = 1_024;

/// A transcript's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Txt,
    Vtt,
    Srt,
    Json,
    Csv,
}

impl Format {
    pub const ALL: [Format; 5] = [Format::Txt, Format::Vtt, Format::Srt, Format::Json, Format::Csv];

    /// The name, which is the file's extension too.
    pub fn name(self) -> &'static str {
        match self {
            Format::Txt => "txt",
            Format::Vtt => "vtt",
            Format::Srt => "srt",
            Format::Json => "json",
            Format::Csv => "csv",
        }
    }
}

/// A checked job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub job_id: String,
    pub input_key: String,
    pub format: Format,
    pub class_id: String,
    pub date: String,
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

impl Job {
    /// Checks an execution's input; the message names every member that is wrong.
    pub fn parse(input: &Value) -> Result<Job, Failure> {
        let Some(members) = input.as_object() else {
            return Err(invalid(vec![format!("expected a JSON object, found {}", kind(input))]));
        };
        let mut wrong = Vec::new();
        let mut text = |name: &str| match members.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                wrong.push(format!("{name} must be a string, found {}", kind(other)));
                String::new()
            }
            None => {
                wrong.push(format!("{name} is missing"));
                String::new()
            }
        };
        let (job_id, input_key) = (text("job_id"), text("input_key"));
        let (format, class_id, date) = (text("format"), text("class_id"), text("date"));
        let metadata = match members.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(metadata)) => metadata.clone(),
            Some(other) => {
                wrong.push(format!("metadata must be an object, found {}", kind(other)));
                Map::new()
            }
        };
        if !wrong.is_empty() {
            return Err(invalid(wrong));
        }
        check_names(&job_id, &class_id, &date, &mut wrong);
        let known = Format::ALL.into_iter().find(|f| f.name() == format);
        if known.is_none() {
            wrong.push(format!("format must be txt, vtt, srt, json or csv, found \"{format}\""));
        }
        if wrong.is_empty() {
            check_key(&input_key, &class_id, &date, &format, &mut wrong);
        }
        match known {
            Some(format) if wrong.is_empty() => Ok(Job { job_id, input_key, format, class_id, date, metadata }),
            _ => Err(invalid(wrong)),
        }
    }

    /// Names of teachers that `metadata.teacher` or `metadata.teachers` gives.
    pub fn teachers(&self) -> Vec<&str> {
        let given = [self.metadata.get("teacher"), self.metadata.get("teachers")];
        let one_or_more = given.into_iter().flatten().flat_map(|v| match v {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        });
        one_or_more.filter_map(Value::as_str).collect()
    }

    /// What the lesson was about, where `metadata.title` says it.
    pub fn title(&self) -> Option<&str> {
        self.metadata.get("title").and_then(Value::as_str)
    }
}

fn check_names(job_id: &str, class_id: &str, date: &str, wrong: &mut Vec<String>) {
    let plain = |text: &str, extra: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
    };
    if !plain(job_id, b"-_") || job_id.len() > JOB_ID_BYTES_MAX {
        wrong.push(format!("job_id must be 1 to {JOB_ID_BYTES_MAX} letters, digits, - and _, found \"{job_id}\""));
    }
    if !plain(class_id, b"-_.") || class_id.len() > CLASS_ID_BYTES_MAX || class_id.starts_with('.') {
        wrong.push(format!(
            "class_id must be 1 to {CLASS_ID_BYTES_MAX} letters, digits, -, _ and ., found \"{class_id}\""
        ));
    }
    if time::parse_date(date).is_none() {
        wrong.push(format!("date must be a day as YYYY-MM-DD, found \"{date}\""));
    }
}

/// Holds the key to the convention `raw/{class_id}/{date}/name.format`, so that a job cannot read another class's talk.
fn check_key(key: &str, class_id: &str, date: &str, format: &str, wrong: &mut Vec<String>) {
    let prefix = format!("raw/{class_id}/{date}/");
    let name = key.strip_prefix(&prefix).unwrap_or_default();
    if name.is_empty() || name.contains('/') || key.len() > KEY_BYTES_MAX {
        wrong.push(format!("input_key must be {prefix}transcript.{format}, found \"{key}\""));
    } else if !name.ends_with(&format!(".{format}")) {
        wrong.push(format!("format is {format}, but input_key ends otherwise: \"{key}\""));
    }
}

fn invalid(wrong: Vec<String>) -> Failure {
    Failure::new(Kind::InvalidInput, format!("job input: {}", wrong.join("; ")))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seed() -> Value {
        json!({
            "job_id": "test-job-123",
            "input_key": "raw/class-101/2024-01-15/transcript.txt",
            "format": "txt",
            "class_id": "class-101",
            "date": "2024-01-15",
            "metadata": {},
        })
    }

    fn with(name: &str, value: Value) -> String {
        let mut input = seed();
        input[name] = value;
        Job::parse(&input).unwrap_err().message
    }

    #[test]
    fn the_seeds_own_job_is_one() {
        let job = Job::parse(&seed()).unwrap();
        assert_eq!((job.job_id.as_str(), job.format), ("test-job-123", Format::Txt));
        let back: Job = serde_json::from_value(serde_json::to_value(&job).unwrap()).unwrap();
        assert_eq!(back, job);
    }

    #[test]
    fn every_wrong_member_is_named() {
        assert_eq!(
            Job::parse(&json!({"job_id": 7})).unwrap_err().message,
            "job input: job_id must be a string, found a number; input_key is missing; format is missing; \
             class_id is missing; date is missing"
        );
        assert_eq!(Job::parse(&json!([])).unwrap_err().message, "job input: expected a JSON object, found a list");
        assert!(with("job_id", json!("a/b")).contains("job_id must be 1 to 80 letters"));
        assert!(with("job_id", json!("x".repeat(81))).contains("job_id must be"));
        assert!(with("class_id", json!("..")).contains("class_id must be"));
        assert!(with("date", json!("2024-02-30")).contains("date must be a day"));
        assert!(with("format", json!("docx")).contains("format must be txt, vtt, srt, json or csv, found \"docx\""));
        assert!(with("metadata", json!("x")).contains("metadata must be an object, found a string"));
    }

    #[test]
    fn the_key_belongs_to_the_class_and_the_day() {
        assert!(with("input_key", json!("raw/class-102/2024-01-15/transcript.txt")).contains("input_key must be"));
        assert!(with("input_key", json!("raw/class-101/2024-01-15/../x.txt")).contains("input_key must be"));
        assert!(with("input_key", json!("raw/class-101/2024-01-15/t.vtt")).contains("input_key ends otherwise"));
    }

    #[test]
    fn teachers_are_one_name_or_more() {
        let mut input = seed();
        input["metadata"] = json!({"teacher": "Ms. Okafor", "teachers": ["Mr. Lee", 7]});
        let job = Job::parse(&input).unwrap();
        assert_eq!(job.teachers(), ["Ms. Okafor", "Mr. Lee"]);
    }
}
