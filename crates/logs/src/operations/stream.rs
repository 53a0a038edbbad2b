use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::{Nothing, Register, limit, required};
use crate::input::{EventPosition, Input};
use crate::logs::NamedStream;
use crate::name::check_stream;
use crate::{GroupName, Logs, fault};

pub(super) fn register(register: &mut Register<'_>) {
    register.add("CreateLogStream", create);
    register.add("DeleteLogStream", delete);
    register.add("DescribeLogStreams", describe);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamInput {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
}

impl StreamInput {
    fn names(self, call: &Call) -> Result<(GroupName, String), Fault> {
        let group = GroupName::checked(&call.scope, &required(self.log_group_name, "logGroupName")?)?;
        let stream = required(self.log_stream_name, "logStreamName")?;
        check_stream(&stream)?;
        Ok((group, stream))
    }
}

async fn create(logs: Logs, call: Call, input: StreamInput) -> Result<Nothing, Fault> {
    let (group, stream) = input.names(&call)?;
    logs.ask(&group.clone(), |reply| Input::CreateStream { group, stream, reply }).await?;
    Ok(Nothing {})
}

async fn delete(logs: Logs, call: Call, input: StreamInput) -> Result<Nothing, Fault> {
    let (group, stream) = input.names(&call)?;
    logs.ask(&group.clone(), |reply| Input::DeleteStream { group, stream, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeOutput {
    log_streams: Vec<StreamShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamShape {
    log_stream_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ingestion_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_sequence_token: Option<String>,
    arn: String,
    /// AWS no longer counts the bytes of a stream.
    stored_bytes: u64,
}

/// Where a stream stands in the order that was asked for.
type Place = (i64, String);

async fn describe(logs: Logs, call: Call, input: DescribeInput) -> Result<DescribeOutput, Fault> {
    let max = limit(input.limit, 50, 50)?;
    let name = GroupName::of(&call, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
    let by_time = match input.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") if input.log_stream_name_prefix.is_some() => {
            return Err(fault::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        Some("LastEventTime") => true,
        Some(other) => {
            let constraint = "Member must satisfy enum value set: [LogStreamName, LastEventTime]";
            return Err(fault::constraint(other, "orderBy", constraint));
        }
    };
    let after = input.next_token.map(|token| read_token(&token).ok_or_else(fault::invalid_token)).transpose()?;
    let group = logs.group(&name)?.ok_or_else(fault::no_group)?;
    let streams = logs.streams(group.serial, input.log_stream_name_prefix.as_deref().unwrap_or_default())?;
    let place = |stream: &NamedStream| -> Place {
        let at = stream.record.events.filter(|_| by_time).map_or(0, |e| e.last_ms);
        (at, stream.name.to_string())
    };
    let mut placed: Vec<(Place, NamedStream)> = streams.into_iter().map(|s| (place(&s), s)).collect();
    placed.sort_by(|(a, _), (b, _)| if input.descending { b.cmp(a) } else { a.cmp(b) });
    if let Some(after) = after {
        placed.retain(|(place, _)| if input.descending { *place < after } else { *place > after });
    }
    let more = placed.len() > max;
    placed.truncate(max);
    let next_token = placed.last().filter(|_| more).map(|(place, _)| write_token(place));
    let shapes = placed.into_iter().map(|(_, stream)| shape(&name, &stream)).collect();
    Ok(DescribeOutput { log_streams: shapes, next_token })
}

fn shape(group: &GroupName, stream: &NamedStream) -> StreamShape {
    let events = stream.record.events;
    StreamShape {
        log_stream_name: stream.name.to_string(),
        creation_time: stream.record.created_ms,
        first_event_timestamp: events.map(|e| e.first_ms),
        last_event_timestamp: events.map(|e| e.last_ms),
        last_ingestion_time: events.map(|e| e.ingested_ms),
        upload_sequence_token: events.map(|e| sequence_token(e.ingested_ms)),
        arn: format!("{}:log-stream:{}", group.arn(), stream.name),
        stored_bytes: 0,
    }
}

/// Nobody needs sequence tokens any more; old clients still pass them on.
pub(super) fn sequence_token(ingested_ms: i64) -> String {
    EventPosition { at: base::Timestamp::from_millis(ingested_ms), number: 0 }.digits()
}

fn write_token((at, name): &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{at}/{name}"))
}

fn read_token(token: &str) -> Option<Place> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (at, name) = text.split_once('/')?;
    Some((at.parse().ok()?, name.to_owned()))
}
