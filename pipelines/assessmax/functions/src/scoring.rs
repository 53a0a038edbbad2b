//! Scoring: messages of the scoring queue, each with one student's part and a task token.
//!
//! A message may come twice, and a worker may die between any two calls. A score is stored under a name that follows
//! from the words and the rubric, and only if there is none yet; the task token then ends the task, once.

use assessmax_core::chunk::Chunk;
use assessmax_core::failure::{Failure, Kind};
use assessmax_core::score::{self, StudentScore};
use aws_sdk_s3::error::SdkError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::{Bucket, Only, Written};
use crate::{aws, event};

#[derive(Clone)]
pub(crate) struct Step {
    normalized: Bucket,
    outputs: Bucket,
    sfn: aws_sdk_sfn::Client,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "messageId")]
    message_id: String,
    body: String,
}

/// What the state machine sends.
#[derive(Deserialize)]
struct Message {
    task_token: String,
    job_id: String,
    chunk_key: String,
    result_key: String,
}

/// Whether anybody waits for the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Waiting,
    /// The task ended: by an earlier delivery, by a timeout, or with its execution.
    Over,
}

impl Step {
    pub fn from_environment() -> Result<Step, Failure> {
        let s3 = aws::s3()?;
        Ok(Step {
            normalized: Bucket::new(s3.clone(), "S3_NORMALIZED_BUCKET")?,
            outputs: Bucket::new(s3, "S3_OUTPUTS_BUCKET")?,
            sfn: aws::sfn()?,
        })
    }

    /// Answers with the messages that must come again; the others are done.
    pub async fn run(self, payload: Value) -> Result<Value, Failure> {
        let Event { records } = event(payload)?;
        let done = futures::future::join_all(records.iter().map(|record| self.message(record))).await;
        let mut failures = Vec::new();
        for (record, outcome) in records.iter().zip(done) {
            if let Err(failure) = outcome {
                println!("{}", json!({"step": "scoring", "message": record.message_id, "again": failure.to_string()}));
                failures.push(json!({"itemIdentifier": record.message_id}));
            }
        }
        Ok(json!({"batchItemFailures": failures}))
    }

    /// An error means that the message must come again. One that cannot be read has nobody to tell: it comes again
    /// until the queue gives it to the dead-letter queue, where people look.
    async fn message(&self, record: &Record) -> Result<(), Failure> {
        let message: Message = serde_json::from_str(&record.body)
            .map_err(|error| Failure::new(Kind::InvalidInput, format!("read the message: {error}")))?;
        let token = message.task_token.as_str();
        let alive = self.sfn.send_task_heartbeat().task_token(token).send().await;
        if task(alive, "send a heartbeat")? == Task::Over {
            return Ok(());
        }
        let answered = match self.scored(&message).await {
            Ok((score, made)) => {
                println!("{}", json!({"step": "scoring", "job": message.job_id, "score": made}));
                let scored = score.skills.iter().filter(|s| s.score.is_some()).count();
                let output = json!({"result_key": message.result_key, "scored": scored}).to_string();
                let answer = self.sfn.send_task_success().task_token(token).output(output).send().await;
                task(answer, "end the task")?
            }
            Err(failure) if failure.kind.is_transient() => return Err(failure),
            Err(failure) => {
                let call = self.sfn.send_task_failure().task_token(token);
                let answer = call.error(failure.kind.name()).cause(failure.message).send().await;
                task(answer, "fail the task")?
            }
        };
        if answered == Task::Over {
            println!("{}", json!({"step": "scoring", "job": message.job_id, "note": "the task had ended meanwhile"}));
        }
        Ok(())
    }

    /// The score that is there, or a new one, and which of the two.
    async fn scored(&self, message: &Message) -> Result<(StudentScore, &'static str), Failure> {
        let key = &message.result_key;
        if let Some(there) = self.outputs.get(key).await? {
            return Ok((self.outputs.decode(key, &there.bytes)?, "found"));
        }
        let chunk: Chunk = self.normalized.get_json(&message.chunk_key).await?;
        if chunk.job_id != message.job_id {
            let message = format!("{} belongs to job {}", message.chunk_key, chunk.job_id);
            return Err(Failure::new(Kind::InvalidArtifact, message));
        }
        let score = score::score(&chunk);
        let made = match self.outputs.put_json(key, &score, Only::New).await? {
            Written::Yes => "made",
            // Another delivery was first and wrote the same.
            Written::Refused => "found",
        };
        Ok((score, made))
    }
}

/// What the answer to a call with a task token says about the task.
fn task<T, E, R>(answer: Result<T, SdkError<E, R>>, what: &str) -> Result<Task, Failure>
where
    E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    match answer {
        Ok(_) => Ok(Task::Waiting),
        Err(error) => match error.as_service_error().and_then(|e| e.code()) {
            Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken") => Ok(Task::Over),
            _ => Err(aws::failed(what, &error)),
        },
    }
}
