use std::collections::BTreeMap;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::stream::sequence_token;
use super::{Register, limit, required};
use crate::input::{EventPosition, Input, NewEvent, Origin, Rejected};
use crate::logs::{ANSWER_BYTES_MAX, ANSWER_EVENTS_MAX, EVENT_OVERHEAD_BYTES, FilterQuery};
use crate::name::check_stream;
use crate::pattern::PATTERN_CHARS_MAX;
use crate::read::{Backward, Event, Forward};
use crate::{GroupName, Logs, Pattern, fault};

/// Bytes of one put, and events of one put.
const PUT_BYTES_MAX: usize = 1024 * 1024;
const PUT_EVENTS_MAX: usize = 10_000;
const PUT_SPAN_MS_MAX: i64 = 24 * 3_600_000;
const STREAM_NAMES_MAX: usize = 100;
const TEST_MESSAGES_MAX: usize = 50;

pub(super) fn register(register: &mut Register<'_>) {
    register.add("PutLogEvents", put);
    register.add("GetLogEvents", get);
    register.add("FilterLogEvents", filter);
    register.add("TestMetricFilter", test_metric_filter);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutInput {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
    log_events: Option<Vec<EventInput>>,
}

#[derive(Deserialize)]
struct EventInput {
    timestamp: Option<i64>,
    message: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PutOutput {
    next_sequence_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_log_events_info: Option<RejectedShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RejectedShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    too_new_log_event_start_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    too_old_log_event_end_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_log_event_end_index: Option<usize>,
}

async fn put(logs: Logs, call: Call, input: PutInput) -> Result<PutOutput, Fault> {
    let group = GroupName::checked(&call.scope, &required(input.log_group_name, "logGroupName")?)?;
    let stream = required(input.log_stream_name, "logStreamName")?;
    check_stream(&stream)?;
    let events = check_events(required(input.log_events, "logEvents")?)?;
    let bytes = events.iter().map(|(_, message)| message.len() + EVENT_OVERHEAD_BYTES).sum();
    let _room = logs.put_room(bytes).await?;
    let put = |reply| Input::Put { group: group.clone(), stream, events, origin: Origin::Api, reply };
    let rejected = logs.ask(&group, put).await?;
    let shape = RejectedShape {
        too_new_log_event_start_index: rejected.too_new_start,
        too_old_log_event_end_index: rejected.too_old_end,
        expired_log_event_end_index: rejected.expired_end,
    };
    Ok(PutOutput {
        next_sequence_token: sequence_token(logs.now().as_millis()),
        rejected_log_events_info: (rejected != Rejected::default()).then_some(shape),
    })
}

fn check_events(events: Vec<EventInput>) -> Result<Vec<NewEvent>, Fault> {
    if events.is_empty() {
        return Err(fault::constraint("[]", "logEvents", "Member must have length greater than or equal to 1"));
    }
    if events.len() > PUT_EVENTS_MAX {
        let constraint = format!("Member must have length less than or equal to {PUT_EVENTS_MAX}");
        return Err(fault::constraint("[...]", "logEvents", &constraint));
    }
    let mut checked: Vec<NewEvent> = Vec::with_capacity(events.len());
    let mut bytes = 0;
    for (index, event) in events.into_iter().enumerate() {
        let member = |name: &str| format!("logEvents.{}.member.{name}", index + 1);
        let at = event.timestamp.ok_or_else(|| fault::missing(&member("timestamp")))?;
        let message = event.message.ok_or_else(|| fault::missing(&member("message")))?;
        if at < 0 {
            let constraint = "Member must have value greater than or equal to 0";
            return Err(fault::constraint(at, &member("timestamp"), constraint));
        }
        if message.is_empty() {
            let constraint = "Member must have length greater than or equal to 1";
            return Err(fault::constraint("", &member("message"), constraint));
        }
        let size = message.len() + EVENT_OVERHEAD_BYTES;
        if size > PUT_BYTES_MAX {
            return Err(fault::invalid(format!("Log event too large: {size} bytes exceeds limit of {PUT_BYTES_MAX}")));
        }
        bytes += size;
        if checked.last().is_some_and(|(before, _)| before.as_millis() > at) {
            return Err(fault::invalid("Log events in a single PutLogEvents request must be in chronological order."));
        }
        checked.push((Timestamp::from_millis(at), message));
    }
    if bytes > PUT_BYTES_MAX {
        return Err(fault::invalid(format!("Upload too large: {bytes} bytes exceeds limit of {PUT_BYTES_MAX}")));
    }
    let span_ms = checked[checked.len() - 1].0.as_millis() - checked[0].0.as_millis();
    if span_ms > PUT_SPAN_MS_MAX {
        return Err(fault::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(checked)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    #[serde(default)]
    start_from_head: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GetOutput {
    events: Vec<EventShape>,
    next_forward_token: String,
    next_backward_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventShape {
    timestamp: i64,
    message: String,
    ingestion_time: i64,
}

/// A place between two events, and in which direction to read from it.
#[derive(Clone, Copy)]
struct Token {
    forward: bool,
    at: EventPosition,
}

impl Token {
    fn read(text: &str) -> Option<Token> {
        let (direction, rest) = text.split_once('/')?;
        let at = EventPosition::of_digits(rest.strip_suffix("/s")?)?;
        match direction {
            "f" => Some(Token { forward: true, at }),
            "b" => Some(Token { forward: false, at }),
            _ => None,
        }
    }

    fn write(self) -> String {
        format!("{}/{}/s", if self.forward { 'f' } else { 'b' }, self.at.digits())
    }
}

/// The part of a stream that is read: from the first time, to the second, which is not in it.
#[derive(Clone, Copy)]
struct Window {
    group: u64,
    stream: u64,
    start: Timestamp,
    end: Timestamp,
}

async fn get(logs: Logs, call: Call, input: GetInput) -> Result<GetOutput, Fault> {
    let max = limit(input.limit, ANSWER_EVENTS_MAX as i64, ANSWER_EVENTS_MAX as i64)?;
    let name = GroupName::of(&call, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
    let stream = required(input.log_stream_name, "logStreamName")?;
    let token = input.next_token.map(|text| Token::read(&text).ok_or_else(fault::invalid_token)).transpose()?;
    let group = logs.group(&name)?.ok_or_else(fault::no_group)?;
    let stream = logs.stream(group.serial, &stream)?.ok_or_else(fault::no_stream)?;
    let shown_from = group.expired_before(logs.now());
    let window = Window {
        group: group.serial,
        stream: stream.serial,
        start: input.start_time.map_or(shown_from, |t| Timestamp::from_millis(t).max(shown_from)),
        end: input.end_time.map_or(Timestamp::MAX, Timestamp::from_millis),
    };
    let token = token.unwrap_or(match input.start_from_head {
        true => Token { forward: true, at: EventPosition::before(window.start) },
        false => Token { forward: false, at: EventPosition::before(window.end) },
    });
    let reader = logs.clone();
    let events = logs.blocking(move || read(&reader, window, token, max).map_err(|e| fault::of_store(&e))).await?;
    // Where nothing was found the reader stays where it was.
    let (first, behind) = match (events.first(), events.last()) {
        (Some(first), Some(last)) => (first.position, last.position.next()),
        _ if token.at.at == Timestamp::MAX => {
            let end = stream.events.map_or(window.start, |e| Timestamp::from_millis(e.last_ms + 1));
            (EventPosition::before(end), EventPosition::before(end))
        }
        _ => (token.at, token.at),
    };
    let event = |e: Event| EventShape {
        timestamp: e.position.at.as_millis(),
        message: e.message,
        ingestion_time: e.ingested_at.as_millis(),
    };
    Ok(GetOutput {
        next_forward_token: Token { forward: true, at: behind }.write(),
        next_backward_token: Token { forward: false, at: first }.write(),
        events: events.into_iter().map(event).collect(),
    })
}

/// At most `max` events and a megabyte of them, in the order of time.
fn read(logs: &Logs, window: Window, token: Token, max: usize) -> Result<Vec<Event>, store::Error> {
    let Window { group, stream, start, end } = window;
    let mut events = Vec::new();
    let mut bytes = 0;
    if token.forward {
        let mut reader = Forward::new(logs.store(), group, stream, token.at.max(EventPosition::before(start)));
        while events.len() < max && bytes < ANSWER_BYTES_MAX {
            let Some(event) = reader.next()?.filter(|e| e.position.at < end) else {
                break;
            };
            bytes += event.message.len() + EVENT_OVERHEAD_BYTES;
            events.push(event);
        }
    } else {
        let mut reader = Backward::new(logs.store(), group, stream, token.at.min(EventPosition::before(end)));
        while events.len() < max && bytes < ANSWER_BYTES_MAX {
            let Some(event) = reader.next()?.filter(|e| e.position.at >= start) else {
                break;
            };
            bytes += event.message.len() + EVENT_OVERHEAD_BYTES;
            events.push(event);
        }
        events.reverse();
    }
    Ok(events)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    #[serde(default)]
    log_stream_names: Vec<String>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterOutput {
    events: Vec<FilteredShape>,
    /// AWS answers an empty list since it looks at all streams.
    searched_log_streams: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilteredShape {
    log_stream_name: String,
    timestamp: i64,
    message: String,
    ingestion_time: i64,
    event_id: String,
}

async fn filter(logs: Logs, call: Call, input: FilterInput) -> Result<FilterOutput, Fault> {
    let max = limit(input.limit, ANSWER_EVENTS_MAX as i64, ANSWER_EVENTS_MAX as i64)?;
    let name = GroupName::of(&call, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
    if !input.log_stream_names.is_empty() && input.log_stream_name_prefix.is_some() {
        return Err(fault::invalid("Cannot specify both logStreamNames and logStreamNamePrefix."));
    }
    if input.log_stream_names.len() > STREAM_NAMES_MAX {
        let constraint = format!("Member must have length less than or equal to {STREAM_NAMES_MAX}");
        return Err(fault::constraint("[...]", "logStreamNames", &constraint));
    }
    let from = input.next_token.map(|token| EventPosition::of_digits(&token).ok_or_else(fault::invalid_token));
    let query = FilterQuery {
        streams: input.log_stream_names,
        stream_prefix: input.log_stream_name_prefix,
        start: input.start_time.map(Timestamp::from_millis),
        end: input.end_time.map(Timestamp::from_millis),
        pattern: input.filter_pattern.map(|text| pattern(&text)).transpose()?,
        from: from.transpose()?,
        limit: Some(max),
    };
    let page = logs.filter(&name, query).await?;
    let events = page.events.into_iter().map(|event| FilteredShape {
        log_stream_name: event.stream.to_string(),
        timestamp: event.position.at.as_millis(),
        message: event.message,
        ingestion_time: event.ingested_at.as_millis(),
        event_id: event.position.digits(),
    });
    let next_token = page.next.map(EventPosition::digits);
    Ok(FilterOutput { events: events.collect(), searched_log_streams: [], next_token })
}

fn pattern(text: &str) -> Result<Pattern, Fault> {
    if text.chars().count() > PATTERN_CHARS_MAX {
        let constraint = format!("Member must have length less than or equal to {PATTERN_CHARS_MAX}");
        return Err(fault::constraint(text, "filterPattern", &constraint));
    }
    Pattern::parse(text).map_err(|error| fault::invalid(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestInput {
    filter_pattern: Option<String>,
    log_event_messages: Option<Vec<String>>,
}

#[derive(Serialize)]
struct TestOutput {
    matches: Vec<Match>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    event_number: usize,
    event_message: String,
    extracted_values: BTreeMap<String, String>,
}

async fn test_metric_filter(_: Logs, _: Call, input: TestInput) -> Result<TestOutput, Fault> {
    let pattern = pattern(&required(input.filter_pattern, "filterPattern")?)?;
    let messages = required(input.log_event_messages, "logEventMessages")?;
    if messages.is_empty() || messages.len() > TEST_MESSAGES_MAX {
        let constraint = format!("Member must have length between 1 and {TEST_MESSAGES_MAX}");
        return Err(fault::constraint("[...]", "logEventMessages", &constraint));
    }
    let found = messages.into_iter().enumerate().filter_map(|(index, event_message)| {
        let extracted_values = pattern.extract(&event_message)?;
        Some(Match { event_number: index + 1, event_message, extracted_values })
    });
    Ok(TestOutput { matches: found.collect() })
}
