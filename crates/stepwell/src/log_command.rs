//! `stepwell logs`: the events of a log group.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};
use base::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::client::{Client, EndpointFlags};

/// How often `--follow` looks for new events.
const FOLLOW_PAUSE: Duration = Duration::from_millis(300);
/// How far behind the newest event `--follow` looks again: events of several streams arrive out of order.
const FOLLOW_OVERLAP: Duration = Duration::from_secs(5);

/// Prints the events of a log group
#[derive(clap::Args)]
pub struct Arguments {
    /// Such as /aws/lambda/my-function
    group: String,
    /// Go on printing as events come
    #[arg(long, short)]
    follow: bool,
    /// Only events that match (CloudWatch Logs filter pattern)
    #[arg(long, value_name = "PATTERN")]
    filter: Option<String>,
    /// Only events of the last so many minutes, hours or days, such as 10m, 2h, 1d
    #[arg(long, value_name = "SPAN")]
    since: Option<String>,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

pub async fn run(arguments: Arguments, as_json: bool) -> Result<i32> {
    let client = Client::new(arguments.endpoint.clone());
    let mut from = match &arguments.since {
        Some(span) => SystemClock::new().now() - parse_span(span)?,
        None => Timestamp::from_millis(0),
    };
    let mut seen = BTreeSet::new();
    loop {
        let mut token = Value::Null;
        loop {
            let mut input = json!({"logGroupName": arguments.group, "startTime": from.as_millis(), "limit": 10_000});
            if let Some(pattern) = &arguments.filter {
                input["filterPattern"] = pattern.as_str().into();
            }
            if !token.is_null() {
                input["nextToken"] = token;
            }
            let answer = client.call("logs", "Logs_20140328.FilterLogEvents", &input).await?;
            for event in answer["events"].as_array().into_iter().flatten() {
                if let Err(error) = print(event, as_json, &mut seen) {
                    // Whoever reads us has had enough.
                    return if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(0) } else { Err(error.into()) };
                }
            }
            token = answer["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        if !arguments.follow {
            return Ok(0);
        }
        if let Some((newest, _)) = seen.last() {
            from = Timestamp::from_millis(*newest) - FOLLOW_OVERLAP;
            seen = seen.split_off(&(from.as_millis(), String::new()));
        }
        tokio::time::sleep(FOLLOW_PAUSE).await;
    }
}

fn print(event: &Value, as_json: bool, seen: &mut BTreeSet<(i64, String)>) -> std::io::Result<()> {
    let at = event["timestamp"].as_i64().unwrap_or_default();
    let id = event["eventId"].as_str().unwrap_or_default().to_owned();
    if !seen.insert((at, id)) {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    if as_json {
        return writeln!(out, "{event}");
    }
    let stream = event["logStreamName"].as_str().unwrap_or_default();
    let message = event["message"].as_str().unwrap_or_default().trim_end();
    writeln!(out, "{} {stream} {message}", Timestamp::from_millis(at))
}

fn parse_span(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    match number.parse::<u64>() {
        Ok(n) if seconds > 0 => Ok(Duration::from_secs(n.saturating_mul(seconds))),
        _ => bail!("--since {text}: expected a number and s, m, h or d, such as 10m"),
    }
}
