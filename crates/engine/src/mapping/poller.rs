use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Scope;
use serde_json::Value;
use service::Fault;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use super::pattern::Pattern;
use super::{ReceivedMessage, SourceQueue, event};
use crate::invoker::{Invocation, Invoked, Invoker};
use crate::record::MappingRecord;

/// Batches of one mapping that are under way at once where nothing else is set.
const CONCURRENCY_DEFAULT: u32 = 10;
/// Messages of one call of the queue service.
const RECEIVE_MAX: usize = 1_000;
/// How long one receive waits for messages.
const RECEIVE_WAIT: Duration = Duration::from_secs(20);
/// For how long received messages are hidden at a time. Messages that are being processed are hidden again and again,
/// however long the function takes; those of a server that was killed come back this soon, not after the queue's
/// visibility timeout.
const HOLD: Duration = Duration::from_secs(30);
/// Pause after the queue could not be read.
const QUEUE_RETRY: Duration = Duration::from_secs(1);
const THROTTLED_PAUSE_MIN: Duration = Duration::from_millis(20);
const THROTTLED_PAUSE_MAX: Duration = Duration::from_secs(1);
/// What a function is given at once, as on AWS: the bound of a synchronous invocation is 6 MB.
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Reads a queue and gives a function what it reads, until stopped.
pub(super) struct Poller {
    record: Arc<MappingRecord>,
    queues: Arc<dyn SourceQueue>,
    invoker: Arc<dyn Invoker>,
    patterns: Arc<[Pattern]>,
}

impl Poller {
    pub fn new(record: Arc<MappingRecord>, queues: Arc<dyn SourceQueue>, invoker: Arc<dyn Invoker>) -> Poller {
        // Patterns were parsed when the mapping was made; one that no longer parses matches nothing.
        let patterns = record.filters.iter().map(|f| Pattern::parse(f).unwrap_or_default()).collect();
        Poller { record, queues, invoker, patterns }
    }

