//! Services seen through each other's ports. Rules of behaviour live in the services.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Scope, Timestamp};
use bucket::Buckets;
use bytes::Bytes;
use engine::{Invocation, InvokeFuture, Invoked, Invoker, ReceivedMessage, SourceQueue};
use function::{Functions, InvocationType, InvokeRequest, LogType};
use identity::Identity;
use logs::{GroupName, Logs};
use queue::{QueueName, Queues, Received, VisibilityChange};
use serde_json::{Value, json};
use service::{Call, Fault};

use crate::config::CredentialConfig;

type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// Functions as the engine calls them.
pub struct EngineInvoker(pub Arc<Functions>);

impl Invoker for EngineInvoker {
    fn invoke(&self, invocation: Invocation) -> InvokeFuture {
        let functions = self.0.clone();
        Box::pin(async move {
            let request = InvokeRequest {
                qualifier: invocation.qualifier,
                invocation_type: if invocation.asynchronous {
                    InvocationType::Event
                } else {
                    InvocationType::RequestResponse
                },
                log_type: if invocation.tail_log { LogType::Tail } else { LogType::None },
                client_context: invocation.client_context,
                payload: invocation.payload,
                effect: invocation.effect,
                ..InvokeRequest::new(invocation.scope, &invocation.function)
            };
            let response = functions.invoke(request).await?;
            Ok(Invoked {
                status_code: response.status_code,
                function_error: response.function_error.map(str::to_owned),
                log_result: response.log_result,
                executed_version: response.executed_version,
                payload: response.payload,
            })
        })
    }
}

/// Functions as the gateway calls them: bytes in, bytes out.
pub struct GatewayInvoker(pub Arc<Functions>);

impl gateway::InvokeHandler for GatewayInvoker {
    fn invoke(
        &self,
        call: Call,
        invocation: gateway::Invocation,
    ) -> gateway::BoxFuture<Result<gateway::Invoked, Fault>> {
        let functions = self.0.clone();
        Box::pin(async move {
            let request = InvokeRequest {
                qualifier: invocation.qualifier,
                invocation_type: InvocationType::parse(invocation.invocation_type.as_deref())?,
                log_type: LogType::parse(invocation.log_type.as_deref())?,
                client_context: invocation.client_context,
                payload: invocation.payload,
                request_id: Some(call.request_id.clone()),
                effect: call.effect.clone(),
                ..InvokeRequest::new(call.scope.clone(), &invocation.function_name)
            };
            let response = functions.invoke(request).await?;
            Ok(gateway::Invoked {
                status: response.status_code,
                executed_version: response.executed_version,
                function_error: response.function_error.map(str::to_owned),
                log_result: response.log_result,
                payload: response.payload,
            })
        })
    }
}

/// Queues as event source mappings read them.
pub struct MappedQueues(pub Queues);

impl SourceQueue for MappedQueues {
    fn visibility(&self, queue_arn: &str) -> BoxFuture<Result<Duration, Fault>> {
        let missing = || Fault::client("QueueDoesNotExist", "The specified queue does not exist.");
        let described = QueueName::from_arn(queue_arn)
            .ok_or_else(missing)
            .and_then(|name| self.0.describe(&name))
            .and_then(|description| description.ok_or_else(missing))
            .map(|d| d.attributes.get("VisibilityTimeout").and_then(|v| v.parse().ok()).unwrap_or(30));
        Box::pin(std::future::ready(described.map(Duration::from_secs)))
    }

    fn receive(
        &self,
        queue_arn: &str,
        max: usize,
        wait: Duration,
        hidden: Duration,
    ) -> BoxFuture<Result<Vec<ReceivedMessage>, Fault>> {
        let (queues, arn) = (self.0.clone(), queue_arn.to_owned());
        Box::pin(async move {
            let wait = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).clamp(1, 20);
            let hidden = u32::try_from(hidden.as_secs()).unwrap_or(u32::MAX);
            let received = queues.receive(&arn, max, Some(wait), Some(hidden)).await?;
            Ok(received.into_iter().map(|r| message(&r)).collect())
        })
    }

    fn delete(&self, queue_arn: &str, receipt_handles: Vec<String>) -> BoxFuture<Result<(), Fault>> {
        let (queues, arn) = (self.0.clone(), queue_arn.to_owned());
        Box::pin(async move {
            // A handle that is no longer valid is a message that came again: somebody else has it now.
            queues.delete_batch(&arn, &receipt_handles).await.map(drop)
        })
    }

    fn hide(&self, queue_arn: &str, receipt_handles: Vec<String>, how_long: Duration) -> BoxFuture<Result<(), Fault>> {
        let (queues, arn) = (self.0.clone(), queue_arn.to_owned());
        Box::pin(async move {
            let visibility_timeout_seconds = u32::try_from(how_long.as_secs()).unwrap_or(u32::MAX);
            let change = |receipt_handle| VisibilityChange { receipt_handle, visibility_timeout_seconds };
            let changes: Vec<_> = receipt_handles.into_iter().map(change).collect();
            queues.change_visibility_batch(&arn, &changes).await.map(drop)
        })
    }
}

/// Log groups as functions and executions write to them.
#[derive(Clone)]
pub struct LogGroups(pub Logs);

