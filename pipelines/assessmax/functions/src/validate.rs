//! Validate: is the input a job, and is its transcript there?

use assessmax_core::failure::{Failure, Kind};
use assessmax_core::job::Job;
use assessmax_core::{time, transcript};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::Bucket;
use crate::{aws, event};

/// How long an execution may last: `TimeoutSeconds` of the state machine. A row that says RUNNING for longer belongs
/// to an execution that was stopped.
const EXECUTION_MS_MAX: i64 = 6 * 3_600 * 1_000;

#[derive(Clone)]
pub(crate) struct Step {
    raw: Bucket,
}

#[derive(Deserialize)]
struct Event {
    input: Value,
    started_at: String,
}

impl Step {
    pub fn from_environment() -> Result<Step, Failure> {
        Ok(Step { raw: Bucket::new(aws::s3()?, "S3_RAW_BUCKET")? })
    }

    pub async fn run(self, payload: Value) -> Result<Value, Failure> {
        let event: Event = event(payload)?;
        let job = Job::parse(&event.input)?;
        let started = time::parse(&event.started_at).ok_or_else(|| {
            Failure::new(Kind::InvalidInput, format!("started_at is not a time: \"{}\"", event.started_at))
        })?;
        let key = &job.input_key;
        let bytes = self.raw.size(key).await?;
        let bytes = bytes
            .ok_or_else(|| Failure::new(Kind::MissingTranscript, format!("{key}: no such object in the raw bucket")))?;
        if usize::try_from(bytes).unwrap_or(usize::MAX) > transcript::BYTES_MAX {
            let message = format!("{key}: the transcript has {bytes} bytes, more than {}", transcript::BYTES_MAX);
            return Err(Failure::new(Kind::InvalidTranscript, message));
        }
        Ok(json!({"job": job, "bytes": bytes, "stale_before": time::format(started - EXECUTION_MS_MAX)}))
    }
}
