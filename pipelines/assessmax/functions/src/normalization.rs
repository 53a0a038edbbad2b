//! Normalization: from a raw transcript to one form, and a part for each student.

use assessmax_core::chunk::Chunk;
use assessmax_core::failure::{Failure, Kind};
use assessmax_core::job::Job;
use assessmax_core::keys;
use assessmax_core::rubric::Rubric;
use assessmax_core::transcript::Transcript;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::{self, Bucket};
use crate::{aws, event};

#[derive(Clone)]
pub(crate) struct Step {
    raw: Bucket,
    normalized: Bucket,
    dynamodb: aws_sdk_dynamodb::Client,
    jobs_table: String,
}

#[derive(Deserialize)]
struct Event {
    job: Job,
    execution: String,
}

impl Step {
    pub fn from_environment() -> Result<Step, Failure> {
        let s3 = aws::s3()?;
        Ok(Step {
            raw: Bucket::new(s3.clone(), "S3_RAW_BUCKET")?,
            normalized: Bucket::new(s3, "S3_NORMALIZED_BUCKET")?,
            dynamodb: aws::dynamodb()?,
            jobs_table: aws::variable("DYNAMODB_JOBS_TABLE")?,
        })
    }

    pub async fn run(self, payload: Value) -> Result<Value, Failure> {
        let Event { job, execution } = event(payload)?;
        let key = &job.input_key;
        let raw = self.raw.get(key).await?;
        let raw = raw
            .ok_or_else(|| Failure::new(Kind::MissingTranscript, format!("{key}: no such object in the raw bucket")))?;
        let transcript = Transcript::parse(&job, &raw.bytes)?;
        let normalized_key = keys::normalized(&job.class_id, &job.date, &job.job_id);
        let rubric = &Rubric::current().id;
        let mut stored = vec![(normalized_key.clone(), objects::encode(&transcript)?)];
        let mut students = Vec::new();
        for chunk in Chunk::split(&job, &transcript) {
            let bytes = objects::encode(&chunk)?;
            let digest = keys::digest(&bytes);
            let chunk_key = keys::chunk(&job.class_id, &job.date, &job.job_id, &digest);
            let result_key = keys::score(&job.class_id, &job.date, &job.job_id, &digest, rubric);
            stored.push((chunk_key.clone(), bytes));
            students.push(json!({"chunk_key": chunk_key, "result_key": result_key}));
        }
        self.normalized.put_all(stored).await?;
        self.note(&job, &execution, &transcript, students.len()).await?;
        Ok(json!({"normalized_key": normalized_key, "students": students, "utterances": transcript.segments.len()}))
    }

    /// Tells the job's row how large the job is. A row of another execution stays as it is.
    async fn note(&self, job: &Job, execution: &str, transcript: &Transcript, students: usize) -> Result<(), Failure> {
        let number = |count: usize| AttributeValue::N(count.to_string());
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.jobs_table)
            .key("job_id", AttributeValue::S(job.job_id.clone()))
            .update_expression("SET utterances = :utterances, speakers = :speakers, students = :students")
            .condition_expression("execution_arn = :execution")
            .expression_attribute_values(":utterances", number(transcript.segments.len()))
            .expression_attribute_values(":speakers", number(transcript.speakers.len()))
            .expression_attribute_values(":students", number(students))
            .expression_attribute_values(":execution", AttributeValue::S(execution.to_owned()));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(error) => Err(aws::failed(format!("update job {}", job.job_id), &error)),
        }
    }
}