    pub async fn run(self, mut stopped: watch::Receiver<()>) {
        let limit = self.record.maximum_concurrency.unwrap_or(CONCURRENCY_DEFAULT);
        let places = Arc::new(Semaphore::new(limit as usize));
        let this = Arc::new(self);
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let batch = tokio::select! {
                biased;
                _ = stopped.changed() => return,
                batch = this.gather() => batch,
            };
            match batch {
                Ok(batch) if batch.messages.is_empty() => {}
                Ok(batch) => {
                    let (this, stopped) = (this.clone(), stopped.clone());
                    tokio::spawn(async move {
                        this.process(batch, stopped).await;
                        drop(place);
                    });
                }
                Err(fault) => {
                    warn!(mapping = this.record.uuid, queue = this.record.source_arn, %fault, "cannot read the queue");
                    tokio::time::sleep(QUEUE_RETRY).await;
                }
            }
        }
    }

    /// Collects a batch: as many as are there at once, or as many as come within the window.
    async fn gather(&self) -> Result<Batch, Fault> {
        let queue = &self.record.source_arn;
        let wanted = self.record.batch_size as usize;
        let window = Duration::from_secs(self.record.window_seconds.into());
        let hidden = HOLD + window;
        let mut messages = self.queues.receive(queue, wanted.min(RECEIVE_MAX), RECEIVE_WAIT, hidden).await?;
        let received_at = Instant::now();
        while !messages.is_empty() && messages.len() < wanted {
            let left = window.saturating_sub(received_at.elapsed());
            if left.is_zero() {
                break;
            }
            // A failure now must not lose sight of what was received already.
            let more = self.queues.receive(queue, (wanted - messages.len()).min(RECEIVE_MAX), left, hidden).await;
            let Ok(more) = more else { break };
            messages.extend(more);
        }
        Ok(Batch { messages, received_at })
    }

    /// Gives a batch to the function, keeping its messages hidden meanwhile; what failed becomes visible when the
    /// queue's visibility timeout is over.
    async fn process(&self, batch: Batch, mut stopped: watch::Receiver<()>) {
        let mut undone: HashMap<String, String> =
            batch.messages.iter().map(|m| (m.message_id.clone(), m.receipt_handle.clone())).collect();
        let handles: Vec<String> = undone.values().cloned().collect();
        tokio::select! {
            () = self.deliver(batch.messages, &mut undone, &mut stopped) => {}
            () = self.hold(handles) => {}
        }
        if undone.is_empty() {
            return;
        }
        debug!(mapping = self.record.uuid, failed = undone.len(), "messages stay in the queue");
        let queue = &self.record.source_arn;
        let visibility = self.queues.visibility(queue).await.unwrap_or(HOLD);
        let rest = visibility.saturating_sub(batch.received_at.elapsed());
        if let Err(fault) = self.queues.hide(queue, undone.into_values().collect(), rest).await {
            warn!(mapping = self.record.uuid, %fault, "failed messages come back sooner than the queue says");
        }
    }

    /// Takes out of `undone` what the function has done with.
    async fn deliver(
        &self,
        messages: Vec<ReceivedMessage>,
        undone: &mut HashMap<String, String>,
        stopped: &mut watch::Receiver<()>,
    ) {
        let (messages, dropped): (Vec<_>, Vec<_>) = messages.into_iter().partition(|m| self.matches(m));
        // What no filter wants is deleted unseen, as on AWS.
        self.delete(&dropped).await;
        dropped.iter().for_each(|m| drop(undone.remove(&m.message_id)));
        for messages in events(&messages, EVENT_BYTES_MAX) {
            match self.invoke(messages, stopped).await {
                Ok(invoked) => {
                    let done = processed(&self.record, messages, &invoked);
                    self.delete(&done).await;
                    done.iter().for_each(|m| drop(undone.remove(&m.message_id)));
                    if done.len() < messages.len() && self.record.source_arn.ends_with(".fifo") {
                        return; // Those behind them in their groups must not overtake them.
                    }
                }
                Err(fault) => return warn!(mapping = self.record.uuid, %fault, "function not invoked"),
            }
        }
    }

    /// Keeps messages hidden for as long as it runs.
    async fn hold(&self, handles: Vec<String>) {
        loop {
            tokio::time::sleep(HOLD / 3).await;
            // Handles of messages that are deleted already are refused one by one, which does not matter.
            if let Err(fault) = self.queues.hide(&self.record.source_arn, handles.clone(), HOLD).await {
                warn!(mapping = self.record.uuid, %fault, "messages in work may come again");
            }
        }
    }

    /// Invokes the function. While it is throttled the batch waits, hidden, so that waiting does not count as a
    /// receive and no message goes to the dead-letter queue for it.
    async fn invoke(&self, batch: &[ReceivedMessage], stopped: &mut watch::Receiver<()>) -> Result<Invoked, Fault> {
        let mut pause = THROTTLED_PAUSE_MIN;
        let payload = event(&self.record, batch);
        loop {
            let invocation = Invocation {
                scope: Scope::new(&self.record.account, &self.record.region),
                function: self.record.function_arn.clone(),
                qualifier: None,
                asynchronous: false,
                tail_log: false,
                client_context: None,
                payload: payload.clone(),
                effect: None,
            };
            match self.invoker.invoke(invocation).await {
                Err(fault) if fault.is_retryable() => {
                    // A mapping that is gone lets its messages go.
                    if tokio::time::timeout(pause, stopped.changed()).await.is_ok() {
                        return Err(fault);
                    }
                    pause = (pause * 2).min(THROTTLED_PAUSE_MAX);
                }
                answer => return answer,
            }
        }
    }

    fn matches(&self, message: &ReceivedMessage) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let body = serde_json::from_str(&message.body).unwrap_or_else(|_| Value::String(message.body.clone()));
        let document = serde_json::json!({
            "messageId": message.message_id,
            "body": body,
            "attributes": message.attributes,
            "messageAttributes": message.message_attributes,
        });
        self.patterns.iter().any(|p| p.matches(&document))
    }

    async fn delete(&self, messages: &[ReceivedMessage]) {
        for some in messages.chunks(RECEIVE_MAX) {
            let handles: Vec<String> = some.iter().map(|m| m.receipt_handle.clone()).collect();
            let mut attempt = 0;
            while let Err(fault) = self.queues.delete(&self.record.source_arn, handles.clone()).await {
                attempt += 1;
                if attempt == 5 || !fault.is_retryable() {
                    warn!(mapping = self.record.uuid, %fault, "processed messages not deleted, they will come again");
                    break;
                }
                tokio::time::sleep(THROTTLED_PAUSE_MIN * attempt).await;
            }
        }
    }
}

/// Messages that were received together.
struct Batch {
    messages: Vec<ReceivedMessage>,
    /// When the first of them were received: the queue's visibility timeout counts from here.
    received_at: Instant,
}

/// The messages cut into events of at most so many bytes, or of one message each.
fn events(messages: &[ReceivedMessage], bytes_max: usize) -> Vec<&[ReceivedMessage]> {
    let (mut events, mut start, mut bytes) = (Vec::new(), 0, EVENT_BYTES);
    for (at, message) in messages.iter().enumerate() {
        let more = event_bytes(message);
        if at > start && bytes + more > bytes_max {
            events.push(&messages[start..at]);
            (start, bytes) = (at, EVENT_BYTES);
        }
        bytes += more;
    }
    if start < messages.len() {
        events.push(&messages[start..]);
    }
    events
}

