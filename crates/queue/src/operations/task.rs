use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};
use store::Range;

use super::queue::is_dead_letter_queue;
use super::{Register, between, required};
use crate::input::Input;
use crate::machine::source_does_not_exist;
use crate::stored::{TaskRecord, TaskStatus};
use crate::{QueueName, Queues, fault, key};

const PER_SECOND_MAX: i64 = 500;
const LIST_MAX: i64 = 10;

pub(super) fn register(register: &mut Register<'_>) {
    register.add("StartMessageMoveTask", start);
    register.add("ListMessageMoveTasks", list);
    register.add("CancelMessageMoveTask", cancel);
}

/// What a task handle says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handle {
    task_id: String,
    source_arn: String,
}

impl Handle {
    fn encode(number: u64, source_arn: &str) -> String {
        let handle = Handle { task_id: number.to_string(), source_arn: source_arn.to_owned() };
        STANDARD.encode(serde_json::to_string(&handle).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Handle> {
        serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartInput {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StartOutput {
    task_handle: String,
}

async fn start(queues: Queues, call: Call, input: StartInput) -> Result<StartOutput, Fault> {
    let source = source(&queues, input.source_arn)?;
    let name = "MaxNumberOfMessagesPerSecond";
    let reason = "MaxNumberOfMessagesPerSecond must be an integer between 1 and 500.";
    let per_second_max = between(input.max_number_of_messages_per_second, name, 1, PER_SECOND_MAX, reason)?;
    if !is_dead_letter_queue(&queues, &call, &source)? {
        return Err(fault::invalid_parameter("Source queue must be configured as a Dead Letter Queue."));
    }
    let destination = match input.destination_arn {
        None => None,
        Some(arn) => {
            let missing = || {
                fault::resource_not_found(
                    "The resource that you specified for the DestinationArn parameter doesn't exist.",
                )
            };
            let name = QueueName::from_arn(&arn).ok_or_else(missing)?;
            queues.record(&name)?.ok_or_else(missing)?;
            if name == source {
                return Err(fault::invalid_parameter("Source queue arn and destination queue arn cannot be the same."));
            }
            if name.is_fifo() != source.is_fifo() {
                return Err(fault::invalid_parameter("Source and destination queue must be of the same type."));
            }
            Some(name.arn())
        }
    };
    let arn = source.arn();
    let number = queues.ask(&arn, |arn, reply| Input::StartTask { arn, destination, per_second_max, reply }).await?;
    Ok(StartOutput { task_handle: Handle::encode(number, &arn) })
}

fn source(queues: &Queues, arn: Option<String>) -> Result<QueueName, Fault> {
    let arn = required(arn, "SourceArn")?;
    let name = QueueName::from_arn(&arn).ok_or_else(source_does_not_exist)?;
    queues.record(&name)?.ok_or_else(source_does_not_exist)?;
    Ok(name)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    source_arn: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListOutput {
    results: Vec<Task>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: &'static str,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<u32>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    started_timestamp: i64,
}

async fn list(queues: Queues, _: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let reason = "MaxResults must be an integer between 1 and 10.";
    let max = between(input.max_results, "MaxResults", 1, LIST_MAX, reason)?.unwrap_or(1);
    let source = source(&queues, input.source_arn)?;
    let serial = queues.record(&source)?.ok_or_else(source_does_not_exist)?.serial;
    let newest = Range::prefix(&key::tasks(serial)).reverse().limit(max as usize);
    let mut results = Vec::new();
    for (key, value) in queues.store().scan(&newest).map_err(|e| fault::of_store(&e))? {
        let number = key::read_seq(&key).map_err(|e| fault::of_store(&e))?;
        let task = TaskRecord::decode(&value).map_err(|e| fault::of_store(&e))?;
        let running = task.status == TaskStatus::Running;
        results.push(Task {
            task_handle: running.then(|| Handle::encode(number, &source.arn())),
            status: task.status.name(),
            source_arn: source.arn(),
            destination_arn: task.destination,
            max_number_of_messages_per_second: task.per_second_max,
            approximate_number_of_messages_moved: task.moved,
            approximate_number_of_messages_to_move: task.to_move,
            failure_reason: task.failure,
            started_timestamp: task.started_ms,
        });
    }
    Ok(ListOutput { results })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CancelInput {
    task_handle: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CancelOutput {
    approximate_number_of_messages_moved: u64,
}

async fn cancel(queues: Queues, _: Call, input: CancelInput) -> Result<CancelOutput, Fault> {
    let text = required(input.task_handle, "TaskHandle")?;
    let handle = Handle::decode(&text);
    let handle = handle.ok_or_else(|| fault::invalid_parameter("Value for parameter TaskHandle is invalid."))?;
    let source = source(&queues, Some(handle.source_arn))?;
    let missing = || fault::resource_not_found("Task does not exist.");
    let number = handle.task_id.parse().map_err(|_| missing())?;
    let moved = queues.ask(&source.arn(), |arn, reply| Input::CancelTask { arn, number, reply }).await?;
    Ok(CancelOutput { approximate_number_of_messages_moved: moved })
}
