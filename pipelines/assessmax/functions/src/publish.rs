//! Publishing: a job's result to SQL and into its class's report. Also says in words why a job failed.

use std::time::Duration;

use assessmax_core::failure::{self, Failure, Kind};
use assessmax_core::job::Job;
use assessmax_core::report::ClassReport;
use assessmax_core::session::Session;
use assessmax_core::{keys, time};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::{self, Bucket, Only, Written};
use crate::sql::Database;
use crate::{aws, event, now_ms};

/// How often one invocation tries to write a report that other jobs write too.
const WRITES_MAX: u64 = 10;
const WRITE_PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(crate) struct Step {
    outputs: Bucket,
    database: Option<Database>,
}

#[derive(Deserialize)]
struct Event {
    started_at: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    /// A result to publish.
    Done { job: Box<Job>, result_key: String },
    /// What a catcher got.
    Failed { failure: Value },
}

impl Step {
    pub fn from_environment() -> Result<Step, Failure> {
        Ok(Step { outputs: Bucket::new(aws::s3()?, "S3_OUTPUTS_BUCKET")?, database: Database::from_environment()? })
    }

    pub async fn run(self, payload: Value) -> Result<Value, Failure> {
        let Event { started_at, outcome } = event(payload)?;
        let mut answer = match outcome {
            Outcome::Failed { failure } => {
                let explained = failure::explain(&failure);
                json!({"error": explained.error, "cause": explained.cause})
            }
            Outcome::Done { job, result_key } => self.publish(&job, &result_key).await?,
        };
        let now = now_ms();
        let started = time::parse(&started_at).unwrap_or(now);
        answer["finished_at"] = time::format(now).into();
        answer["duration_ms"] = now.saturating_sub(started).max(0).into();
        Ok(answer)
    }

    async fn publish(&self, job: &Job, result_key: &str) -> Result<Value, Failure> {
        let session: Session = self.outputs.get_json(result_key).await?;
        if session.job_id != job.job_id {
            let message = format!("{result_key} is the result of job {}", session.job_id);
            return Err(Failure::new(Kind::InvalidArtifact, message));
        }
        if let Some(database) = &self.database {
            database.publish(&session, result_key).await?;
        }
        self.put_report(&session, result_key).await?;
        self.put_text(&session).await?;
        Ok(json!({
            "job_id": job.job_id,
            "class_id": job.class_id,
            "result_key": result_key,
            "report_key": keys::report_text(&job.class_id),
            "students": session.students.len(),
            "sql": self.database.is_some(),
        }))
    }

    /// Puts the session into the class's report. Jobs of one class end at the same time: each writes only over what it
    /// has read, so that none takes another out again.
    async fn put_report(&self, session: &Session, result_key: &str) -> Result<(), Failure> {
        let key = keys::report_json(&session.class_id);
        for attempt in 0..WRITES_MAX {
            pause(&session.job_id, attempt).await;
            let there = self.outputs.get(&key).await?;
            let mut report = match &there {
                Some(object) => self.outputs.decode(&key, &object.bytes)?,
                None => ClassReport::new(&session.class_id),
            };
            report.put(session, result_key);
            let bytes = objects::encode(&report)?;
            let only = match there {
                Some(object) if object.bytes == bytes => return Ok(()),
                Some(object) => Only::Unchanged(object.etag.unwrap_or_default()),
                None => Only::New,
            };
            if self.outputs.put(&key, bytes, "application/json", only).await? == Written::Yes {
                return Ok(());
            }
        }
        Err(contended(&key))
    }

    /// Writes the report to read. Its mark is taken before the data is read: whoever changed the data since then has
    /// written, or will write, a text of their own.
    async fn put_text(&self, session: &Session) -> Result<(), Failure> {
        let key = keys::report_text(&session.class_id);
        for attempt in 0..WRITES_MAX {
            pause(&session.job_id, attempt).await;
            let only = self.outputs.etag(&key).await?.map_or(Only::New, Only::Unchanged);
            let report: ClassReport = self.outputs.get_json(&keys::report_json(&session.class_id)).await?;
            let text = match report.latest() {
                Some((job_id, brief)) if job_id != session.job_id => {
                    report.text(&self.outputs.get_json::<Session>(&brief.result_key).await?)
                }
                _ => report.text(session),
            };
            if self.outputs.put(&key, text.into_bytes(), "text/plain; charset=utf-8", only).await? == Written::Yes {
                return Ok(());
            }
        }
        Err(contended(&key))
    }
}

fn contended(key: &str) -> Failure {
    Failure::new(Kind::Contended, format!("{key} was written by others {WRITES_MAX} times"))
}

/// Waits longer from attempt to attempt, and each job for a time of its own.
async fn pause(job_id: &str, attempt: u64) {
    if attempt > 0 {
        let own = job_id.bytes().fold(attempt, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        tokio::time::sleep(WRITE_PAUSE * u32::try_from(attempt + own % 8).unwrap_or(1)).await;
    }
}