/// What an event has beside its messages.
const EVENT_BYTES: usize = 64;

/// What a message adds to an event, or a little more.
fn event_bytes(message: &ReceivedMessage) -> usize {
    const MEMBERS: usize = 512;
    // Text grows where it is escaped.
    let escaped = |text: &str| {
        text.len() + text.bytes().map(|b| if b < 32 { 5 } else { usize::from(b == b'"' || b == b'\\') }).sum::<usize>()
    };
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + escaped(value) + 6).sum();
    let own = message.message_attributes.as_object().is_none_or(|a| !a.is_empty());
    let own = if own { message.message_attributes.to_string().len() } else { 2 };
    MEMBERS + escaped(&message.body) + message.receipt_handle.len() + attributes + own
}

/// The messages that the function has done with.
fn processed(record: &MappingRecord, batch: &[ReceivedMessage], invoked: &Invoked) -> Vec<ReceivedMessage> {
    if invoked.function_error.is_some() {
        return Vec::new();
    }
    if !record.report_batch_item_failures {
        return batch.to_vec();
    }
    let Some(failed) = failed_ids(&invoked.payload) else { return Vec::new() };
    let known: HashSet<&str> = batch.iter().map(|m| m.message_id.as_str()).collect();
    let failed: HashSet<String> = failed.into_iter().collect();
    if failed.iter().any(|id| !known.contains(id.as_str())) {
        // An unknown id: which messages failed cannot be known, so all count as failed.
        return Vec::new();
    }
    batch.iter().filter(|m| !failed.contains(&m.message_id)).cloned().collect()
}

/// `batchItemFailures` of the answer; `None` if it is malformed, which fails the whole batch. Nothing there at all
/// (no answer, `null`, an empty list) means that every message was processed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
fn failed_ids(payload: &[u8]) -> Option<Vec<String>> {
    if payload.is_empty() {
        return Some(Vec::new());
    }
    let answer: Value = serde_json::from_slice(payload).ok()?;
    let failures = match &answer {
        Value::Null => return Some(Vec::new()),
        Value::Object(members) => members.get("batchItemFailures"),
        _ => return Some(Vec::new()),
    };
    match failures {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(failures)) => failures
            .iter()
            .map(|f| f.get("itemIdentifier").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned))
            .collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_report_failures() {
        let ids = |payload: &str| failed_ids(payload.as_bytes());
        assert_eq!(ids(""), Some(vec![]));
        assert_eq!(ids("null"), Some(vec![]));
        assert_eq!(ids("{}"), Some(vec![]));
        assert_eq!(ids(r#"{"batchItemFailures":[]}"#), Some(vec![]));
        assert_eq!(ids(r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#), Some(vec!["a".to_owned()]));
        for malformed in [
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"other":"a"}]}"#,
            r#"{"batchItemFailures":"a"}"#,
            "{",
        ] {
            assert_eq!(ids(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn events_stay_within_the_bound() {
        let message = |bytes: usize| ReceivedMessage {
            message_id: "m".repeat(36),
            receipt_handle: "r".repeat(100),
            body: "\"".repeat(bytes),
            md5_of_body: "0".repeat(32),
            attributes: [("SentTimestamp".to_owned(), "1700000000000".to_owned())].into(),
            message_attributes: serde_json::json!({}),
        };
        let record = MappingRecord {
            account: "0".repeat(12),
            region: "ap-southeast-2".to_owned(),
            uuid: "u".repeat(36),
            source_arn: format!("arn:aws:sqs:ap-southeast-2:000000000000:{}", "q".repeat(80)),
            function: "f".to_owned(),
            function_arn: "f".to_owned(),
            batch_size: 10,
            window_seconds: 0,
            maximum_concurrency: None,
            filters: Vec::new(),
            report_batch_item_failures: false,
            enabled: true,
            modified_ms: 0,
            tags: Vec::new(),
        };
        let messages: Vec<_> = [1, 4_000, 4_000, 20_000, 1, 1, 9_000].map(message).into();
        let cut = events(&messages, 20_000);
        assert_eq!(cut.iter().map(|e| e.len()).collect::<Vec<_>>(), [3, 1, 2, 1]);
        for messages in cut.iter().filter(|e| e.len() > 1) {
            assert!(event(&record, messages).len() <= 20_000);
        }
        assert!(events(&[], 1).is_empty());
    }
}
