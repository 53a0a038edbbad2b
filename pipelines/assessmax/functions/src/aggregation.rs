//! Aggregation: from the scores of a job's students to the job's result.

use std::collections::BTreeSet;

use assessmax_core::failure::{Failure, Kind};
use assessmax_core::job::Job;
use assessmax_core::score::StudentScore;
use assessmax_core::transcript::Transcript;
use assessmax_core::{keys, session};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::{Bucket, Only};
use crate::{aws, event};

#[derive(Clone)]
pub(crate) struct Step {
    normalized: Bucket,
    outputs: Bucket,
}

#[derive(Deserialize)]
struct Event {
    job: Job,
    normalized_key: String,
    scores: Vec<Scored>,
}

#[derive(Deserialize)]
struct Scored {
    result_key: String,
}

impl Step {
    pub fn from_environment() -> Result<Step, Failure> {
        let s3 = aws::s3()?;
        Ok(Step {
            normalized: Bucket::new(s3.clone(), "S3_NORMALIZED_BUCKET")?,
            outputs: Bucket::new(s3, "S3_OUTPUTS_BUCKET")?,
        })
    }

    pub async fn run(self, payload: Value) -> Result<Value, Failure> {
        let Event { job, normalized_key, scores } = event(payload)?;
        let transcript: Transcript = self.normalized.get_json(&normalized_key).await?;
        let scores: Vec<StudentScore> =
            self.outputs.get_all(scores.into_iter().map(|s| s.result_key).collect()).await?;
        complete(&job, &transcript, &scores)?;
        let session = session::aggregate(&job, &transcript, scores);
        let result_key = keys::session(&job.class_id, &job.date, &job.job_id);
        self.outputs.put_json(&result_key, &session, Only::Always).await?;
        Ok(json!({"result_key": result_key, "students": session.students.len()}))
    }
}

/// Every student has one score and nobody has two.
fn complete(job: &Job, transcript: &Transcript, scores: &[StudentScore]) -> Result<(), Failure> {
    let expected: BTreeSet<&str> = transcript.students().map(|(_, s)| s.name.as_str()).collect();
    let found: BTreeSet<&str> = scores.iter().map(|s| s.student.as_str()).collect();
    if expected == found && found.len() == scores.len() {
        return Ok(());
    }
    let message =
        format!("job {}: {} students, {} scores of {}", job.job_id, expected.len(), scores.len(), found.len());
    Err(Failure::new(Kind::InvalidArtifact, message))
}