impl LogGroups {
    pub fn write(&self, scope: &Scope, group: &str, stream: &str, events: Vec<(Timestamp, String)>) {
        self.0.put(&GroupName::new(scope, group), stream, events);
    }
}

impl function::LogSink for LogGroups {
    fn put(&self, group: &str, stream: &str, scope: &Scope, events: Vec<(Timestamp, String)>) {
        self.write(scope, group, stream, events);
    }
}

/// The operator's keys, for functions of a server that verifies signatures: a function acts as its account.
pub struct ConfiguredKeys(pub Vec<CredentialConfig>);

impl function::CredentialSource for ConfiguredKeys {
    fn credentials(&self, scope: &Scope, _role: &str) -> function::Credentials {
        let key = self.0.iter().find(|c| c.account == scope.account());
        // Functions exist only in accounts that a key has reached; without one their calls are refused.
        let (id, secret) = key.map_or(("", ""), |k| (&k.access_key_id, &k.secret_access_key));
        function::Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: None,
        }
    }
}

/// Packages of functions that lie in S3.
pub struct StoredPackages(pub Buckets);

/// Largest package that is read from S3: Lambda's bound for what it unpacks to.
const PACKAGE_BYTES_MAX: u64 = 250 * 1024 * 1024;

impl function::PackageSource for StoredPackages {
    fn fetch<'a>(
        &'a self,
        scope: &'a Scope,
        bucket: &'a str,
        key: &'a str,
        version: Option<&'a str>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Bytes, Fault>> + Send + 'a>> {
        Box::pin(async move { self.0.read_object(scope, bucket, key, version)?.bytes(PACKAGE_BYTES_MAX).await })
    }
}

/// S3 as the gateway hands requests over.
pub struct S3(pub bucket::HttpService);

impl gateway::S3Handler for S3 {
    fn handle(
        &self,
        request: http::Request<gateway::RequestBody>,
        call: Call,
    ) -> gateway::BoxFuture<http::Response<gateway::S3Body>> {
        let service = self.0.clone();
        Box::pin(async move { service.handle(request, call).await })
    }
}

/// The secrets that S3's signatures are verified with: the operator's keys and temporary credentials.
pub struct S3Secrets {
    pub configured: Vec<CredentialConfig>,
    pub sessions: Sessions,
}

impl bucket::Secrets for S3Secrets {
    fn find(&self, access_key_id: &str) -> Result<Option<bucket::Secret>, Fault> {
        if let Some(key) = self.configured.iter().find(|c| c.access_key_id == access_key_id) {
            let secret_access_key = key.secret_access_key.clone();
            let account = key.account.clone();
            return Ok(Some(bucket::Secret { secret_access_key, account, session_token: None, expires: None }));
        }
        let session = gateway::Identities::find(&self.sessions, access_key_id)?;
        Ok(session.map(|s| bucket::Secret {
            account: s.account,
            secret_access_key: s.secret_access_key,
            session_token: s.session_token,
            expires: s.expires,
        }))
    }
}

/// Temporary credentials as the gateway looks them up.
#[derive(Clone)]
pub struct Sessions(pub Identity);

impl gateway::Identities for Sessions {
    fn find(&self, access_key_id: &str) -> Result<Option<gateway::Credential>, Fault> {
        let session = self.0.session(access_key_id).map_err(|e| Fault::internal(e.to_string()))?;
        Ok(session.map(|s| gateway::Credential {
            access_key_id: s.access_key_id,
            secret_access_key: s.secret_access_key,
            session_token: Some(s.session_token),
            account: s.account,
            principal: s.principal,
            expires: Some(s.expires),
        }))
    }
}

fn message(received: &Received) -> ReceivedMessage {
    let message = &received.message;
    let mut attributes = BTreeMap::from([
        ("ApproximateReceiveCount".to_owned(), received.receive_count.to_string()),
        ("SentTimestamp".to_owned(), received.sent_at.as_millis().to_string()),
        ("SenderId".to_owned(), message.sender_id.clone()),
        ("ApproximateFirstReceiveTimestamp".to_owned(), received.first_received_at.as_millis().to_string()),
    ]);
    let optional = [
        ("MessageGroupId", &message.group_id),
        ("MessageDeduplicationId", &message.deduplication_id),
        ("AWSTraceHeader", &message.trace_header),
        ("DeadLetterQueueSourceArn", &message.dead_letter_source),
        ("SequenceNumber", &received.sequence_number),
    ];
    attributes.extend(optional.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v.clone()?))));
    let shown = message.attributes.iter().map(|(name, attribute)| {
        let mut shape = json!({"dataType": attribute.data_type, "stringListValues": [], "binaryListValues": []});
        match &attribute.value {
            queue::AttributeValue::String(text) => shape["stringValue"] = text.as_str().into(),
            queue::AttributeValue::Binary(bytes) => {
                use base64::Engine as _;
                shape["binaryValue"] = base64::engine::general_purpose::STANDARD.encode(bytes).into();
            }
        }
        (name.clone(), shape)
    });
    ReceivedMessage {
        message_id: message.id.to_string(),
        receipt_handle: received.receipt_handle.clone(),
        body: message.body.clone(),
        md5_of_body: message.md5_of_body(),
        attributes,
        message_attributes: Value::Object(shown.collect()),
    }
}
